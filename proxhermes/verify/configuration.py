"""Does Hermes itself read what was declared for config.yaml, every key of it?

The agent has a say in all that its probe (host_scripts/config-probe.py) answers: only the expected form is accepted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from proxhermes.hermes import config, masks, settings, wanted
from proxhermes.hermes.merge import Path, leaves
from proxhermes.plan.config import shown, value_shown
from proxhermes.plan.model import Layer
from proxhermes.transport.scripts import script
from proxhermes.verify.model import Check, Finding, failed, passed, warned

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent
    from proxhermes.transport.pct import Bundle
    from proxhermes.verify.scene import Scene

ID: Final = "hermes.config"
Key = tuple[Path, Any]
"""A key of config.yaml, with the value that was declared for it."""
How = Literal["managed", "own", "absent", "differs"]
_HOW: Final = ("managed", "own", "absent", "differs")
_LONGEST: Final = 200
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Other:
    """A declared key that Hermes does not read as declared. how: `managed`, an administrator's file has another value;
    `own`, it is in the file, and Hermes takes it as another key. text: what it reads, as JSON; empty if not told.
    """

    index: int
    how: How
    text: str


@dataclass(frozen=True, slots=True)
class Read:
    """What Hermes reads. line: of a config.yaml that it cannot read, or 0; more: others that are not told."""

    line: int | None
    same: int
    others: tuple[Other, ...]
    more: int


def declared(agent: Agent) -> tuple[Key, ...]:
    """Every key that the inventory has for config.yaml, with its value. Raises UsageError and UnusableFile."""
    text = wanted.config_text(agent)
    tree: Mapping[str, Any] = settings.declared(agent)
    if text is not None:
        tree = config.parse(text, str(agent.hermes.config_file))
    # A whole file's version is raised to the installed Hermes' own.
    return tuple((path, value) for path, value in leaves(tree) if value != {} and path != (settings.VERSION,))


def bundle(keys: tuple[Key, ...]) -> Bundle:
    """What guest-verify.sh needs for this check. The agent is told no value, but digests to compare with."""
    told = [[[_told(part) for part in path], digest(value), _may_be_told(path, value)] for path, value in keys]
    files = {"config-probe.py": script("config-probe.py"), "config.declared": json.dumps(told).encode()}
    return {name: (content, 0o600) for name, content in files.items()}


def digest(value: Any) -> str:
    """A hash of the value, as the probe makes it."""
    return hashlib.sha256(json.dumps(_told(value)).encode()).hexdigest()


def parse(text: str, count: int) -> Read | None:
    """The probe's answer about `count` keys; None for anything that does not have its form."""
    try:
        told = json.loads(text)
        found = Read(
            told["line"],
            told["same"],
            tuple(Other(index, how, said) for index, how, said in told["others"]),
            told["more"],
        )
    except (ValueError, TypeError, KeyError):
        return None
    numbers = (found.same, found.more, *(other.index for other in found.others))
    plain = all(type(number) is int and 0 <= number <= count for number in numbers)
    whole = plain and (found.line is not None or found.same + len(found.others) + found.more == count)
    known = all(
        other.how in _HOW and isinstance(other.text, str) and len(other.text) <= _LONGEST and other.index < count
        for other in found.others
    )
    return found if whole and known and (found.line is None or _is_line(found.line)) else None


def _is_line(value: object) -> bool:
    return type(value) is int and 0 <= value < 10**7


def _told(value: Any) -> list[Any]:
    """The value with its types, as JSON has it."""
    if isinstance(value, Mapping):
        return ["map", sorted(([_told(key), _told(item)] for key, item in value.items()), key=json.dumps)]
    if isinstance(value, (list, tuple)):
        return ["list", [_told(item) for item in value]]
    return [type(value).__name__, str(value)]


def _may_be_told(path: Path, value: Any) -> bool:
    return not any(masks.hides(str(part)) for part in path) and masks.masked(value, *path) == value


def _config(scene: Scene) -> Finding:
    keys, answer = scene.declared, scene.guest.answer("config")
    read = parse(answer.out, len(keys)) if answer.ok else None
    if read is None:
        return failed(f"Hermes could not be asked what it reads: {masks.in_text(answer.last_words)}")
    if read.line is not None:
        where = f", line {read.line}" if read.line else ""
        return failed(
            f"Hermes cannot read its config.yaml{where}, and goes on with other settings",
            f"repair the file, or move it away; then proxhermes bootstrap {scene.agent.vmid}",
        )
    wrong = [_other(keys[other.index], other) for other in read.others if other.how in ("absent", "differs")]
    if wrong:
        more = f"; and {len(wrong) + read.more - _SHOWN} more" if len(wrong) + read.more > _SHOWN else ""
        return failed("; ".join(wrong[:_SHOWN]) + more, f"proxhermes bootstrap {scene.agent.vmid}")
    if managed := [shown(keys[other.index][0]) for other in read.others if other.how == "managed"]:
        return warned(f"an administrator's file in the agent's place says otherwise: {', '.join(managed)}")
    own = [shown(keys[other.index][0]) for other in read.others]
    moved = f"; {', '.join(own)}: Hermes takes it as another key of its own" if own else ""
    return passed(f"{len(keys)} declared keys read as declared{moved}")


def _other(key: Key, other: Other) -> str:
    path, value = key
    found = masks.masked(other.text, *path) or ("nothing" if other.how == "absent" else "another value")
    return f"{shown(path)}: Hermes reads {found}, declared is {value_shown(value, path)}"


CHECKS: Final = (Check(ID, Layer.HERMES, "Does Hermes read the configuration that we wrote?", _config),)
