"""The containers of a node: their configuration files, the lock on each, and what they become for the runtime."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxhermes.lab.pve import config as confile
from proxhermes.lab.pve.config import Config
from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.files import locked, read_text, write_text
from proxhermes.lab.pve.options import FEATURES, MOUNT, NET, ROOTFS
from proxhermes.lab.pve.rights import mount_type
from proxhermes.lab.pve.runtime import ContainerSpec, IdMap, Log, Mount, Net
from proxhermes.lab.pve.schema import parse_property, print_property
from proxhermes.lab.pve.site import Site
from proxhermes.lab.pve.storage import Storages

DEFAULT_MAP = (IdMap("u", 0, 100000, 65536), IdMap("g", 0, 100000, 65536))
"""An unprivileged container's map without `lxc.idmap` lines (PVE: LXC.pm)."""


@dataclass(frozen=True, slots=True)
class Containers:
    """The configuration files under `/etc/pve/nodes/NODE/lxc`, which `/etc/pve/lxc` points to."""

    site: Site
    storages: Storages

    def path(self, vmid: int) -> Path:
        """The file of one container."""
        return self.site.real(f"/etc/pve/nodes/{self.site.name}/lxc/{vmid}.conf")

    def exists(self, vmid: int) -> bool:
        """Whether there is such a container."""
        return self.path(vmid).exists()

    def ids(self) -> list[int]:
        """Every VMID, in order."""
        folder = self.path(0).parent
        names = [path.stem for path in folder.glob("*.conf")] if folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdigit())

    def load(self, vmid: int) -> Config:
        """The configuration; PveError (errno 2) when there is none."""
        if not self.exists(vmid):
            shown = f"nodes/{self.site.name}/lxc/{vmid}.conf"
            raise PveError(f"Configuration file '{shown}' does not exist", errno=2)
        return confile.parse(read_text(self.path(vmid)))

    def save(self, vmid: int, config: Config) -> None:
        """Write the configuration."""
        write_text(self.path(vmid), confile.render(config))

    def remove(self, vmid: int) -> None:
        """Drop the file."""
        self.path(vmid).unlink(missing_ok=True)

    @contextmanager
    def locked(self, vmid: int, notice: Log | None = None) -> Iterator[None]:
        """Hold the container's configuration lock; PveError after ten seconds."""
        shown = f"/run/lock/lxc/pve-config-{vmid}.lock"
        with locked(self.site.real(shown), shown, self.site.limits.config_lock, notice):
            yield

    def spec(self, vmid: int, config: Config) -> ContainerSpec:
        """What the configuration says, as the runtime wants it; PveError for a disk that cannot be."""
        options = config.options
        rootfs = parse_property(options.get("rootfs", ""), ROOTFS)
        return ContainerSpec(
            vmid=vmid,
            hostname=options.get("hostname", f"CT{vmid}"),
            rootfs=self._source(rootfs["volume"]),
            rootfs_read_only=rootfs.get("ro") == "1",
            unprivileged=options.get("unprivileged") == "1",
            idmap=self._maps(config),
            nets=tuple(_net(name, value) for name, value in numbered(options, "net")),
            mounts=tuple(self.mount(name, value) for name, value in numbered(options, "mp")),
            features=parse_property(options.get("features", ""), FEATURES),
            memory=int(options.get("memory", "512")),
            swap=int(options.get("swap", "512")),
            cores=int(options.get("cores", "0")),
            cpulimit=float(options.get("cpulimit", "0")),
            cpuunits=int(options.get("cpuunits", "1024")),
            ostype=options.get("ostype", "unmanaged"),
            nameserver=options.get("nameserver"),
            searchdomain=options.get("searchdomain"),
            timezone=options.get("timezone"),
            tty=int(options.get("tty", "2")),
            console=options.get("console", "1") == "1",
            raw=config.raw,
        )

    def mount(self, name: str, value: str) -> Mount:
        """One `mpN` for the runtime."""
        parts = parse_property(value, MOUNT)
        bind = mount_type(parts["volume"]) != "volume"
        return Mount(int(name[2:]), self._source(parts["volume"]), parts["mp"], bind, parts.get("ro") == "1")

    def _source(self, volume: str) -> Path:
        if mount_type(volume) == "volume":
            return self.storages.real(self.storages.parse(volume))
        return self.site.real(volume)

    def owner(self, config: Config) -> int:
        """The host's id of the guest's root."""
        ids = [entry for entry in self._maps(config) if entry.kind == "u" and entry.guest == 0]
        return ids[0].host if ids else 0

    def _maps(self, config: Config) -> tuple[IdMap, ...]:
        raw_map = tuple(_id_map(value) for key, value in config.raw if key == "lxc.idmap")
        return raw_map or (DEFAULT_MAP if config.get("unprivileged") == "1" else ())


def numbered(options: Mapping[str, str], base: str) -> list[tuple[str, str]]:
    """The options `base0`, `base1`, … that are there, by number."""
    found = [name for name in options if re.fullmatch(rf"{base}\d+", name)]
    return [(name, options[name]) for name in sorted(found, key=lambda name: int(name[len(base) :]))]


def normal_net(value: str, prefix: str = "BC:24:11") -> str:
    """A network card as Proxmox writes it: sorted, with type and, if none was given, a new hardware address."""
    parts = parse_property(value, NET)
    parts.setdefault("type", "veth")
    if "hwaddr" not in parts:
        parts["hwaddr"] = ":".join([prefix, *(f"{secrets.randbelow(256):02X}" for _ in range(3))])
    return print_property(parts, NET)


def _net(name: str, value: str) -> Net:
    return Net(int(name[3:]), parse_property(value, NET))


def _id_map(value: str) -> IdMap:
    parts = value.split()
    if len(parts) != 4 or parts[0] not in "ug" or not all(part.isdigit() for part in parts[1:]):
        raise PveError(f"invalid lxc.idmap entry '{value}'")
    return IdMap(parts[0], *(int(part) for part in parts[1:]))
