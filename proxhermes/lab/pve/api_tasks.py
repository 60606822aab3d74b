"""The API's methods for tasks (`/nodes/{node}/tasks/…`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxhermes.lab.pve.api import NODE, VMID, Listing, Method, Request, Text, anyone
from proxhermes.lab.pve.formats import split_list
from proxhermes.lab.pve.options import FLAG
from proxhermes.lab.pve.schema import Param
from proxhermes.lab.pve.tasks import Upid, parse_upid

_BASE = "/nodes/{node}/tasks"
_ONE = f"{_BASE}/{{upid}}"
_DEFAULT_LIMIT = 50
Entry = tuple[Upid, dict[str, Any]]


def _running(request: Request) -> list[Entry]:
    """Running tasks are listed with the whole user string and a status in capitals."""
    entries = []
    for upid in request.node.tasks.active():
        described = {name: value for name, value in upid.describe().items() if name != "tokenid"}
        entries.append((upid, {**described, "user": upid.user, "status": "RUNNING", "saved": "0"}))
    return entries


def _ended(request: Request) -> list[Entry]:
    return [
        (upid, {**upid.describe(), "endtime": end, "status": status})
        for upid, end, status in request.node.tasks.archive()
    ]


def _list(request: Request) -> Any:
    source = request.params.get("source", "archive")
    entries = _running(request) if source in ("active", "all") else []
    entries += _ended(request) if source in ("archive", "all") else []
    found = [entry for upid, entry in entries if all(keep(upid, entry) for keep in _filters(request))]
    start = int(request.params.get("start", 0))
    limit = int(request.params.get("limit", _DEFAULT_LIMIT)) or len(found)
    return Listing(found[start : start + limit], len(found)) if found else []


def _filters(request: Request) -> list[Callable[[Upid, dict[str, Any]], bool]]:
    params = request.params
    filters: list[Callable[[Upid, dict[str, Any]], bool]] = []
    if not request.rights.may(f"/nodes/{request.node.site.name}", "Sys.Audit"):
        filters.append(lambda upid, _entry: upid.user == request.who.name)
    if "vmid" in params:
        filters.append(lambda upid, _entry: upid.id == str(params["vmid"]))
    if params.get("typefilter"):
        filters.append(lambda upid, _entry: upid.kind == params["typefilter"])
    if params.get("userfilter"):
        filters.append(lambda upid, _entry: str(params["userfilter"]) in upid.user)
    if params.get("errors"):
        filters.append(lambda _upid, entry: _kind(entry["status"]) in ("error", "unknown"))
    if params.get("statusfilter"):
        kinds = split_list(params["statusfilter"])
        filters.append(lambda _upid, entry: _kind(entry["status"]) in kinds)
    if "since" in params:
        filters.append(lambda upid, _entry: upid.starttime >= params["since"])
    if "until" in params:
        filters.append(lambda upid, _entry: upid.starttime <= params["until"])
    return filters


def _kind(status: str) -> str:
    if status in ("OK", "RUNNING"):
        return "ok"
    if status.startswith("WARNINGS: "):
        return "warning"
    return "unknown" if status == "unexpected status" else "error"


def _mine(request: Request, privilege: str) -> Upid:
    """The task, if the asker started it or may look at everyone's."""
    upid = parse_upid(request.text("upid"))
    if upid.user != request.who.name:
        request.rights.need(f"/nodes/{request.node.site.name}", privilege)
    return upid


def _index(request: Request) -> list[dict[str, str]]:
    parse_upid(request.text("upid"))
    return [{"name": "log"}, {"name": "status"}]


def _status(request: Request) -> dict[str, Any]:
    upid = parse_upid(request.text("upid"))
    # Whether there is such a task comes before whose it is.
    status = request.node.tasks.status(upid)
    _mine(request, "Sys.Audit")
    return status


def _log(request: Request) -> Any:
    upid = _mine(request, "Sys.Audit")
    lines = request.node.tasks.log_lines(upid)
    if lines is None:
        return Listing({"n": 1, "t": "unable to open file - No such file or directory"}, 1)
    if request.params.get("download"):
        return Text("".join(f"{line}\n" for line in lines))
    start = int(request.params.get("start", 0))
    limit = int(request.params.get("limit", _DEFAULT_LIMIT)) or len(lines)
    numbered = [{"n": number, "t": line} for number, line in enumerate(lines, 1)]
    return Listing(numbered[start : start + limit], len(lines))


def _stop(request: Request) -> None:
    request.node.tasks.stop(_mine(request, "Sys.Modify"))


_UPID = {**NODE, "upid": Param(optional=False)}
_LIMIT = Param("integer", minimum=0)
_LIST = {
    **NODE,
    "vmid": Param("integer", format="pve-vmid", minimum=VMID["vmid"].minimum, maximum=VMID["vmid"].maximum),
    "errors": FLAG,
    "limit": _LIMIT,
    "since": Param("integer"),
    "source": Param(enum=("archive", "active", "all")),
    "start": _LIMIT,
    "statusfilter": Param(format="pve-task-status-type-list"),
    "typefilter": Param(),
    "until": Param("integer"),
    "userfilter": Param(),
}

METHODS = [
    Method("GET", _BASE, _list, anyone, _LIST),
    Method("GET", _ONE, _index, anyone, _UPID),
    Method("DELETE", _ONE, _stop, anyone, _UPID),
    Method("GET", f"{_ONE}/status", _status, anyone, _UPID),
    Method("GET", f"{_ONE}/log", _log, anyone, {**_UPID, "download": FLAG, "limit": _LIMIT, "start": _LIMIT}),
]
