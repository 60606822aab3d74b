"""`POST /nodes/NODE/lxc`: everything that is checked at once, and the task that does the work."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from proxhermes.lab.pve.access import UserConfig
from proxhermes.lab.pve.change import Changer, normal_options
from proxhermes.lab.pve.config import Config
from proxhermes.lab.pve.containers import normal_net
from proxhermes.lab.pve.disks import table_of
from proxhermes.lab.pve.errors import PveError, RuntimeFailure, bad_parameters, forbidden
from proxhermes.lab.pve.rights import OptionCheck, Rights, mount_type
from proxhermes.lab.pve.runtime import Detected, Log
from proxhermes.lab.pve.schema import parse_property
from proxhermes.lab.pve.storage import NEW_DISK

_NOT_OPTIONS = (
    *("vmid", "ostemplate", "bwlimit", "force", "ignore-unpack-errors", "password", "pool", "restore"),
    *("ssh-public-keys", "start", "storage", "unique"),
)
_DEFAULT_DISK_GIB = 4


@dataclass(frozen=True, slots=True)
class Order:
    """A checked request for a new container."""

    vmid: int
    template: str
    storage: str
    pool: str | None
    options: dict[str, str]
    ssh_public_keys: str | None = None
    password: str | None = field(default=None, repr=False)
    start: bool = False


@dataclass(frozen=True, slots=True)
class Creator:
    """Makes containers on one node. `join_pool` puts a new one into its pool."""

    changer: Changer
    join_pool: Callable[[str, int], None]

    def check(self, rights: Rights, users: UserConfig, params: Mapping[str, Any]) -> Order:
        """Refuse what Proxmox refuses before it makes a task; the order of the checks is Proxmox'."""
        vmid = int(params["vmid"])
        containers = self.changer.containers
        if containers.exists(vmid) and not (params.get("restore") and params.get("force")):
            raise PveError(f"CT {vmid} already exists on node '{containers.site.name}'")
        _check_keys(params.get("ssh-public-keys"))
        pool = params.get("pool")
        if pool and pool not in users.pools:
            raise forbidden(f"pool '{pool}' does not exist")
        if not rights.may(f"/vms/{vmid}", "VM.Allocate") and not (pool and rights.may(f"/pool/{pool}", "VM.Allocate")):
            raise forbidden("")
        options = {name: str(value) for name, value in params.items() if name not in _NOT_OPTIONS}
        unprivileged = options.pop("unprivileged", "0") == "1"
        OptionCheck(rights, containers.storages, vmid, pool, {}, unprivileged).all(options)
        kind = "backup" if params.get("restore") else "vztmpl"
        rights.need_volume(containers.storages, params["ostemplate"], vmid, kind)
        if params.get("restore"):
            raise PveError("restoring backups is not part of this node", status=501)
        order = Order(
            vmid,
            params["ostemplate"],
            params.get("storage", "local"),
            pool,
            options | ({"unprivileged": "1"} if unprivileged else {}),
            params.get("ssh-public-keys"),
            params.get("password"),
            bool(params.get("start")),
        )
        self._check_storages(rights, order)
        self._check_devices(order.options)
        return order

    def _check_storages(self, rights: Rights, order: Order) -> None:
        volumes = [parse_property(v, table_of(n))["volume"] for n, v in order.options.items() if _is_disk(n)]
        names = []
        for volume in volumes:
            if mount_type(volume) == "volume":
                fresh = NEW_DISK.fullmatch(volume)
                names.append(fresh[1] if fresh else volume.partition(":")[0])
        for name in names if "rootfs" in order.options else [*names, order.storage]:
            storage = self.changer.containers.storages.usable(name)
            if "rootdir" not in storage.content:
                raise bad_parameters({"storage": f"storage '{name}' does not support container directories"})
            rights.need(f"/storage/{name}", "Datastore.AllocateSpace")

    def _check_devices(self, options: Mapping[str, str]) -> None:
        for name, value in options.items():
            if name.startswith("dev"):
                path = value.split(",")[0].removeprefix("path=")
                if not self.changer.containers.site.real(path).exists():
                    raise PveError(f"Device {path} does not exist")
            elif name == "hookscript":
                self.changer.check_hookscript(value)

    def reserve(self, order: Order) -> None:
        """Take the VMID: from here on the configuration is there, with `lock: create`."""
        with self.changer.containers.locked(order.vmid):
            if self.changer.containers.exists(order.vmid):
                name = self.changer.containers.site.name
                raise PveError(f"unable to create CT {order.vmid} - CT {order.vmid} already exists on node '{name}'")
            self.changer.containers.save(order.vmid, Config({"lock": "create"}))

    def work(self, order: Order, log: Log) -> None:
        """The task: volumes, template, configuration. What it made is removed again when it fails."""
        containers, disks = self.changer.containers, self.changer.disks
        made: list[str] = []
        with containers.locked(order.vmid, log):
            try:
                config = self._build(order, made, log)
            except (PveError, RuntimeFailure) as error:
                for volid in made:
                    disks.destroy(volid)
                self.changer.runtime.forget(order.vmid)
                containers.remove(order.vmid)
                raise PveError(f"unable to create CT {order.vmid} - {error}") from None
            containers.save(order.vmid, config)
        if order.pool:
            self.join_pool(order.pool, order.vmid)

    def _build(self, order: Order, made: list[str], log: Log) -> Config:
        options = normal_options(order.options)
        # What is not in use by anything cannot be unused either.
        options = {name: value for name, value in options.items() if not name.startswith("unused")}
        options.setdefault("rootfs", f"{order.storage}:{_DEFAULT_DISK_GIB}")
        options.setdefault("hostname", f"CT{order.vmid}")
        options.setdefault("memory", "512")
        options.setdefault("swap", "512")
        owner = self.changer.containers.owner(Config(options))
        for name in sorted((name for name in options if _is_disk(name)), key=lambda name: (name != "rootfs", name)):
            options[name], volume = self.changer.disks.create(order.vmid, name, options[name], owner, log)
            if volume:
                made.append(volume.volid)
        for name in [name for name in options if name.startswith("net")]:
            options[name] = normal_net(options[name])
        if options.get("unprivileged") == "0":
            del options["unprivileged"]
        detected = self._fill(order, options, log)
        options.setdefault("arch", detected.arch)
        options.setdefault("ostype", detected.ostype)
        return Config(options)

    def _fill(self, order: Order, options: Mapping[str, str], log: Log) -> Detected:
        containers, runtime = self.changer.containers, self.changer.runtime
        spec = containers.spec(order.vmid, Config(options))
        for mount in spec.mounts:
            if mount.bind and not mount.source.exists():
                shown = options[f"mp{mount.index}"].split(",")[0].removeprefix("volume=")
                log("mounting container failed")
                raise PveError(f"directory '{shown}' does not exist")
        if ":" not in order.template:
            raise PveError(f"can't find file '{order.template}'")
        archive = containers.storages.parse(order.template)
        path = containers.storages.real(archive)
        if not path.exists():
            raise PveError(f"volume '{order.template}' does not exist")
        log(f"extracting archive '{containers.storages.path(archive)}'")
        detected = runtime.extract(spec, path, log)
        if "arch" not in options:
            log(f"Detected container architecture: {detected.arch}")
        ready = replace(spec, ostype=options.get("ostype", detected.ostype))
        runtime.prepare(ready, order.ssh_public_keys or None, order.password, log)
        return detected


def _is_disk(name: str) -> bool:
    return name == "rootfs" or name.rstrip("0123456789") == "mp"


def _check_keys(text: str | None) -> None:
    """PveError unless every line is an OpenSSH public key (or empty, or a comment)."""
    for line in (text or "").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split()
        kinds = [at for at, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-", "sk-"))]
        try:
            blob = base64.b64decode(words[kinds[0] + 1], validate=True)
        except (IndexError, binascii.Error):
            raise PveError("SSH public key validation error") from None
        if words[kinds[0]].encode() not in blob:
            raise PveError("SSH public key validation error")
