"""Files that several processes share: written whole, and locks with a time limit."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.runtime import Log

_POLL = 0.02


def read_text(path: Path) -> str:
    """The file's text; empty when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def write_text(path: Path, text: str, mode: int = 0o640) -> None:
    """Write by renaming, so that a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    temporary.replace(path)


@contextmanager
def locked(path: Path, shown: str, timeout: float, notice: Log | None = None) -> Iterator[None]:
    """Hold `flock` on `path`, waiting at most `timeout` seconds.

    While it waits, `notice` hears `trying to acquire lock...` and then ` OK`. `shown` is the path in the message of the
    PveError that a time-out raises (its errno 4 is what `pct` leaves as exit code).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        waited = False
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waited and notice:
                    notice("trying to acquire lock...")
                waited = True
                if time.monotonic() >= deadline:
                    raise PveError(f"can't lock file '{shown}' - got timeout", errno=4) from None
                time.sleep(_POLL)
        if waited and notice:
            notice(" OK")
        yield
