"""The recorded command lines of a real node, and how two answers are compared.

Only what differs from run to run or from machine to machine is made equal, by the rules here and by nothing else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[3] / "data/pve-cli-recordings.json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left: exit code and both streams."""

    rc: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded command; `number` counts through the whole file from 1."""

    number: int
    scenario: str
    argv: tuple[str, ...]
    answer: Answer
    stdin: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def line(self) -> str:
        """How the step is shown."""
        return f"#{self.number} {' '.join(self.argv)[:100]}" + (f" ({self.note})" if self.note else "")


def load() -> list[Step]:
    """All steps in order."""
    steps: list[Step] = []
    for scenario in json.loads(FILE.read_text())["scenarios"]:
        for raw in scenario["steps"]:
            answer = Answer(raw["rc"], raw["stdout"], raw["stderr"])
            rest = (raw.get("stdin"), raw.get("env") or {}, raw.get("note", ""))
            steps.append(Step(len(steps) + 1, scenario["name"], tuple(raw["argv"]), answer, *rest))
    return steps


@dataclass(slots=True)
class Hardware:
    """Random hardware addresses by order of appearance: the same one must come back wherever it did."""

    seen: dict[str, str] = field(default_factory=dict)

    def number(self, text: str) -> str:
        """Every generated address replaced by its number."""
        return re.sub(r"(?i)\bBC:24:11(?::[0-9A-F]{2}){3}", lambda found: self._name(found[0].upper()), text)

    def _name(self, address: str) -> str:
        return self.seen.setdefault(address, f"<hwaddr {len(self.seen) + 1}>")


Rule = tuple[str, str]

# What the recording machine's own programs print, and values that are new on every run.
COMMON: list[Rule] = [
    (r"UPID:vm:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:(\w+):(\w*):([^:\s]+):", r"<UPID:\1:\2:\3>"),
    (r"\b[0-9a-f]{40}\b", "<digest>"),
    (r"Filesystem UUID: \S+", "Filesystem UUID: <uuid>"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<secret>"),
    (r"fe80::be24:11ff:fe[0-9a-f]{2}:[0-9a-f]{1,4}", "fe80::<made of the hardware address>"),
    (r"SHA256:\S+", "SHA256:<fingerprint>"),
    (r"Total bytes read: .*", "Total bytes read: <n>"),
    (r"ssh_host_(rsa|ecdsa|ed25519)_key", "ssh_host_<kind>_key"),
    (r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d ", "<date> "),
    (r"(?m)^lxc-attach: .*\n", ""),  # LXC's own lines
    (r"(?m)^Use of uninitialized value .*\n", ""),  # Perl's own warnings about Proxmox' code
]


def plain(text: str, rules: list[Rule]) -> str:
    """The text with every rule applied, in order."""
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


def as_json(text: str) -> Any:
    """JSON with lists in one order (Perl's hashes have none) and the times and process ids of the run taken out."""
    try:
        return _ordered(json.loads(text))
    except json.JSONDecodeError:
        return text


def _ordered(data: Any) -> Any:
    volatile = {"pid": "<pid>", "pstart": "<pstart>", "ctime": "<timestamp>"}
    volatile |= dict.fromkeys(("starttime", "endtime"), "<timestamp>")
    if isinstance(data, dict):
        return {key: volatile.get(key, _ordered(value)) for key, value in data.items()}
    if isinstance(data, list):
        return sorted((_ordered(item) for item in data), key=lambda item: json.dumps(item, sort_keys=True))
    return data


def keys_only(data: Any) -> Any:
    """The shape of an answer whose figures are the machine's."""
    if isinstance(data, dict):
        return {key: keys_only(value) for key, value in data.items()}
    if isinstance(data, list):
        return [keys_only(item) for item in data]
    return type(data).__name__ if not isinstance(data, int | float) else "number"


def lines_in_any_order(text: str) -> str:
    """For what Perl prints in the order of a hash."""
    return "".join(sorted(text.splitlines(keepends=True)))
