"""Which user of the node a user of the container is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.errors import Refused
from proxhermes.plan.idmap import DEFAULT, from_lxc

CUSTOM = (
    ("lxc.idmap", "u 0 100000 1000"),
    ("lxc.idmap", "u 1000 1000 1"),
    ("lxc.idmap", "u 1001 101001 64535"),
    ("lxc.idmap", "g 0 200000 65536"),
    ("lxc.mount.entry", "/x x none bind"),
)


@pytest.mark.parametrize(("guest", "host"), [(0, 100000), (10000, 110000), (65535, 165535)])
def test_proxmox_own_map(guest: int, host: int) -> None:
    assert from_lxc(()) is DEFAULT
    assert DEFAULT.to_host("u", guest) == DEFAULT.to_host("g", guest) == host


@pytest.mark.parametrize(
    ("kind", "guest", "host"), [("u", 0, 100000), ("u", 1000, 1000), ("u", 10000, 110000), ("g", 10000, 210000)]
)
def test_lines_of_the_container_replace_it(kind: str, guest: int, host: int) -> None:
    assert from_lxc(CUSTOM).to_host(kind, guest) == host


@given(st.integers(0, 65535), st.sampled_from(["u", "g"]))
def test_there_and_back(guest: int, kind: str) -> None:
    for each in (DEFAULT, from_lxc(CUSTOM)):
        assert each.to_guest(kind, each.to_host(kind, guest)) == guest


def test_both_kinds_in_one_line() -> None:
    both = from_lxc([("lxc.idmap", "b 0 300000 65536")])
    assert both.to_host("u", 5) == both.to_host("g", 5) == 300005


def test_who_is_not_mapped_can_own_nothing() -> None:
    with pytest.raises(Refused, match="user 70000 of the guest"):
        DEFAULT.to_host("u", 70000)
    assert DEFAULT.to_guest("u", 0) is None
