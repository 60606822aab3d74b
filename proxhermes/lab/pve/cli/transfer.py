"""`pct push` and `pct pull`: one file through the container's own namespaces.

The part that touches the guest runs in a child that has entered the guest's mount and user namespaces, so that paths,
symbolic links, names and owners mean what they mean inside. A failure there is a line on standard error and no exit
code: that is how Proxmox has it (`pct push` and `pct pull` end with 0 on most failures).
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 1 << 20


class TransferError(Exception):
    """What went wrong, as the line that is printed."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What `--perms`, `--user` and `--group` say; None leaves it as it is."""

    perms: str | None = None
    user: str | None = None
    group: str | None = None


def push(pid: int, source: str, target: str, wanted: Ownership) -> None:
    """Copy the node's file `source` to `target` in the guest whose init is `pid`. Raises TransferError."""
    try:
        reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise TransferError(f"failed to open {source} for reading") from error

    def inside(_channel: socket.socket) -> None:
        writer = create(target, wanted)
        copy(reader, writer)

    try:
        _in_guest(pid, inside)
    finally:
        os.close(reader)


def pull(pid: int, source: str, target: str, wanted: Ownership) -> None:
    """Copy the file `source` of the guest whose init is `pid` to the node's `target`. Raises TransferError."""

    def inside(channel: socket.socket) -> None:
        try:
            opened = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise TransferError(f"failed to open {source}: {error.strerror}") from error
        socket.send_fds(channel, [b"file"], [opened])

    reader = _in_guest(pid, inside)
    if reader is None:
        return
    try:
        copy(reader, create(target, wanted))
    finally:
        os.close(reader)


def create(path: str, wanted: Ownership) -> int:
    """Open `path` for writing: a new file gets 0644 or `perms`, an existing one keeps owner and mode unless told."""
    uid = _number(wanted.user, "/etc/passwd", "uid")
    gid = _number(wanted.group, "/etc/group", "gid")
    mode = _mode(wanted.perms)
    try:
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            mode = 0o644 if mode is None else mode
        except FileExistsError:
            file = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    except OSError as error:
        raise TransferError(f"failed to create file: {path}: {error.strerror}") from error
    try:
        if mode is not None:
            os.fchmod(file, mode)
    except OSError as error:
        raise TransferError(f"failed to set file permissions: {error.strerror}") from error
    try:
        if uid is not None or gid is not None:
            os.fchown(file, -1 if uid is None else uid, -1 if gid is None else gid)
    except OSError as error:
        raise TransferError(f"failed to change file owner: {error.strerror}") from error
    return file


def copy(reader: int, writer: int) -> None:
    """Everything from one file descriptor to another. A folder as source has nothing to give, which is no failure."""
    while True:
        try:
            block = os.read(reader, _CHUNK)
        except IsADirectoryError:
            return
        if not block:
            return
        view = memoryview(block)
        while view:
            view = view[os.write(writer, view) :]


def _mode(perms: str | None) -> int | None:
    if perms is None:
        return None
    if not re.fullmatch(r"[0-7]+", perms):
        raise TransferError(f"invalid mode: '0{perms}'")
    return int(perms, 8)


def _number(name: str | None, table: str, kind: str) -> int | None:
    """The id behind a name in /etc/passwd or /etc/group (both have it in the third field), or the number itself."""
    if name is None:
        return None
    if name.isdecimal():
        return int(name)
    lines = Path(table).read_text(errors="replace").splitlines() if Path(table).exists() else []
    for fields in (line.split(":") for line in lines):
        if fields[0] == name and len(fields) > 2:
            return int(fields[2])
    raise TransferError(f"failed to get {kind} for: {name}")


def _in_guest(pid: int, work: Callable[[socket.socket], None]) -> int | None:
    """Run `work` in a child inside the guest; what it raises is raised here, the file it sends is returned."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        os._exit(_child(pid, work, theirs))
    theirs.close()
    with ours:
        message, file = _receive(ours)
    os.waitpid(child, 0)
    if message:
        raise TransferError(message)
    return file


def _receive(channel: socket.socket) -> tuple[str, int | None]:
    """What the child sends until it closes its end: the text of a failure, and a file."""
    text, file = b"", None
    while True:
        data, files, _flags, _address = socket.recv_fds(channel, 65536, 1)
        if not data:
            return text.decode(), file
        if files:
            file = files[0]
        else:
            text += data


def _child(pid: int, work: Callable[[socket.socket], None], channel: socket.socket) -> int:
    """The child's whole life: enter, work, tell. Returns its exit code."""
    try:
        enter(pid)
        work(channel)
    except (TransferError, OSError) as error:
        channel.sendall(str(error).encode())
        return 1
    return 0


def enter(pid: int) -> None:
    """Become root inside the guest whose init is `pid`: its users, its mounts, its root folder."""
    folder = Path("/proc", str(pid))
    # A process cannot enter the user namespace it is in already (a privileged container shares the node's).
    shared = (folder / "ns/user").stat().st_ino == Path("/proc/self/ns/user").stat().st_ino
    # Everything is opened first: once inside, neither the node's /proc nor its rights are there any more.
    users, mounts, root = (os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC) for name in ("ns/user", "ns/mnt", "root"))
    _setns(mounts)
    if not shared:
        _setns(users)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    os.fchdir(root)
    os.chroot(".")


def _setns(handle: int) -> None:
    """setns(2), which Python has from 3.12 on."""
    if ctypes.CDLL(None, use_errno=True).setns(handle, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
