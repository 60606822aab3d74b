"""Proxmox's own ways to write values: comma-separated property strings, sizes, booleans. Pure.

Proxmox puts a value into its own form when it stores it (order of the keys, `type=veth` added, tags sorted), so two
values are compared parsed and never as text. Format: PVE: JSONSchema.pm, parse_property_string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
GIB: Final = 1 << 30
MOUNT_POINT: Final = re.compile(r"mp\d+")
"""Name of the option of a mount point."""


def parse(text: str, default_key: str | None = None) -> dict[str, str]:
    """The properties of `text` in their order. A part without `=` belongs to `default_key`.

    Raises ValueError for a part without a key where there is no default, and for a key given twice, as Proxmox does.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or (default_key is not None and key.startswith("/")):
            if default_key is None:
                raise ValueError(f"value without key in {text!r}")
            key, value = default_key, part
        key = key.strip()
        if key in found:
            raise ValueError(f"duplicate key in {text!r}: {key}")
        found[key] = value.strip()
    return found


def render(properties: Mapping[str, str], default_key: str | None = None) -> str:
    """The property string of `properties`, the default key's value first and bare. `parse` reads it back."""
    first = [properties[default_key]] if default_key is not None and default_key in properties else []
    return ",".join(first + [f"{key}={value}" for key, value in properties.items() if key != default_key])


def size_bytes(text: str) -> int:
    """A size as Proxmox writes it (`24G`, `4352M`, `4.5G`, `1024`) in bytes. Raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a size")
    return int(float(match[1]) * _UNITS[match[2]])


def size_text(size: int) -> str:
    """`size` bytes in the largest unit that divides it: 4563402752 is `4352M`."""
    for unit in ("T", "G", "M", "K"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def flag(value: object) -> bool:
    """A Proxmox boolean as the API or a configuration file gives it; absent is False."""
    return str(value).strip().lower() in ("1", "true", "yes", "on")


def mount_points(config: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The mount points `mpN` of a configuration, sorted by name, each as its properties: `volume`, `mp`, `ro`, …"""
    return {key: parse(config[key], "volume") for key in sorted(config) if MOUNT_POINT.fullmatch(key)}


def tag_set(text: str) -> frozenset[str]:
    """Tags, however they are separated; Proxmox stores them sorted and in lower case."""
    return frozenset(tag.lower() for tag in re.split(r"[;,\s]+", text) if tag)
