"""What a plan for the agent's files consists of, and what all of its parts look at. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxhermes.hermes import labels, layout, modes
from proxhermes.hermes.files import UnusableFile
from proxhermes.plan.entries import ABSENT, Entry, sha256
from proxhermes.plan.model import Change

if TYPE_CHECKING:
    from proxhermes.facts.guest import GuestFacts
    from proxhermes.inventory.models import Agent


@dataclass(frozen=True, slots=True)
class FilesPlan:
    """What is to be done, in this order, and what the operator should know besides.

    settings: those of the changes that are of config.yaml and .env.
    """

    changes: tuple[Change, ...] = ()
    entries: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()
    settings: tuple[Change, ...] = ()


def memory(facts: GuestFacts, name: str) -> str:
    """What is remembered under `name`; empty where nothing is, or nothing that can be read."""
    return (facts.content(f"last-{name}") or b"").decode("utf-8", "replace")


def content_of(facts: GuestFacts, name: str, shown: str) -> bytes | None:
    """The content of a file; None if it is not there. Raises UnusableFile for what is no file that can be read."""
    file = facts.files.get(name)
    if file is not None and file.content is None:
        raise UnusableFile(shown, f"this is a {file.kind}, not a plain file of the agent's")
    return file.content if file else None


def written(agent: Agent, label: str, content: bytes, before: bytes | None) -> Entry:
    mode = next((rule.mode for rule in modes.table(agent) if rule.label == label), modes.FILE)
    expected = ABSENT if before is None else sha256(before)
    return Entry(labels.path(layout.of(agent), label), "file", mode, "agent", content, expected)
