"""The agent's files and folders: what is to be written, and what that changes. Pure.

A changed .env or config.yaml restarts the service, for the gateway reads them once, and so does changed code (plugins,
hooks). Documents do not: Hermes reads them anew for each conversation. What was declared last lies beside the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from posixpath import dirname
from typing import TYPE_CHECKING, Any, Final

from proxhermes import upstream
from proxhermes.errors import Refused
from proxhermes.hermes import env, labels, layout, masks, modes, settings, variables
from proxhermes.hermes.config import dump
from proxhermes.hermes.config import memory as memory_of
from proxhermes.hermes.environment import API_KEY, needs_key
from proxhermes.hermes.files import UnusableFile, decoded
from proxhermes.plan import config, documents, migration, skills
from proxhermes.plan.entries import ABSENT as NOTHING
from proxhermes.plan.entries import Entry, sha256
from proxhermes.plan.files_model import FilesPlan, content_of, memory, written
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, Effect, pending

if TYPE_CHECKING:
    from proxhermes.facts.guest import GuestFacts
    from proxhermes.facts.tree import Seen
    from proxhermes.hermes.wanted import Wanted
    from proxhermes.inventory.models import Agent

_LEFT: Final = re.compile(r"(?:.*[/:])?\.proxhermes\.[A-Za-z0-9]{6}")
"""A file that `guest-files-write.sh` did not get to give its name."""


def looked_at(agent: Agent, wanted: Wanted | None) -> tuple[str, ...]:
    """Labels of all that the facts have to say something of (wanted: None for the folders and the fixed files)."""
    found = [rule.label for rule in modes.table(agent)]
    if wanted is not None:
        found += documents.looked_at(agent, wanted.files)
        found += [labels.HOME + seed.path for seed in wanted.seeds]
        found += skills.looked_at(agent)
    return tuple(dict.fromkeys(found))


def plan_files(
    agent: Agent,
    wanted: Wanted,
    facts: GuestFacts,
    *,
    context_length: int | None,
    fresh_key: str,
    force_documents: bool = False,
    held: tuple[str, ...] = (),
    code: upstream.Code | None = None,
) -> FilesPlan:
    """The difference between the files that are wanted and those that are.

    context_length: in tokens, as LiteLLM tells it. fresh_key: for the gateway's own API, used if .env has none to keep.
    force_documents: replace documents that the agent changed, too. held: names below which files stay as they are, for
    it is not known yet which are meant. code: the Hermes that is going to read them, where that is known.
    Raises UnusableFile for a file that somebody broke, and UsageError for a `${NAME}` in the settings that nothing
    defines.
    """
    variables_part, lines = _env(agent, wanted, facts, fresh_key)
    declared = config.declared(agent, wanted, code)
    # The agent would only fail at its first call.
    variables.refuse_undefined(agent, declared, lines)
    config_part = config.plan_config(agent, wanted, facts, context_length, code)
    last = documents.read(memory(facts, "files"))
    staying = {label: hashed for label, hashed in last.items() if held and label.startswith(held)}
    known = {label: hashed for label, hashed in last.items() if not _is_seed(label) and label not in staying}
    given = documents.plan_documents(agent, wanted.files, facts.tree, known, force=force_documents)
    seeds, sown = _seeds(agent, wanted, facts, last)
    copies = migration.surplus(agent, facts.tree)
    parts = (config_part, variables_part, FilesPlan(given.changes, given.entries, given.notes), seeds, copies)
    changes = [change for part in parts for change in part.changes]
    entries = [entry for part in parts for entry in part.entries]
    folders, rights = _rights(agent, facts, {entry.path for entry in entries if entry.kind == "file"})
    changes = [*folders.changes, *changes, *rights.changes]
    _writable(agent, facts, entries, {entry.path for entry in rights.entries})
    entries = [*folders.entries, *rights.entries, *entries]
    remembered = _remembered(agent, wanted, facts, declared, {**given.installed, **sown, **staying})
    if remembered and not pending(changes):  # else it goes along with what it is about
        changes.append(change(f"{layout.of(agent).remembered}", "older", "brought up to date"))
    notes = [note for part in parts for note in part.notes]
    read_once = (*config_part.changes, *variables_part.changes)
    return FilesPlan(tuple(changes), (*entries, *remembered), tuple(notes), read_once)


def _env(agent: Agent, wanted: Wanted, facts: GuestFacts, fresh_key: str) -> tuple[FilesPlan, set[str]]:
    """.env, and the names that it has then."""
    content = content_of(facts, "env", ".env")
    text = decoded(content or b"", ".env")
    lines = dict(wanted.environment.lines)
    existing = env.values(text)
    forget = memory(facts, "env").split()
    if agent.served and needs_key(lines, existing, forget):
        lines[API_KEY] = fresh_key
    hidden = wanted.environment.secret | {API_KEY}
    update = env.update(text, lines, forget)
    changes: list[Change] = []
    for name in (*update.added, *update.changed, *update.gone):
        before, after = existing.get(name), lines.get(name)
        if name in hidden or name not in lines or masks.hides(name):
            before, after = before and "(hidden)", after and "(hidden, new)" if name in update.changed else "(hidden)"
            after = None if name in update.gone else after
        else:
            before, after = masks.masked(before), masks.masked(after)
        changes.append(change(f".env: {name}", before, after, Effect.RESTART_SERVICE))
    entry = written(agent, "home:.env", update.text.encode(), content)
    # Told when the line is written, not by every run from then on.
    notes = tuple(f".env: {duplicate}" for duplicate in wanted.environment.duplicates) if changes else ()
    names = {*existing, *lines} - {*update.gone}
    return FilesPlan(tuple(changes), (entry,) if changes or content is None else (), notes), names


def _is_seed(label: str) -> bool:
    """Whether it is a file that the agent goes on with by itself, so that it is never taken away from it."""
    return label == "home:auth.json" or label.startswith(f"{modes.TOKENS}/")


def _seeds(
    agent: Agent, wanted: Wanted, facts: GuestFacts, last: Mapping[str, str]
) -> tuple[FilesPlan, dict[str, str]]:
    """Files to begin with: put there where none is, or where they are to give way, once for each content.

    Returns what was put last as well, also of those that are no longer declared: label -> sha256.
    """
    changes: list[Change] = []
    entries: list[Entry] = []
    sown = {label: hashed for label, hashed in last.items() if _is_seed(label)}
    for seed in wanted.seeds:
        label = labels.HOME + seed.path
        path, seen, after = labels.path(layout.of(agent), label), facts.tree.get(label), sha256(seed.content)
        if seen and (not seed.overwrite or after in (last.get(label), seen.sha256)):
            sown |= {label: after} if after == seen.sha256 else {}
            continue
        if seen and not seen.plain:
            raise UnusableFile(path, f"this is a {seen.kind}, not a plain file")
        # A server that was refused without its token is asked again when the gateway starts.
        token = label.startswith(f"{modes.TOKENS}/")
        effect = Effect.RESTART_SERVICE if token else Effect.NONE
        changes.append(change(path, "(hidden)" if seen else None, "(hidden, new)" if seen else "(hidden)", effect))
        if token and modes.TOKENS not in facts.tree:
            entries.append(Entry(labels.path(layout.of(agent), modes.TOKENS), "folder", modes.PRIVATE))
        expected = (seen.sha256 if seen else None) or NOTHING
        entries.append(Entry(path, "file", modes.SECRET, "agent", seed.content, expected))
        sown[label] = after
    return FilesPlan(tuple(changes), tuple(dict.fromkeys(entries))), sown


def _rights(agent: Agent, facts: GuestFacts, written: set[str]) -> tuple[FilesPlan, FilesPlan]:
    """Folders that are missing; and owners and modes of what is there, save of the files that are written anyway."""
    place = layout.of(agent)
    made = [rule for rule in modes.table(agent) if agent.laid_out and rule.made and rule.label not in facts.tree]
    entries = tuple(
        Entry(labels.path(place, rule.label), "workplace" if rule.found else "folder", rule.mode) for rule in made
    )
    names = ", ".join(entry.path.removeprefix(f"{place.home}/") for entry in entries)
    folders = FilesPlan((change("folders", None, f"{names} (0750)"),) if made else (), entries)
    changes: list[Change] = []
    wrong: list[Entry] = []
    for rule in modes.table(agent):
        seen, path = facts.tree.get(rule.label), labels.path(place, rule.label)
        if seen is None or path in written:
            continue
        if seen.folder != (rule.kind == "folder"):
            raise UnusableFile(path, f"this is a {seen.kind}, not a {rule.kind}")
        if rule.found:
            _refuse_closed(agent, path, seen)
            continue
        mine = documents.of_the_agent(agent, seen, facts.tree.get(labels.HOME))
        if rule.allows(seen.mode) and mine:
            continue
        mode = seen.mode if rule.allows(seen.mode) else rule.mode
        before, after = f"{seen.uid}:{seen.gid} {seen.mode:04o}", f"{agent.hermes.uid}:{agent.hermes.gid} {mode:04o}"
        changes.append(change(path, before, after))
        wrong.append(Entry(path, "mode", mode))
    for label in facts.tree:
        if _LEFT.fullmatch(label):
            changes.append(change(labels.path(place, label), "left by a run that was cut off", None))
            wrong.append(Entry(labels.path(place, label), "gone", expected=facts.tree[label].sha256 or "other"))
    return folders, FilesPlan(tuple(changes), tuple(wrong))


def _refuse_closed(agent: Agent, path: str, seen: Seen) -> None:
    """A folder that was there before is not taken from whom it belongs to."""
    if not seen.writable:
        raise Refused(
            f"hermes.working_directory: {path} is there already in CT {agent.vmid}, belongs to {seen.uid}:{seen.gid} "
            f"({seen.mode:04o}), and the agent may not write in it",
            hint=f"another folder; or in the guest, chown {agent.hermes.uid}:{agent.hermes.gid} {path}",
        )


def _writable(agent: Agent, facts: GuestFacts, entries: Iterable[Entry], put_right: set[str]) -> None:
    """Refuse, before anything is changed, to write where the agent itself may not: behind a link, for one."""
    place, home = layout.of(agent), facts.tree.get(labels.HOME)
    ids = agent.hermes.uid, agent.hermes.gid
    if home is not None and (home.uid, home.gid) != ids:  # it changes hands first, with all that is in it
        return
    for entry in entries:
        seen = facts.tree.get(labels.label(place, entry.path))
        if entry.kind == "file" and seen and not seen.writable and dirname(entry.path) not in put_right:
            raise UnusableFile(entry.path, "the agent itself may not write there, or where a link there leads to")


def _remembered(
    agent: Agent, wanted: Wanted, facts: GuestFacts, declared: Mapping[str, Any], installed: Mapping[str, str]
) -> tuple[Entry, ...]:
    """What is remembered of this run, where that differs from what is."""
    texts = {
        "config.yaml": dump(memory_of(declared, settings.defaults(agent))),
        "env": "".join(f"{name}\n" for name in sorted(wanted.environment.lines)),
        "files": documents.render(installed),
    }
    entries: list[Entry] = []
    for name, text in texts.items():
        seen = facts.content(f"last-{name}")
        if seen != text.encode():
            entries.append(written(agent, f"{modes.MEMORY}/{name}", text.encode(), seen))
    return tuple(entries)
