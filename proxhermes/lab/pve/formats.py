"""The named formats of Proxmox' parameters: each returns what is wrong with a value, or None.

Sources: `facts/pve.md` and the recorded answers; the names are those of the API schema.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path

from proxhermes.lab.pve.privileges import ALL

Check = Callable[[str], str | None]

_DNS_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DNS_NAME = re.compile(rf"(?:{_DNS_LABEL}\.)*{_DNS_LABEL}")
_STORAGE_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]")
_CONFIG_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_\-]+")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*")
_POOL_ID = re.compile(r"[A-Za-z0-9.\-_]+(?:/[A-Za-z0-9.\-_]+){0,2}")
_USER_ID = re.compile(r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+")
_VOLUME_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]:.+")
_MAC = re.compile(r"[0-9a-fA-F][02468aceACE](?::[0-9a-fA-F]{2}){5}")
_STARTUP = re.compile(r"(?:order=)?\d+|up=\d+|down=\d+")
_ZONES = Path("/usr/share/zoneinfo")
CONTENT_TYPES = ("images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none")


def split_list(text: str) -> list[str]:
    """Proxmox' lists: parted by commas, semicolons, NULs or white space."""
    return [part for part in re.split(r"[,;\0\s]+", text) if part]


def _matches(pattern: re.Pattern[str], message: str) -> Check:
    return lambda value: None if pattern.fullmatch(value) else message.replace("VALUE", value)


def _each(check: Check) -> Check:
    def check_list(value: str) -> str | None:
        return next((wrong for part in split_list(value) if (wrong := check(part))), None)

    return check_list


def _ipv4(value: str) -> str | None:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return "value does not look like a valid IPv4 address"
    return None


def _ipv6(value: str) -> str | None:
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return "value does not look like a valid IPv6 address"
    return None


def _ip(value: str) -> str | None:
    return "value does not look like a valid IP address" if _ipv4(value) and _ipv6(value) else None


def _nameserver(value: str) -> str | None:
    address, percent, _zone = value.partition("%")
    return _ip(address) if not percent else ("value does not look like a valid IP address" if _ipv6(address) else None)


def _network(value: str, version: int, words: tuple[str, ...]) -> str | None:
    wrong = f"value does not look like a valid ipv{version} network configuration"
    if value in words:
        return None
    address, slash, bits = value.partition("/")
    bad = _ipv4(address) if version == 4 else _ipv6(address)
    if bad or not slash or not bits.isdigit() or not 8 <= int(bits) <= (32 if version == 4 else 128):
        return wrong
    return None


def _vmid(value: str) -> str | None:
    return None if re.fullmatch(r"[1-9][0-9]{2,8}", value) else "value does not look like a valid VM ID"


def _timezone(value: str) -> str | None:
    known = value == "host" or (re.fullmatch(r"[\w+\-/]+", value) and (_ZONES / value).is_file())
    return None if known else f"invalid time zone '{value}'"


def _startup(value: str) -> str | None:
    good = all(_STARTUP.fullmatch(part) for part in value.split(","))
    return None if good else "unable to parse startup options"


def _mount_path(value: str) -> str | None:
    if re.search(r"(?:^|/)\.\.?(?:/|$)", value):
        return f"{value} contains illegal character sequences"
    return None


def _device(value: str) -> str | None:
    return None if value.startswith("/dev/") else f"{value} is not a valid device path"


def _content(value: str) -> str | None:
    return None if value in CONTENT_TYPES else f"invalid content type '{value}'"


def _tag(value: str) -> str | None:
    return None if _TAG.fullmatch(value) else "invalid characters in tag"


_DNS = _matches(_DNS_NAME, "value does not look like a valid DNS name")
_USER = _matches(_USER_ID, "value 'VALUE' does not look like a valid user name")
_STORAGE = _matches(_STORAGE_ID, "storage ID 'VALUE' contains illegal characters")
_CONFIG = _matches(_CONFIG_ID, "invalid configuration ID 'VALUE'")
_ROLE = _matches(re.compile(r"[A-Za-z0-9.\-_]+"), "role name 'VALUE' contains invalid characters")
_GROUP = _matches(re.compile(r"[A-Za-z0-9.\-_]+"), "group name 'VALUE' contains invalid characters")
_TOKEN = _matches(
    re.compile(_USER_ID.pattern + r"![A-Za-z][A-Za-z0-9.\-_]+"), "value 'VALUE' does not look like a valid token ID"
)

FORMATS: dict[str, Check] = {
    "dns-name": _DNS,
    "dns-name-list": _each(_DNS),
    "disk-size": _matches(re.compile(r"\d+(?:\.\d+)?[KMGT]?"), "value does not look like a valid disk size: VALUE"),
    "email-opt": _matches(re.compile(r"(?:[^\s@]+@[^\s@]+)?"), "value does not look like a valid email address"),
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "lxc-ip-with-ll-iface-list": _each(_nameserver),
    "mac-addr": _matches(_MAC, "value does not look like a valid unicast MAC address"),
    "pve-configid": _CONFIG,
    "pve-configid-list": _each(_matches(re.compile(r"[a-zA-Z][\w\-.]*"), "invalid configuration ID 'VALUE'")),
    "pve-ct-timezone": _timezone,
    "pve-groupid-list": _each(_GROUP),
    "pve-iface": _matches(
        re.compile(r"[a-zA-Z][a-zA-Z0-9_.]{1,20}(?::\d+)?"), "invalid network interface name 'VALUE'"
    ),
    "pve-ipv4-config": lambda value: _network(value, 4, ("dhcp", "manual")),
    "pve-ipv6-config": lambda value: _network(value, 6, ("auto", "dhcp", "manual")),
    "pve-lxc-dev-string": _device,
    "pve-lxc-mp-string": _mount_path,
    # A node's name must be found by the proxy before it is checked as a parameter, so a bad one never gets here.
    "pve-node": lambda value: None,
    "pve-poolid": _matches(_POOL_ID, "pool name 'VALUE' contains invalid characters"),
    "pve-priv-list": _each(lambda value: None if value in ALL else f"invalid privilege '{value}'"),
    "pve-realm": _matches(re.compile(r"[A-Za-z][A-Za-z0-9.\-_]+"), "value does not look like a valid realm"),
    "pve-roleid": _ROLE,
    "pve-roleid-list": _each(_ROLE),
    "pve-startup-order": _startup,
    "pve-storage-content": _content,
    "pve-storage-content-list": _each(_content),
    "pve-storage-id": _STORAGE,
    "pve-storage-id-list": _each(_STORAGE),
    "pve-tag-list": _each(_tag),
    "pve-task-status-type-list": _each(
        _matches(re.compile(r"ok|error|warning|unknown"), "invalid status 'VALUE'"),
    ),
    "pve-tokenid-list": _each(_TOKEN),
    "pve-userid": _USER,
    "pve-userid-list": _each(_USER),
    "pve-vmid": _vmid,
    "pve-vmid-list": _each(_vmid),
    "pve-volume-id": _matches(_VOLUME_ID, "unable to parse volume ID 'VALUE'"),
}
