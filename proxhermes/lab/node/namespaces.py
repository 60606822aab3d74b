"""Linux calls that Python 3.11 does not have, by their numbers and flags in the kernel's headers."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# The same numbers on every architecture (kernel 5.2, Documentation/filesystems/mount_api).
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_AT_FDCWD = -100
_OPEN_TREE_CLONE = 1
_AT_RECURSIVE = 0x8000
_MOVE_MOUNT_F_EMPTY_PATH = 4

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """unshare(2)."""
    _checked(_libc.unshare(flags), "unshare")


def setns(file: Path, kind: int) -> None:
    """setns(2): enter the namespace that `file` stands for."""
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(handle, kind), f"setns {file}")
    finally:
        os.close(handle)


def set_hostname(name: str) -> None:
    """sethostname(2)."""
    data = name.encode()
    _checked(_libc.sethostname(data, len(data)), "sethostname")


def pivot_root_here() -> None:
    """Make the current directory (a mount point) the root; the old root lies stacked on `/` for `umount -l /`.

    The `pivot_root(".", ".")` idiom of pivot_root(2).
    """
    _checked(_libc.pivot_root(b".", b"."), "pivot_root")


def clone_mount(source: Path) -> int:
    """open_tree(2): a detached copy of what is mounted at `source`, as a file descriptor."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
    return _checked(_libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags), f"open_tree {source}")


def attach_mount(tree: int, target: Path) -> None:
    """move_mount(2): attach a detached mount at `target`."""
    done = _libc.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    _checked(done, f"move_mount {target}")
