"""Bind mounts: a folder of the node that the agent sees, and which folders must never be one."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from proxhermes.inventory.fields import Model, mistake

HIGHEST_GUEST_ID: Final = 65535
"""Proxmox maps 65536 ids into an unprivileged container (PVE: LXC.pm, the default id map)."""

HOST_EXAMPLE: Final = "a folder of its own, as in `/mnt/pve/hdd/hermes`"
GUEST_EXAMPLE: Final = "a folder of its own, as in `/data`"

# Folders of the node that belong to its system, with everything below them.
HOST_SYSTEM: Final = (  # noqa: SIM905
    "/bin /boot /dev /efi /etc /lib /lib32 /lib64 /libx32 /proc /root /run /sbin /sys /usr /lost+found "
    "/var/backups /var/cache /var/lock /var/log /var/mail /var/run /var/spool "
    "/var/lib/apt /var/lib/ceph /var/lib/corosync /var/lib/dpkg /var/lib/lxc /var/lib/lxcfs /var/lib/pve-cluster "
    "/var/lib/pve-manager /var/lib/systemd"
).split()
# Folders of the node that hold other people's things: one below them is fine, they themselves are not.
HOST_SHARED: Final = "/ /home /media /mnt /mnt/pve /opt /srv /tmp /var /var/lib /var/lib/vz /var/tmp".split()  # noqa: SIM905
# What a storage of type `dir` keeps for Proxmox (PVE: Storage/Plugin.pm, vtype subdirectories).
STORAGE_FOLDERS: Final = ("dump", "images", "import", "private", "snippets", "template")

GUEST_SYSTEM: Final = (  # noqa: SIM905
    "/bin /boot /dev /etc /lib /lib32 /lib64 /libx32 /proc /root /run /sbin /sys /tmp /usr /lost+found "
    "/var/cache /var/log /var/run /var/lock /var/spool /var/tmp "
    "/var/lib/apt /var/lib/containerd /var/lib/docker /var/lib/dpkg /var/lib/systemd"
).split()
GUEST_SHARED: Final = "/ /home /media /mnt /opt /srv /var /var/lib".split()  # noqa: SIM905
# The image's own folders: every mount is a volume of the Docker container under the same path.
IMAGE_HOME: Final = "/opt/data"
IMAGE_CODE: Final = "/opt/hermes"
IMAGE_FOLDERS: Final = (IMAGE_HOME, IMAGE_CODE, "/command", "/package", "/init")


def inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies below it."""
    return PurePosixPath(path).is_relative_to(folder)


def _clean_path(value: str, refused: str, example: str) -> str:
    if not value.startswith("/"):
        raise mistake(f"{value!r} is not an absolute path", example)
    if refuse := re.search(refused, value):
        # A comma ends an option in Proxmox's mount point syntax; the others have a meaning on the way to the mount.
        raise mistake(f"the path {value!r} holds the character {refuse.group()!r}", f"{example}, without it")
    parts = [part for part in value.split("/") if part]
    if "." in parts or ".." in parts:
        raise mistake(f"the path {value!r} holds `.` or `..`", f"{example}: the folder's own name")
    return "/" + "/".join(parts)


def _host(value: str) -> str:
    path = _clean_path(value, r"[\x00-\x20\x7f,\"'\\:]", HOST_EXAMPLE)
    for folder in HOST_SYSTEM:
        if inside(path, folder):
            raise mistake(f"{path!r} belongs to the node's own system ({folder})", HOST_EXAMPLE)
    if path in HOST_SHARED:
        raise mistake(f"{path!r} as a whole is not for a container", f"a folder below it: {HOST_EXAMPLE}")
    storage, rest = _storage_root(path)
    if storage and not rest:
        raise mistake(f"{path!r} is a whole storage", f"a folder in it: `{path}/hermes`")
    if storage and rest[0] in STORAGE_FOLDERS:
        raise mistake(f"{path!r} lies where Proxmox keeps the storage's own {rest[0]!r}", f"as in `{storage}/hermes`")
    return path


def _storage_root(path: str) -> tuple[str, tuple[str, ...]]:
    """The folder of the storage that `path` lies in by Proxmox's conventions, and the path's parts below it."""
    parts = PurePosixPath(path).parts
    if inside(path, "/mnt/pve"):
        return "/".join(("", *parts[1:4])), parts[4:]
    if inside(path, "/var/lib/vz"):
        return "/var/lib/vz", parts[4:]
    return "", ()


def _guest(value: str) -> str:
    path = _clean_path(value, r"[\x00-\x20\x7f,\"'\\:$]", GUEST_EXAMPLE)
    for folder in GUEST_SYSTEM:
        if inside(path, folder):
            raise mistake(f"{path!r} would cover the container's own system ({folder})", GUEST_EXAMPLE)
    if path in GUEST_SHARED:
        raise mistake(f"{path!r} would cover a folder that the container needs", GUEST_EXAMPLE)
    for folder in IMAGE_FOLDERS:
        if inside(path, folder):
            raise mistake(f"{path!r} is a folder of Hermes' own image ({folder})", GUEST_EXAMPLE)
    return path


def _owner(value: object) -> object:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        return value
    ids = re.fullmatch(r"(\d{1,5})(?::(\d{1,5}))?", text)
    if text not in ("agent", "root") and not (ids and all(int(i) <= HIGHEST_GUEST_ID for i in ids.groups("0"))):
        raise mistake(
            f"{text!r} is not an owner", f"`agent`, `root`, or ids of the guest up to {HIGHEST_GUEST_ID}: `UID[:GID]`"
        )
    return text


Owner = Annotated[
    str,
    BeforeValidator(_owner),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]}, mode="validation"),
]


class Mount(Model):
    """One bind mount: a folder of the node under a path of the container, and of the agent's Docker container."""

    host: Annotated[str, AfterValidator(_host)] = Field(description="Folder on the node; made if it is missing.")
    guest: Annotated[str, AfterValidator(_guest)] = Field(description="Where the container and the agent see it.")
    owner: Owner = Field(
        default="agent",
        description="Who owns the folder: `agent` (the user that the agent runs as), `root` (the container's), "
        "or `UID[:GID]` as seen in the container.",
    )
    read_only: bool = Field(default=False, description="The container may only read it.")

    def guest_ids(self, agent_uid: int, agent_gid: int) -> tuple[int, int]:
        """The owner's uid and gid as the container sees them."""
        if self.owner == "agent":
            return agent_uid, agent_gid
        if self.owner == "root":
            return 0, 0
        uid, _, gid = self.owner.partition(":")
        return int(uid), int(gid or uid)
