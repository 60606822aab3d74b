"""config.yaml: the settings that the inventory declares in it, or the operator's own file in its place. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from proxhermes import upstream
from proxhermes.errors import UsageError
from proxhermes.hermes import config, masks, settings, yaml_duplicates
from proxhermes.hermes.config import NAME
from proxhermes.hermes.files import UnusableFile, decoded
from proxhermes.hermes.merge import ABSENT, Difference, leaves, same
from proxhermes.hermes.yaml_duplicates import Duplicate
from proxhermes.inventory import known_settings
from proxhermes.inventory.secrets import MASK
from proxhermes.plan.files_model import FilesPlan, content_of, memory, written
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, Effect

if TYPE_CHECKING:
    from proxhermes.facts.guest import GuestFacts
    from proxhermes.hermes.wanted import Wanted
    from proxhermes.inventory.models import Agent

LABEL = "home:config.yaml"
_SERVERS = "mcp_servers"


def plan_config(
    agent: Agent, wanted: Wanted, facts: GuestFacts, context_length: int | None, code: upstream.Code | None
) -> FilesPlan:
    """context_length: in tokens, as LiteLLM tells it. code: the Hermes that is going to read it; None: not known.

    Raises UnusableFile for a file that it cannot read, or that cannot be changed.
    """
    content = content_of(facts, "config", NAME)
    version, reader = settings.version(agent, code), upstream.reader(code)
    if wanted.config_text is not None:
        said = declared(agent, wanted, code)  # refused by its own name, if it has to be
        whole = _whole(agent, wanted.config_text, content, version, reader)
        return replace(whole, notes=(*whole.notes, *_hidden(agent, said, code)))
    text = None if content is None else decoded(content, NAME)
    tree = settings.with_context(wanted.settings, context_length)
    defaults = settings.defaults(agent, version if config.is_new(text, reader) else None)
    last, notes = _last(facts)
    update = config.update(text, tree, reader=reader, last=last, defaults=defaults)
    changes = [*_mended(update.dropped), *_different(update.differences)]
    notes += [
        f"{NAME}: {shown(path)} is no longer in the inventory, but was changed since: it stays" for path in update.kept
    ]
    if text:
        read = config.parse(update.text, reader=reader)
        notes += [*_of_a_newer(read, code), *_too_old(read, code)]
        notes += [
            f"{NAME}: {shown(path)} is there as a number, too: two keys to Hermes, and the inventory has the text"
            for path in _twins(read, tree)
        ]
    notes += _unlisted(agent, wanted.settings, code.version) if code else []
    notes += _hidden(agent, wanted.settings, code)
    if reader == "pyyaml":
        notes += map(_twice, yaml_duplicates.duplicates(update.text, reader))
    entries = (written(agent, LABEL, update.text.encode(), content),) if changes else ()
    return FilesPlan(tuple(changes), entries, tuple(notes))


def _twins(read: Mapping[Any, Any], tree: Mapping[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Keys of `tree` that the file has as text and as a number: `1485: …` beside `"1485": …`."""
    numbers = {str(key) for key in read if type(key) is int}
    for name, value in tree.items():
        below = read.get(name)
        if name in numbers:
            yield (*at, name)
        elif isinstance(value, Mapping) and isinstance(below, Mapping):
            yield from _twins(below, value, (*at, name))


def shown(path: Iterable[object]) -> str:
    """A path in config.yaml, for a human."""
    return ".".join(map(str, path))


def values(found: Difference) -> tuple[str | None, str | None]:
    """Both values as text; a secret that others wrote is not shown."""

    before, after = (
        None if value is ABSENT else value_shown(value, found.path) for value in (found.before, found.after)
    )
    return before, after


def declared(agent: Agent, wanted: Wanted, code: upstream.Code | None) -> Mapping[str, Any]:
    """All that the inventory says for config.yaml. Raises UsageError for a whole file that this Hermes cannot read."""
    if wanted.config_text is None:
        return wanted.settings
    try:
        return config.parse(wanted.config_text, str(agent.hermes.config_file), reader=upstream.reader(code))
    except UnusableFile as error:
        place = f"{agent.hermes.config_file}{f':{error.line}' if error.line else ''}"
        raise UsageError(f"{agent.option}.config_file: {place}: {error.what}") from None


def value_shown(value: Any, path: Iterable[object]) -> str:
    """The value at `path`, for a human; a secret that others wrote is not shown."""
    masked = masks.masked(value, *path)
    written = masked if isinstance(masked, str) else json.dumps(masked, ensure_ascii=False, default=str)
    return "(hidden)" if masked == MASK else written


def _whole(agent: Agent, text: str, content: bytes | None, version: int, reader: upstream.Reader) -> FilesPlan:
    """The operator's own file. Its version is raised, for else Hermes would rewrite it at each start."""
    name = str(agent.hermes.config_file)
    update = config.stamped(text, version, reader)
    if content is not None and _says(content, update.text, reader):
        return FilesPlan()
    after = f"{name}, as it is"
    if update.changed:
        own = values(update.differences[0])[0] or "none"
        after = f"{name}, with the installed Hermes' {settings.VERSION}, {version}, in place of its own ({own})"
    changed = change(NAME, "another" if content else None, after, Effect.RESTART_SERVICE)
    return FilesPlan((changed,), (written(agent, LABEL, update.text.encode(), content),))


def _says(content: bytes, text: str, reader: upstream.Reader) -> bool:
    """Whether the file says the same as `text`. One that cannot be read does not."""
    try:
        return same(config.parse(decoded(content, NAME), reader=reader), config.parse(text, reader=reader))
    except UnusableFile:
        return False


def _of_a_newer(found: Mapping[str, Any], code: upstream.Code | None) -> list[str]:
    """What there is to know of a config.yaml that a newer Hermes has brought up to date, where an older one comes back.

    It goes by what it knows, and leaves the version as it is (0.19: hermes_cli/config.py, check_config_version).
    """
    version = found.get(settings.VERSION)
    if code is None or type(version) is not int or version <= code.newest_config:
        return []
    versions = f"version {version}, of a newer Hermes than {code.version}, which writes {code.newest_config}"
    return [f"{NAME} is of {versions}: what the newer one changed in it stays, and is read as far as it is known"]


def _too_old(found: Mapping[str, Any], code: upstream.Code | None) -> list[str]:
    """What there is to know of a config.yaml that Hermes does not bring up to date any more.

    One without a version counts as one of today's (0.22: hermes_cli/config.py, config_version_stamp.py).
    """
    given = found.get(settings.VERSION)
    version = max(config.number(given), 0)
    if code is None or given is None or version >= (floor := code.release.config_floor):
        return []
    migrates = f"which Hermes {code.version} does not bring up to date (from {floor} on it does)"
    return [
        f"{NAME} is of version {version}, {migrates}: look through it, then set `{settings.VERSION}: {floor}` in it"
    ]


def _unlisted(agent: Agent, tree: Mapping[str, Any], version: str) -> list[str]:
    """Settings that another Hermes lists, and this one does not; of others, the inventory's check has told."""
    found: list[str] = []
    for path, _ in leaves(tree):
        words = tuple(map(str, path))
        if known_settings.unlisted(words, version) and not known_settings.unlisted(words):
            where = f"{agent.hermes.place(words) or NAME}: {shown(path)}"
            found.append(f"{where} is not among the settings of Hermes {version}, which may not read it")
    return found


def _hidden(agent: Agent, tree: Mapping[str, Any], code: upstream.Code | None) -> list[str]:
    """MCP servers whose tools this Hermes does not give to the agent."""
    servers = tree.get(_SERVERS)
    if code is None or not isinstance(servers, Mapping):
        return []
    names = sorted(code.release.hidden_servers.intersection(servers))
    return [
        f"{agent.hermes.place((_SERVERS, name)) or NAME}: the tools of the MCP server {name!r} are not offered to the "
        f"agent: Hermes {code.version} has toolsets of its own by that name; give the server another name"
        for name in names
    ]


def _last(facts: GuestFacts) -> tuple[dict[str, Any] | None, list[str]]:
    """What config.yaml was given last; None where that is not known."""
    text = memory(facts, "config.yaml")
    if not text:
        return None, []
    try:
        return config.remembered(text), []
    except UnusableFile:  # of the agent's folder: what cannot be read is not known, and no reason to stop
        return None, [".proxhermes/config.yaml cannot be read: keys that left the inventory are not taken out"]


def _different(differences: Iterable[Difference]) -> list[Change]:
    return [change(f"{NAME}: {shown(each.path)}", *values(each), Effect.RESTART_SERVICE) for each in differences]


def _mended(dropped: Iterable[Duplicate]) -> list[Change]:
    """Keys that are there more than once, before a Hermes that cannot read that meets them."""
    found: list[Change] = []
    for each in dropped:
        parts = zip(each.names, each.values, each.lines, strict=True)
        before = ", then ".join(f"{name}: {_value(each, value)} (line {line})" for name, value, line in parts)
        after = "in quotes, for Hermes reads them as the same key" if len({*each.names}) > 1 else "the last one alone"
        found.append(change(f"{NAME}: {shown(each.path)}", before, after, Effect.RESTART_SERVICE))
    return found


def _value(each: Duplicate, value: str | None) -> str:
    return "…" if value is None else value_shown(value, each.path) or "''"


def _twice(each: Duplicate) -> str:
    lines = " and ".join(map(str, each.lines))
    return (
        f"{NAME}: {shown(each.path)} is there more than once (lines {lines}): the last one counts; Hermes from "
        "0.22 on cannot read such a file, so it is mended before one has to"
    )
