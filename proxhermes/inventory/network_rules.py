"""What is odd about the agents' network cards. Proxmox takes it, so most of it is a warning."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

from proxhermes.inventory.network import fixed
from proxhermes.inventory.tree import Report, Tree

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
_OUT: Final = "the agent's own network in the container has no other: it would reach nothing"


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """Addresses that two agents have, and those that a host can hardly have."""
    _of_their_own(agents, report)
    for agent in agents.values():
        for key, gateway in (("ip", "gateway"), ("ip6", "gateway6")):
            _address(agent, key, gateway, report)
        _way_out(agent, report)


def _of_their_own(agents: Mapping[str, Tree], report: Report) -> None:
    for key, what in (("ip", "address"), ("ip6", "address"), ("hwaddr", "hardware address")):
        seen: dict[tuple[str | None, str], str] = {}
        for vmid, agent in agents.items():
            tree, text = agent.at("network", key), agent.text("network", key)
            if tree is None or text is None or (key != "hwaddr" and not fixed(text)):
                continue
            parsed = None if key == "hwaddr" else _interface(text)
            known = str(parsed.ip) if parsed else text.upper()
            owner = seen.setdefault((agent.text("network", "bridge"), known), vmid)
            if owner != vmid:
                report.add(tree.spot, f"agent {owner} has the same {what}", f"its own {what} for each agent")


def _address(agent: Tree, key: str, gateway_key: str, report: Report) -> None:
    tree, written = agent.at("network", key), agent.text("network", gateway_key)
    interface = _interface(agent.text("network", key))
    if tree is None or interface is None:
        return
    network = interface.network
    edges = (network.network_address, network.broadcast_address) if interface.version == 4 else ()
    if network.prefixlen < 31 and interface.ip in edges:
        report.warn(tree.spot, f"{interface} is the network's own or its broadcast address", "another one, perhaps")
    gateway = agent.at("network", gateway_key)
    try:
        address = ipaddress.ip_address(written or "")
    except ValueError:
        return
    if gateway is None or address.version != interface.version or address.is_link_local:
        return
    if address == interface.ip:
        report.warn(gateway.spot, "the gateway is the container's own address", "another one, perhaps")
    elif address not in network and network.prefixlen < interface.max_prefixlen:
        report.warn(
            gateway.spot,
            f"the gateway {address} is outside the network of {interface}: Proxmox adds a route to it",
            "right for a routed network, a typing mistake otherwise",
        )


def _way_out(agent: Tree, report: Report) -> None:
    network, ip, ip6 = agent.at("network"), agent.text("network", "ip"), agent.text("network", "ip6")
    if network is None:
        return
    if fixed(ip) and "gateway" not in network.children and ip6 in (None, "manual"):
        report.warn(
            network.spot, "a fixed address without a gateway reaches its own network only", "`gateway: ADDRESS`"
        )
    kind, inner = agent.text("runtime", "type") or "docker", agent.text("runtime", "network")
    if ip == "manual" and ip6 not in (None, "manual") and kind != "native" and inner != "host":
        report.warn(
            network.children["ip"].spot,
            f"without IPv4: {_OUT}",
            "`runtime: {network: host}`, or `type: native`",
        )


def _interface(text: str | None) -> Interface | None:
    try:
        return ipaddress.ip_interface(text) if fixed(text) and text else None
    except ValueError:  # told where it is validated
        return None
