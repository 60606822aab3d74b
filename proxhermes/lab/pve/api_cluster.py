"""The API's methods that look at the whole: version, `/cluster/…`, pools."""

from __future__ import annotations

from typing import Any

from proxhermes.lab.pve.access import Pool, UserConfig
from proxhermes.lab.pve.api import Method, Request, anyone, perm
from proxhermes.lab.pve.errors import PveError, bad_parameters
from proxhermes.lab.pve.formats import split_list
from proxhermes.lab.pve.options import FLAG
from proxhermes.lab.pve.schema import Param
from proxhermes.lab.pve.status import node_resource, resource

_SUBDIRS = (
    *("acme", "backup", "backup-info", "ceph", "config", "firewall", "ha", "jobs", "log", "mapping", "metrics"),
    *("notifications", "nextid", "options", "replication", "resources", "status", "tasks", "sdn"),
)
_FIRST_ID, _LAST_ID = 100, 999999999


def _root(_request: Request) -> list[dict[str, str]]:
    return [{"subdir": name} for name in ("version", "cluster", "nodes", "storage", "access", "pools")]


def version(request: Request) -> dict[str, str]:
    """The version of the node."""
    site = request.node.site
    return {"version": site.version, "release": ".".join(site.version.split(".")[:2]), "repoid": site.repoid}


def _index(_request: Request) -> list[dict[str, str]]:
    return [{"name": name} for name in _SUBDIRS]


def _next_id(request: Request) -> str:
    taken = set(request.node.containers.ids())
    if "vmid" in request.params:
        if request.vmid() in taken:
            raise bad_parameters({"vmid": f"VM {request.vmid()} already exists"})
        return str(request.vmid())
    return str(next(vmid for vmid in range(_FIRST_ID, _LAST_ID) if vmid not in taken))


def _resources(request: Request) -> list[dict[str, Any]]:
    kind = request.params.get("type")
    parts = {"vm": _containers, "node": _nodes, "storage": _storages, "sdn": _zones}
    return [entry for name, part in parts.items() if kind in (None, name) for entry in part(request)]


def _containers(request: Request) -> list[dict[str, Any]]:
    node, rights = request.node, request.rights
    ids = [vmid for vmid in node.containers.ids() if rights.may(f"/vms/{vmid}", "VM.Audit")]
    return [resource(node, vmid, node.containers.load(vmid)) for vmid in ids]


def _nodes(request: Request) -> list[dict[str, Any]]:
    name = request.node.site.name
    entry = {"id": f"node/{name}", "type": "node", "node": name, "status": "online", "level": "", "cgroup-mode": 1}
    return [entry | (node_resource(request.node) if request.rights.may(f"/nodes/{name}", "Sys.Audit") else {})]


def _storages(request: Request) -> list[dict[str, Any]]:
    name, storages = request.node.site.name, request.node.storages
    found = []
    for storage in storages.all().values():
        if not request.rights.may_any(f"/storage/{storage.id}", "Datastore.Audit", "Datastore.AllocateSpace"):
            continue
        active = storages.is_active(storage)
        total, used = storages.space(storage)[:2] if active else (0, 0)
        entry = {"id": f"storage/{name}/{storage.id}", "type": "storage", "storage": storage.id, "node": name}
        entry |= {"plugintype": storage.type, "content": ",".join(storage.content)}
        sizes = {"shared": int(storage.options.get("shared", "0")), "disk": used, "maxdisk": total}
        found.append({**entry, **sizes, "status": "available" if active else "unknown"})
    return found


def _zones(request: Request) -> list[dict[str, Any]]:
    if not request.rights.may_any("/sdn/zones/localnetwork", "SDN.Audit", "SDN.Use"):
        return []
    name = request.node.site.name
    entry = {"id": f"sdn/{name}/localnetwork", "type": "sdn", "sdn": "localnetwork"}
    return [{**entry, "node": name, "status": "ok"}]


def _tasks(request: Request) -> list[dict[str, Any]]:
    if not request.rights.may(f"/nodes/{request.node.site.name}", "Sys.Audit"):
        return []
    return [
        {**upid.describe(), "endtime": end, "status": status, "saved": "1"}
        for upid, end, status in request.node.tasks.archive()[:25]
    ]


def _options(request: Request) -> dict[str, Any]:
    known: dict[str, Any] = {"allowed-tags": []}
    return {**known, "mac_prefix": "BC:24:11", "description": ""} if request.rights.may("/", "Sys.Audit") else known


def _nothing(_request: Request) -> list[Any]:
    return []


def _quorum(request: Request) -> list[dict[str, Any]]:
    return [{"id": "quorum", "type": "quorum", "node": request.node.site.name, "status": "OK", "quorate": 1}]


# Pools


def _pools(request: Request) -> list[dict[str, Any]]:
    users = request.rights.users
    if "poolid" in request.params:
        name = request.text("poolid")
        request.rights.need(f"/pool/{name}", "Pool.Audit")
        return [{"poolid": name, **_pool_content(request, _known(users, name))}]
    names = [name for name in sorted(users.pools) if request.rights.may(f"/pool/{name}", "Pool.Audit")]
    return [{"poolid": name, **_comment(users.pools[name])} for name in names]


def _pool(request: Request) -> dict[str, Any]:
    name = request.text("poolid")
    return {"poolid": name, **_pool_content(request, _known(request.rights.users, name))}


def _known(users: UserConfig, name: str) -> Pool:
    if name not in users.pools:
        raise PveError(f"pool '{name}' does not exist")
    return users.pools[name]


def _comment(pool: Pool) -> dict[str, str]:
    return {"comment": pool.comment} if pool.comment is not None else {}


def _pool_content(request: Request, pool: Pool) -> dict[str, Any]:
    node = request.node
    present = sorted(pool.vms & set(node.containers.ids()))
    members = [resource(node, vmid, node.containers.load(vmid), also=()) for vmid in present]
    members += [entry for entry in _storages(request) if entry["storage"] in pool.storages]
    return {**_comment(pool), "members": members}


def _add_pool(request: Request) -> None:
    name = request.text("poolid")
    with request.node.changing_users() as users:
        if name in users.pools:
            raise PveError(f"create pool failed: pool '{name}' already exists")
        users.pools[name] = Pool(request.params.get("comment"))


def _change_pool(request: Request) -> None:
    with request.node.changing_users() as users:
        pool = _known(users, request.text("poolid"))
        pool.comment = request.params.get("comment", pool.comment)
        vms = {int(vmid) for vmid in split_list(request.text("vms"))}
        names = set(split_list(request.text("storage")))
        if request.params.get("delete"):
            pool.vms, pool.storages = pool.vms - vms, pool.storages - names
        else:
            pool.vms, pool.storages = pool.vms | vms, pool.storages | names


def _delete_pool(request: Request) -> None:
    name = request.text("poolid")
    with request.node.changing_users() as users:
        if name not in users.pools:
            raise PveError(f"delete pool failed: pool '{name}' does not exist")
        if users.pools[name].vms or users.pools[name].storages:
            raise PveError(f"delete pool failed: pool '{name}' is not empty")
        del users.pools[name]
        users.forget_path(f"/pool/{name}")


_AUDIT = perm("/", "Sys.Audit")
_POOL_ID = {"poolid": Param(optional=False, format="pve-poolid")}
_POOL_KIND = ("qemu", "lxc", "storage")
_POOL_ADMIN = perm("/pool/{poolid}", "Pool.Allocate")
_CHANGE = {
    **_POOL_ID,
    "allow-move": FLAG,
    "comment": Param(),
    "delete": FLAG,
    "storage": Param(format="pve-storage-id-list"),
    "vms": Param(format="pve-vmid-list"),
}
_VMID = Param("integer", format="pve-vmid", minimum=_FIRST_ID, maximum=_LAST_ID)
_ZONE_TYPES = ("evpn", "faucet", "qinq", "simple", "vlan", "vxlan")

METHODS = [
    Method("GET", "/", _root, anyone),
    Method("GET", "/version", version, anyone),
    Method("GET", "/cluster", _index, anyone),
    Method("GET", "/cluster/nextid", _next_id, anyone, {"vmid": _VMID}),
    Method("GET", "/cluster/resources", _resources, anyone, {"type": Param(enum=("vm", "storage", "node", "sdn"))}),
    Method("GET", "/cluster/tasks", _tasks, anyone),
    Method("GET", "/cluster/options", _options, anyone),
    Method("GET", "/cluster/ha/resources", _nothing, _AUDIT, {"type": Param(enum=("ct", "vm"))}),
    Method("GET", "/cluster/ha/status/current", _quorum, _AUDIT),
    Method(
        "GET",
        "/cluster/sdn/zones",
        _nothing,
        anyone,
        {"pending": FLAG, "running": FLAG, "type": Param(enum=_ZONE_TYPES)},
    ),
    Method("GET", "/cluster/sdn/vnets", _nothing, anyone, {"pending": FLAG, "running": FLAG}),
    Method(
        "GET",
        "/pools",
        _pools,
        anyone,
        {"poolid": Param(format="pve-poolid"), "type": Param(enum=_POOL_KIND, requires="poolid")},
    ),
    Method("POST", "/pools", _add_pool, _POOL_ADMIN, {**_POOL_ID, "comment": Param()}),
    Method("PUT", "/pools", _change_pool, _POOL_ADMIN, _CHANGE),
    Method("DELETE", "/pools", _delete_pool, _POOL_ADMIN, _POOL_ID),
    Method(
        "GET",
        "/pools/{poolid}",
        _pool,
        perm("/pool/{poolid}", "Pool.Audit"),
        {**_POOL_ID, "type": Param(enum=_POOL_KIND)},
    ),
    Method("PUT", "/pools/{poolid}", _change_pool, _POOL_ADMIN, _CHANGE),
    Method("DELETE", "/pools/{poolid}", _delete_pool, _POOL_ADMIN, _POOL_ID),
]
