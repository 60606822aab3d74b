"""Are the agent's databases whole, its own, and the ones that it writes to?

The agent has a say in all that its probe (host_scripts/state-probe.py) answers: only the expected form is accepted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from proxhermes import upstream
from proxhermes.errors import ProxhermesError
from proxhermes.hermes import layout
from proxhermes.plan.model import Layer
from proxhermes.transport.scripts import script
from proxhermes.verify.model import Check, Finding, failed, hindered, passed, warned

if TYPE_CHECKING:
    from proxhermes.transport.pct import Bundle
    from proxhermes.verify.scene import Scene

ID: Final = "hermes.state"
State = Literal["fine", "damaged", "later", "unchecked", "unreadable", "special"]
_STATES: Final = ("fine", "damaged", "later", "unchecked", "unreadable", "special")
_JOURNAL: Final = ("database", "journal_mode")
_LONGEST: Final = 200
_SHOWN: Final = 5
_STOPPED: Final = "stop the agent and keep a copy of its home"
_SESSIONS: Final = re.compile(r"(?:profiles/([a-z0-9_-]{1,64})/)?state\.db")
"""Hermes' own, of which it knows how to save what is in it."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How thorough a look is. seconds: for all of it; size: bytes that are copied for it; 0: what fits on the disk."""

    how: Literal["quick", "deep"]
    seconds: int
    size: int


QUICK: Final = Depth("quick", 45, 512 << 20)
DEEP: Final = Depth("deep", 1800, 0)


@dataclass(frozen=True, slots=True)
class Database:
    """One of the agent's databases, as its probe saw it. others: what of it is not the agent's, with the owner."""

    name: str
    state: State
    said: str
    size: int
    wal: bool
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the probe saw. more: files that it did not look at; orphans: what is written to and has no name any more."""

    sqlite: str
    databases: tuple[Database, ...]
    more: int
    cut: bool
    orphans: tuple[tuple[str, str], ...]


def bundle(depth: Depth) -> Bundle:
    """What guest-verify.sh needs for this check."""
    told = f"{depth.how} {depth.seconds} {depth.size}\n"
    return {"state-probe.py": (script("state-probe.py"), 0o600), "state.depth": (told.encode(), 0o600)}


def parse(text: str) -> Seen | None:
    """The probe's answer; None for anything that does not have its form."""
    try:
        told = json.loads(text)
        return Seen(
            _line(told["sqlite"]),
            tuple(_database(entry) for entry in told["databases"]),
            _count(told["more"]),
            told["cut"] is True,
            tuple(
                (f"/proc/{_count(one['pid'])}/fd/{_count(one['fd'])}", _line(one["name"])) for one in told["orphans"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _database(entry: dict[str, Any]) -> Database:
    return Database(
        _line(entry["name"]),
        _STATES[_STATES.index(entry["state"])],
        _line(entry["said"]),
        _count(entry.get("size", 0)),
        entry.get("wal") is True,
        tuple(map(_line, entry.get("others", ()))),
    )


def _count(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("this is not a number of something")
    return number


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]


def _state(scene: Scene) -> Finding:
    seen = parse(scene.guest.text("databases"))
    if seen is None:
        why = f"the agent's databases could not be looked at: {scene.guest.answer('databases').last_words}"
        return failed(why) if scene.guest.text("status") == "running" else hindered(scene, "hermes.service", why)
    faults = list(_faults(scene, seen))
    doubts = list(_doubts(scene, seen))
    told = _listed([words for words, _ in faults + doubts])
    if faults:
        return failed(told, faults[0][1])
    if doubts:
        return warned(told, doubts[0][1])
    wal = sum(database.wal for database in seen.databases)
    return passed(f"{len(seen.databases)} databases are whole, {wal} of them in WAL mode; SQLite {seen.sqlite}")


def _listed(words: list[str]) -> str:
    more = len(words) - _SHOWN
    return "; ".join(words[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _faults(scene: Scene, seen: Seen) -> Iterator[tuple[str, str]]:
    """What is wrong, and what to do about it."""
    ids, home = f"{scene.agent.hermes.uid}:{scene.agent.hermes.gid}", layout.home(scene.agent)
    for path, name in seen.orphans:
        yield (
            f"the agent writes to a {name} that was deleted, and loses what is in it when it ends",
            f"before it is restarted, save it, as the agent and in its place: cp {path} FILE",
        )
    for database in seen.databases:
        for other in database.others:
            yield f"{other} is not the agent's", f"in the guest: chown -hR {ids} {home}"
        match database.state:
            case "damaged":
                yield f"{database.name} is damaged: {database.said}", _rescue(scene, database)
            case "special":
                yield f"{database.name} is not a file: {database.said}", f"{_STOPPED}; then restore a backup"
            case "unreadable" if not database.others:
                yield f"{database.name} cannot be read: {database.said}", f"in the guest: ls -la {home}"


def _rescue(scene: Scene, database: Database) -> str:
    """What to do about a damaged one (0.22: hermes_cli/subcommands/sessions.py)."""
    if (found := _SESSIONS.fullmatch(database.name)) is None:
        return f"{_STOPPED}; then restore a backup"
    hermes = f"hermes -p {found[1]} sessions" if found[1] else "hermes sessions"
    command = f"{hermes} repair"
    if _offline_tools(scene) and "malformed database schema" not in database.said:
        command = f"{hermes} recover --source {database.name} --output recovered.db"
    return f"{_STOPPED}; then `{command}` in it, or restore a backup"


def _offline_tools(scene: Scene) -> bool:
    return upstream.release(scene.installed.version if scene.installed else None).offline_tools


def _unlike_declared(scene: Scene, seen: Seen) -> Iterator[tuple[str, str | None]]:
    """Databases in WAL mode that are to be without: Hermes changes none that is there (0.22: hermes_state_wal.py)."""
    try:
        declared = scene.declared
    except ProxhermesError:
        return  # hermes.config says why the inventory cannot be read
    for database in seen.databases:
        found = _SESSIONS.fullmatch(database.name)
        if found is None or not database.wal or (_JOURNAL, "delete") not in declared.get(found[1] or "", ()):
            continue
        hermes = f"hermes -p {found[1]} sessions" if found[1] else "hermes sessions"
        yield (
            f"{database.name} is in WAL mode, and {'.'.join(_JOURNAL)} is declared as delete",
            f"stop the agent; then, in its home, `{hermes} set-journal-mode delete`"
            if _offline_tools(scene)
            else "Hermes has a command for it from 0.22 on: `hermes sessions set-journal-mode delete`",
        )


def _doubts(scene: Scene, seen: Seen) -> Iterator[tuple[str, str | None]]:
    """What was not seen, and what may go wrong."""
    deeper = f"proxhermes verify {scene.agent.vmid} --only {ID} --deep"
    for database in seen.databases:
        if database.state in ("later", "unchecked"):
            told = f"{database.name} ({database.size >> 20} MB) was not checked: {database.said}"
            yield told, deeper if database.state == "later" else None
    if seen.more or seen.cut:
        yield f"there are {seen.more or 'too many'} files more than were looked at", "are they the agent's?"
    yield from _unlike_declared(scene, seen)
    if upstream.wal_reset_bug(seen.sqlite) and any(database.wal for database in seen.databases):
        yield (
            f"SQLite {seen.sqlite}, which the agent uses, may damage a database in WAL mode (sqlite.org/wal.html)",
            "an official image from Hermes 0.22 on has a SQLite without that fault: runtime.image, or runtime.package",
        )


CHECKS = (Check(ID, Layer.HERMES, "Are its databases whole, and its own?", _state),)
