"""What the node's core needs from the machine beneath it: volumes and containers.

The core decides what is allowed and what the configuration becomes; a `Runtime` makes it real. `proxhermes.lab.node`
implements it with LXC, the unit tests with a dictionary. Every method may raise `RuntimeFailure`, whose text becomes
the end of the task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from proxhermes.lab.pve.errors import RuntimeFailure

__all__ = ["ContainerSpec", "Detected", "IdMap", "Log", "Mount", "Net", "Runtime", "RuntimeFailure", "Usage"]

Log = Callable[[str], None]
"""Takes one line of a task's log."""


@dataclass(frozen=True, slots=True)
class IdMap:
    """One `lxc.idmap` line: `kind` is `u` or `g`; `host` is the first id on the node of `count` ids from `guest` on."""

    kind: str
    guest: int
    host: int
    count: int


@dataclass(frozen=True, slots=True)
class Net:
    """One network card: `index` 0 for net0; `options` as in the configuration (name, bridge, hwaddr, ip, gw, tag…)."""

    index: int
    options: dict[str, str]


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount point `mpN`: a directory of the node (`bind`) or a volume's file, and where it goes in the guest."""

    index: int
    source: Path
    target: str
    bind: bool
    read_only: bool


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All that the machine must know to run one container. Memory and swap in MiB; `cores` 0 means all."""

    vmid: int
    hostname: str
    rootfs: Path
    rootfs_read_only: bool
    unprivileged: bool
    idmap: tuple[IdMap, ...]
    nets: tuple[Net, ...]
    mounts: tuple[Mount, ...]
    features: dict[str, str]
    memory: int
    swap: int
    cores: int
    cpulimit: float
    cpuunits: int
    ostype: str
    nameserver: str | None
    searchdomain: str | None
    timezone: str | None
    tty: int
    console: bool
    raw: tuple[tuple[str, str], ...]
    """The `lxc.*` lines of the configuration, `lxc.idmap` included, in order."""


@dataclass(frozen=True, slots=True)
class Detected:
    """What an unpacked template turned out to be, in Proxmox' words (`debian`, `amd64`)."""

    ostype: str
    arch: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a running container uses: bytes, seconds, and `cpu` as a share of its cores (0…1)."""

    uptime: int = 0
    cpu: float = 0.0
    mem: int = 0
    swap: int = 0
    disk: int = 0
    maxdisk: int = 0
    netin: int = 0
    netout: int = 0
    diskread: int = 0
    diskwrite: int = 0


class Runtime(Protocol):
    """The machine's side of a container. Paths are real: the core has already put its root folder before them."""

    def create_volume(self, path: Path, size: int, owner: int, log: Log) -> None:
        """Make a volume of `size` bytes with a file system whose root belongs to `owner`:`owner` (host id).

        The log gets mke2fs' lines (`Creating filesystem with …`).
        """

    def resize_volume(self, path: Path, size: int, log: Log) -> None:
        """Grow a volume and its file system to `size` bytes, mounted or not."""

    def destroy_volume(self, path: Path) -> None:
        """Remove a volume; one that does not exist is no error."""

    def extract(self, spec: ContainerSpec, template: Path, log: Log) -> Detected:
        """Unpack `template` into the root volume with mapped owners; the log gets tar's last line (`Total bytes …`).

        Says what the unpacked system is, which becomes `ostype` and `arch` where the caller named none.
        """

    def prepare(self, spec: ContainerSpec, ssh_public_keys: str | None, password: str | None, log: Log) -> None:
        """First set-up of an unpacked system: new SSH host keys (logged), root's authorized_keys and password."""

    def start(self, spec: ContainerSpec, log: Log) -> None:
        """Write hostname, hosts, interfaces, resolv.conf, time zone into the guest, start it, return when init runs."""

    def stop(self, vmid: int) -> None:
        """End it at once and unmount."""

    def shutdown(self, vmid: int, timeout: int) -> None:
        """Ask init to end and wait; RuntimeFailure when it still runs after `timeout` seconds (0: only ask)."""

    def is_running(self, vmid: int) -> bool:
        """Whether its init lives."""

    def init_pid(self, vmid: int) -> int | None:
        """The pid of its init as the node sees it."""

    def usage(self, vmid: int) -> Usage | None:
        """What it uses; None when it does not run."""

    def interfaces(self, vmid: int) -> list[dict[str, Any]]:
        """The guest's network cards as `ip -j addr` prints them, read in its network namespace."""

    def bridge_exists(self, bridge: str) -> bool:
        """Whether the node has that bridge."""

    def hotplug_mount(self, spec: ContainerSpec, mount: Mount) -> None:
        """Mount one more thing into the running guest."""

    def hotplug_net(self, spec: ContainerSpec, net: Net) -> None:
        """Add or change a network card of the running guest."""

    def unplug_net(self, vmid: int, index: int) -> None:
        """Take a network card from the running guest; one that is not there is no error."""

    def set_limits(self, spec: ContainerSpec) -> None:
        """Bring memory, swap and cores of the running guest to what `spec` says."""

    def attach_argv(self, vmid: int, argv: Sequence[str], *, keep_env: bool) -> list[str]:
        """The command that runs `argv` in the guest (what `pct exec` becomes)."""

    def guest_root(self, vmid: int) -> Path:
        """The running guest's root directory as seen from the node (`/proc/PID/root`)."""

    def mount(self, spec: ContainerSpec) -> Path:
        """Mount a stopped container's root file system and say where."""

    def unmount(self, vmid: int) -> None:
        """Undo `mount`."""

    def forget(self, vmid: int) -> None:
        """Remove what it keeps of a container that is no more, or that could not be made."""
