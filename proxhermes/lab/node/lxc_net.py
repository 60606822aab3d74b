"""Network cards of a running guest."""

from __future__ import annotations

from pathlib import Path

from proxhermes.lab.node.lxc_config import link_of
from proxhermes.lab.node.process import run
from proxhermes.lab.pve.runtime import Net


def ensure_vlan(net: Net) -> None:
    """Make the bridge of a VLAN that no card has used yet. It ends at the node: the lab has no other machine on it."""
    link = link_of(net)
    if link != net.options["bridge"] and not Path("/sys/class/net", link).exists():
        run(["ip", "link", "add", link, "type", "bridge", "forward_delay", "0"])
        run(["ip", "link", "set", link, "up"])


def remove(vmid: int, index: int) -> None:
    """Take the guest's card `net<index>` away, if it is there."""
    outside = _outer_end(vmid, index)
    if Path("/sys/class/net", outside).exists():
        run(["ip", "link", "del", outside])


def replace(vmid: int, pid: int, net: Net) -> None:
    """Make the guest's card `net.index` what `net` says; its ifupdown brings it up as /etc/network/interfaces has it.

    When nothing but the bridge differs the cable is moved; otherwise the card is made anew.
    """
    ensure_vlan(net)
    outside, name = _outer_end(vmid, net.index), net.options.get("name", f"eth{net.index}")
    enter = ["nsenter", f"--net=/proc/{pid}/ns/net"]
    address = Path("/sys/class/net", outside)
    wanted = net.options.get("hwaddr", "").lower()
    shown = run([*enter, "ip", "-o", "link", "show", name], check=False).stdout
    if address.exists() and wanted and wanted in shown:
        run(["ip", "link", "set", outside, "master", link_of(net)])
    else:
        remove(vmid, net.index)
        peer = ["type", "veth", "peer", "name", name, "netns", str(pid)]
        hardware = ["address", wanted] if wanted else []
        run(["ip", "link", "add", outside, *peer[:2], *peer[2:5], *hardware, *peer[5:]])
        run(["ip", "link", "set", outside, "master", link_of(net), "up"])
        run([*enter, "ip", "link", "set", name, "up"])
    if "mtu" in net.options:
        run([*enter, "ip", "link", "set", name, "mtu", net.options["mtu"]])
    again = f"ifdown --force {name}; ifup {name}"
    run(["lxc-attach", "-n", str(vmid), "--clear-env", "--", "sh", "-c", again], check=False, timeout=60)


def _outer_end(vmid: int, index: int) -> str:
    return f"veth{vmid}i{index}"
