"""The container's notes, and whose container it is. Pure.

There is no state file: a container that proxhermes made says so itself, by the tag `proxhermes` and by a block in its
notes that names its own VMID (a clone carries both, and is not ours). Only the block is ours; text around it is kept.
Notes can be read by anyone with VM.Audit, so no secret stands in them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from proxhermes import __version__
from proxhermes.facts.container import ContainerFacts
from proxhermes.facts.properties import tag_set
from proxhermes.inventory.models import Agent

TAG: Final = "proxhermes"

_BLOCK: Final = re.compile(
    r"<!-- proxhermes agent (?P<vmid>\d+)(?P<creating> creating)? -->\n(?P<text>.*?)<!-- /proxhermes -->", re.DOTALL
)
_MOUNT: Final = re.compile(r"^- `(?P<host>/[^`]*)` on the node is `(?P<guest>/[^`]*)`$", re.MULTILINE)
_HEADING: Final = re.compile(
    r"(^### Hermes Agent [^\n]*\n)(?:Hermes (?P<version>[0-9][0-9A-Za-z.+]{0,39})\n)?", re.MULTILINE
)
_SPEC: Final = re.compile(r"proxhermes (?P<version>\S+) \(specification (?P<spec>[0-9a-f]+)\)")


class Ownership(StrEnum):
    """Whose container it is. UNFINISHED: ours, from a create that was cut off before it had its tag."""

    ABSENT = "absent"
    OURS = "ours"
    UNFINISHED = "unfinished"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Block:
    """Our block as it is in a container's notes. mounts: host folder and guest path, as they were written.

    hermes: the agent's version when it was last set up, if it was known.
    """

    vmid: int
    creating: bool
    version: str | None
    spec: str | None
    mounts: tuple[tuple[str, str], ...]
    hermes: str | None = None


def spec_hash(agent: Agent) -> str:
    """A fingerprint of everything that the inventory says of the agent; of secrets only where they are kept."""
    said = json.dumps(agent.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def mark(vmid: int, *, creating: bool = False) -> str:
    """First and last line of our block."""
    return f"<!-- proxhermes agent {vmid}{' creating' if creating else ''} -->\n<!-- /proxhermes -->"


def render(agent: Agent, *, creating: bool = False, hermes: str | None = None) -> str:
    """Our block for `agent`. creating: until the container has its tag. hermes: the version that it has, if known."""
    begin, end = mark(agent.vmid, creating=creating).splitlines()
    lines = [begin, f"### Hermes Agent {agent.hostname}", *([f"Hermes {hermes}"] if hermes else ()), ""]
    if agent.mounts:
        lines += [f"- `{mount.host}` on the node is `{mount.guest}`" for mount in agent.mounts]
        lines += [
            "",
            "These folders are **not in backups or snapshots** of this container: back them up themselves.",
            "",
        ]
    managed = f"Managed by proxhermes {__version__} (specification {spec_hash(agent)})."
    lines += [f"{managed} This block is rewritten; text outside of it is kept.", end]
    return "\n".join(lines) + "\n"


def merge(notes: str, block: str) -> str:
    """`notes` with our block replaced by `block`, or with it at the end if there was none."""
    found = list(_BLOCK.finditer(notes))
    if not found:
        before = notes.rstrip()
        return f"{before}\n\n{block}" if before else block
    first = found[0]
    return notes[: first.start()] + block.rstrip("\n") + _BLOCK.sub("", notes[first.end() :])


def naming(notes: str, hermes: str) -> str:
    """`notes` with the version of Hermes in our block, and nothing else changed: the rest says what was done last."""
    block = _BLOCK.search(notes)
    if block is None:
        return notes
    named = _HEADING.sub(lambda heading: f"{heading[1]}Hermes {hermes}\n", block[0], count=1)
    return notes[: block.start()] + named + notes[block.end() :]


def same(one: str, other: str) -> bool:
    """Whether Proxmox would store both alike: it ends every note with one newline."""
    return one.rstrip("\n") == other.rstrip("\n")


def read(notes: str) -> Block | None:
    """Our block in `notes`, None if there is none."""
    match = _BLOCK.search(notes)
    if match is None:
        return None
    spec, heading = _SPEC.search(match["text"]), _HEADING.search(match["text"])
    return Block(
        vmid=int(match["vmid"]),
        creating=match["creating"] is not None,
        version=spec["version"] if spec else None,
        spec=spec["spec"] if spec else None,
        mounts=tuple((each["host"], each["guest"]) for each in _MOUNT.finditer(match["text"])),
        hermes=heading["version"] if heading else None,
    )


def ownership(facts: ContainerFacts) -> Ownership:
    """Whose container it is. A VMID that something else holds is foreign, too."""
    if not facts.exists:
        return Ownership.FOREIGN if facts.held_by else Ownership.ABSENT
    block = read(facts.config.get("description", ""))
    if block is None or block.vmid != facts.vmid:
        return Ownership.FOREIGN
    if TAG in tag_set(facts.config.get("tags", "")):
        return Ownership.OURS
    return Ownership.UNFINISHED if block.creating else Ownership.FOREIGN


def why_foreign(facts: ContainerFacts) -> str:
    """What is missing for a container to be ours, as a sentence."""
    if not facts.exists:
        return f"VMID {facts.vmid} belongs to {facts.held_by}"
    block = read(facts.config.get("description", ""))
    if block is None:
        return f"CT {facts.vmid} ({facts.config.get('hostname', 'no name')}) was not made by proxhermes"
    if block.vmid != facts.vmid:
        return f"CT {facts.vmid} is a copy of agent {block.vmid}: its notes name that one"
    return f"CT {facts.vmid} has the notes of an agent but not the tag {TAG!r}"
