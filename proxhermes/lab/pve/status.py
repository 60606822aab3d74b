"""What a node tells about containers and itself: states, sizes, addresses, and its own inventory of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxhermes.lab.pve.config import Config
from proxhermes.lab.pve.options import ROOTFS
from proxhermes.lab.pve.runtime import Usage
from proxhermes.lab.pve.schema import parse_property
from proxhermes.lab.pve.storage import Storage, Storages, parse_size

if TYPE_CHECKING:
    from proxhermes.lab.pve.node import Node

_MIB = 2**20
_DEFAULT_DISK = 4 * 2**30
"""What Proxmox assumes for a root disk of unknown size."""


def container_status(node: Node, vmid: int, config: Config) -> dict[str, Any]:
    """One entry of `GET /nodes/NODE/lxc`."""
    usage = node.runtime.usage(vmid) if node.runtime.is_running(vmid) else None
    now = usage or Usage()
    options = config.options
    status: dict[str, Any] = {
        "vmid": vmid,
        "type": "lxc",
        "status": "stopped" if usage is None else "running",
        "name": options.get("hostname") or f"CT{vmid}",
        "cpus": _cpus(options),
        "maxmem": int(options.get("memory", "512")) * _MIB,
        "maxswap": int(options.get("swap", "0")) * _MIB,
        "maxdisk": _disk_size(options) if usage is None else usage.maxdisk,
        "cpu": now.cpu,
        "mem": now.mem,
        "swap": now.swap,
        "disk": now.disk,
        "uptime": now.uptime,
        "netin": now.netin,
        "netout": now.netout,
        "diskread": now.diskread,
        "diskwrite": now.diskwrite,
    }
    status |= {name: options[name] for name in ("lock", "tags") if options.get(name)}
    if options.get("template") == "1":
        status["template"] = 1
    if usage is not None:
        status["pid"] = node.runtime.init_pid(vmid)
    return status


def _cpus(options: Mapping[str, str]) -> int:
    limit = float(options.get("cpulimit", "0"))
    return int(options.get("cores", "0")) or (int(-(-limit // 1)) if limit else 0) or os.cpu_count() or 1


def _disk_size(options: Mapping[str, str]) -> int:
    rootfs = parse_property(options["rootfs"], ROOTFS) if "rootfs" in options else {}
    return parse_size(rootfs["size"]) if "size" in rootfs else _DEFAULT_DISK


def interfaces(cards: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`ip -j addr` in Proxmox' words."""
    found = []
    for card in cards:
        hardware = card.get("address", "")
        shown: dict[str, Any] = {"name": card["ifname"], "hwaddr": hardware, "hardware-address": hardware}
        addresses = []
        for entry in card.get("addr_info", []):
            if "local" in entry:
                kind = entry["family"]
                addresses.append(
                    {"ip-address": entry["local"], "prefix": str(entry["prefixlen"]), "ip-address-type": kind}
                )
                shown[kind] = f"{entry['local']}/{entry['prefixlen']}"
        found.append({**shown, "ip-addresses": addresses})
    return found


def resource(node: Node, vmid: int, config: Config, also: tuple[str, ...] = ("lock", "tags")) -> dict[str, Any]:
    """A container in `/cluster/resources`, with those options that are there.

    Proxmox takes stock every ten seconds; what it has not seen yet is `unknown`, with little said about it.
    """
    options = config.options
    known = node.observed(vmid)
    entry: dict[str, Any] = {"id": f"lxc/{vmid}", "type": "lxc", "vmid": vmid, "node": node.site.name}
    entry |= {name: options[name] for name in also if options.get(name)}
    if known is None:
        return {**entry, "status": "unknown"}
    names = ("status", "name", "maxmem", "mem", "maxdisk", "disk", "cpu", "uptime")
    entry |= {name: known[name] for name in (*names, "netin", "netout", "diskread", "diskwrite")}
    return {**entry, "maxcpu": known["cpus"], "template": known.get("template", 0)}


def storage_status(storages: Storages, storage: Storage) -> dict[str, Any]:
    """A storage's state; one whose folder is missing or not mounted is not active and has no sizes."""
    status: dict[str, Any] = {
        "type": storage.type,
        "content": ",".join(storage.content),
        "enabled": int(storage.enabled),
        "shared": int(storage.options.get("shared", "0")),
        "active": 0,
        "total": 0,
        "used": 0,
        "avail": 0,
    }
    if storages.is_active(storage):
        total, used, free = storages.space(storage)
        status |= {"active": 1, "total": total, "used": used, "avail": free}
    return status


def node_resource(node: Node) -> dict[str, Any]:
    """The node's own load, for those who may see it."""
    memory = memory_info()
    disk = os.statvfs(node.site.root)
    return {
        "cpu": min(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0),
        "maxcpu": os.cpu_count() or 1,
        "mem": memory["MemTotal"] - memory["MemAvailable"],
        "maxmem": memory["MemTotal"],
        "disk": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
        "maxdisk": disk.f_blocks * disk.f_frsize,
        "uptime": int(float(Path("/proc/uptime").read_text().split()[0])),
    }


def memory_info() -> dict[str, int]:
    """/proc/meminfo in bytes."""
    lines = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1}
