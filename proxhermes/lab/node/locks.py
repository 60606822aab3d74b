"""Locks between commands of the lab on this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def locked(file: Path, busy: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock file, gone again afterwards and its folder with it when that is empty; `busy` is told
    when somebody else has it.

    The kernel frees the lock of a process that dies; the file that it leaves locks nothing.
    """
    with _lock_file(file, busy):
        try:
            yield
        finally:
            file.unlink()
    with suppress(OSError):
        file.parent.rmdir()  # only when it was the last file in it


def _lock_file(file: Path, busy: Callable[[], None]) -> IO[str]:
    """The lock file, opened and locked; not one that its former holder has removed meanwhile."""
    while True:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            lock = file.open("w")
        except FileNotFoundError:
            continue  # another command has just removed the folder as empty
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy()
            fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists() and file.stat().st_ino == os.fstat(lock.fileno()).st_ino:
            return lock
        lock.close()
