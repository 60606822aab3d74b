"""What the node writes into a guest: Debian's files, kept where they are not the node's business."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from proxhermes.lab.node import guest_setup
from proxhermes.lab.node.guest_files import GuestFiles
from proxhermes.lab.pve.runtime import ContainerSpec, Net


@pytest.fixture
def guest(tmp_path: Path) -> GuestFiles:
    root = tmp_path / "rootfs"
    (root / "etc/network").mkdir(parents=True)
    return GuestFiles(root, os.getuid(), os.getgid())


def test_section_is_replaced_in_place_and_the_rest_is_kept() -> None:
    text = "127.0.0.1 localhost\n"
    once = guest_setup.with_section(text, ["127.0.1.1 hermes"])
    twice = guest_setup.with_section(once + "10.0.0.9 mine\n", ["127.0.1.1 other"])
    assert once == "127.0.0.1 localhost\n# --- BEGIN PVE ---\n127.0.1.1 hermes\n# --- END PVE ---\n"
    assert "127.0.1.1 other" in twice
    assert "hermes" not in twice
    assert twice.endswith("10.0.0.9 mine\n")


def test_section_is_removed_when_empty() -> None:
    assert guest_setup.with_section(guest_setup.with_section("a\n", ["x"]), []) == "a\n"


OUTSIDE = (
    "iface eth0 inet static\n\taddress 203.0.113.7/32\n"
    "\tpost-up ip route add 198.51.100.1 dev eth0\n"
    "\tpost-up ip route add default via 198.51.100.1 dev eth0\n"
    "\tpre-down ip route del default via 198.51.100.1 dev eth0\n"
    "\tpre-down ip route del 198.51.100.1 dev eth0\n"
)


@pytest.mark.parametrize(
    ("options", "stanza"),
    [
        ({"name": "eth0", "ip": "dhcp"}, "iface eth0 inet dhcp\n"),
        (
            {"name": "eth0", "ip": "10.1.10.50/24", "gw": "10.1.10.1"},
            "iface eth0 inet static\n\taddress 10.1.10.50/24\n\tgateway 10.1.10.1\n",
        ),
        (
            {"name": "eth0", "ip": "203.0.113.7/32", "gw": "198.51.100.1"},
            OUTSIDE,
        ),
        (
            {"name": "eth0", "ip6": "fd00::5/64", "gw6": "fe80::1"},
            "iface eth0 inet6 static\n\taddress fd00::5/64\n\tgateway fe80::1\n",
        ),
        ({"name": "eth0", "ip": "manual"}, "iface eth0 inet manual\n"),
        ({"name": "eth0"}, "iface eth0 inet manual\n"),
        ({"name": "eth0", "ip6": "auto"}, "iface eth0 inet6 auto\n"),
        (
            {"name": "eth0", "ip": "dhcp", "ip6": "fd00::5/64", "gw6": "fd00::1"},
            "iface eth0 inet dhcp\niface eth0 inet6 static\n\taddress fd00::5/64\n\tgateway fd00::1\n",
        ),
    ],
)
def test_interfaces(options: dict[str, str], stanza: str) -> None:
    shown = guest_setup.interfaces([Net(0, options)])
    assert shown == f"auto lo\niface lo inet loopback\n\nauto eth0\n{stanza}"


def test_resolver_is_the_containers_own_else_the_nodes(spec: ContainerSpec) -> None:
    node = "search lab\nnameserver 10.1.10.1\n"
    own = replace(spec, nameserver="9.9.9.9 1.1.1.1", searchdomain="home.arpa")
    assert guest_setup.resolver_lines(spec, node) == ["search lab", "nameserver 10.1.10.1"]
    assert guest_setup.resolver_lines(own, node) == ["search home.arpa", "nameserver 9.9.9.9", "nameserver 1.1.1.1"]


def test_before_start_writes_names_and_network_and_keeps_the_administrators_lines(
    guest: GuestFiles, spec: ContainerSpec
) -> None:
    (guest.root / "etc/hosts").write_text("127.0.0.1 localhost\n10.0.0.9 mine\n")
    guest_setup.before_start(guest, spec)
    guest_setup.before_start(guest, spec)
    assert guest.read("/etc/hostname") == "hermes\n"
    assert guest.read("/etc/hosts").count("127.0.1.1 hermes") == 1
    assert "10.0.0.9 mine" in guest.read("/etc/hosts")
    assert "iface eth0 inet dhcp" in guest.read("/etc/network/interfaces")


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")
def test_first_set_up_makes_keys_and_empties_the_machine_id(guest: GuestFiles, spec: ContainerSpec) -> None:
    (guest.root / "etc/machine-id").write_text("0123456789abcdef\n")
    (guest.root / "etc/ssh").mkdir()
    lines: list[str] = []
    guest_setup.after_unpacking(guest, spec, "ssh-ed25519 AAAA me\n", None, lines.append)
    keys = guest.root / "root/.ssh/authorized_keys"
    assert guest.read("/etc/machine-id") == ""
    assert keys.read_text() == "ssh-ed25519 AAAA me\n"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.parent.stat().st_mode) == 0o700
    assert lines[0] == "Creating SSH host key 'ssh_host_rsa_key' - this may take some time ..."
    assert lines[1].startswith("done: SHA256:")
    assert lines[1].endswith(" root@hermes")
    assert stat.S_IMODE((guest.root / "etc/ssh/ssh_host_ed25519_key").stat().st_mode) == 0o600


def test_a_password_is_hashed_into_shadow(guest: GuestFiles, spec: ContainerSpec) -> None:
    (guest.root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n")
    guest_setup.after_unpacking(guest, spec, None, "geheim123", lambda _: None)
    root, daemon = guest.read("/etc/shadow").splitlines()
    assert root.startswith("root:$6$")
    assert "geheim123" not in root
    assert daemon == "daemon:*:19000:0:99999:7:::"


def test_links_are_followed_inside_the_guest_only(guest: GuestFiles, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (guest.root / "etc/away").symlink_to(outside)
    (guest.root / "etc/up").symlink_to("../../../../outside")
    assert guest.resolve("/etc/away/file") == guest.root / str(outside).lstrip("/") / "file"
    assert guest.resolve("/etc/up/file") == guest.root / "outside/file"
    assert guest.resolve("/../../etc/x") == guest.root / "etc/x"
    guest.write("/etc/up/file", "x")
    assert not any(outside.iterdir())


def test_a_link_is_replaced_and_not_written_through(guest: GuestFiles, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (guest.root / "etc/hostname").symlink_to(victim)
    guest.write("/etc/hostname", "hermes\n")
    assert victim.read_text() == "precious"
    assert (guest.root / "etc/hostname").read_text() == "hermes\n"


def test_a_circle_of_links_ends(guest: GuestFiles) -> None:
    (guest.root / "etc/a").symlink_to("b")
    (guest.root / "etc/b").symlink_to("a")
    with pytest.raises(OSError, match="too many symbolic links"):
        guest.resolve("/etc/a")
