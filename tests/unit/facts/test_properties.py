"""Proxmox' ways to write values."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.facts.properties import flag, parse, render, size_bytes, size_text, tag_set

KEYS = st.text(string.ascii_lowercase + string.digits + "_-", min_size=1, max_size=8)
VALUES = st.text(
    st.characters(blacklist_characters=",", blacklist_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), max_size=20
)


@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_what_is_rendered_is_read_back(properties: dict[str, str]) -> None:
    assert parse(render(properties)) == properties


@given(st.dictionaries(KEYS.filter(lambda key: key != "volume"), VALUES, max_size=6), VALUES)
def test_a_bare_path_is_read_back(properties: dict[str, str], tail: str) -> None:
    mount = {"volume": f"/srv/{tail}"} | properties
    text = render(mount, "volume")
    assert text.startswith(f"/srv/{tail}")
    assert parse(text, "volume") == mount


@pytest.mark.parametrize(
    ("text", "default", "properties"),
    [
        ("nesting=1,keyctl=1", None, {"nesting": "1", "keyctl": "1"}),
        ("local-lvm:vm-118-disk-0,size=24G", "volume", {"volume": "local-lvm:vm-118-disk-0", "size": "24G"}),
        ("/mnt/a=b,mp=/data", "volume", {"volume": "/mnt/a=b", "mp": "/data"}),
        ("3,up=10", "order", {"order": "3", "up": "10"}),
        ("", None, {}),
    ],
)
def test_parse(text: str, default: str | None, properties: dict[str, str]) -> None:
    assert parse(text, default) == properties


@pytest.mark.parametrize("text", ["nesting", "nesting=1,nesting=0"])
def test_parse_refuses_what_proxmox_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "size"), [("24G", 24 << 30), ("4352M", 4352 << 20), ("4.5G", 9 << 29), ("0T", 0), ("1024", 1024)]
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@given(st.integers(min_value=0, max_value=1 << 50))
def test_a_size_is_read_back(size: int) -> None:
    assert size_bytes(size_text(size)) == size


def test_a_size_in_words_is_refused() -> None:
    with pytest.raises(ValueError, match="not a size"):
        size_bytes("big")


def test_tags_are_a_set_however_they_are_written() -> None:
    assert tag_set("b;a,lab A") == tag_set("A b LAB") == {"a", "b", "lab"}


@pytest.mark.parametrize(
    ("value", "on"), [(1, True), ("1", True), ("yes", True), (0, False), (None, False), ("", False)]
)
def test_flags(value: object, on: bool) -> None:
    assert flag(value) is on
