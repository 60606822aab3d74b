"""A container's configuration in Proxmox' own text format (`/etc/pve/lxc/ID.conf`).

Comment lines on top are the description, `key: value` lines follow, raw `lxc.*` lines come last, and changes that wait
for the next start stand under `[pve:pending]`. The digest is the SHA-1 of the file as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote

from proxhermes.lab.pve.options import CONFIG
from proxhermes.lab.pve.schema import find

_LINE = re.compile(r"([a-z][a-z_-]*\d*):\s*(.+?)\s*")
_RAW = re.compile(r"(lxc\.[a-z0-9_\-.]+)(?::|\s*=)\s*(.*?)\s*")
PENDING = "[pve:pending]"


@dataclass(frozen=True, slots=True)
class Config:
    """The parsed file. Values are text as written; `typed` gives them their JSON types."""

    options: Mapping[str, str] = field(default_factory=dict)
    pending: Mapping[str, str] = field(default_factory=dict)
    pending_delete: tuple[str, ...] = ()
    raw: tuple[tuple[str, str], ...] = ()
    snapshots: str = ""
    digest: str = ""

    def get(self, name: str) -> str | None:
        """An option's value as it runs now."""
        return self.options.get(name)

    def with_pending(self) -> dict[str, str]:
        """What holds once pending changes are applied: changes first, then deletions."""
        merged = {**self.options, **self.pending}
        return {name: value for name, value in merged.items() if name not in self.pending_delete}

    def changed(self, options: Mapping[str, str], **others: Any) -> Config:
        """A copy with other options."""
        return replace(self, options=dict(options), **others)

    def without(self, name: str) -> Config:
        """A copy without an option."""
        return self.changed({other: value for other, value in self.options.items() if other != name})


def typed(name: str, value: str) -> int | str:
    """An option's value with its JSON type: whole numbers and booleans are numbers, all else is text."""
    spec = find(CONFIG, name)
    return int(value) if spec and spec.kind in ("integer", "boolean") and value.strip().isdigit() else value


def parse(text: str) -> Config:
    """The configuration that a file's text holds; lines that mean nothing are passed over, as Proxmox does."""
    options: dict[str, str] = {}
    pending: dict[str, str] = {}
    deleted: tuple[str, ...] = ()
    raw: list[tuple[str, str]] = []
    snapshots: list[str] = []
    comments: dict[str, list[str]] = {"": [], PENDING: []}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip()
        if section not in ("", PENDING):
            snapshots.append(line)
        elif line.startswith("#"):
            comments[section].append(_decode(line[1:]))
        elif found := _RAW.fullmatch(line):
            raw.append((found[1], found[2]))
        elif found := _LINE.fullmatch(line):
            if section and found[1] == "delete":
                deleted = tuple(name.lstrip("!") for name in re.split(r"[,\s]+", found[2]) if name)
            else:
                (pending if section else options)[found[1]] = found[2]
    for where, lines in ((options, comments[""]), (pending, comments[PENDING])):
        if lines:
            where["description"] = "\n".join(lines) + "\n"
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Config(options, pending, deleted, tuple(raw), "\n".join(snapshots), digest)


def render(config: Config) -> str:
    """The text of the file."""
    parts = [_section(config.options), "".join(f"{key}: {value}\n" for key, value in config.raw)]
    if config.pending or config.pending_delete:
        waiting = _section(config.pending)
        if config.pending_delete:
            waiting += f"delete: {','.join(config.pending_delete)}\n"
        parts.append(f"\n{PENDING}\n{waiting}")
    if config.snapshots:
        parts.append("\n" + config.snapshots + "\n")
    return "".join(parts)


def _section(options: Mapping[str, str]) -> str:
    description = options.get("description", "")
    lines = description.rstrip("\n").split("\n") if description.strip("\n") else []
    text = "".join(f"#{encode_text(line)}\n" for line in lines)
    return text + "".join(f"{name}: {options[name]}\n" for name in sorted(options) if name != "description")


def encode_text(text: str) -> str:
    """Text as a line of the file, and as `pct config` shows descriptions: control characters, `:`, `%` and everything
    beyond ASCII are percent-encoded (PVE: Tools.pm encode_text).
    """
    return quote(text, safe="".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in "%:"))


def _decode(line: str) -> str:
    return unquote(line)
