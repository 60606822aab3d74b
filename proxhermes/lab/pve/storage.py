"""Storages (`/etc/pve/storage.cfg`), volume ids, and the volumes themselves.

Two kinds: `dir` (images under `images/ID/`, templates under `template/cache/`) and `lvmthin`, whose volumes a lab
keeps as files under `/var/lib/pve-lab/VG/`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.files import read_text
from proxhermes.lab.pve.formats import split_list
from proxhermes.lab.pve.site import Site

NEW_DISK = re.compile(r"([^:\s]+):(\d+(?:\.\d+)?)")
_TEMPLATE = re.compile(r"vztmpl/([^/]+\.(tar\.gz|tar\.xz|tar\.zst|tar\.bz2|tgz))")
_ISO = re.compile(r"iso/([^/]+\.(?:iso|img))", re.IGNORECASE)
_BACKUP = re.compile(r"backup/([^/]+\.(?:tar|tar\.gz|tgz|tar\.lzo|tar\.zst|vma|vma\.gz|vma\.lzo|vma\.zst))")
_SNIPPET = re.compile(r"snippets/([^/]+)")
_DIR_IMAGE = re.compile(r"(\d+)/((?:vm|base|subvol)-\d+-\S+)")
_LVM_IMAGE = re.compile(r"((?:vm|base)-(\d+)-\S+)")
_FOLDERS = {"vztmpl": "template/cache", "iso": "template/iso", "backup": "dump", "snippets": "snippets"}
_TAR_FORMATS = {"tar.gz": "tgz", "tgz": "tgz", "tar.xz": "txz", "tar.zst": "tzst", "tar.bz2": "tbz2"}
_THIN_POOL = 100 * 2**30
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True, slots=True)
class Volume:
    """A parsed volume id: `kind` is its content type (`images` for a disk), `owner` the VMID of a disk."""

    volid: str
    storage: str
    kind: str
    name: str
    owner: int | None = None
    format: str = "raw"


@dataclass(frozen=True, slots=True)
class Storage:
    """One entry of storage.cfg."""

    id: str
    type: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> list[str]:
        """The content types that it may hold."""
        return split_list(self.options.get("content", "images,rootdir"))

    @property
    def enabled(self) -> bool:
        """Whether it is not disabled."""
        return self.options.get("disable") != "1"

    @property
    def path(self) -> str:
        """The folder of a `dir`; the folder of the volumes of an `lvmthin`."""
        if self.type == "dir":
            return self.options["path"]
        return f"/var/lib/pve-lab/{self.options.get('vgname', 'pve')}"

    def config(self) -> dict[str, Any]:
        """The entry as `GET /storage` shows it, without its digest."""
        numbers = {"disable", "shared", "prune-backups"}
        values = {key: int(v) if key in numbers and v.isdigit() else v for key, v in self.options.items()}
        return {"storage": self.id, "type": self.type, **values}


def parse_config(text: str) -> dict[str, Storage]:
    """storage.cfg: `type: id` lines, each followed by indented `key value` lines."""
    storages: dict[str, Storage] = {}
    current: Storage | None = None
    for line in text.splitlines():
        head = re.fullmatch(r"(\w+):\s*(\S+)\s*", line)
        if head:
            current = storages[head[2]] = Storage(head[2], head[1])
        elif current and line.strip() and line[0].isspace():
            key, _, value = line.strip().partition(" ")
            current.options[key] = value.strip() or "1"
    return storages


def parse_size(text: str) -> int:
    """`4G`, `512M`, `0.5T`, `1024` in bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text)
    if not found:
        raise PveError(f"unable to parse size '{text}'")
    return int(float(found[1]) * _UNITS[found[2]])


def format_size(size: int) -> str:
    """The shortest whole number with a unit: `4G`, `4608M` (PVE: JSONSchema.pm, format_size)."""
    for unit in ("T", "G", "M", "K"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


@dataclass(frozen=True, slots=True)
class Storages:
    """The node's storages, read when asked."""

    site: Site

    def all(self) -> dict[str, Storage]:
        """Every storage by id."""
        return parse_config(read_text(self.site.real("/etc/pve/storage.cfg")))

    def get(self, name: str) -> Storage:
        """One storage; PveError `storage 'x' does not exist`."""
        found = self.all().get(name)
        if found is None:
            raise PveError(f"storage '{name}' does not exist")
        return found

    def usable(self, name: str) -> Storage:
        """One storage that is enabled and whose folder is there, as activating it would find."""
        storage = self.get(name)
        if not storage.enabled:
            raise PveError(f"storage '{name}' is disabled")
        if storage.type == "dir":
            folder = self.site.real(storage.path)
            must_mount = storage.options.get("is_mountpoint", "0")
            point = folder if must_mount in ("1", "yes") else self.site.real(must_mount)
            if must_mount not in ("0", "no") and not point.is_mount():
                raise PveError(
                    f"unable to activate storage '{name}' - directory is expected to be a mount point but "
                    f"is not mounted: '{storage.path}'"
                )
            if not folder.is_dir():
                raise PveError(
                    f"unable to activate storage '{name}' - directory '{storage.path}' does not exist or is unreachable"
                )
        return storage

    def is_active(self, storage: Storage) -> bool:
        """Whether it is enabled and can be used now."""
        try:
            self.usable(storage.id)
        except PveError:
            return False
        return True

    def parse(self, volid: str) -> Volume:
        """A volume id's parts; PveError for what the storage's type does not know."""
        name, colon, rest = volid.partition(":")
        if not colon or not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]", name):
            raise PveError(f"unable to parse volume ID '{volid}'")
        storage = self.get(name)
        if storage.type == "lvmthin":
            found = _LVM_IMAGE.fullmatch(rest)
            if not found:
                raise PveError(f"unable to parse lvm volume name '{rest}'")
            return Volume(volid, name, "images", rest, int(found[2]))
        return self._parse_dir(volid, name, rest)

    def _parse_dir(self, volid: str, storage: str, rest: str) -> Volume:
        if found := _DIR_IMAGE.fullmatch(rest):
            extension = found[2].rpartition(".")[2]
            if extension in ("raw", "qcow2", "vmdk", "subvol"):
                return Volume(volid, storage, "images", found[2], int(found[1]), extension)
        if found := _TEMPLATE.fullmatch(rest):
            return Volume(volid, storage, "vztmpl", found[1], format=_TAR_FORMATS[found[2]])
        for kind, pattern in (("iso", _ISO), ("backup", _BACKUP), ("snippets", _SNIPPET)):
            if (found := pattern.fullmatch(rest)) and ".." not in rest:
                return Volume(volid, storage, kind, found[1], format=kind)
        raise PveError(f"unable to parse directory volume name '{rest}'")

    def path(self, volume: Volume) -> str:
        """Where a volume is, as the node calls it."""
        storage = self.get(volume.storage)
        if volume.kind == "images":
            folder = f"images/{volume.owner}/" if storage.type == "dir" else ""
            return f"{storage.path}/{folder}{volume.name}"
        return f"{storage.path}/{_FOLDERS[volume.kind]}/{volume.name}"

    def real(self, volume: Volume) -> Path:
        """Where a volume is on this machine."""
        return self.site.real(self.path(volume))

    def free_disk(self, storage: Storage, vmid: int) -> Volume:
        """The id of the next free disk of a container."""
        for number in range(1000):
            name = f"vm-{vmid}-disk-{number}"
            rest = f"{vmid}/{name}.raw" if storage.type == "dir" else name
            volume = self.parse(f"{storage.id}:{rest}")
            if not self.real(volume).exists():
                return volume
        raise PveError(f"unable to allocate an image name for VM {vmid} in storage '{storage.id}'")

    def disks_of(self, storage: Storage, vmid: int | None = None) -> Iterator[Volume]:
        """The disks on a storage, of one container or of all."""
        folder = self.site.real(storage.path)
        pattern = "images/*/*" if storage.type == "dir" else "*"
        for path in sorted(folder.glob(pattern)) if folder.is_dir() else []:
            rest = f"{path.parent.name}/{path.name}" if storage.type == "dir" else path.name
            known = _DIR_IMAGE if storage.type == "dir" else _LVM_IMAGE
            if known.fullmatch(rest):
                volume = self.parse(f"{storage.id}:{rest}")
                if vmid is None or volume.owner == vmid:
                    yield volume

    def files_of(self, storage: Storage, kind: str) -> Iterator[Volume]:
        """The templates, images or backups on a `dir` storage."""
        folder = self.site.real(f"{storage.path}/{_FOLDERS[kind]}")
        for path in sorted(folder.iterdir()) if storage.type == "dir" and folder.is_dir() else []:
            pattern = {"vztmpl": _TEMPLATE, "iso": _ISO, "backup": _BACKUP, "snippets": _SNIPPET}[kind]
            if path.is_file() and pattern.fullmatch(f"{kind}/{path.name}"):
                yield self.parse(f"{storage.id}:{kind}/{path.name}")

    def space(self, storage: Storage) -> tuple[int, int, int]:
        """Total, used and available bytes; an `lvmthin` counts its volumes against a made-up pool of 100 GiB."""
        folder = self.site.real(storage.path)
        if storage.type == "dir":
            space = shutil.disk_usage(folder)
            return space.total, space.used, space.free
        total = _THIN_POOL
        used = sum(path.stat().st_blocks * 512 for path in folder.glob("*")) if folder.is_dir() else 0
        return total, used, max(total - used, 0)
