"""What Hermes' own migration made of config.yaml when it started, and the copies that it leaves beside it. Pure.

The image brings a file of an older version up to date at each start, and first copies it and .env to NAME.bak-STAMP
(0.22: hermes_cli/post_update.py). It rewrites values that equal old defaults, whoever wrote them. A file that it is
going to bring up to date is remembered first: what became of it is told, even if this run does not get to see that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from proxhermes import upstream
from proxhermes.hermes import config, labels, layout, modes, settings
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import ABSENT, Difference, leaves, lookup, same
from proxhermes.plan.config import LABEL, shown, values
from proxhermes.plan.entries import Entry, sha256
from proxhermes.plan.files_model import FilesPlan
from proxhermes.plan.hermes_model import change

if TYPE_CHECKING:
    from proxhermes.facts.guest import GuestFacts
    from proxhermes.facts.tree import Seen
    from proxhermes.inventory.models import Agent
    from proxhermes.plan.model import Change

KEPT: Final = 5
"""So many copies are kept, the newest ones of each file."""
_SHOWN: Final = 30
_COPY: Final = re.compile(r"home:(config\.yaml|\.env)\.bak-([0-9]{8}T[0-9]{6}Z)(?:\.([0-9]{1,3}))?")
"""A copy by the name that Hermes gives it; one that a user named himself (`config.yaml.bak-mine`) is left alone."""


@dataclass(frozen=True, slots=True)
class Texts:
    """config.yaml of one home: its text as it was found, and as the plan leaves it.

    declared: what the inventory has for it. tree: the files of that home, as they were found. changes: what the plan
    changes in config.yaml and .env. given: the text that the gateway was started with before, where what became of that
    has not been told; kept: the file that remembers it, with the hash that it has.
    """

    found: str = ""
    left: str = ""
    declared: Mapping[str, Any] = field(default_factory=dict, repr=False)
    tree: Mapping[str, Seen] = field(default_factory=dict, repr=False)
    changes: tuple[Change, ...] = ()
    given: str = ""
    kept: tuple[str, str] = ("", "")

    @property
    def told(self) -> tuple[str, ...]:
        """What Hermes made of what it was given."""
        return told(self.given, self.found, self.declared, self.tree)


def texts(agent: Agent, facts: GuestFacts, files: FilesPlan, declared: Mapping[str, Any]) -> Texts:
    """The same of an agent, or of a profile with its own facts. files: what the plan does there."""
    path = labels.path(layout.of(agent), LABEL)
    found = facts.content("config") or b""
    left = next((entry.content or b"" for entry in files.entries if entry.path == path), found)
    given = facts.content("last-given") or b""
    texts = [text.decode("utf-8", "replace") for text in (found, left, given)]
    kept = labels.path(layout.of(agent), modes.GIVEN), sha256(given)
    return Texts(texts[0], texts[1], declared, facts.tree, files.settings, texts[2], kept)


def reported(homes: Mapping[str, Texts]) -> tuple[str, ...]:
    """What Hermes made of what it was given, by home."""
    return tuple(f"profile {home}: {line}" if home else line for home, seen in homes.items() for line in seen.told)


def remembered(homes: Iterable[Texts], code: upstream.Code | None, *, starts: bool) -> FilesPlan:
    """What each is started with is remembered, where Hermes is going to bring it up to date, and forgotten once told.

    code: the Hermes that is started; None: not known. starts: the plan starts it.
    """
    changes: list[Change] = []
    entries: list[Entry] = []
    newest = code.newest_config if code else upstream.release(None).config_version
    for seen in homes:
        version, (path, hashed) = _version(_read(seen.left)), seen.kept
        due = version is not None and version < newest
        if seen.given and (seen.told or not due):
            before = "config.yaml as it was before Hermes brought it up to date"
            changes.append(change(path, before, None))
            entries.append(Entry(path, "gone", expected=hashed))
        elif due and starts and seen.left != seen.given:
            entries.append(Entry(path, "file", modes.SECRET, "agent", seen.left.encode()))
    return FilesPlan(tuple(changes), tuple(entries))


def told(before: str, after: str, declared: Mapping[str, Any], tree: Mapping[str, Seen]) -> tuple[str, ...]:
    """What is to be told of a migration: a line for itself, and one for each key that it changed.

    before, after: the text of config.yaml before the start and after it; nothing is told of the same version.
    declared: what the inventory has for it, which is put back. tree: the agent's files after it.
    """
    older, newer = _read(before), _read(after)
    was, now = _version(older), _version(newer)
    if was is None or now is None or now <= was:
        return ()
    copies = ", ".join(found[-1].removeprefix(labels.HOME) for found in _copies(tree).values())
    lines = [f"Hermes brought config.yaml up to date, {was} → {now}" + (f"; as it was: {copies}" if copies else "")]
    found = list(_differences(older, newer))
    for each in found[:_SHOWN]:
        old, new = ("–" if text is None else text or "''" for text in values(each))
        whose = "stays as Hermes has it" if lookup(declared, each.path) is ABSENT else "declared: put back"
        lines.append(f"{shown(each.path)}: {old} → {new} ({whose})")
    return (*lines, *([f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []))


def surplus(agent: Agent, tree: Mapping[str, Seen]) -> FilesPlan:
    """The removal of all but the newest copies."""
    place = layout.of(agent)
    changes: list[Change] = []
    entries: list[Entry] = []
    for name, found in _copies(tree).items():
        gone = [(labels.path(place, label), tree[label].sha256 or "") for label in found[:-KEPT]]
        entries += [Entry(path, "gone", expected=hashed) for path, hashed in gone]
        if gone:
            which = gone[0][0] if len(gone) == 1 else f"{labels.path(place, labels.HOME + name)}.bak-…: {len(gone)}"
            changes.append(change(which, f"older than the newest {KEPT}", None))
    return FilesPlan(tuple(changes), tuple(entries))


def _copies(tree: Mapping[str, Seen]) -> dict[str, list[str]]:
    """The labels of the copies of each file, the oldest first."""
    found: dict[str, list[tuple[str, int, str]]] = {}
    for label, seen in tree.items():
        if seen.plain and (copy := _COPY.fullmatch(label)):
            found.setdefault(copy[1], []).append((copy[2], int(copy[3] or 0), label))
    return {name: [label for _, _, label in sorted(copies)] for name, copies in sorted(found.items(), reverse=True)}


def _read(text: str) -> Mapping[str, Any]:
    """The settings as the Hermes that the file is of reads them; none for one that cannot be read."""
    try:
        version = config.remembered(text).get(settings.VERSION)
        reader = upstream.reader_of(version if type(version) is int else 0)
        return config.parse(text, reader=reader)
    except UnusableFile:
        return {}


def _version(tree: Mapping[str, Any]) -> int | None:
    found = tree.get(settings.VERSION)
    return found if type(found) is int else None


def _differences(older: Mapping[str, Any], newer: Mapping[str, Any]) -> Iterator[Difference]:
    for path in dict.fromkeys(path for tree in (older, newer) for path, _ in leaves(tree)):
        before, after = lookup(older, path), lookup(newer, path)
        filled = before == {} and isinstance(after, Mapping)  # told key by key
        if path != (settings.VERSION,) and not filled and not same(before, after):
            yield Difference(path, before, after)
