"""The node's interfaces as Proxmox lists them: `/etc/network/interfaces`, and network cards that exist."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from proxhermes.lab.pve.files import read_text
from proxhermes.lab.pve.site import Site

_CARD = re.compile(r"(?:eth\d+|en[^:.]+|ib[^:.]+)")


def read_interfaces(site: Site) -> dict[str, dict[str, Any]]:
    """Every interface by name, the loopback left out."""
    present = [name.strip() for name in re.findall(r"(?m)^\s*([^\s:]+):", read_text(site.real("/proc/net/dev")))]
    found = _configured(read_text(site.real(site.interfaces)))
    for name, entry in found.items():
        if name in present:
            entry["active"] = 1
    for name in present:
        if _CARD.fullmatch(name):
            entry = found.setdefault(name, {"method": "manual", "method6": "manual", "families": ["inet"]})
            entry |= {"type": "eth", "exists": 1, "active": 1}
    return found


def _configured(text: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    automatic: set[str] = set()
    current: dict[str, Any] = {}
    # Proxmox numbers the interfaces after the loopback, which is the first.
    priority = 1
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("auto", "allow-hotplug"):
            automatic |= set(words[1:])
        elif words[0] == "iface" and len(words) >= 4 and words[1] != "lo":
            priority += 1
            current = found.setdefault(words[1], {"method6": "manual", "priority": priority, "families": ["inet"]})
            current["method" if words[2] == "inet" else "method6"] = words[3]
        elif words[0] != "iface" and len(words) >= 2:
            current[words[0].replace("-", "_")] = " ".join(words[1:])
    for name, entry in found.items():
        _complete(name, entry)
        if name in automatic:
            entry["autostart"] = 1
    return found


def _complete(name: str, entry: dict[str, Any]) -> None:
    if "bridge_ports" in entry:
        entry["type"] = "bridge"
        entry["bridge_ports"] = "" if entry["bridge_ports"] == "none" else entry["bridge_ports"]
    else:
        entry["type"] = "vlan" if "." in name else "eth" if _CARD.fullmatch(name) else "unknown"
    if "address" in entry:
        plain = f"{entry['address']}/{entry['netmask']}" if "netmask" in entry else entry["address"]
        network = ipaddress.ip_interface(plain)
        entry |= {"cidr": network.with_prefixlen, "address": str(network.ip), "netmask": str(network.network.prefixlen)}
