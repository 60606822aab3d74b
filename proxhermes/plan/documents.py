"""The files that the agent is given: which are installed, brought up to date, taken away, and which are its own by now.

What proxhermes installed is remembered in the guest by its hash. A file that is neither that nor what is wanted was
changed by the agent, or was there before: it stays, and the plan says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from proxhermes import upstream
from proxhermes.facts.tree import Seen
from proxhermes.hermes import documents, labels, layout, modes
from proxhermes.hermes.documents import Given
from proxhermes.inventory.models import Agent
from proxhermes.plan.entries import ABSENT, Entry
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, Effect

FORCE: Final = "--force-documents"
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\x7f]+)")


@dataclass(frozen=True, slots=True)
class DocumentsPlan:
    """What is to be done, and the memory of what is installed then: label -> sha256."""

    changes: tuple[Change, ...]
    entries: tuple[Entry, ...]
    installed: Mapping[str, str]
    notes: tuple[str, ...]


def read(text: str) -> dict[str, str]:
    """The memory, label -> sha256. Lines that are none are passed over."""
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return {line[2]: line[1] for line in found if line}


def render(installed: Mapping[str, str]) -> str:
    """The memory as a file, in a form that `sha256sum` has, too."""
    return "".join(f"{sha256}  {label}\n" for label, sha256 in sorted(installed.items()))


def looked_at(agent: Agent, given: Iterable[Given]) -> Iterator[str]:
    """Labels of all that has to be known of the guest: the files, and the folders that they lie in."""
    for file in given:
        label = documents.label(agent, file)
        yield label
        yield from _folders(file, label)


def plan_documents(
    agent: Agent, given: Iterable[Given], tree: Mapping[str, Seen], last: Mapping[str, str], *, force: bool
) -> DocumentsPlan:
    """tree: what is there; last: what was installed last. force: replace what the agent changed, too."""
    changes: list[Change] = []
    entries: list[Entry] = []
    installed: dict[str, str] = {}
    files = {documents.label(agent, file): file for file in given}
    folders = {label: None for name, file in files.items() for label in _folders(file, name)}
    place = layout.of(agent)
    made = [label for label in folders if label not in tree]
    for label, file in files.items():
        seen = tree.get(label)
        change, entry = _foreign(agent, labels.path(place, label), file, seen, tree.get(labels.HOME))
        if change is None:
            replaced = force or _nobodys(label, seen)
            change, entry = _one(labels.path(place, label), file, seen, last.get(label), force=replaced)
        if (entry and entry.kind == "file") or (seen and seen.sha256 == file.sha256):
            installed[label] = file.sha256
        elif label in last:
            installed[label] = last[label]
        changes += [change] if change else []
        entries += [entry] if entry else []
    if any(entry.kind == "file" for entry in entries):
        entries = [Entry(labels.path(place, label), "folder", modes.FOLDER) for label in made] + entries
    undeclared = {label: sha256 for label, sha256 in last.items() if label not in files}
    removed, gone, notes = _undeclared(agent, undeclared, tree)
    return DocumentsPlan((*changes, *removed), (*entries, *gone), installed, notes)


def _nobodys(label: str, seen: Seen | None) -> bool:
    """Whether it is a file that Hermes wrote by itself, for there was none, and nobody has changed since."""
    return label == f"{labels.HOME}SOUL.md" and seen is not None and seen.sha256 in upstream.DEFAULT_SOULS


def _one(
    path: str, file: Given, seen: Seen | None, last: str | None, *, force: bool
) -> tuple[Change | None, Entry | None]:
    effect = Effect.NONE if file.effective else Effect.RESTART_SERVICE
    after = f"{file.size} bytes, {file.sha256[:12]}"
    if seen is None:
        return change(path, None, after, effect), _written(path, file, ABSENT)
    if seen.sha256 is None:
        return change(path, seen.kind, after, effect, f"this is a {seen.kind}, no plain file"), None
    if seen.sha256 == file.sha256:
        if seen.mode == file.mode:
            return None, None
        return change(path, f"mode {seen.mode:04o}", f"mode {file.mode:04o}", Effect.NONE), Entry(
            path, "mode", file.mode
        )
    entry = _written(path, file, seen.sha256)
    if force or seen.sha256 == last:
        return change(path, seen.sha256[:12], after, effect), entry
    why = "the agent changed it since it was installed" if last else "it was there before proxhermes"
    return change(path, seen.sha256[:12], after, effect, f"{why}; {FORCE} replaces it"), None


def _written(path: str, file: Given, expected: str) -> Entry:
    source = file.source.path if file.source else None
    return Entry(path, "file", file.mode, "agent", None if source else file.content, expected, source)


def _foreign(
    agent: Agent, path: str, file: Given, seen: Seen | None, home: Seen | None
) -> tuple[Change | None, Entry | None]:
    """One that belongs to somebody else becomes the agent's; what is in it is compared when it can be read."""
    if seen is None or of_the_agent(agent, seen, home) or not seen.kind.startswith("regular file"):
        return None, None
    after = f"{agent.hermes.uid}:{agent.hermes.gid} {file.mode:04o}"
    return change(path, f"{seen.uid}:{seen.gid} {seen.mode:04o}", after, Effect.NONE), Entry(path, "mode", file.mode)


def of_the_agent(agent: Agent, seen: Seen, home: Seen | None) -> bool:
    """Whether it is the agent's, or becomes so along with its home."""
    owners = {(agent.hermes.uid, agent.hermes.gid)}
    if home is not None:
        owners.add((home.uid, home.gid))
    return (seen.uid, seen.gid) in owners


def _undeclared(
    agent: Agent, last: Mapping[str, str], tree: Mapping[str, Seen]
) -> tuple[list[Change], list[Entry], tuple[str, ...]]:
    """What the inventory has no longer: taken away where it is ours still."""
    changes: list[Change] = []
    entries: list[Entry] = []
    notes: list[str] = []
    folders: dict[str, None] = {}
    for label, sha256 in last.items():
        path, seen = labels.path(layout.of(agent), label), tree.get(label)
        if seen is None:
            continue
        if seen.sha256 != sha256:
            notes.append(
                f"{path} is no longer in the inventory, but the agent changed it: it stays, as the agent's own"
            )
            continue
        effect = Effect.RESTART_SERVICE if _code(label) else Effect.NONE
        changes.append(change(path, sha256[:12], None, effect))
        entries.append(Entry(path, "gone", expected=sha256))
        folders |= dict.fromkeys(_parents(agent, label))
    deepest = sorted(folders, key=lambda folder: -folder.count("/"))
    entries += [Entry(labels.path(layout.of(agent), folder), "emptied") for folder in deepest]
    return changes, entries, tuple(notes)


def _code(label: str) -> bool:
    """Whether Hermes has loaded it when it started."""
    folders = f"{labels.HOME}{documents.PLUGINS}/", f"{labels.HOME}{documents.HOOKS}/"
    return label.startswith(folders) or label == labels.HOME + documents.PARKED


def _folders(file: Given, label: str) -> list[str]:
    """The folders between the file's place and the file, outer ones first."""
    depth = file.path.count("/")
    parents = [str(parent) for parent in PurePosixPath(label).parents][:depth]
    return parents[::-1]


def _parents(agent: Agent, label: str) -> list[str]:
    """The folders that a file that is taken away may leave empty: those below the place that it was in."""
    known = {rule.label for rule in modes.table(agent)}
    if not label.startswith((labels.HOME, labels.WORKSPACE, labels.USER_HOME)):
        return []  # how deep it was is not remembered, and somebody else's folder may lie above it
    return [str(parent) for parent in PurePosixPath(label).parents if str(parent) not in (".", *known)]
