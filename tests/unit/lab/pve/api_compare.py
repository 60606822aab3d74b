"""Making a recorded and a given answer comparable: what changes from call to call is written the same in both."""

from __future__ import annotations

import json
import re
from typing import Any

_UPID = re.compile(r"UPID:vm:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:([^:]*):([^:]*):([^:]*):")
_REPLACED = (
    (_UPID, r"<UPID:\1:\2:\3>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<digest>"),
    (re.compile(r"\bBC:24:11(?::[0-9A-F]{2}){3}\b", re.IGNORECASE), "<mac>"),
    (re.compile(r"\bfe80::[0-9a-f:]+"), "<link-local>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "<datetime>"),
    (re.compile(r"tmp_dwnl\.\d+"), "tmp_dwnl.<number>"),
    (re.compile(r"\([0-9.]+ [KMG]B/s\)"), "(<rate>)"),
    (re.compile(r"(\d+%)\s+[0-9.]+[KMG]=.*"), r"\1 <rate>"),
    (re.compile(r" {20,}"), " <dots> "),
    (re.compile(r"SHA256:\S+"), "SHA256:<fingerprint>"),
    (re.compile(r"(Filesystem UUID: )\S+"), r"\1<uuid>"),
    (re.compile(r"\d+MiB/s"), "<rate>"),
    # Perl makes the host keys in random order.
    (re.compile(r"ssh_host_\w+_key"), "ssh_host_<kind>_key"),
)
NUMBERS = {"pid": "<pid>", "pstart": "<pstart>", "starttime": "<timestamp>", "endtime": "<timestamp>"}
NUMBERS |= {"ctime": "<timestamp>"}
VOLATILE = {
    *("cpu", "mem", "disk", "maxdisk", "netin", "netout", "uptime", "loadavg", "used", "avail", "used_fraction"),
    *("free", "time", "localtime", "ssl_fingerprint", "total", "kversion", "current-kernel", "cpuinfo", "cgroup-mode"),
}
"""Keys whose value is that of the recording machine, or of the moment; that they are there is compared."""
UNORDERED = {"content", "privs"}
# Lines of programs beneath Proxmox: file system tools, LXC, mount.
_NOT_PROXMOX = re.compile(
    r"e2fsck |Pass \d|/var/lib/vz/images/\S+: \d+/\d+ files|resize2fs[ :]|Resizing the filesystem|The filesystem on "
    r"|Filesystem at |old_desc_blocks|Failed to update the container's filesystem|run_buffer|lxc_init|__lxc_start|$"
)


def comparable(value: Any, key: str = "") -> Any:
    """The value with everything replaced that may differ; lists of objects in a fixed order."""
    if isinstance(value, dict):
        return {name: _entry(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted((comparable(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, str):
        return _text(value, key)
    return value


def _entry(name: str, value: Any) -> Any:
    if name in NUMBERS and isinstance(value, int | str):
        return NUMBERS[name]
    if name in VOLATILE:
        return f"<{name}>"
    if name in ("ticket", "CSRFPreventionToken") or (name == "value" and _is_secret(value)):
        return "<secret>"
    # A node's memory is the machine's, a container's is its configuration's.
    if name == "maxmem" and isinstance(value, int) and value > 2**33:
        return "<maxmem>"
    return comparable(value, name)


def _is_secret(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"<secret>|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", value))


def _text(value: str, key: str) -> str:
    if key in UNORDERED:
        return ",".join(sorted(value.split(",")))
    for pattern, replacement in _REPLACED:
        value = pattern.sub(replacement, value)
    return value


def own_lines(lines: list[str]) -> list[str]:
    """The lines of a task's log that are Proxmox' own, in their order."""
    return [_text(line, "") for line in lines if not _NOT_PROXMOX.match(line)]


def exit_status(text: str) -> str:
    """How a task ended."""
    return _text(text, "")
