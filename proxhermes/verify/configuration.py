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
from proxhermes.inventory import profiles
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
How = Literal["managed", "own", "ignored", "absent", "differs"]
_HOW: Final = ("managed", "own", "ignored", "absent", "differs")
_LONGEST: Final = 200
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Other:
    """A declared key that Hermes does not read as declared. text: what it reads, as JSON; empty if not told.

    how: `managed`, an administrator's file has another value; `own`, the file has it, and Hermes takes it as another
    key; `ignored`, the file has it, and Hermes drops or replaces it; `absent` and `differs`, of the file itself.
    """

    index: int
    how: How
    text: str


@dataclass(frozen=True, slots=True)
class Read:
    """What Hermes reads in one home. line: of a file that it cannot read, or 0; more: others that are not told."""

    line: int | None
    same: int
    others: tuple[Other, ...]
    more: int


def declared(agent: Agent) -> dict[str, tuple[Key, ...]]:
    """Every key that the inventory has for config.yaml, by the profiles' names; the agent's own by an empty one.

    Raises UsageError and UnusableFile.
    """
    return {home.profile: _declared(home) for home in (agent, *profiles.of(agent))}


def _declared(agent: Agent) -> tuple[Key, ...]:
    text = wanted.config_text(agent)
    tree: Mapping[str, Any] = settings.declared(agent)
    if text is not None:
        tree = config.parse(text, str(agent.hermes.config_file))
    # A whole file's version is raised to the installed Hermes' own.
    return tuple((path, value) for path, value in leaves(tree) if value != {} and path != (settings.VERSION,))


def bundle(homes: Mapping[str, tuple[Key, ...]]) -> Bundle:
    """What guest-verify.sh needs for this check. The agent is told no value, but digests to compare with."""
    told = {
        name: [[[_told(part) for part in path], digest(value), _may_be_told(path, value)] for path, value in keys]
        for name, keys in homes.items()
    }
    files = {"config-probe.py": script("config-probe.py"), "config.declared": json.dumps(told).encode()}
    return {name: (content, 0o600) for name, content in files.items()}


def digest(value: Any) -> str:
    """A hash of the value, as the probe makes it."""
    return hashlib.sha256(json.dumps(_told(value)).encode()).hexdigest()


def parse(text: str, homes: Mapping[str, tuple[Key, ...]]) -> dict[str, Read] | None:
    """The probe's answer, by the profiles' names; None for anything that does not have its form."""
    try:
        told = json.loads(text)
        return {name: _read(told[name], len(keys)) for name, keys in homes.items()}
    except (ValueError, TypeError, KeyError):
        return None


def _read(told: Any, count: int) -> Read:
    others = tuple(Other(index, how, said) for index, how, said in told["others"])
    found = Read(told["line"], told["same"], others, told["more"])
    numbers = (found.same, found.more, *(other.index for other in found.others))
    plain = all(type(number) is int and 0 <= number <= count for number in numbers)
    known = all(
        other.how in _HOW and isinstance(other.text, str) and len(other.text) <= _LONGEST and other.index < count
        for other in found.others
    )
    whole = found.line is None or _is_line(found.line)
    if not (plain and known and whole) or (found.line is None and found.same + len(found.others) + found.more != count):
        raise ValueError
    return found


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
    homes, answer = scene.declared, scene.guest.answer("config")
    read = parse(answer.out, homes) if answer.ok else None
    if read is None:
        return failed(f"Hermes could not be asked what it reads: {masks.in_text(answer.last_words)}")
    broken = [_named(name, _file(found.line)) for name, found in read.items() if found.line is not None]
    if broken:
        return failed(
            f"Hermes cannot read {', '.join(broken)}, and goes on with other settings",
            f"repair the file, or move it away; then proxhermes bootstrap {scene.agent.vmid}",
        )
    others = [(name, homes[name][other.index], other) for name, found in read.items() for other in found.others]
    wrong = [_named(name, _other(key, other)) for name, key, other in others if other.how in ("absent", "differs")]
    if wrong:
        count = len(wrong) + sum(found.more for found in read.values()) - _SHOWN
        more = f"; and {count} more" if count > 0 else ""
        return failed("; ".join(wrong[:_SHOWN]) + more, f"proxhermes bootstrap {scene.agent.vmid}")
    managed, ignored, own = (
        [_named(name, shown(key[0])) for name, key, other in others if other.how == how]
        for how in ("managed", "ignored", "own")
    )
    doubts = [f"an administrator's file in the agent's place says otherwise: {', '.join(managed)}"] if managed else []
    doubts += [f"Hermes does not read as declared, though the file has it: {', '.join(ignored)}"] if ignored else []
    if doubts:
        return warned("; ".join(doubts))
    moved = f"; {', '.join(own)}: Hermes takes it as another key of its own" if own else ""
    return passed(f"{sum(map(len, homes.values()))} declared keys read as declared{moved}")


def _named(profile: str, text: str) -> str:
    """A text with the profile's name before it."""
    return f"{profile}: {text}" if profile else text


def _file(line: int) -> str:
    return f"{config.NAME}, line {line}" if line else config.NAME


def _other(key: Key, other: Other) -> str:
    path, value = key
    found = masks.masked(other.text, *path) or ("nothing" if other.how == "absent" else "another value")
    return f"{shown(path)}: Hermes reads {found}, declared is {value_shown(value, path)}"


CHECKS: Final = (Check(ID, Layer.HERMES, "Does Hermes read the configuration that we wrote?", _config),)
