"""The network card as Proxmox takes it, and what is odd about it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proxhermes.inventory.network import Network

Read = Callable[..., object]


@pytest.mark.parametrize(
    "written",
    [
        {"ip": "203.0.113.7/32", "gateway": "198.51.100.1"},
        {"ip": "10.1.10.5/24", "gateway": "10.1.11.1"},
        {"ip": "10.1.10.5/24", "gateway": "10.1.10.5"},
        {"ip": "10.1.10.0/24", "gateway": "10.1.10.1"},
        {"ip": "10.1.10.255/24"},
        {"ip": "manual"},
        {"ip6": "auto"},
        {"ip": "manual", "ip6": "dhcp"},
        {"ip": "manual", "ip6": "2001:db8::7/128", "gateway6": "fe80::1"},
        {"ip": "10.1.10.5/31", "gateway": "10.1.10.4", "ip6": "2001:db8::7/64", "gateway6": "2001:db8::1"},
    ],
)
def test_what_proxmox_takes_is_taken(written: dict[str, str]) -> None:
    network = Network.model_validate({"bridge": "vmbr0"} | written)
    assert {key: getattr(network, key) for key in written} == written


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"ip": "auto"}, "not an address"),
        ({"ip": "10.1.10.5/7"}, "prefix"),
        ({"ip": "10.1.10.5/33"}, "prefix"),
        ({"ip": "10.1.10.5/255.255.255.0"}, "no prefix length"),
        ({"ip": "10.1.10.5/٢٤"}, "no prefix length"),
        ({"ip": "2001:db8::7/64"}, "IPv6 address"),
        ({"ip6": "10.1.10.5/24"}, "IPv4 address"),
        ({"ip6": "2001:db8::7"}, "no prefix length"),
        ({"ip6": "fe80::1%eth0/64"}, "prefix that Proxmox takes"),
        ({"ip6": "auto", "gateway6": "fe80::1"}, "fixed address"),
        ({"gateway6": "fe80::1"}, "fixed address"),
        ({"ip": "manual", "gateway": "10.1.10.1"}, "fixed address"),
        ({"ip": "10.1.10.5/24", "gateway": "fe80::1"}, "not an IPv4 address"),
        ({"ip6": "2001:db8::7/64", "gateway6": "10.1.10.1"}, "not an IPv6 address"),
    ],
)
def test_what_proxmox_refuses_is_refused_here(written: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Network.model_validate({"bridge": "vmbr0"} | written)


# PVE::JSONSchema, pve_verify_cidrv4: `m!^(?:$IPV4RE)(?:/(\d+))$! && ($1 > 7) && ($1 <= 32)`.
OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
PVE_CIDR4 = re.compile(rf"(?:{OCTET}\.){{3}}{OCTET}/([0-9]+)")


@given(st.ip_addresses(v=4), st.integers(0, 40))
def test_a_fixed_address_is_judged_as_proxmox_judges_it(address: ipaddress.IPv4Address, prefix: int) -> None:
    text = f"{address}/{prefix}"
    found = PVE_CIDR4.fullmatch(text)
    theirs = bool(found and 7 < int(found[1]) <= 32)
    try:
        ours = Network.model_validate({"bridge": "b", "ip": text}).ip == text
    except ValidationError:
        ours = False
    assert ours == theirs


@given(st.ip_addresses(v=6), st.integers(8, 128))
def test_an_ipv6_address_has_one_spelling(address: ipaddress.IPv6Address, prefix: int) -> None:
    long = Network.model_validate({"bridge": "b", "ip6": f"{address.exploded.upper()}/{prefix}"})
    assert long.ip6 == Network.model_validate({"bridge": "b", "ip6": f"{address}/{prefix}"}).ip6


@pytest.mark.parametrize(
    ("written", "addresses", "lacking"),
    [
        ({}, ["10.1.10.5"], ()),
        ({}, ["2001:db8::5"], ("IPv4 by dhcp",)),
        ({"ip6": "auto"}, ["10.1.10.5"], ("IPv6 by auto",)),
        ({"ip6": "auto"}, ["10.1.10.5", "2001:db8::5"], ()),
        ({"ip": "manual", "ip6": "auto"}, ["2001:db8::5"], ()),
        ({"ip": "manual", "ip6": "auto"}, ["10.1.10.5"], ("IPv6 by auto",)),
        ({"ip": "10.1.10.5/24"}, ["10.1.10.6"], ("10.1.10.5/24",)),
        ({"ip": "manual", "ip6": "2001:db8::5/64"}, ["2001:0db8::0005"], ()),
        ({"ip": "manual"}, [], ()),
        ({}, ["no address at all"], ("IPv4 by dhcp",)),
    ],
)
def test_what_is_waited_for_is_the_family_that_was_asked_for(
    written: dict[str, str], addresses: list[str], lacking: tuple[str, ...]
) -> None:
    assert Network.model_validate({"bridge": "b"} | written).lacking(tuple(addresses)) == lacking


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("{bridge: b, ip: 10.1.10.0/24, gateway: 10.1.10.1}", "network's own"),
        ("{bridge: b, ip: 10.1.10.5/24, gateway: 10.1.11.1}", "outside the network"),
        ("{bridge: b, ip: 10.1.10.5/24, gateway: 10.1.10.5}", "own address"),
        ("{bridge: b, ip: 10.1.10.5/24}", "reaches its own network only"),
        ("{bridge: b, ip: manual, ip6: auto}", "without IPv4"),
        ("{bridge: b, ip: 203.0.113.7/32, gateway: 198.51.100.1}", None),
        ("{bridge: b, ip: 10.1.10.5/24, ip6: auto}", None),
        ("{bridge: b, ip6: 2001:db8::5/64, gateway6: fe80::1}", None),
    ],
)
def test_what_is_odd_is_a_warning(read: Read, smallest: str, network: str, said: str | None) -> None:
    inventory = read(smallest.replace("{bridge: intra01}", network))
    found = [warning.message for warning in inventory.warnings]  # type: ignore[attr-defined]
    assert found == [] if said is None else [text for text in found if said in text]


def test_two_agents_have_not_one_ipv6_address(problems: Read, smallest: str) -> None:
    other = "  119: {node: gihyeon, hostname: b, network: {bridge: b, ip6: '2001:DB8:0::5/64'}}\n"
    text = smallest.replace("{bridge: intra01}", "{bridge: b, ip6: '2001:db8::5/64'}") + other
    assert ["same address" in each.message for each in problems(text)] == [True]  # type: ignore[attr-defined]
