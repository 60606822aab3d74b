"""Starting, stopping, rebooting, growing and destroying containers: what is refused at once and what the tasks do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from proxhermes.lab.pve.change import MOUNTED, Changer, check_digest, check_unlocked, check_unprotected
from proxhermes.lab.pve.disks import table_of, volumes_in
from proxhermes.lab.pve.errors import PveError, RuntimeFailure
from proxhermes.lab.pve.rights import OptionCheck, Rights
from proxhermes.lab.pve.runtime import Log
from proxhermes.lab.pve.schema import parse_property, print_property
from proxhermes.lab.pve.storage import format_size, parse_size

DEFAULT_TIMEOUT = 60
"""Seconds that a shutdown waits when the caller names none (PVE: API2/LXC/Status.pm)."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A checked resize."""

    vmid: int
    disk: str
    volid: str
    size: int


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What happens to whole containers. `forget` drops what else the node knows of one: pool, access rules."""

    changer: Changer
    forget: Callable[[int], None]

    def must_run(self, vmid: int, noun: str = "CT") -> None:
        """PveError unless it runs."""
        if not self.changer.runtime.is_running(vmid):
            raise PveError(f"{noun} {vmid} not running")

    def must_not_run(self, vmid: int) -> None:
        """PveError when it runs already."""
        if self.changer.runtime.is_running(vmid):
            raise PveError(f"CT {vmid} already running")

    def start(self, vmid: int, log: Log, *, skip_lock: bool = False) -> None:
        """The start task: what is pending is applied first."""
        containers = self.changer.containers
        with containers.locked(vmid, log):
            config = containers.load(vmid)
            if config.get("template") == "1":
                raise PveError("you can't start a CT if it's a template")
            if not skip_lock and config.get("lock") != MOUNTED:
                check_unlocked(config)
            self.must_not_run(vmid)
            if config.pending or config.pending_delete:
                config = self.changer.apply_pending(vmid, config)
                containers.save(vmid, config)
            self.changer.check_bridges(config)
            self.changer.runtime.start(containers.spec(vmid, config), log)

    def stop(self, vmid: int, log: Log, *, skip_lock: bool = False) -> None:
        """The stop task."""
        with self.changer.containers.locked(vmid, log):
            config = self.changer.containers.load(vmid)
            if not skip_lock:
                check_unlocked(config)
            self.changer.runtime.stop(vmid)

    def shutdown(self, vmid: int, timeout: int, log: Log, *, force: bool) -> None:
        """The shutdown task; with `force` it is stopped when it takes longer than `timeout` seconds."""
        with self.changer.containers.locked(vmid, log):
            check_unlocked(self.changer.containers.load(vmid))
            try:
                self.changer.runtime.shutdown(vmid, timeout)
            except RuntimeFailure:
                if not force:
                    raise
                log("shutdown failed - trying to stop it")
                self.changer.runtime.stop(vmid)

    def reboot(self, vmid: int, timeout: int, log: Log) -> None:
        """The reboot task: shut down, apply what is pending, start."""
        self.shutdown(vmid, timeout, log, force=False)
        self.start(vmid, log)

    def check_destroy(self, vmid: int, *, force: bool) -> None:
        """What a DELETE is refused for at once."""
        config = self.changer.containers.load(vmid)
        check_unprotected(config, f"can't remove CT {vmid}")
        check_unlocked(config)
        if not force and self.changer.runtime.is_running(vmid):
            raise PveError(f"unable to destroy CT {vmid} - container is running")

    def destroy(self, vmid: int, log: Log, *, force: bool, purge: bool, unreferenced: bool) -> None:
        """The destroy task: stop it if forced, remove its volumes, its configuration, and what refers to it."""
        containers, disks = self.changer.containers, self.changer.disks
        with containers.locked(vmid, log):
            config = containers.load(vmid)
            check_unlocked(config)
            if self.changer.runtime.is_running(vmid):
                if not force:
                    raise PveError(f"unable to destroy CT {vmid} - container is running")
                log(f"forced to stop CT {vmid} before destroying!")
                self.changer.runtime.stop(vmid)
            for options in (config.options, config.pending):
                disks.destroy_owned(vmid, [v for v in volumes_in(options).values() if self._is_volume(v)])
            if unreferenced:
                for storage in containers.storages.all().values():
                    disks.destroy_owned(vmid, [volume.volid for volume in containers.storages.disks_of(storage, vmid)])
            self.changer.runtime.forget(vmid)
            self.forget(vmid)
            if purge:
                log(f"purging CT {vmid} from related configurations..")
            containers.remove(vmid)

    def _is_volume(self, volid: str) -> bool:
        # A configuration may name what was never made (`rootfs: local:8`).
        try:
            self.changer.containers.storages.parse(volid)
        except PveError:
            return False
        return True

    def check_resize(self, rights: Rights, vmid: int, params: Mapping[str, Any]) -> Growth:
        """What a resize is refused for at once."""
        containers = self.changer.containers
        config = containers.load(vmid)
        disk = params["disk"]
        unprivileged = config.get("unprivileged") == "1"
        OptionCheck(rights, containers.storages, vmid, None, config.options, unprivileged).all({"size": params["size"]})
        check_digest(config, params.get("digest"))
        check_unlocked(config)
        value = parse_property(config.options.get(disk, ""), table_of(disk))
        volume = containers.storages.parse(value["volume"])
        rights.need(f"/storage/{volume.storage}", "Datastore.AllocateSpace")
        present = self.changer.disks.size(volume.volid) or 0
        grow = re.fullmatch(r"(\+?)(.*)", params["size"])
        size = parse_size(grow[2] if grow else "") + (present if grow and grow[1] else 0)
        if size < present:
            raise PveError("unable to shrink disk size")
        if size == present:
            raise PveError("disk is already at specified size")
        return Growth(vmid, disk, volume.volid, size)

    def resize(self, growth: Growth, log: Log) -> None:
        """The resize task."""
        containers = self.changer.containers
        with containers.locked(growth.vmid, log):
            config = containers.load(growth.vmid)
            check_unlocked(config)
            volume = containers.storages.parse(growth.volid)
            if containers.storages.get(volume.storage).type == "dir":
                log("Image resized.")
            else:
                log(f"  Logical volume {volume.name} successfully resized.")
            self.changer.runtime.resize_volume(containers.storages.real(volume), growth.size, log)
            table = table_of(growth.disk)
            parts = parse_property(config.options[growth.disk], table) | {"size": format_size(growth.size)}
            options = {**config.options, growth.disk: print_property(parts, table)}
            containers.save(growth.vmid, config.changed(options))
