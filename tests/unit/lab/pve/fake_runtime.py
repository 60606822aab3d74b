"""A runtime in memory: volumes are sparse files, containers are entries of a dictionary.

What it prints is what mke2fs, tar and ssh-keygen print on a node. `hold` makes it stop at a named point, so that a test
can look at a node in the middle of a task.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxhermes.lab.pve.runtime import ContainerSpec, Detected, Log, Mount, Net, RuntimeFailure, Usage

_BLOCK = 4096
_GROUP = 32768
_PATIENCE = 10.0


class Gate:
    """Points at which work waits: `hold` closes one, `reached` waits until somebody stands there, `release` opens."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed: set[str] = set()
        self._waiting: set[str] = set()

    def hold(self, *points: str) -> None:
        """Close points."""
        with self._changed:
            self._closed.update(points)

    def release(self, *points: str) -> None:
        """Open points; all of them without a name."""
        with self._changed:
            self._closed -= set(points) or set(self._closed)
            self._changed.notify_all()

    def reached(self, point: str) -> None:
        """Wait until work stands at a point."""
        with self._changed:
            assert self._changed.wait_for(lambda: point in self._waiting, _PATIENCE), f"nothing came to {point}"

    def go_to(self, point: str) -> None:
        """Let work go on from where it stands to the next closed point, which must be that one."""
        with self._changed:
            self._closed -= self._waiting - {point}
            self._changed.notify_all()
        self.reached(point)

    def passing(self, point: str) -> None:
        """Called by the work."""
        with self._changed:
            self._waiting.add(point)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: point not in self._closed, _PATIENCE), f"held at {point} for too long"
            self._waiting.discard(point)


@dataclass
class FakeRuntime:
    """See the module's docstring. `cards` is what `ip -j addr` prints in every guest."""

    bridges: set[str] = field(default_factory=lambda: {"intra01"})
    running: dict[int, ContainerSpec] = field(default_factory=dict)
    cards: list[dict[str, Any]] = field(default_factory=list)
    unplugged: list[tuple[int, int]] = field(default_factory=list)
    keys: dict[int, str | None] = field(default_factory=dict)
    gate: Gate = field(default_factory=Gate)

    def create_volume(self, path: Path, size: int, owner: int, log: Log) -> None:
        self.gate.passing("mkfs")
        path.touch()
        os.truncate(path, size)
        blocks = size // _BLOCK
        log(f"Creating filesystem with {blocks} 4k blocks and {blocks // 4} inodes")
        log("Filesystem UUID: 01234567-89ab-cdef-0123-456789abcdef")
        log("Superblock backups stored on blocks: ")
        powers = sorted(base**exponent for base in (3, 5, 7) for exponent in range(1, 20))
        log("\t" + ", ".join(str(group * _GROUP) for group in [1, *powers] if group * _GROUP < blocks))
        self.gate.passing("mkfs done")

    def resize_volume(self, path: Path, size: int, log: Log) -> None:
        os.truncate(path, size)
        log("")

    def destroy_volume(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def extract(self, spec: ContainerSpec, template: Path, log: Log) -> Detected:
        self.gate.passing("extract")
        log("Total bytes read: 576163840 (550MiB, 128MiB/s)")
        return Detected("debian", "amd64")

    def prepare(self, spec: ContainerSpec, ssh_public_keys: str | None, password: str | None, log: Log) -> None:
        self.keys[spec.vmid] = ssh_public_keys
        for kind in ("rsa", "ed25519", "ecdsa"):
            log(f"Creating SSH host key 'ssh_host_{kind}_key' - this may take some time ...")
            log(f"done: SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA root@{spec.hostname.split('.')[0]}")
        self.gate.passing("prepared")

    def start(self, spec: ContainerSpec, log: Log) -> None:
        if not all(mount.source.exists() for mount in spec.mounts):
            raise RuntimeFailure(f"startup for container '{spec.vmid}' failed")
        self.running[spec.vmid] = spec

    def stop(self, vmid: int) -> None:
        self.gate.passing("stop")
        self.running.pop(vmid, None)

    def shutdown(self, vmid: int, timeout: int) -> None:
        if timeout:
            self.running.pop(vmid, None)

    def is_running(self, vmid: int) -> bool:
        return vmid in self.running

    def init_pid(self, vmid: int) -> int | None:
        return os.getpid() if vmid in self.running else None

    def usage(self, vmid: int) -> Usage | None:
        return Usage(uptime=5, mem=2**20, maxdisk=2**32) if vmid in self.running else None

    def interfaces(self, vmid: int) -> list[dict[str, Any]]:
        return self.cards

    def bridge_exists(self, bridge: str) -> bool:
        return bridge in self.bridges

    def hotplug_mount(self, spec: ContainerSpec, mount: Mount) -> None:
        if not mount.source.exists():
            raise RuntimeFailure(f"directory '{mount.source}' does not exist")

    def hotplug_net(self, spec: ContainerSpec, net: Net) -> None:
        pass

    def unplug_net(self, vmid: int, index: int) -> None:
        self.unplugged.append((vmid, index))

    def set_limits(self, spec: ContainerSpec) -> None:
        self.running[spec.vmid] = spec

    def attach_argv(self, vmid: int, argv: Sequence[str], *, keep_env: bool) -> list[str]:
        return ["lxc-attach", "-n", str(vmid), "--", *argv]

    def guest_root(self, vmid: int) -> Path:
        return Path(f"/proc/{os.getpid()}/root")

    def mount(self, spec: ContainerSpec) -> Path:
        return Path(f"/var/lib/lxc/{spec.vmid}/rootfs")

    def unmount(self, vmid: int) -> None:
        pass

    def forget(self, vmid: int) -> None:
        pass
