"""The agent's files and folders: what is to be written, and what that changes. Pure.

A changed .env or config.yaml restarts the service, for the gateway reads them once, and so does changed code (plugins,
hooks). Documents do not: Hermes reads them anew for each conversation. What was declared last lies beside the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from posixpath import dirname
from typing import TYPE_CHECKING, Any, Final

from proxhermes import upstream
from proxhermes.errors import Refused
from proxhermes.hermes import config, env, labels, layout, masks, modes, settings, variables
from proxhermes.hermes.environment import API_KEY, needs_key
from proxhermes.hermes.files import UnusableFile, decoded
from proxhermes.hermes.merge import ABSENT, Difference, Path
from proxhermes.inventory.secrets import MASK
from proxhermes.plan import documents, skills
from proxhermes.plan.entries import ABSENT as NOTHING
from proxhermes.plan.entries import Entry, sha256
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, Effect, pending

if TYPE_CHECKING:
    from proxhermes.facts.guest import GuestFacts
    from proxhermes.facts.tree import Seen
    from proxhermes.hermes.wanted import Wanted
    from proxhermes.inventory.models import Agent

_LEFT: Final = re.compile(r"(?:.*[/:])?\.proxhermes\.[A-Za-z0-9]{6}")
"""A file that `guest-files-write.sh` did not get to give its name."""


@dataclass(frozen=True, slots=True)
class FilesPlan:
    """What is to be done, in this order, and what the operator should know besides."""

    changes: tuple[Change, ...] = ()
    entries: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()


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
    _defined(agent, wanted, lines)
    config_part = _config(agent, wanted, facts, context_length, code)
    last = documents.read(_memory(facts, "files"))
    staying = {label: hashed for label, hashed in last.items() if held and label.startswith(held)}
    known = {label: hashed for label, hashed in last.items() if not _is_seed(label) and label not in staying}
    given = documents.plan_documents(agent, wanted.files, facts.tree, known, force=force_documents)
    seeds, sown = _seeds(agent, wanted, facts, last)
    parts = (config_part, variables_part, FilesPlan(given.changes, given.entries, given.notes), seeds)
    changes = [change for part in parts for change in part.changes]
    entries = [entry for part in parts for entry in part.entries]
    folders, rights = _rights(agent, facts, {entry.path for entry in entries if entry.kind == "file"})
    changes = [*folders.changes, *changes, *rights.changes]
    _writable(agent, facts, entries, {entry.path for entry in rights.entries})
    entries = [*folders.entries, *rights.entries, *entries]
    remembered = _remembered(agent, wanted, facts, {**given.installed, **sown, **staying})
    if remembered and not pending(changes):  # else it goes along with what it is about
        changes.append(change(f"{layout.of(agent).remembered}", "older", "brought up to date"))
    notes = [note for part in parts for note in part.notes]
    return FilesPlan(tuple(changes), (*entries, *remembered), tuple(notes))


def _config(
    agent: Agent, wanted: Wanted, facts: GuestFacts, context_length: int | None, code: upstream.Code | None
) -> FilesPlan:
    """config.yaml."""
    content = _content(facts, "config", config.NAME)
    if wanted.config_text is not None:
        if content == wanted.config_text.encode():
            return FilesPlan()
        after = f"{agent.hermes.config_file}, as it is"
        changed = change(config.NAME, "another" if content else None, after, Effect.RESTART_SERVICE)
        return FilesPlan((changed,), (_written(agent, "home:config.yaml", wanted.config_text.encode(), content),))
    text = None if content is None else decoded(content, config.NAME)
    tree = settings.with_context(wanted.settings, context_length)
    defaults = settings.defaults(agent, new=config.is_new(text))
    last, notes = _last_settings(facts)
    update = config.update(text, tree, last=last, defaults=defaults)
    changes = tuple(
        change(f"{config.NAME}: {_path(found.path)}", *_shown(found), Effect.RESTART_SERVICE)
        for found in update.differences
    )
    notes += [
        f"{config.NAME}: {_path(path)} is no longer in the inventory, but was changed since: it stays"
        for path in update.kept
    ]
    notes += _of_a_newer(text, code)
    entries = (_written(agent, "home:config.yaml", update.text.encode(), content),) if changes else ()
    return FilesPlan(changes, entries, tuple(notes))


def _of_a_newer(text: str | None, code: upstream.Code | None) -> list[str]:
    """What there is to know of a config.yaml that a newer Hermes has brought up to date, where an older one comes back.

    It goes by what it knows, and leaves the version as it is (0.19: hermes_cli/config.py, check_config_version).
    """
    version = config.parse(text or "").get(settings.VERSION)
    if code is None or type(version) is not int or version <= code.newest_config:
        return []
    versions = f"version {version}, of a newer Hermes than {code.version}, which writes {code.newest_config}"
    return [
        f"{config.NAME} is of {versions}: what the newer one changed in it stays, and is read as far as it is known"
    ]


def _last_settings(facts: GuestFacts) -> tuple[dict[str, Any] | None, list[str]]:
    """What config.yaml was given last; None where that is not known."""
    text = _memory(facts, "config.yaml")
    if not text:
        return None, []
    try:
        return config.parse(text), []
    except UnusableFile:  # of the agent's folder: what cannot be read is not known, and no reason to stop
        return None, [".proxhermes/config.yaml cannot be read: keys that left the inventory are not taken out"]


def _env(agent: Agent, wanted: Wanted, facts: GuestFacts, fresh_key: str) -> tuple[FilesPlan, set[str]]:
    """.env, and the names that it has then."""
    content = _content(facts, "env", ".env")
    text = decoded(content or b"", ".env")
    lines = dict(wanted.environment.lines)
    existing = env.values(text)
    forget = _memory(facts, "env").split()
    if needs_key(lines, existing, forget):
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
    entry = _written(agent, "home:.env", update.text.encode(), content)
    # Told when the line is written, not by every run from then on.
    notes = tuple(f".env: {duplicate}" for duplicate in wanted.environment.duplicates) if changes else ()
    names = {*existing, *lines} - {*update.gone}
    return FilesPlan(tuple(changes), (entry,) if changes or content is None else (), notes), names


def _defined(agent: Agent, wanted: Wanted, names: set[str]) -> None:
    """Refuse a `${NAME}` that nothing defines: the agent would only fail at its first call."""
    tree = wanted.settings if wanted.config_text is None else config.parse(wanted.config_text)
    variables.refuse_undefined(agent, tree, names)


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
    made = [rule for rule in modes.table(agent) if rule.made and rule.label not in facts.tree]
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


def _remembered(agent: Agent, wanted: Wanted, facts: GuestFacts, installed: Mapping[str, str]) -> tuple[Entry, ...]:
    """What is remembered of this run, where that differs from what is."""
    if wanted.config_text is None:
        declared = config.memory(wanted.settings, settings.defaults(agent, new=False))
    else:
        declared = config.parse(wanted.config_text)
    texts = {
        "config.yaml": config.dump(declared),
        "env": "".join(f"{name}\n" for name in sorted(wanted.environment.lines)),
        "files": documents.render(installed),
    }
    entries: list[Entry] = []
    for name, text in texts.items():
        seen = facts.content(f"last-{name}")
        if seen != text.encode():
            entries.append(_written(agent, f"{modes.MEMORY}/{name}", text.encode(), seen))
    return tuple(entries)


def _memory(facts: GuestFacts, name: str) -> str:
    """What is remembered under `name`; empty where nothing is, or nothing that can be read."""
    return (facts.content(f"last-{name}") or b"").decode("utf-8", "replace")


def _content(facts: GuestFacts, name: str, shown: str) -> bytes | None:
    """The content of a file; None if it is not there. Raises UnusableFile for what is no file that can be read."""
    file = facts.files.get(name)
    if file is not None and file.content is None:
        raise UnusableFile(shown, f"this is a {file.kind}, not a plain file of the agent's")
    return file.content if file else None


def _written(agent: Agent, label: str, content: bytes, before: bytes | None) -> Entry:
    mode = next((rule.mode for rule in modes.table(agent) if rule.label == label), modes.FILE)
    expected = NOTHING if before is None else sha256(before)
    return Entry(labels.path(layout.of(agent), label), "file", mode, "agent", content, expected)


def _shown(found: Difference) -> tuple[str | None, str | None]:
    """Both values as text; a secret that others wrote is not shown."""

    def text(value: Any) -> str | None:
        if value is ABSENT:
            return None
        shown = masks.masked(value, *found.path)
        written = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, default=str)
        return "(hidden)" if shown == MASK else written

    return text(found.before), text(found.after)


def _path(path: Path) -> str:
    return ".".join(map(str, path))
