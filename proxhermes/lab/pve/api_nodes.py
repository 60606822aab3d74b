"""The API's methods for the node itself: its state, its network."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path
from typing import Any

from proxhermes.lab.pve.api import NODE, Method, Request, anyone, perm
from proxhermes.lab.pve.api_cluster import version
from proxhermes.lab.pve.errors import bad_parameters
from proxhermes.lab.pve.files import read_text
from proxhermes.lab.pve.network import read_interfaces
from proxhermes.lab.pve.schema import Param
from proxhermes.lab.pve.status import memory_info, node_resource

_BASE = "/nodes/{node}"
_AUDIT = perm("/nodes/{node}", "Sys.Audit")
_SUBDIRS = (
    *("aplinfo", "apt", "capabilities", "ceph", "certificates", "config", "disks", "dns", "firewall", "hardware"),
    *("hosts", "journal", "lxc", "migrateall", "netstat", "network", "qemu", "query-url-metadata", "replication"),
    *("report", "rrd", "rrddata", "scan", "services", "spiceshell", "startall", "status", "stopall", "storage"),
    *("subscription", "suspendall", "syslog", "tasks", "termproxy", "time", "version", "vncshell", "vzdump"),
    *("wakeonlan", "sdn"),
)
_BRIDGES = ("bridge", "OVSBridge")
_TYPES = (
    *("bridge", "bond", "eth", "alias", "vlan", "OVSBridge", "OVSBond", "OVSPort", "OVSIntPort", "vnet"),
    *("any_bridge", "any_local_bridge"),
)


def _list(request: Request) -> list[dict[str, Any]]:
    site = request.node.site
    entry: dict[str, Any] = {"id": f"node/{site.name}", "type": "node", "node": site.name, "status": "online"}
    entry |= {"level": "", "ssl_fingerprint": request.node.fingerprint()}
    return [entry | (node_resource(request.node) if request.rights.may(f"/nodes/{site.name}", "Sys.Audit") else {})]


def _index(_request: Request) -> list[dict[str, str]]:
    return [{"name": name} for name in _SUBDIRS]


def _status(request: Request) -> dict[str, Any]:
    memory, machine = memory_info(), os.uname()
    load, seen = os.getloadavg(), node_resource(request.node)
    disk = os.statvfs(request.node.site.root)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bfree * disk.f_frsize
    kernel = {"sysname": machine.sysname, "release": machine.release, "version": machine.version}
    swap = {"total": memory["SwapTotal"], "free": memory["SwapFree"]}
    return {
        "boot-info": {"mode": "legacy-bios"},
        "cpu": seen["cpu"],
        "cpuinfo": _cpu_info(),
        "current-kernel": {**kernel, "machine": machine.machine},
        "idle": 0,
        "ksm": {"shared": 0},
        "kversion": f"{machine.sysname} {machine.release} {machine.version}",
        "loadavg": [f"{value:.2f}" for value in load],
        "memory": {"total": seen["maxmem"], "used": seen["mem"], "free": memory["MemFree"]},
        "pveversion": f"pve-manager/{request.node.site.version}/{request.node.site.repoid}",
        "rootfs": {"total": total, "free": free, "used": total - free, "avail": disk.f_bavail * disk.f_frsize},
        "swap": {**swap, "used": swap["total"] - swap["free"]},
        "uptime": seen["uptime"],
        "wait": 0,
    }


def _cpu_info() -> dict[str, Any]:
    pairs = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    found = {key.strip(): value.strip() for key, value in pairs}
    count = os.cpu_count() or 1
    return {
        "cores": count,
        "cpus": count,
        "flags": found.get("flags", ""),
        "hvm": "",
        "mhz": found.get("cpu MHz", "0"),
        "model": found.get("model name", platform.machine()),
        "sockets": 1,
        "user_hz": 100,
    }


def _time(_request: Request) -> dict[str, Any]:
    now = int(time.time())
    return {"time": now, "localtime": now + time.localtime(now).tm_gmtoff, "timezone": "Etc/UTC"}


def _dns(request: Request) -> dict[str, str]:
    text = read_text(request.node.site.real("/etc/resolv.conf"))
    found = {f"dns{n}": server for n, server in enumerate(re.findall(r"(?m)^nameserver\s+(\S+)", text)[:3], 1)}
    search = re.search(r"(?m)^(?:search|domain)\s+(\S+)", text)
    return {**found, "search": search[1]} if search else found


def _config(_request: Request) -> dict[str, Any]:
    return {}


def _network(request: Request) -> list[dict[str, Any]]:
    kind = request.params.get("type")
    found = []
    for name, entry in read_interfaces(request.node.site).items():
        bridge = entry["type"] in _BRIDGES
        if bridge and not request.rights.may_any(f"/sdn/zones/localnetwork/{name}", "SDN.Audit", "SDN.Use"):
            continue
        if kind in (None, entry["type"]) or (kind in ("any_bridge", "any_local_bridge") and bridge):
            found.append({"iface": name, **entry})
    return found


def _interface(request: Request) -> dict[str, Any]:
    found = read_interfaces(request.node.site).get(request.text("iface"))
    if found is None:
        raise bad_parameters({"iface": "interface does not exist"})
    return found


_IFACE = Param(optional=False, format="pve-iface", min_length=2, max_length=20)

METHODS = [
    Method("GET", "/nodes", _list, anyone),
    Method("GET", _BASE, _index, anyone, NODE),
    Method("GET", f"{_BASE}/status", _status, _AUDIT, NODE),
    Method("GET", f"{_BASE}/version", version, anyone, NODE),
    Method("GET", f"{_BASE}/time", _time, _AUDIT, NODE),
    Method("GET", f"{_BASE}/dns", _dns, _AUDIT, NODE),
    Method("GET", f"{_BASE}/config", _config, perm("/", "Sys.Audit"), NODE),
    Method("GET", f"{_BASE}/network", _network, anyone, {**NODE, "type": Param(enum=_TYPES)}),
    Method("GET", f"{_BASE}/network/{{iface}}", _interface, _AUDIT, {**NODE, "iface": _IFACE}),
]
