"""Checks copies of the agent's SQLite files, with the SQLite that its gateway uses. Runs as the agent, in its place.

    python -I -S -c TEXT HOME quick|deep SECONDS BYTES

SECONDS: for all of it. BYTES: what may be copied; 0: whatever fits on the disk. Prints one JSON object.

SQLite never opens the files themselves: a connection to a database in WAL mode, even a read-only one, makes a -shm and
a -wal, and truncates the -shm of a gateway that has lost its lock on it (sqlite.org/howtocorrupt.html, 2.2). Reading
the bytes does none of that. Standard library alone.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import shutil
import signal
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

MAGIC = b"SQLite format 3\0"
SUFFIXES = (".db", ".sqlite", ".sqlite3")
BESIDE = ("-journal", "-wal", "-shm")
# Where Hermes 0.19 and 0.22 have databases in a home or a profile's, and how many levels deep.
PLACES = {
    "": 1,
    "cron": 1,
    "gateway": 1,
    "memories": 1,
    "matrix": 2,
    "plugin-data": 2,
    "telemetry": 2,
    "kanban": 3,
    "platforms": 3,
}
# Hermes' own. Any other file with such a name may be something else.
KNOWN = {
    *("state.db", "shared-state.db", "response_store.db", "runs_idempotency.db", "memory_store.db", "kanban.db"),
    *("projects.db", "executions.db", "deliveries.db", "notepad.db", "crypto.db", "verification_evidence.db"),
}
KINDS = {"l": "a link", "p": "a pipe", "d": "a directory", "s": "a socket", "c": "a device", "b": "a device"}
CHECKS = {"quick": "quick_check", "deep": "integrity_check"}
DAMAGE = (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
SCRATCH = ".proxhermes-state-"
NAMES = 20_000
DATABASES = 100
SAID = 200
SPARE = 256 << 20
TRIES = 5


class Unchecked(Exception):
    """Why a database was not checked."""


class Later(Unchecked):
    """Why it was not checked this time, and may be with more time and room."""


def names(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What is in a directory; nothing if it is a link, or cannot be read."""
    if not folder.is_symlink():
        with suppress(OSError), os.scandir(folder) as entries:
            yield from entries


def databases(home: Path) -> tuple[list[Path], bool]:
    """Files with a database's name, Hermes' own first; and whether there were too many names to see them all."""
    profiles = [Path(entry.path) for entry in islice(names(home / "profiles"), NAMES)]
    left = [(base / place, depth) for base in (home, *profiles) for place, depth in PLACES.items()]
    found, seen = [], 0
    while left and seen < NAMES:
        folder, depth = left.pop(0)
        seen += 1
        for entry in islice(names(folder), NAMES - seen):
            seen += 1
            if entry.name.endswith(SUFFIXES):
                found.append(Path(entry.path))
            elif depth > 1 and entry.is_dir(follow_symlinks=False):
                left.append((Path(entry.path), depth - 1))
    return sorted(found, key=lambda path: (path.name not in KNOWN, len(path.parts), path)), seen >= NAMES


def opened(path: str) -> io.FileIO:
    """The file for reading, as long as it is one: not a link, which may lead anywhere, nor a pipe."""
    file = io.FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Unchecked(f"{Path(path).name} is not a file")
    return file


def read(path: str, size: int) -> bytes:
    """Its first bytes."""
    with opened(path) as file:
        return file.read(size) or b""


def copy(source: str, target: str, deadline: float) -> None:
    """Copy a file as long as it is now, if there is one."""
    with suppress(FileNotFoundError), opened(source) as old, Path(target).open("wb") as new:
        left = os.fstat(old.fileno()).st_size
        while left > 0 and (chunk := old.read(min(left, 1 << 20))):
            new.write(chunk)
            left -= len(chunk)
            if time.monotonic() > deadline:
                raise Later("there was no time left for it")


def generation(path: str) -> tuple[object, ...]:
    """What is the same before and after the file, its -journal and its -wal are copied, in this order, if they fit.

    With a WAL, the file changes by what the WAL has, until that begins again with another header: so the WAL's copy,
    which is the last one, makes up for all that changed in the file. Without one, a writer changes the file's time and
    counter, and its journal has each page of old before the file changes.
    """
    main, header = Path(path).stat(), read(path, 28)
    wal, journal = b"", None
    with suppress(FileNotFoundError):
        wal = read(path + "-wal", 32)
    with suppress(FileNotFoundError):
        status = Path(path + "-journal").stat()
        journal = status.st_ino, status.st_size, status.st_mtime_ns
    return main.st_ino, header[18:20], journal, wal or (main.st_size, main.st_mtime_ns, header[24:28])


def snapshot(path: str, scratch: str, deadline: float) -> str:
    """A copy as the database was at one moment."""
    for _ in range(TRIES):
        before = generation(path)
        for suffix in ("", "-journal", "-wal"):
            copy(path + suffix, f"{scratch}/copy{suffix}", deadline)
        if generation(path) == before:
            return f"{scratch}/copy"
        for copied in Path(scratch).iterdir():
            copied.unlink()
        time.sleep(0.2)
    raise Later(f"it was written to during each of {TRIES} tries")


def faults(copied: str, how: str, deadline: float) -> str:
    """What SQLite finds wrong with a copy; empty for nothing."""
    try:
        with closing(sqlite3.connect(copied, isolation_level=None)) as database:
            database.set_progress_handler(lambda: time.monotonic() > deadline, 1_000)
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA trusted_schema = OFF")
            rows = [str(row[0]) for row in database.execute(f"PRAGMA {CHECKS[how]}(3)")]
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF in DAMAGE:
            return str(error)
        raise (
            Later("there was no time left for it") if time.monotonic() > deadline else Unchecked(str(error))
        ) from None
    return "" if rows == ["ok"] else "; ".join(rows)


@contextmanager
def scratch(home: Path) -> Iterator[str]:
    """A directory beside the databases, on a disk that has room for them: /tmp may be memory."""
    folder = tempfile.mkdtemp(prefix=SCRATCH, dir=home)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(lock)


def sweep(home: Path) -> None:
    """Remove what a killed run left: nobody has its lock."""
    for entry in names(home):
        if entry.name.startswith(SCRATCH):
            with suppress(OSError):
                lock = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(entry.path)
                finally:
                    os.close(lock)


class Look:
    """One look at the databases of a home. left: bytes that may still be copied."""

    def __init__(self, home: Path, how: str, seconds: int, size: int) -> None:
        self.home = home
        self.how = how
        self.deadline = time.monotonic() + seconds
        self.left = size or float("inf")

    def at(self, path: Path) -> dict[str, object] | None:
        """What there is to say of a file; None for one that only has a database's name."""
        entry: dict[str, object] = {"name": str(path.relative_to(self.home))[-SAID:]}
        try:
            return self._seen(path, entry)
        except FileNotFoundError:
            return None  # removed in the meantime
        except Unchecked as error:
            return entry | {"state": "later" if isinstance(error, Later) else "unchecked", "said": str(error)[:SAID]}
        except OSError as error:
            return entry | {"state": "unchecked" if error.errno in FULL else "unreadable", "said": error.strerror}

    def _seen(self, path: Path, entry: dict[str, object]) -> dict[str, object] | None:
        known = path.name in KNOWN
        files = {path.name: path.lstat()}
        if not stat.S_ISREG(files[path.name].st_mode):
            kind = KINDS.get(stat.filemode(files[path.name].st_mode)[0], "?")
            state = "unchecked" if kind == "a link" else "special"  # what it leads to may well be a database
            return entry | {"state": state, "said": f"it is {kind}"} if known else None
        for suffix in BESIDE:
            with suppress(FileNotFoundError):
                files[path.name + suffix] = os.lstat(f"{path}{suffix}")
        others = [f"{name} {file.st_uid}:{file.st_gid}" for name, file in files.items() if file.st_uid != os.geteuid()]
        size = sum(file.st_size for file in files.values())
        entry |= {"size": size, "others": others}
        header = read(str(path), 20)
        if not header.startswith(MAGIC):
            # An empty one is what SQLite leaves that was asked for nothing yet; Hermes' own was asked at its start.
            damaged = known and (header or path.name == "state.db")
            return entry | {"state": "damaged", "said": "it is not an SQLite database"} if damaged else None
        entry["wal"] = header[18:19] == b"\2"
        self._allow(size)
        said = self._wrong(str(path))
        return entry | {"state": "damaged" if said else "fine", "said": " ".join(said.split())[:SAID]}

    def _allow(self, size: int) -> None:
        disk = os.statvfs(self.home)
        if size > self.left:
            raise Later("it is larger than what is copied")
        if size + SPARE > disk.f_bavail * disk.f_frsize:
            raise Unchecked("there is no room for a copy of it")
        self.left -= size

    def _wrong(self, path: str) -> str:
        """What is wrong with a database, in two copies of it: what is wrong with one alone may be the copy's fault."""
        said = ""
        for _ in range(2):
            with scratch(self.home) as folder:
                said = faults(snapshot(path, folder, self.deadline), self.how, self.deadline)
            if not said:
                break
        return said


def orphans(home: Path) -> list[dict[str, object]]:
    """The agent's processes that write to a database, or its WAL, which nobody finds any more by its name.

    A name alone does not tell: on ZFS a file may be called deleted that is not (Hermes 0.22: hermes_state_dbfile.py).
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended
            if process.stat().st_uid != os.geteuid() or process.name == str(os.getpid()):
                continue
            for opened in (process / "fd").iterdir():
                if name := orphan(opened, home):
                    found.append({"pid": int(process.name), "fd": int(opened.name), "name": name})
    return found[:DATABASES]


def orphan(descriptor: Path, home: Path) -> str:
    """The name in `home` of the database, or of its WAL, that a descriptor has open and that was deleted since."""
    with suppress(OSError):  # it was closed
        name, deleted, _ = str(descriptor.readlink()).partition(" (deleted)")
        path = Path(name)
        ours = deleted and path.name.removesuffix("-wal").endswith(SUFFIXES) and path.is_relative_to(home)
        if ours and not (path.exists() and path.samefile(descriptor)):
            return str(path.relative_to(home))[-SAID:]
    return ""


def main() -> None:
    home, how = Path(sys.argv[1]).resolve(), sys.argv[2]
    seconds, size = int(sys.argv[3]), int(sys.argv[4])
    signal.alarm(seconds + 10)  # ends it, whatever it waits for
    found, cut = databases(home)
    sweep(home)
    look = Look(home, how, seconds, size)
    seen = [entry for entry in map(look.at, found[:DATABASES]) if entry]
    more = len(found) - len(found[:DATABASES])
    print(json.dumps({
        "sqlite": sqlite3.sqlite_version, "databases": seen, "more": more, "cut": cut, "orphans": orphans(home),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
