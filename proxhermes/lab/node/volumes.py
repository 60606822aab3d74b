"""Volumes as sparse files with ext4, mounted through loop devices; unpacking templates with mapped owners."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from proxhermes.lab.node.process import LabError, run
from proxhermes.lab.pve.runtime import IdMap, Log, Mount

# The lab's disks need not survive a power cut, so nothing waits for the machine's disk.
_OPTIONS = "loop,noatime,nobarrier,commit=60"
_UNPACKERS = {".zst": ["zstd", "-dc"], ".gz": ["gzip", "-dc"], ".xz": ["xz", "-dc"], ".tar": ["cat"]}
_MKFS_LINES = ("Creating filesystem", "Filesystem UUID", "Superblock backups", "\t")


def create(path: Path, size: int, owner: int, log: Log) -> None:
    """A sparse file of `size` bytes with an ext4 whose root belongs to `owner`. LabError when one is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(handle, "wb") as file:
        file.truncate(size)
    extended = f"root_owner={owner}:{owner},lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    said = run(["mkfs.ext4", "-F", "-E", extended, path]).stdout
    for line in said.splitlines():
        if line.startswith(_MKFS_LINES):
            log(line)


def resize(path: Path, size: int, log: Log) -> None:
    """Grow file and file system; a mounted one grows under its users.

    As with Proxmox, a file system that stays small (a mounted one needs CAP_SYS_RESOURCE) is told and no failure.
    """
    os.truncate(path, size)
    loops = run(["losetup", "-n", "-O", "NAME", "-j", path]).stdout.split()
    for loop in loops:
        run(["losetup", "-c", loop])
    if not loops:
        run(["e2fsck", "-fy", path], check=False)
    command = ["resize2fs", str(loops[0] if loops else path)]
    done = run(command, check=False)
    for line in (done.stderr + done.stdout).splitlines():
        log(line)
    if done.returncode:
        words = " ".join(command)
        log(f"Failed to update the container's filesystem: command '{words}' failed: exit code {done.returncode}")


def is_mounted(point: Path) -> bool:
    """Whether something is mounted exactly there."""
    return any(line.split()[4] == str(point) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def mount(source: Path, target: Path, *, bind: bool, read_only: bool) -> None:
    """Mount a volume's file or bind a folder. LabError with what mount(8) says."""
    if bind:
        if not source.is_dir():
            raise LabError(f"directory '{source}' does not exist")
        run(["mount", "--bind", source, target])
        if read_only:
            run(["mount", "-o", "remount,bind,ro", target])
        return
    run(["mount", "-o", _OPTIONS + (",ro" if read_only else ""), source, target])


def attach(pid: int, mounted: Mount, root_ids: tuple[int, int], staging: Path) -> None:
    """Bring one mount into the running guest of init `pid`: mounted at `staging` first, then cloned into the guest."""
    staging.mkdir(parents=True, exist_ok=True)
    mount(mounted.source, staging, bind=mounted.bind, read_only=mounted.read_only)
    try:
        module = "proxhermes.lab.node.attach_mount"
        run([sys.executable, "-m", module, str(pid), staging, mounted.target, *map(str, root_ids)])
    finally:
        run(["umount", staging])


def unpack(template: Path, rootfs: Path, idmap: tuple[IdMap, ...], log: Log) -> None:
    """Unpack a template as root of the mapped user namespace, so that owners are right as they are written.

    Device nodes cannot be made there; LXC makes those that a guest needs. The log gets tar's total.
    """
    unpacker = _UNPACKERS.get(template.suffix)
    if unpacker is None:
        raise LabError(f"{template.name}: neither .zst, .gz, .xz nor .tar")
    maps = [word for m in idmap for word in ("-m", f"{m.kind}:{m.guest}:{m.host}:{m.count}")]
    enter = ["lxc-usernsexec", *maps, "--"] if maps else []
    attributes = ["--acls", "--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability"]
    tar = ["tar", "-xpf", "-", "--totals", "--sparse", "--numeric-owner", *attributes, "--anchored"]
    tar += ["--exclude=./dev/*", "-C", str(rootfs)]
    with (
        template.open("rb") as packed,
        subprocess.Popen(unpacker, stdin=packed, stdout=subprocess.PIPE) as plain,
    ):
        environment = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(
            [*enter, *tar], stdin=plain.stdout, capture_output=True, text=True, env=environment, check=False
        )
        assert plain.stdout is not None, "a pipe was asked for"
        plain.stdout.close()
    if done.returncode != 0 or plain.returncode != 0:
        raise LabError(f"unpacking {template.name}: {done.stderr.strip()[-1000:]}")
    for line in done.stderr.splitlines():
        if line.startswith("Total bytes read"):
            log(line)
