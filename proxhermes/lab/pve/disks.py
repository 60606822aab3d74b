"""Making, growing and removing a container's volumes, with the lines that Proxmox logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.options import MOUNT, ROOTFS
from proxhermes.lab.pve.rights import mount_type
from proxhermes.lab.pve.runtime import Log, Runtime
from proxhermes.lab.pve.schema import Table, parse_property, print_property
from proxhermes.lab.pve.storage import NEW_DISK, Storages, Volume, format_size


def table_of(name: str) -> Table:
    """The keys of `rootfs` or `mpN`."""
    return ROOTFS if name == "rootfs" else MOUNT


def volumes_in(options: Mapping[str, str]) -> dict[str, str]:
    """The volume ids that a configuration uses, by option (`unusedN` too, bind mounts not)."""
    found = {}
    for name, value in options.items():
        if name == "rootfs" or name.rstrip("0123456789") in ("mp", "unused"):
            volume = value.split(",")[0].removeprefix("volume=")
            if mount_type(volume) == "volume":
                found[name] = volume
    return found


def add_unused(options: dict[str, str], volid: str) -> None:
    """Keep a dropped volume as `unusedN`, unless it is there already."""
    used = volumes_in(options)
    if volid not in used.values():
        free = next(number for number in range(256) if f"unused{number}" not in options)
        options[f"unused{free}"] = volid


@dataclass(frozen=True, slots=True)
class Disks:
    """Volumes of one node."""

    storages: Storages
    runtime: Runtime

    def create(self, vmid: int, name: str, value: str, owner: int, log: Log) -> tuple[str, Volume | None]:
        """Turn `STORE:SIZE` into a new volume and return the option's final text, and the volume if one was made.

        Anything that is not a new disk comes back in Proxmox' order, unchanged otherwise.
        """
        parts = parse_property(value, table_of(name))
        fresh = NEW_DISK.fullmatch(parts["volume"])
        if not fresh:
            return print_property(parts, table_of(name)), None
        storage = self.storages.usable(fresh[1])
        if "rootdir" not in storage.content:
            raise PveError(f"storage '{storage.id}' does not support container directories")
        size = int(float(fresh[2]) * 1024 * 1024) * 1024
        volume = self.storages.free_disk(storage, vmid)
        path = self.storages.real(volume)
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = self.storages.path(volume)
        if storage.type == "dir":
            log(f"Formatting '{shown}', fmt=raw size={size} preallocation=off")
        else:
            log(f'  Logical volume "{volume.name}" created.')
        self.runtime.create_volume(path, size, owner, log)
        parts |= {"volume": volume.volid, "size": format_size(size)}
        return print_property(parts, table_of(name)), volume

    def destroy(self, volid: str) -> None:
        """Remove a volume; one that is gone is no error."""
        volume = self.storages.parse(volid)
        path = self.storages.real(volume)
        self.runtime.destroy_volume(path)
        own_folder = path.parent.name == str(volume.owner) and path.parent.is_dir()
        if own_folder and not any(path.parent.iterdir()):
            path.parent.rmdir()

    def destroy_owned(self, vmid: int, volids: list[str]) -> None:
        """Remove those of the volumes that belong to the container, whoever else is named."""
        for volid in volids:
            if self.storages.parse(volid).owner == vmid:
                self.destroy(volid)

    def size(self, volid: str) -> int | None:
        """The size of a volume in bytes; None when it is not there."""
        path = self.storages.real(self.storages.parse(volid))
        return path.stat().st_size if path.exists() else None

    def rescanned(self, name: str, value: str) -> str:
        """The option with the size that its volume really has."""
        parts = parse_property(value, table_of(name))
        if mount_type(parts["volume"]) == "volume":
            size = self.size(parts["volume"])
            if size is not None:
                parts["size"] = format_size(size)
        return print_property(parts, table_of(name))
