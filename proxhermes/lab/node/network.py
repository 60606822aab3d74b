"""The node's cable to the machine, on both sides: namespace, veth pair, bridge, NAT; and the way back."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from proxhermes.lab.node.paths import BRIDGE, BRIDGE_ADDRESS, BRIDGE_NETWORK, STATE_ROOT, LabPaths, Slot
from proxhermes.lab.node.process import LabError, run

UPLINK = "eno1"
RESOLV_CONFS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
_SLOTS = range(250)


def free_slot() -> Slot:
    """The first number whose net no interface and no other lab on this machine uses. LabError when all are taken."""
    routes = run(["ip", "-j", "-4", "route", "show", "table", "all"]).stdout
    used = {str(route.get("dst", "")).split("/")[0].rpartition(".")[0] for route in json.loads(routes or "[]")}
    reserved = {file.read_text().strip() for file in STATE_ROOT.glob("*/slot")}
    for number in _SLOTS:
        if f"10.77.{number}" not in used and str(number) not in reserved:
            return Slot(number)
    raise LabError("no free network 10.77.N.0/24 is left on this machine")


def connect(paths: LabPaths, slot: Slot) -> None:
    """Make the node's network namespace with its uplink to the machine, its bridge, and NAT at both borders."""
    run(["ip", "netns", "add", paths.netns])
    run(["ip", "link", "add", slot.veth, "type", "veth", "peer", "name", UPLINK, "netns", paths.netns])
    run(["ip", "addr", "add", f"{slot.host_address}/24", "dev", slot.veth])
    run(["ip", "link", "set", slot.veth, "up"])
    inside = [
        "link set lo up",
        f"addr add {slot.node_address}/24 dev {UPLINK}",
        f"link set {UPLINK} up",
        f"route add default via {slot.host_address}",
        f"link add {BRIDGE} type bridge forward_delay 0",
        f"addr add {BRIDGE_ADDRESS}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ]
    run(["ip", "-n", paths.netns, "-batch", "-"], stdin="\n".join(inside) + "\n")
    nat = [
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        f"iptables -w -t nat -A POSTROUTING -s {BRIDGE_NETWORK} ! -d {BRIDGE_NETWORK} -j MASQUERADE",
    ]
    run(["nsenter", f"--net={paths.netns_file}", "sh", "-ec", "\n".join(nat)])
    for rule in _outer_rules(paths, slot):
        run(["iptables", "-w", *shlex.split(rule)])


def _outer_rules(paths: LabPaths, slot: Slot) -> list[str]:
    """The machine's own rules, each with the instance's name as its comment, by which they are found again.

    The packets' size is clamped because the machine's way out may be narrower than the node's 1500 bytes.
    """
    mark = f"-m comment --comment {paths.netns}"
    clamp = "-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"
    return [
        f"-t nat -A POSTROUTING -s {slot.network} ! -d {slot.network} {mark} -j MASQUERADE",
        f"-I FORWARD -i {slot.veth} {mark} -j ACCEPT",
        f"-I FORWARD -o {slot.veth} {mark} -j ACCEPT",
        f"-t mangle -A FORWARD -i {slot.veth} {mark} {clamp}",
    ]


def disconnect(paths: LabPaths) -> None:
    """Remove rules, namespace and the pair; what is not there is fine. The node's processes must have ended."""
    for table, rule in rules(paths):
        run(["iptables", "-w", "-t", table, "-D", *shlex.split(rule.removeprefix("-A "))])
    if paths.slot_file.exists():
        # By itself: the kernel takes its time to end a namespace. Not checked: it may be gone already.
        run(["ip", "link", "del", Slot(int(paths.slot_file.read_text())).veth], check=False)
    if paths.netns_file.exists():
        run(["ip", "netns", "del", paths.netns])


def rules(paths: LabPaths) -> list[tuple[str, str]]:
    """(table, rule as `iptables -S` prints it) of this instance."""
    found = []
    for table in ("nat", "filter", "mangle"):
        said = run(["iptables", "-w", "-t", table, "-S"], check=False).stdout
        found += [(table, line) for line in said.splitlines() if paths.netns in shlex.split(line)]
    return found


def resolvers() -> list[str]:
    """Name servers of this machine that the node can reach: not those that listen on loopback alone.

    systemd-resolved keeps the real ones in a file of its own.
    """
    for file in RESOLV_CONFS:
        if not file.exists():
            continue
        lines = (line.split() for line in file.read_text().splitlines())
        servers = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
        reachable = [server for server in servers if not server.startswith("127.") and ":" not in server]
        if reachable:
            return reachable
    raise LabError("this machine names no DNS server that its network can reach (/etc/resolv.conf has loopback only)")
