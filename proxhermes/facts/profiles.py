"""What the guest tells of the homes of Hermes' profiles, as facts like those of the agent's own home.

The guest knows a profile's files by names below the agent's home (`home:profiles/work/SOUL.md`), and their contents by
the names of the agent's with `@work` behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from proxhermes.facts.guest import GuestFacts
from proxhermes.facts.tree import Seen
from proxhermes.hermes import labels
from proxhermes.hermes.layout import PROFILES

_BELOW: Final = f"{labels.HOME}{PROFILES}/"
_FOLDERS: Final = ((labels.USER_HOME, "home"), (labels.WORKSPACE, "workspace"))
"""Folders of a profile's home that have names of their own (see `layout.of`)."""


def outward(name: str, found: Iterable[str]) -> tuple[str, ...]:
    """The names that the guest has for what is so called in the profile `name`."""
    return tuple(_outward(f"{_BELOW}{name}", label) for label in found)


def _outward(home: str, label: str) -> str:
    for sign, folder in _FOLDERS:
        if label.startswith(sign):
            return f"{home}/{folder}/{label.removeprefix(sign)}".rstrip("/")
    return f"{home}/{label.removeprefix(labels.HOME)}".rstrip("/") if label.startswith(labels.HOME) else label


def _inward(home: str, label: str) -> str | None:
    """The inverse; None for what is not of this profile. An absolute path is what it is for all of them."""
    if label.startswith("/"):
        return label
    if label == home:
        return labels.HOME
    if not label.startswith(f"{home}/"):
        return None
    rest = label.removeprefix(f"{home}/")
    for sign, folder in _FOLDERS:
        if f"{rest}/".startswith(f"{folder}/"):
            return sign + rest[len(folder) + 1 :]
    return labels.HOME + rest


def of_profile(facts: GuestFacts, name: str) -> GuestFacts:
    """The facts as the profile `name` has them: its files by the names that an agent's own have."""
    suffix = f"@{name}"
    files = {key.removesuffix(suffix): file for key, file in facts.files.items() if key.endswith(suffix)}
    return replace(facts, files=files, tree=tree_of(facts.tree, name), skills={})


def tree_of(tree: Mapping[str, Seen], name: str) -> dict[str, Seen]:
    """Of what the guest has, what is in the home of the profile `name`, by the names that an agent's own files have."""
    home = f"{_BELOW}{name}"
    return {inner: seen for label, seen in tree.items() if (inner := _inward(home, label)) is not None}


def of_agent(facts: GuestFacts) -> GuestFacts:
    """The facts without those of its profiles."""
    return replace(facts, tree={label: seen for label, seen in facts.tree.items() if not label.startswith(_BELOW)})
