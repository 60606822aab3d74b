"""Permission checks with Proxmox' messages, and what a change of a container's options asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxhermes.lab.pve.access import UserConfig
from proxhermes.lab.pve.errors import PveError, forbidden
from proxhermes.lab.pve.identity import Identity
from proxhermes.lab.pve.options import FEATURES, MOUNT, NET, ROOTFS
from proxhermes.lab.pve.schema import parse_property
from proxhermes.lab.pve.storage import NEW_DISK, Storages

# Perl's own words for a template or disk that is no volume id.
ONLY_ROOT_PATHS = "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 581."
_PRIVILEGE = {
    **dict.fromkeys(("cores", "cpulimit", "cpuunits"), "VM.Config.CPU"),
    **dict.fromkeys(("memory", "swap"), "VM.Config.Memory"),
    **dict.fromkeys(("net", "nameserver", "searchdomain", "hostname"), "VM.Config.Network"),
    **dict.fromkeys(("rootfs", "mp"), "VM.Config.Disk"),
}


@dataclass(frozen=True, slots=True)
class Rights:
    """What one asker may do, as the access rules stand now."""

    who: Identity
    users: UserConfig

    def may(self, path: str, *privileges: str) -> bool:
        """Whether all privileges are held on a path."""
        held = self.users.permissions(self.who, path)
        return all(privilege in held for privilege in privileges)

    def may_any(self, path: str, *privileges: str) -> bool:
        """Whether at least one privilege is held on a path."""
        held = self.users.permissions(self.who, path)
        return any(privilege in held for privilege in privileges)

    def need(self, path: str, *privileges: str) -> None:
        """All privileges on a path, or 403 naming the first that is missing."""
        for privilege in privileges:
            if not self.may(path, privilege):
                raise forbidden(f"{path}, {privilege}")

    def need_any(self, path: str, *privileges: str) -> None:
        """One of the privileges on a path, or 403 naming them all."""
        if not self.may_any(path, *privileges):
            raise forbidden(f"{path}, {'|'.join(privileges)}")

    def need_vm(self, vmid: int, pool: str | None, privilege: str) -> None:
        """A privilege on a container, or on the pool that it is to be made in."""
        if not (pool and self.may(f"/pool/{pool}", privilege)):
            self.need(f"/vms/{vmid}", privilege)

    def need_bridge(self, net: Mapping[str, str]) -> None:
        """SDN.Use for the bridge of a network card (and for its VLAN, if it has one)."""
        if not net.get("bridge"):
            raise PveError("no sdn vnet ID specified")
        path = f"/sdn/zones/localnetwork/{net['bridge']}"
        self.need(f"{path}/{net['tag']}" if net.get("tag") else path, "SDN.Use")

    def need_volume(self, storages: Storages, volid: str, vmid: int, kind: str) -> None:
        """The right to use a volume as `vztmpl`, `backup` or disk; also that it is one."""
        if ":" not in volid or volid.startswith("/"):
            if self.who.is_root:
                return
            raise PveError(ONLY_ROOT_PATHS)
        volume = storages.parse(volid)
        if kind != "rootdir" and volume.kind != kind:
            raise PveError(f"unable to use volume {volid} - content type needs to be '{kind}'")
        path = f"/storage/{volume.storage}"
        if volume.kind == "vztmpl":
            self.need_any(path, "Datastore.AllocateSpace", "Datastore.Audit")
        elif volume.kind == "backup":
            if not (self.may(path, "Datastore.Allocate") or self.may(f"/vms/{vmid}", "VM.Backup")):
                raise forbidden(f"/vms/{vmid}, VM.Backup")
        elif volume.owner != vmid:
            self.need_any(path, "Datastore.AllocateSpace", "Datastore.Audit")


def mount_type(volume: str) -> str:
    """`volume`, `device` (under /dev) or `bind` (any other absolute path)."""
    if volume.startswith("/dev/"):
        return "device"
    return "bind" if volume.startswith("/") else "volume"


@dataclass(frozen=True, slots=True)
class OptionCheck:
    """Who may change which option of one container (PVE: LXC.pm, check_ct_modify_config_perm).

    `old` is the present configuration, empty for a new container.
    """

    rights: Rights
    storages: Storages
    vmid: int
    pool: str | None
    old: Mapping[str, str]
    unprivileged: bool

    def all(self, new: Mapping[str, str], delete: Iterable[str] = ()) -> None:
        """Check every option that is set and every one that is dropped; 403 for the first that is refused."""
        if self.rights.who.is_root:
            return
        for name in delete:
            self._one(name, None)
        for name, value in new.items():
            self._one(name, value)

    def _one(self, name: str, value: str | None) -> None:
        base = name.rstrip("0123456789")
        if base in ("rootfs", "mp"):
            self._need("VM.Config.Disk")
            if value is not None:
                self._disk(name, value)
        elif base == "net":
            self._need("VM.Config.Network")
            for text in (value, self.old.get(name) if value is None else None):
                if text is not None:
                    self.rights.need_bridge(parse_property(text, NET))
        elif base == "dev":
            raise forbidden("configuring device passthrough is only allowed for root@pam")
        elif name == "hookscript":
            raise forbidden("changing the hookscript is only allowed for root@pam")
        elif name == "features":
            self._features(value)
        elif name == "tags":
            # The pool does not count here (PVE: GuestHelpers.pm).
            self.rights.need(f"/vms/{self.vmid}", "VM.Config.Options")
        else:
            self._need(_PRIVILEGE.get(base, "VM.Config.Options"))

    def _need(self, privilege: str) -> None:
        self.rights.need_vm(self.vmid, self.pool, privilege)

    def _disk(self, name: str, value: str) -> None:
        volume = parse_property(value, ROOTFS if name == "rootfs" else MOUNT)["volume"]
        kind = mount_type(volume)
        if kind != "volume":
            raise forbidden(f"mount point type {kind} is only allowed for root@pam")
        if fresh := NEW_DISK.fullmatch(volume):
            self.rights.need(f"/storage/{fresh[1]}", "Datastore.AllocateSpace")
        else:
            self.rights.need_volume(self.storages, volume, self.vmid, "rootdir")

    def _features(self, value: str | None) -> None:
        if not self.unprivileged:
            raise forbidden("changing feature flags for privileged container is only allowed for root@pam")
        old = parse_property(self.old.get("features", ""), FEATURES)
        new = parse_property(value or "", FEATURES)
        changed = {flag for flag in {*old, *new} if old.get(flag, "0") != new.get(flag, "0")}
        if changed - {"nesting"}:
            raise forbidden("changing feature flags (except nesting) is only allowed for root@pam")
        if changed:
            self.rights.need_vm(self.vmid, self.pool, "VM.Allocate")
