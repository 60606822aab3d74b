"""The lines of Hermes' .env that the inventory declares: what proxhermes needs there, files of the operator's, secrets.

A later one wins: `hermes.environment`, then `hermes.environment_files` in their order, then `hermes.secrets`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from proxhermes.errors import SecretError, UsageError
from proxhermes.hermes import env, managed, messaging, ports
from proxhermes.hermes.files import UnusableFile, decoded
from proxhermes.hermes.settings import KEY_VARIABLE
from proxhermes.inventory.guest import agents_lines
from proxhermes.inventory.hermes_rules import (
    API_STAYS,
    API_SWITCH,
    OUR_VARIABLES,
    SEEN_VARIABLES,
    WHY_API_STAYS,
    instead,
    is_on,
    names_a_secret,
    said_by,
)
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime_rules import HOW_TO_CLOSE, OPEN_TO_ALL, asks_who_is_there
from proxhermes.inventory.secrets import MASK, Secret, SecretRef, mask_everywhere

API_KEY: Final = "API_SERVER_KEY"
"""Key of the gateway's own API; made once, on the guest, and never known to the inventory."""
_STRIPPED: Final = re.compile(r"(_API_KEY|_TOKEN|_SECRET|_KEY)$")
"""From variables named so, Hermes drops every character that is not ASCII (0.19: hermes_cli/env_loader.py)."""
_PLAIN: Final = "hermes.environment"
_READABLE_BY_ALL: Final = 0o004


@dataclass(frozen=True, slots=True)
class Environment:
    """The lines of .env that come from the inventory. `secret`: the names of those that nobody may see.

    duplicates: a sentence for each name that is declared more than once, with which one wins.
    """

    lines: Mapping[str, str] = field(repr=False)
    secret: frozenset[str]
    duplicates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    """One declaration. place: where it stands, for messages. hidden: nobody may see the value."""

    name: str
    value: str = field(repr=False)
    place: str
    hidden: bool = False


def litellm_key(agent: Agent) -> Secret:
    """LiteLLM's key. Raises SecretError."""
    return agent.litellm.api_key.resolve()


def environment(agent: Agent, *, reveal: bool = True) -> Environment:
    """The lines of .env. reveal: look the secrets up; else a mask stands for each, and nothing is asked for.

    Raises SecretError, and UsageError for a file that cannot be used, or a line that Hermes cannot run with.
    """
    keys = {KEY_VARIABLE: agent.litellm.api_key, **messaging.secrets(agent.messaging)}
    # The API is open within the agent's own network alone: it tells whether the gateway is up.
    api = {} if agent.profile else {"API_SERVER_ENABLED": "true", **ports.environment(agent)}
    lines = {**api, **messaging.environment(agent.messaging)}
    if agent.runtime.type == "docker":
        # Not in the service's environment: what the image does at its start could then not save a migrated config.yaml.
        lines |= managed.environment(agent)
    for name, reference in keys.items():
        key = _Line(name, _value(reference, reveal=reveal), OUR_VARIABLES[name])
        _survives(agent, key)
        lines[name] = key.value
    declared: dict[str, _Line] = {}
    duplicates: list[str] = []
    for line in _declared(agent, reveal=reveal):
        if before := declared.get(line.name):
            duplicates.append(f"{line.name} stands in {before.place} and in {line.place}; the latter wins")
        _check(agent, line)
        declared[line.name] = line
    hidden = {name for name, line in declared.items() if line.hidden}
    values = {name: line.value for name, line in declared.items()}
    lines |= agents_lines(agent.guest, values)
    if not agent.profile and ports.dashboard_open(agent) and not asks_who_is_there(values):
        raise UsageError(f"{agent.option}.environment_files: {OPEN_TO_ALL}", hint=HOW_TO_CLOSE)
    return Environment({**lines, **values}, frozenset({*keys, *hidden}), tuple(duplicates))


def needs_key(lines: Mapping[str, str], existing: Mapping[str, str], forget: Collection[str]) -> bool:
    """Whether a fresh key for the gateway's API is to be made.

    lines: those declared; existing: those of the .env that is there; forget: names that go from it, if not declared.
    """
    return API_KEY not in lines and (API_KEY in forget or not existing.get(API_KEY))


def _declared(agent: Agent, *, reveal: bool) -> Iterator[_Line]:
    """What the inventory says, in its order: later ones win."""
    hermes, known = agent.hermes, dict[str, str]()
    for name, value in hermes.environment.items():
        known[name] = value
        yield _Line(name, value, _PLAIN)
    for index, path in enumerate(hermes.environment_files):
        for line in _in_file(agent, index, path, known):
            known[line.name] = line.value
            yield line if reveal else replace(line, value=MASK)
    for name, reference in hermes.secrets.items():
        yield _Line(name, _value(reference, reveal=reveal, lines=True), "hermes.secrets", hidden=True)


def read_file(agent: Agent, index: int, known: dict[str, str]) -> None:
    """Look into one of `hermes.environment_files`: what it says is put into `known`. Raises what `environment` does."""
    for line in _in_file(agent, index, agent.hermes.environment_files[index], known):
        _check(agent, line)
        known[line.name] = line.value


def _value(reference: SecretRef, *, reveal: bool, lines: bool = False) -> str:
    return reference.resolve(lines=lines).reveal() if reveal else MASK


def _in_file(agent: Agent, index: int, path: LocalPath, known: Mapping[str, str]) -> Iterator[_Line]:
    """The lines of a file of the operator's, each `${NAME}` in them replaced as python-dotenv does, from `known`."""
    option = f"{agent.option}.environment_files[{index}]"
    known = dict(known)
    secrets: list[str] = []
    try:
        for entry, number in env.numbered(decoded(path.read(option), path.written)):
            if entry.key is None:
                continue
            where = f"{option}: {path.path}:{number}"
            if entry.value is None or not SecretRef.NAME.fullmatch(entry.key):
                raise UsageError(f"{where}: this is not KEY=VALUE")
            try:
                known[entry.key] = env.expanded(entry.value, known)
            except KeyError:  # its name is not told: it may be a piece of a secret
                raise UsageError(
                    f"{where}: {entry.key} names a variable `${{…}}` that nothing defines",
                    hint="`${:-$}{` stands for a literal `${`",
                ) from None
            if names_a_secret(entry.key) and known[entry.key]:
                mask_everywhere(known[entry.key])
                secrets.append(entry.key)
            yield _Line(entry.key, known[entry.key], f"{path.written}:{number}", hidden=True)
    except UnusableFile as error:
        raise UsageError(f"{option}: {path.path}:{error.line}: {error.what}") from None
    if secrets and path.path.stat().st_mode & _READABLE_BY_ALL:
        raise SecretError(
            f"{option}: {path.path} holds {secrets[0]} and can be read by everybody", hint=f"chmod 600 {path.path}"
        )


def _check(agent: Agent, line: _Line) -> None:
    """Refuse a line that proxhermes writes itself, and one that Hermes would not read as it is."""
    name, value = line.name, line.value
    section = said_by(name, agent.runtime.type)
    if name in messaging.environment(agent.messaging) and not name.startswith("HERMES_"):
        platform, _, key = name.lower().partition("_")
        section = f"messaging.{platform}.{key}"
    if name in SEEN_VARIABLES and line.place != _PLAIN:
        section = _PLAIN
    if section:
        raise UsageError(f"{_whose(agent)}: {line.place}: {name} is said elsewhere", hint=instead(section))
    if name == API_SWITCH and value != MASK and not is_on(value):
        raise UsageError(f"{_whose(agent)}: {line.place}: {name}: {API_STAYS}", hint=WHY_API_STAYS)
    _survives(agent, line)


def _whose(agent: Agent) -> str:
    return agent.option if agent.profile else f"agents.{agent.vmid}"


def _survives(agent: Agent, line: _Line) -> None:
    """Refuse a value of which Hermes would drop a part."""
    if _STRIPPED.search(line.name) and not line.value.isascii():
        raise UsageError(
            f"{_whose(agent)}: {line.place}: {line.name} holds a character that is not ASCII",
            hint="Hermes drops such characters from keys and tokens, which go into HTTP headers",
        )
