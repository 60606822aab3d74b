"""What the node writes into a Debian guest: once after unpacking, and before each start.

The files are those that Proxmox VE's Debian setup manages; what stands in them outside the marked section is kept
(pve-container, PVE/LXC/Setup: names and markers are an interface that guests' administrators know).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from proxhermes.lab.node.guest_files import GuestFiles
from proxhermes.lab.node.process import LabError, run
from proxhermes.lab.pve.runtime import ContainerSpec, Log, Net

BEGIN, END = "# --- BEGIN PVE ---", "# --- END PVE ---"
_SECTION = re.compile(rf"{re.escape(BEGIN)}\n.*?{re.escape(END)}\n?", re.DOTALL)
HOST_KEY_TYPES = ("rsa", "ecdsa", "ed25519")


def with_section(text: str, lines: Sequence[str]) -> str:
    """`text` with the marked section replaced by `lines`, at its end when it had none; empty lines remove it."""
    section = "\n".join([BEGIN, *lines, END]) + "\n" if lines else ""
    if _SECTION.search(text):
        return _SECTION.sub(lambda _: section, text, count=1)
    return text + ("\n" if text and not text.endswith("\n") else "") + section


def interfaces(nets: Iterable[Net]) -> str:
    """/etc/network/interfaces for ifupdown."""
    blocks = ["auto lo\niface lo inet loopback\n"]
    for net in nets:
        options = net.options
        name = options.get("name", f"eth{net.index}")
        stanzas = _stanza_v4(name, options) + _stanza_v6(name, options)
        blocks.append(f"auto {name}\n" + (stanzas or f"iface {name} inet manual\n"))
    return "\n".join(blocks)


def _stanza_v4(name: str, options: dict[str, str]) -> str:
    address = options.get("ip", "")
    if address == "dhcp":
        return f"iface {name} inet dhcp\n"
    if not address or address == "manual":
        return ""
    route = _route(name, address, options.get("gw"))
    return f"iface {name} inet static\n\taddress {ipaddress.ip_interface(address)}\n{route}"


def _stanza_v6(name: str, options: dict[str, str]) -> str:
    address = options.get("ip6", "")
    if address in ("dhcp", "auto"):
        return f"iface {name} inet6 {address}\n"
    if not address or address == "manual":
        return ""
    route = _route(name, address, options.get("gw6"))
    return f"iface {name} inet6 static\n\taddress {ipaddress.ip_interface(address)}\n{route}"


def _route(name: str, address: str, gateway: str | None) -> str:
    """The lines of a default gateway; one outside the network needs a route to it (PVE::LXC::Setup::Debian)."""
    if gateway is None:
        return ""
    neighbour = ipaddress.ip_address(gateway)
    if neighbour in ipaddress.ip_interface(address).network or neighbour.is_link_local:
        return f"\tgateway {gateway}\n"
    version = "-6 " if neighbour.version == 6 else ""
    return (
        f"\tpost-up ip {version}route add {gateway} dev {name}\n"
        f"\tpost-up ip {version}route add default via {gateway} dev {name}\n"
        f"\tpre-down ip {version}route del default via {gateway} dev {name}\n"
        f"\tpre-down ip {version}route del {gateway} dev {name}\n"
    )


def resolver_lines(spec: ContainerSpec, node_resolv_conf: str) -> list[str]:
    """search and nameserver lines: the container's own, else the node's."""
    words = [line.split() for line in node_resolv_conf.splitlines()]
    servers = spec.nameserver.split() if spec.nameserver else [w[1] for w in words if w[:1] == ["nameserver"]]
    domains = (
        spec.searchdomain.split() if spec.searchdomain else [d for w in words if w[:1] == ["search"] for d in w[1:]]
    )
    return ([f"search {' '.join(domains)}"] if domains else []) + [f"nameserver {server}" for server in servers]


def before_start(guest: GuestFiles, spec: ContainerSpec) -> None:
    """Hostname, hosts, interfaces, resolver and time zone as the configuration has them."""
    hosts = guest.read("/etc/hosts") or "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
    domain = f" {spec.hostname}.{spec.searchdomain.split()[0]}" if spec.searchdomain else ""
    wanted = {
        "/etc/hostname": f"{spec.hostname}\n",
        "/etc/hosts": with_section(hosts, [f"127.0.1.1{domain} {spec.hostname}"]),
        "/etc/network/interfaces": interfaces(spec.nets),
    }
    if not guest.entry("/etc/resolv.conf").is_symlink():
        lines = resolver_lines(spec, Path("/etc/resolv.conf").read_text())
        wanted["/etc/resolv.conf"] = with_section("", lines)
    for path, text in wanted.items():
        if guest.read(path) != text:
            guest.write(path, text)
    if spec.timezone:
        _set_timezone(guest, spec.timezone)


def _set_timezone(guest: GuestFiles, zone: str) -> None:
    if zone == "host":
        zone = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")[2] or "UTC"
    if not guest.resolve(f"/usr/share/zoneinfo/{zone}").is_file():
        raise LabError(f"the guest has no time zone '{zone}'")
    guest.link("/etc/localtime", f"/usr/share/zoneinfo/{zone}")
    guest.write("/etc/timezone", f"{zone}\n")


def after_unpacking(
    guest: GuestFiles, spec: ContainerSpec, ssh_public_keys: str | None, password: str | None, log: Log
) -> None:
    """First set-up of a new guest: SSH host keys of its own, root's keys and password, no machine id yet."""
    if guest.resolve("/etc/machine-id").exists():
        guest.write("/etc/machine-id", "", 0o444)
    if ssh_public_keys:
        guest.make_folder("/root/.ssh", 0o700)
        guest.write("/root/.ssh/authorized_keys", ssh_public_keys.rstrip("\n") + "\n", 0o600)
    if password:
        _set_root_password(guest, password)
    if guest.resolve("/etc/ssh").is_dir():
        for kind in HOST_KEY_TYPES:
            _new_host_key(guest, kind, spec.hostname, log)


def _set_root_password(guest: GuestFiles, password: str) -> None:
    hashed = run(["openssl", "passwd", "-6", "-stdin"], stdin=f"{password}\n").stdout.strip()
    lines = guest.read("/etc/shadow").splitlines()
    changed = [re.sub(r"^root:[^:]*", lambda _: f"root:{hashed}", line) for line in lines]
    guest.write("/etc/shadow", "\n".join(changed) + "\n", 0o640)


def _new_host_key(guest: GuestFiles, kind: str, hostname: str, log: Log) -> None:
    import tempfile

    name = f"ssh_host_{kind}_key"
    log(f"Creating SSH host key '{name}' - this may take some time ...")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name)
        run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"root@{hostname}", "-f", file])
        guest.write(f"/etc/ssh/{name}", file.read_text(), 0o600)
        guest.write(f"/etc/ssh/{name}.pub", file.with_suffix(".pub").read_text())
        shown = run(["ssh-keygen", "-lf", file.with_suffix(".pub")]).stdout.split()
    log(f"done: {shown[1]} root@{hostname}")
