"""Changing a container's configuration: at once, hot-plugged, or pending (PVE: LXC/Config.pm)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from errno import ENOENT, EPERM
from typing import Any

from proxhermes.lab.pve.config import Config
from proxhermes.lab.pve.containers import Containers, normal_net, numbered
from proxhermes.lab.pve.disks import Disks, add_unused, table_of, volumes_in
from proxhermes.lab.pve.errors import PveError, RuntimeFailure, bad_parameters
from proxhermes.lab.pve.formats import split_list
from proxhermes.lab.pve.options import CONFIG, NET
from proxhermes.lab.pve.rights import OptionCheck, Rights, mount_type
from proxhermes.lab.pve.runtime import Log, Net, Runtime
from proxhermes.lab.pve.schema import find, parse_property
from proxhermes.lab.pve.storage import NEW_DISK

# Take effect in the configuration alone, so a running container needs nothing for them.
_DIRECT = {"cores", "description", "hookscript", "hostname", "lock", "onboot", "protection", "startup", "tags"}
_LIMITS = {"cores", "cpulimit", "cpuunits", "memory", "swap"}
MOUNTED = "mounted"
"""The lock that `pct mount` takes; a container that has it may be started all the same."""
_REQUIRED = ("rootfs", "memory")


class _NotNow(Exception):
    """The option cannot change while the container runs."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a PUT asks for: options to set, to delete, and pending ones to forget."""

    options: dict[str, str]
    delete: tuple[str, ...]
    revert: tuple[str, ...]
    digest: str | None


def read_request(params: Mapping[str, Any]) -> Request:
    """Sort a PUT's parameters; PveError for contradictions and for names that are no options."""
    options = {name: str(value) for name, value in params.items() if name not in ("delete", "revert", "digest")}
    if not options and "delete" not in params and "revert" not in params:
        raise PveError("no options specified")
    lists = {kind: tuple(split_list(params.get(kind, ""))) for kind in ("revert", "delete")}
    for kind, names in lists.items():
        for name in names:
            if find(CONFIG, name) is None:
                raise bad_parameters({kind: f"unknown option '{name}'"})
            if name in options:
                raise bad_parameters({kind: f"you can't use '-{name}' and -{kind} {name}' at the same time"})
    return Request(options, lists["delete"], lists["revert"], params.get("digest"))


def normal_options(options: Mapping[str, str]) -> dict[str, str]:
    """Values as Proxmox keeps them whatever way they were sent: lists, tags, limits."""
    values = dict(options)
    for name in ("nameserver", "searchdomain"):
        if name in values:
            values[name] = " ".join(split_list(values[name]))
    if "tags" in values:
        values["tags"] = ";".join(sorted({tag.lower() for tag in split_list(values["tags"])}))
    if "cpuunits" in values:
        # cgroup v1 knows no less than 2 and no more than 262144 shares.
        values["cpuunits"] = str(min(max(int(values["cpuunits"]), 2), 262144))
    return values


@dataclass(frozen=True, slots=True)
class Changer:
    """Applies changes to the containers of one node."""

    containers: Containers
    disks: Disks
    runtime: Runtime

    def update(self, rights: Rights, vmid: int, params: Mapping[str, Any], notice: Log | None) -> None:
        """`PUT …/config`: check, then change under the lock."""
        request = read_request(params)
        before = self.containers.load(vmid)
        unprivileged = before.get("unprivileged") == "1"
        allowed = OptionCheck(rights, self.containers.storages, vmid, None, before.options, unprivileged)
        allowed.all({}, request.delete)
        allowed.all(request.options)
        with self.containers.locked(vmid, notice):
            config = self.containers.load(vmid)
            check_unlocked(config)
            check_digest(config, request.digest)
            changed = self._changed(vmid, config, request)
            self.containers.save(vmid, changed)
            self.check_bridges(changed)

    def _changed(self, vmid: int, config: Config, request: Request) -> Config:
        staged = self._staged(vmid, config, request)
        if not self.runtime.is_running(vmid):
            return self.apply_pending(vmid, staged)
        return self._hot_plugged(vmid, staged, {*request.options, *request.delete})

    def _staged(self, vmid: int, config: Config, request: Request) -> Config:
        """The request as pending changes; PveError for what may never be changed."""
        pending, deleted = dict(config.pending), list(config.pending_delete)
        for name in request.revert:
            pending.pop(name, None)
            deleted = [other for other in deleted if other != name]
        for name in request.delete:
            if name == "unprivileged":
                raise PveError("unable to delete read-only option: 'unprivileged'")
            if name in _REQUIRED:
                raise PveError(f"unable to delete required option '{name}'")
            if name in config.options and name.rstrip("0123456789") in ("mp", "unused"):
                check_unprotected(config, f"can't remove CT {vmid} drive '{name}'")
            if name in config.options or name in pending:
                deleted = [*(other for other in deleted if other != name), name]
        for name, value in normal_options(request.options).items():
            if name == "unprivileged":
                raise PveError("unable to modify read-only option: 'unprivileged'")
            if name == "hookscript":
                self.check_hookscript(value)
            base = name.rstrip("0123456789")
            if base in ("rootfs", "mp"):
                check_unprotected(config, f"can't update CT {vmid} drive '{name}'")
            if base == "unused":
                continue
            pending[name] = value
            deleted = [other for other in deleted if other != name]
        return config.changed(config.options, pending=pending, pending_delete=tuple(deleted))

    def apply_pending(self, vmid: int, config: Config) -> Config:
        """The configuration with everything pending applied: deletions first, then changes."""
        options = dict(config.options)
        owner = self.containers.owner(config)
        for name in config.pending_delete:
            self._drop(vmid, options, name)
        for name, value in sorted(config.pending.items()):
            base = name.rstrip("0123456789")
            old = options.get(name)
            if base == "mp":
                value = self._settled_mount(vmid, name, value, owner, _silent)
            elif base == "net":
                value = normal_net(value)
            options[name] = value
            if base == "mp" and old is not None:
                self._keep_dropped(options, {name: old})
        used = {volid for name, volid in volumes_in(options).items() if not name.startswith("unused")}
        options = {n: v for n, v in options.items() if not (n.startswith("unused") and v in used)}
        return config.changed(options, pending={}, pending_delete=())

    def _drop(self, vmid: int, options: dict[str, str], name: str) -> None:
        value = options.pop(name, None)
        if value is None:
            return
        if name.startswith("unused"):
            if value not in volumes_in(options).values():
                self.disks.destroy_owned(vmid, [value])
        elif name.startswith("mp"):
            self._keep_dropped(options, {name: value})

    def _keep_dropped(self, options: dict[str, str], dropped: Mapping[str, str]) -> None:
        for volid in volumes_in(dropped).values():
            add_unused(options, volid)

    def _settled_mount(self, vmid: int, name: str, value: str, owner: int, log: Log) -> str:
        """A mount point with its volume made, or with the size that the volume has."""
        if NEW_DISK.fullmatch(parse_property(value, table_of(name))["volume"]):
            return self.disks.create(vmid, name, value, owner, log)[0]
        return self.disks.rescanned(name, value)

    def _hot_plugged(self, vmid: int, config: Config, asked: set[str]) -> Config:
        """The configuration after what is asked for and can change now has changed; PveError 400 names what failed to.

        What was pending before stays so: Proxmox does not try it again.
        """
        options, pending = dict(config.options), dict(config.pending)
        errors: dict[str, str] = {}
        code = 255
        waiting = []
        for name in config.pending_delete:
            try:
                if name in options and (name not in asked or not self._unplug(vmid, options, name)):
                    waiting.append(name)
                else:
                    options.pop(name, None)
            except RuntimeFailure as error:
                errors[name] = f"unable to hotunplug {name}: {error}\n"
        for name, value in sorted(config.pending.items()):
            if options.get(name) == value and name not in waiting:
                del pending[name]
                continue
            if name not in asked:
                continue
            try:
                options[name] = self._plug(vmid, config, options, name, value)
                del pending[name]
            except _NotNow:
                continue
            except (PveError, RuntimeFailure) as error:
                errors[name] = f"unable to hotplug {name}: {error}\n"
                code = error.errno if isinstance(error, PveError) else code
        if errors:
            raise bad_parameters(errors, errno=code)
        changed = config.changed(options, pending=pending, pending_delete=tuple(waiting))
        if any(options.get(name) != config.get(name) for name in _LIMITS):
            self.runtime.set_limits(self.containers.spec(vmid, changed))
        return changed

    def _unplug(self, vmid: int, options: dict[str, str], name: str) -> bool:
        """Delete an option of a running container; False when that must wait."""
        if name.startswith("unused"):
            self._drop(vmid, options, name)
            return True
        if re.fullmatch(r"net\d+", name):
            self.runtime.unplug_net(vmid, int(name[3:]))
            return True
        return name in _DIRECT | _LIMITS

    def _plug(self, vmid: int, config: Config, options: Mapping[str, str], name: str, value: str) -> str:
        base = name.rstrip("0123456789")
        if name in _DIRECT | _LIMITS:
            return value
        if base == "net":
            settled = normal_net(value)
            card = Net(int(name[3:]), parse_property(settled, NET))
            self._check_bridge(card.options)
            self.runtime.hotplug_net(self.containers.spec(vmid, config), card)
            return settled
        if base == "mp" and name not in options:
            return self._plug_mount(vmid, config, name, value)
        raise _NotNow

    def _plug_mount(self, vmid: int, config: Config, name: str, value: str) -> str:
        volume = parse_property(value, table_of(name))["volume"]
        if mount_type(volume) != "volume" and not self.containers.site.real(volume).exists():
            raise PveError(f"directory '{volume}' does not exist", errno=EPERM)
        fresh = NEW_DISK.fullmatch(volume)
        settled = self._settled_mount(vmid, name, value, self.containers.owner(config), _silent)
        try:
            self.runtime.hotplug_mount(self.containers.spec(vmid, config), self.containers.mount(name, settled))
        except RuntimeFailure:
            if fresh:
                self.disks.destroy(parse_property(settled, table_of(name))["volume"])
            raise
        return settled

    def check_hookscript(self, volid: str) -> None:
        """PveError unless the hook script is a snippet that exists."""
        volume = self.containers.storages.parse(volid)
        if volume.kind != "snippets" or not self.containers.storages.real(volume).exists():
            raise PveError(f"script '{volid}' does not exist", errno=ENOENT)

    def check_bridges(self, config: Config) -> None:
        """PveError for a card on a bridge that the node has not.

        Proxmox finds this out after it has written the configuration: the answer is an error, the change is kept.
        """
        for _name, value in numbered(config.options, "net"):
            self._check_bridge(parse_property(value, NET))

    def _check_bridge(self, card: Mapping[str, str]) -> None:
        bridge = card.get("bridge", "")
        if not bridge or not self.runtime.bridge_exists(bridge):
            raise PveError(f"bridge '{bridge}' does not exist", errno=ENOENT)


def check_unlocked(config: Config) -> None:
    """PveError `CT is locked (backup)` when the configuration holds a lock."""
    if config.get("lock"):
        raise PveError(f"CT is locked ({config.get('lock')})")


def check_digest(config: Config, digest: str | None) -> None:
    """PveError when the caller saw another version of the file."""
    if digest and digest != config.digest:
        raise PveError("detected modified configuration - file changed by other user? Try again.")


def check_unprotected(config: Config, what: str) -> None:
    """PveError when the container is protected."""
    if config.get("protection") == "1":
        raise PveError(f"{what} - protection mode enabled")


def _silent(_line: str) -> None:
    """PUT is no task: what making a volume prints goes to the daemon's log on a real node."""
