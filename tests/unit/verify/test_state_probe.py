"""The probe for the agent's databases, on real ones: what is wrong is found, and nothing is touched, whoever writes."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import io
import itertools
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from guest_bundle import lay_out, run
from hypothesis import example, given
from hypothesis import strategies as st

from proxhermes.transport.scripts import script
from proxhermes.verify import state
from proxhermes.verify.scene import Answers

PROBE = Path(__file__).parents[3] / "host_scripts" / "state-probe.py"
spec = importlib.util.spec_from_file_location("state_probe", PROBE)
assert spec and spec.loader
probe: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(probe)

ROWS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
FILL = f"{ROWS} INSERT INTO t SELECT i, hex(i) FROM n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def look(home: Path, how: str = "quick", size: int = 1 << 30) -> Any:
    """What the probe prints."""
    words = [sys.executable, "-I", "-S", "-c", script("state-probe.py").decode(), str(home), how, "60", str(size)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert state.parse(done.stdout), done.stdout
    return json.loads(done.stdout)


def told(home: Path, how: str = "quick", size: int = 1 << 30) -> dict[str, tuple[str, str]]:
    """By name, the state of each database and what was said of it."""
    return {entry["name"]: (entry["state"], entry["said"]) for entry in look(home, how, size)["databases"]}


def make(path: Path, mode: str = "wal") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode = {mode}")
        database.execute("CREATE TABLE t (a INTEGER, b TEXT)")
        database.execute("CREATE INDEX by_b ON t (b)")
        database.execute(FILL)
        database.commit()
    return path


def killed(path: Path, mode: str, *statements: str) -> None:
    """Have a process write to the database, and kill it before it closes it."""
    code = (
        "import os, signal, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for statement in sys.argv[2:]: database.execute(statement)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    words = [sys.executable, "-c", code, str(path), f"PRAGMA journal_mode = {mode}", *statements]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL


def everything(home: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [home, *home.rglob("*")]
        if path != home
    }


def test_databases_of_every_place_are_found_and_nothing_is_left_or_changed(home: Path) -> None:
    names = (
        *("state.db", "cron/executions.db", "kanban/boards/one/kanban.db", "profiles/second/state.db"),
        *("platforms/matrix/store/crypto.db", "telemetry/shared_metrics/metrics.sqlite3", "plugin-data/mine/data.db"),
    )
    for number, name in enumerate(names):
        make(home / name, "wal" if number % 2 else "delete")
    for name in ("workspace/mine.db", "backups/old.db", "home/mine.db"):
        make(home / name)
    before = everything(home)
    seen = look(home)
    assert {entry["name"]: entry["state"] for entry in seen["databases"]} == dict.fromkeys(names, "fine")
    assert [entry["wal"] for entry in seen["databases"] if entry["name"] == "cron/executions.db"] == [True]
    assert (seen["sqlite"], seen["orphans"], seen["more"]) == (sqlite3.sqlite_version, [], 0)
    assert everything(home) == before


def test_what_another_process_has_only_in_its_wal_is_seen_and_stays(home: Path) -> None:
    with closing(sqlite3.connect(make(home / "state.db"))) as gateway:
        gateway.execute(FILL)
        gateway.commit()
        before = everything(home)
        assert told(home) == {"state.db": ("fine", "")}
        assert everything(home) == before
    assert len(before) == 3, "no WAL"


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_damaged_page_is_found(home: Path, mode: str) -> None:
    path = make(home / "state.db", mode)
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(os.urandom(4096))
    verdict, said = told(home)["state.db"]
    assert verdict == "damaged" and said


def test_damage_that_is_only_in_the_wal_is_found(home: Path) -> None:
    """The file alone is whole: whoever looked past its WAL would find nothing."""
    page = "UPDATE sqlite_master SET rootpage = 77 WHERE name = 'by_b'"
    killed(make(home / "state.db"), "wal", "PRAGMA writable_schema = 1", page)
    assert told(home)["state.db"][0] == "damaged"
    (home / "state.db-wal").unlink()
    assert told(home)["state.db"][0] == "fine"


def test_a_truncated_file_is_found(home: Path) -> None:
    path = make(home / "state.db", "delete")
    os.truncate(path, path.stat().st_size // 2)
    assert told(home)["state.db"][0] == "damaged"


def test_a_database_that_is_nothing_but_its_first_word_is_found(home: Path) -> None:
    (home / "state.db").write_bytes(b"SQLite format 3\0")
    assert told(home)["state.db"][0] == "damaged"


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"SQLite format 2"])
def test_a_state_db_that_is_none_is_found(home: Path, content: bytes) -> None:
    (home / "state.db").write_bytes(content)
    (home / "mine.db").write_bytes(content)
    assert told(home) == {"state.db": ("damaged", "it is not an SQLite database")}


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_what_a_killed_gateway_left_is_no_damage_and_stays_for_it(home: Path, mode: str) -> None:
    """A transaction that was not finished: in the middle of the file, with its journal; or at the WAL's end."""
    path = make(home / "state.db", mode)
    killed(path, mode, "PRAGMA cache_size = 2", "BEGIN", "UPDATE t SET b = 'x' || b", FILL)
    before = everything(home)
    assert {Path(name).name for name in before} >= {
        "state.db",
        {"wal": "state.db-wal", "delete": "state.db-journal"}[mode],
    }
    assert told(home) == {"state.db": ("fine", "")}
    assert everything(home) == before
    if mode == "delete":  # so it has to be, or the test says nothing
        (home / "state.db-journal").unlink()
        assert told(home)["state.db"][0] == "damaged"


def test_deep_finds_what_quick_does_not_look_for(home: Path) -> None:
    with closing(sqlite3.connect(make(home / "state.db", "delete"), isolation_level=None)) as database:
        database.execute("CREATE TABLE u (a INTEGER, b TEXT)")
        database.execute("CREATE INDEX by_u ON u (b)")
        database.execute("INSERT INTO u VALUES (1, 'u')")
        roots = dict(database.execute("SELECT name, rootpage FROM sqlite_master"))
        database.execute("PRAGMA writable_schema = 1")
        for name, other in (("by_u", "by_b"), ("by_b", "by_u")):
            database.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = ?", (roots[other], name))
    assert told(home)["state.db"][0] == "fine"
    assert told(home, "deep", 0)["state.db"][0] == "damaged"


def test_what_is_too_large_is_named_and_not_copied(home: Path) -> None:
    path = make(home / "state.db", "delete")
    os.truncate(path, 1 << 40)
    make(home / "kanban.db")
    assert told(home) == {"state.db": ("later", "it is larger than what is copied"), "kanban.db": ("fine", "")}
    assert told(home, "deep", 0)["state.db"] == ("unchecked", "there is no room for a copy of it")


def test_what_is_no_file_is_not_opened(home: Path) -> None:
    make(home / "elsewhere" / "real.db")
    (home / "state.db").symlink_to("elsewhere/real.db")
    os.mkfifo(home / "kanban.db")
    (home / "projects.db").mkdir()
    os.mkfifo(home / "another.db")
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(home / "notepad.db"))
        make(home / "memory_store.db", "delete")
        os.mkfifo(home / "memory_store.db-wal")
        (home / "cron").symlink_to("elsewhere")
        assert told(home) == {
            "state.db": ("unchecked", "it is a link"),
            "kanban.db": ("special", "it is a pipe"),
            "projects.db": ("special", "it is a directory"),
            "notepad.db": ("special", "it is a socket"),
            "memory_store.db": ("unchecked", "memory_store.db-wal is not a file"),
        }


def test_of_ten_thousand_files_a_few_are_looked_at_and_the_agents_own_first(home: Path) -> None:
    small = make(home / "plugin-data" / "p" / "0.db", "delete").read_bytes()[:4096]
    for number in range(1, 10_000):
        (home / "plugin-data" / "p" / f"{number}.db").write_bytes(small)
    make(home / "state.db")
    seen = look(home)
    assert (seen["databases"][0]["name"], len(seen["databases"]), seen["more"]) == ("state.db", 100, 9_901)


def test_too_many_names_are_not_all_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "NAMES", 10)
    for number in range(30):
        (home / f"{number}.txt").touch()
    assert probe.databases(home) == ([], True)
    for number in range(30):
        (home / "profiles" / str(number)).mkdir(parents=True)
        (home / f"{number}.txt").unlink()
    assert probe.databases(home) == ([], True)


def test_files_of_others_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(make(home / "state.db"))) as gateway:
        gateway.execute("INSERT INTO t VALUES (1, 'x')")
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        entry = probe.Look(home, "quick", 60, 0).at(home / "state.db")
    ids = f"{os.getuid()}:{os.getgid()}"
    assert entry["others"] == [f"state.db {ids}", f"state.db-wal {ids}", f"state.db-shm {ids}"]


def test_a_file_that_the_agent_may_not_read_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    make(home / "state.db")
    monkeypatch.setattr(probe, "opened", refused)
    entry = probe.Look(home, "quick", 60, 0).at(home / "state.db")
    assert (entry["state"], entry["said"]) == ("unreadable", "Permission denied")


def test_a_process_that_writes_to_a_deleted_wal_is_found(home: Path) -> None:
    with gateway(home / "state.db") as process:
        assert look(home)["orphans"] == []
        (home / "state.db-wal").unlink()
        (orphan,) = look(home)["orphans"]
        assert (orphan["pid"], orphan["name"]) == (process.pid, "state.db-wal")
        assert Path(f"/proc/{orphan['pid']}/fd/{orphan['fd']}").read_bytes()[:3] == b"\x37\x7f\x06"
        (home / "state.db-wal").write_bytes(b"")  # another one has its name
        assert [orphan["name"] for orphan in look(home)["orphans"]] == ["state.db-wal"]
        make(home / "new.db").replace(home / "state.db")
        assert {orphan["name"] for orphan in look(home)["orphans"]} == {"state.db", "state.db-wal"}


def test_what_is_only_called_deleted_is_no_orphan(tmp_path: Path) -> None:
    """As OpenZFS calls a file whose name the kernel has forgotten, while it has it."""
    (tmp_path / "state.db-wal").touch()
    (tmp_path / "state.db-wal (deleted)").symlink_to("state.db-wal")
    descriptor = tmp_path / "12"
    descriptor.symlink_to(tmp_path / "state.db-wal (deleted)")
    assert probe.orphan(descriptor, tmp_path) == ""
    (tmp_path / "state.db-wal").rename(tmp_path / "gone")
    (tmp_path / "state.db-wal").touch()
    (tmp_path / "state.db-wal (deleted)").unlink()
    (tmp_path / "state.db-wal (deleted)").symlink_to("gone")
    assert probe.orphan(descriptor, tmp_path) == "state.db-wal"


@contextmanager
def gateway(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has written to a new database, and has it open."""
    code = (
        "import sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA journal_mode = wal')\n"
        "database.execute('CREATE TABLE w (a INTEGER, b TEXT)')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        yield process
        process.kill()


WORK = (
    "BEGIN",
    "DELETE FROM t WHERE a % 7 = abs(random()) % 7",
    f"{ROWS} INSERT INTO t SELECT i, hex(randomblob(20)) FROM n",
    "COMMIT",
    "PRAGMA wal_checkpoint(PASSIVE)",
    "UPDATE t SET b = hex(randomblob(30)) WHERE a % 5 = abs(random()) % 5",
    "BEGIN",
    "UPDATE t SET b = b || 'x' WHERE a % 3 = abs(random()) % 3",
    "DELETE FROM t WHERE a % 2 = abs(random()) % 2",
    "ROLLBACK",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "DELETE FROM t WHERE rowid < (SELECT max(rowid) - 800 FROM t)",
)


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
def test_a_database_that_is_written_to_while_it_is_copied_is_never_called_damaged(
    home: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each copy by itself, without the second one that confirms what was found in the first."""
    chances, work, often = random.Random(4), itertools.cycle(WORK), 0.0
    writer = sqlite3.connect(make(home / "state.db", mode), isolation_level=None)
    writer.execute("PRAGMA synchronous = OFF")
    writer.execute("PRAGMA cache_size = 4")  # so it writes into the file before it commits

    class Slow(io.FileIO):
        """Something happens to the database now and then, between two parts of it that are read."""

        def read(self, size: int = -1, /) -> bytes | None:
            if chances.random() < often:
                writer.execute(next(work))
            return super().read(min(size, 4096))

    monkeypatch.setattr(io, "FileIO", Slow)
    monkeypatch.setattr(probe.time, "sleep", lambda _: None)
    seen = 0
    for number in range(60):
        often = (0.0, 0.02, 0.3)[number % 3]
        with probe.scratch(home) as folder, suppress(probe.Unchecked):
            copied = probe.snapshot(str(home / "state.db"), folder, float("inf"))
            assert probe.faults(copied, "deep", float("inf")) == ""
            seen += number % 3 != 0
        writer.execute(next(work))
    writer.close()
    assert seen > 5


def test_what_a_killed_probe_left_is_removed_and_what_another_one_uses_stays(home: Path) -> None:
    make(home / "state.db")
    used, left = (home / f"{probe.SCRATCH}{name}" for name in ("used", "left"))
    for folder in (used, left):
        folder.mkdir()
        (folder / "0").touch()
    lock = os.open(used, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert told(home) == {"state.db": ("fine", "")}
    os.close(lock)
    assert (used.exists(), left.exists()) == (True, False)


def test_a_disk_that_is_full_is_no_fault_of_the_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    make(home / "state.db")
    monkeypatch.setattr(probe, "copy", full)
    entry = probe.Look(home, "quick", 60, 0).at(home / "state.db")
    assert (entry["state"], entry["said"]) == ("unchecked", "No space left on device")
    assert [path.name for path in home.iterdir()] == ["state.db"]


def test_a_check_that_takes_too_long_is_given_up(home: Path) -> None:
    path = str(make(home / "state.db"))
    with pytest.raises(probe.Unchecked, match="no time left"):
        probe.faults(path, "deep", 0.0)


def test_the_guests_script_asks_the_agents_python_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    docker = 'case "$*" in *" -I -S -c "*" quick "*) shift 6; exec python3 "$@" ;; *) exit 1 ;; esac'
    bundle = lay_out(tmp_path / "bundle", tmp_path, docker=docker, ss="exit 1")
    done = run(bundle, "guest-verify.sh", "0123456789ab")
    assert "databases" not in Answers(done.stdout)
    for name, (content, _) in state.bundle(state.QUICK).items():
        (bundle / name).write_bytes(content)
    seen = state.parse(Answers(run(bundle, "guest-verify.sh", "0123456789ab").stdout).text("databases"))
    assert seen == state.Seen(sqlite3.sqlite_version, (), 0, False, ())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(("name", "state", "said", "size", "others")), inner)
    ),
)


@given(st.sampled_from(("sqlite", "databases", "more", "cut", "orphans")), JSON)
@example("more", float("inf"))
def test_whatever_the_agent_answers_is_taken_or_left(key: str, value: Any) -> None:
    told = {"sqlite": "3.53.4", "databases": [], "more": 0, "cut": False, "orphans": []}
    assert state.parse(json.dumps(told))
    for answer in (told | {key: value}, value):
        seen = state.parse(json.dumps(answer))
        assert seen is None or seen.more >= 0


@given(st.text(), st.text(), st.integers(min_value=0))
def test_what_is_taken_is_one_short_line(name: str, said: str, size: int) -> None:
    one = {"name": name, "state": "damaged", "said": said, "size": size, "others": [said]}
    seen = state.parse(json.dumps({"sqlite": said, "databases": [one], "more": 0, "cut": 0, "orphans": []}))
    assert seen is not None
    (database,) = seen.databases
    for text in (seen.sqlite, database.name, database.said, *database.others):
        assert len(text) <= 200 and len(text.splitlines()) <= 1
