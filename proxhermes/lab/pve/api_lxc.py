"""The API's methods for containers (`/nodes/{node}/lxc/…`)."""

from __future__ import annotations

from typing import Any

from proxhermes.lab.pve.api import CONTAINER, NODE, Method, Request, anyone, perm, perm_any
from proxhermes.lab.pve.config import Config, typed
from proxhermes.lab.pve.errors import PveError, TaskFailed
from proxhermes.lab.pve.lifecycle import DEFAULT_TIMEOUT
from proxhermes.lab.pve.options import CHANGE, CREATE, FLAG
from proxhermes.lab.pve.runtime import Log
from proxhermes.lab.pve.schema import Param
from proxhermes.lab.pve.status import container_status, interfaces

_BASE = "/nodes/{node}/lxc"
_ONE = f"{_BASE}/{{vmid}}"
_STATUS = f"{_ONE}/status"
_AUDIT = perm("/vms/{vmid}", "VM.Audit")
_POWER = perm("/vms/{vmid}", "VM.PowerMgmt")
_DISK_NAMES = ("rootfs", *(f"mp{number}" for number in range(256)))
_SNAPSHOT_NAME = Param(format="pve-configid", max_length=40)
_SUBDIRS = (
    *("config", "pending", "status", "vncproxy", "termproxy", "vncwebsocket", "spiceproxy", "migrate", "clone"),
    *("rrd", "rrddata", "firewall", "snapshot", "resize", "interfaces"),
)


def _list(request: Request) -> list[dict[str, Any]]:
    node, found = request.node, []
    for vmid in node.containers.ids():
        if request.rights.may(f"/vms/{vmid}", "VM.Audit"):
            found.append(container_status(node, vmid, node.containers.load(vmid)))
    return found


def _create(request: Request) -> str:
    node = request.node
    options = {name: value for name, value in request.params.items() if name != "node"}
    order = node.creator.check(request.rights, request.rights.users, options)
    node.creator.reserve(order)

    def work(log: Log) -> None:
        node.creator.work(order, log)
        if order.start:
            _start_new(request, order.vmid)

    return request.task("vzcreate", order.vmid, work)


def _start_new(request: Request, vmid: int) -> None:
    """Start a new container: a task of its own, whose failure is never that of the creation."""
    life = request.node.lifecycle
    try:
        request.task("vzstart", vmid, lambda log: life.start(vmid, log))
    except TaskFailed as failure:
        if request.console:
            request.console(failure.message)


def _index(request: Request) -> list[dict[str, str]]:
    request.node.containers.load(request.vmid())
    return [{"subdir": name} for name in _SUBDIRS]


def _config(request: Request) -> dict[str, Any]:
    config = request.node.containers.load(request.vmid())
    if request.params.get("snapshot"):
        raise _no_snapshot(request.text("snapshot"))
    values = dict(config.options) if request.params.get("current") else config.with_pending()
    answer: dict[str, Any] = {name: typed(name, value) for name, value in values.items()}
    if config.raw:
        answer["lxc"] = [list(entry) for entry in config.raw]
    return {**answer, "digest": config.digest}


def _change(request: Request) -> None:
    params = {name: value for name, value in request.params.items() if name not in ("node", "vmid")}
    request.node.changer.update(request.rights, request.vmid(), params, request.node.notice)


def _pending(request: Request) -> list[dict[str, Any]]:
    config = request.node.containers.load(request.vmid())
    entries = [_pending_entry(config, name) for name in sorted({*config.options, *config.pending})]
    return [*entries, {"key": "digest", "value": config.digest}]


def _pending_entry(config: Config, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"key": name}
    if name in config.options:
        entry["value"] = typed(name, config.options[name])
    if name in config.pending:
        entry["pending"] = typed(name, config.pending[name])
    if name in config.pending_delete:
        entry["delete"] = 1
    return entry


def _status_index(request: Request) -> list[dict[str, str]]:
    request.node.containers.load(request.vmid())
    return [{"subdir": name} for name in ("current", "start", "stop", "shutdown", "reboot", "migrate")]


def _current(request: Request) -> dict[str, Any]:
    config = request.node.containers.load(request.vmid())
    return {**container_status(request.node, request.vmid(), config), "ha": {"managed": 0}}


def _start(request: Request) -> str:
    request.root_only("skiplock")
    vmid, life = request.vmid(), request.node.lifecycle
    life.must_not_run(vmid)
    skip = bool(request.params.get("skiplock"))
    return request.task("vzstart", vmid, lambda log: life.start(vmid, log, skip_lock=skip))


def _stop(request: Request) -> str:
    request.root_only("skiplock")
    vmid, life = request.vmid(), request.node.lifecycle
    life.must_run(vmid)
    skip = bool(request.params.get("skiplock"))
    return request.task("vzstop", vmid, lambda log: life.stop(vmid, log, skip_lock=skip))


def _shutdown(request: Request) -> str:
    vmid, life = request.vmid(), request.node.lifecycle
    life.must_run(vmid)
    timeout = int(request.params.get("timeout", DEFAULT_TIMEOUT))
    force = bool(request.params.get("forceStop"))
    return request.task("vzshutdown", vmid, lambda log: life.shutdown(vmid, timeout, log, force=force))


def _reboot(request: Request) -> str:
    vmid, life = request.vmid(), request.node.lifecycle
    life.must_run(vmid, "VM")
    timeout = int(request.params.get("timeout", DEFAULT_TIMEOUT))
    return request.task("vzreboot", vmid, lambda log: life.reboot(vmid, timeout, log))


def _suspend(request: Request) -> str:
    request.node.lifecycle.must_run(request.vmid())
    raise PveError("suspending containers is not part of this node", status=501)


def _interfaces(request: Request) -> list[dict[str, Any]] | None:
    runtime = request.node.runtime
    return interfaces(runtime.interfaces(request.vmid())) if runtime.is_running(request.vmid()) else None


def _destroy(request: Request) -> str:
    vmid, life = request.vmid(), request.node.lifecycle
    force, purge, unreferenced = (
        bool(request.params.get(name)) for name in ("force", "purge", "destroy-unreferenced-disks")
    )
    life.check_destroy(vmid, force=force)
    return request.task(
        "vzdestroy", vmid, lambda log: life.destroy(vmid, log, force=force, purge=purge, unreferenced=unreferenced)
    )


def _resize(request: Request) -> str:
    life = request.node.lifecycle
    growth = life.check_resize(request.rights, request.vmid(), request.params)
    return request.task("resize", growth.vmid, lambda log: life.resize(growth, log))


def _snapshots(request: Request) -> list[dict[str, Any]]:
    config = request.node.containers.load(request.vmid())
    running = int(request.node.runtime.is_running(request.vmid()))
    return [{"name": "current", "description": "You are here!", "digest": config.digest, "running": running}]


def _snapshot(request: Request) -> str:
    name, vmid, node = request.text("snapname"), request.vmid(), request.node
    if name == "current":
        raise PveError("unable to use snapshot name 'current' (reserved name)")

    def work(log: Log) -> None:
        with node.containers.locked(vmid, log):
            config = node.containers.load(vmid)
            if config.get("lock"):
                raise PveError(f"CT is locked ({config.get('lock')})")
            # None of this node's storages can: directories of raw images, and files standing in for thin volumes.
            raise PveError("snapshot feature is not available")

    return request.task("vzsnapshot", vmid, work)


def _roll_back(request: Request) -> str:
    return _without_snapshot(request, "vzrollback")


def _delete_snapshot(request: Request) -> str:
    return _without_snapshot(request, "vzdelsnapshot")


def _without_snapshot(request: Request, kind: str) -> str:
    def work(_log: Log) -> None:
        raise _no_snapshot(request.text("snapname"))

    return request.task(kind, request.vmid(), work)


def _snapshot_config(request: Request) -> None:
    request.node.containers.load(request.vmid())
    raise _no_snapshot(request.text("snapname"))


def _no_snapshot(name: str) -> PveError:
    return PveError(f"snapshot '{name}' does not exist")


def _feature(request: Request) -> dict[str, int]:
    request.node.containers.load(request.vmid())
    return {"hasFeature": int(request.text("feature") == "copy")}


_DESTROY = {**CONTAINER, "destroy-unreferenced-disks": FLAG, "force": FLAG, "purge": FLAG}
_RESIZE = {
    **CONTAINER,
    "digest": Param(max_length=40),
    "disk": Param(optional=False, enum=_DISK_NAMES),
    "size": Param(optional=False, pattern=r"\+?\d+(?:\.\d+)?[KMGT]?"),
}
_TIMEOUT = Param("integer", minimum=0)
_NAMED = {**CONTAINER, "snapname": Param(optional=False, format="pve-configid", max_length=40)}
_FEATURE = {
    **CONTAINER,
    "feature": Param(optional=False, enum=("snapshot", "clone", "copy")),
    "snapname": _SNAPSHOT_NAME,
}
_CHANGE_ANY = perm_any(
    "/vms/{vmid}",
    *("VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options"),
)
_SNAPSHOT = perm("/vms/{vmid}", "VM.Snapshot")

METHODS = [
    Method("GET", _BASE, _list, anyone, NODE),
    Method("POST", _BASE, _create, anyone, {**CREATE, **NODE}),
    Method("GET", _ONE, _index, anyone, CONTAINER),
    Method("DELETE", _ONE, _destroy, perm("/vms/{vmid}", "VM.Allocate"), _DESTROY),
    Method("GET", f"{_ONE}/config", _config, _AUDIT, {**CONTAINER, "current": FLAG, "snapshot": _SNAPSHOT_NAME}),
    Method("PUT", f"{_ONE}/config", _change, _CHANGE_ANY, {**CHANGE, **CONTAINER}),
    Method("GET", f"{_ONE}/pending", _pending, _AUDIT, CONTAINER),
    Method("GET", f"{_ONE}/interfaces", _interfaces, _AUDIT, CONTAINER),
    Method("PUT", f"{_ONE}/resize", _resize, perm_any("/vms/{vmid}", "VM.Config.Disk"), _RESIZE),
    Method("GET", f"{_ONE}/feature", _feature, _AUDIT, _FEATURE),
    Method("GET", _STATUS, _status_index, anyone, CONTAINER),
    Method("GET", f"{_STATUS}/current", _current, _AUDIT, CONTAINER),
    Method("POST", f"{_STATUS}/start", _start, _POWER, {**CONTAINER, "debug": FLAG, "skiplock": FLAG}),
    Method("POST", f"{_STATUS}/stop", _stop, _POWER, {**CONTAINER, "overrule-shutdown": FLAG, "skiplock": FLAG}),
    Method("POST", f"{_STATUS}/shutdown", _shutdown, _POWER, {**CONTAINER, "forceStop": FLAG, "timeout": _TIMEOUT}),
    Method("POST", f"{_STATUS}/reboot", _reboot, _POWER, {**CONTAINER, "timeout": _TIMEOUT}),
    Method("POST", f"{_STATUS}/suspend", _suspend, _POWER, CONTAINER),
    Method("GET", f"{_ONE}/snapshot", _snapshots, _AUDIT, CONTAINER),
    Method("POST", f"{_ONE}/snapshot", _snapshot, _SNAPSHOT, {**_NAMED, "description": Param()}),
    Method("DELETE", f"{_ONE}/snapshot/{{snapname}}", _delete_snapshot, _SNAPSHOT, {**_NAMED, "force": FLAG}),
    Method(
        "GET",
        f"{_ONE}/snapshot/{{snapname}}/config",
        _snapshot_config,
        perm_any("/vms/{vmid}", "VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit"),
        _NAMED,
    ),
    Method(
        "POST",
        f"{_ONE}/snapshot/{{snapname}}/rollback",
        _roll_back,
        perm_any("/vms/{vmid}", "VM.Snapshot", "VM.Snapshot.Rollback"),
        {**_NAMED, "start": FLAG},
    ),
]
