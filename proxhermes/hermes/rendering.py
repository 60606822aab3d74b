"""The files that a run would write, from the inventory alone, or merged into a copy of the one that is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from proxhermes.errors import UsageError
from proxhermes.hermes import compose, config, daemon, env, masks, settings, unit, variables
from proxhermes.hermes.environment import API_KEY, environment, needs_key
from proxhermes.hermes.files import UnusableFile, decoded
from proxhermes.hermes.merge import same
from proxhermes.hermes.ports import api_port
from proxhermes.inventory.secrets import MASK

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent

_VERSION_NOTE: Final = "_config_version is the newest Hermes'; a run asks which one is installed"


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the operator's that is merged with. name: for messages."""

    name: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The file, and what the operator should know of it."""

    text: str = field(repr=False)
    notes: tuple[str, ...] = ()


T = TypeVar("T")
Renderer = Callable[["Agent", "Source | None", "Source | None", bool], Rendered]


def render(
    agent: Agent, name: str, *, existing: Source | None = None, last: Source | None = None, reveal: bool = False
) -> Rendered:
    """The file `name` of KINDS. existing: merge into this one; last: what was declared when it was written last.

    reveal: look secrets up and show them; else nothing is asked for, and a mask stands for each. Raises UsageError for
    a file that this agent has not, or that cannot be read, and SecretError.
    """
    renderer, merges = KINDS[name]
    if existing is not None and not merges:
        raise UsageError(
            f"{name} is written as a whole: there is nothing to merge", hint=f"proxhermes render {agent.vmid} {name}"
        )
    if last is not None and (existing is None or name not in REMEMBERED):
        raise UsageError(f"--last needs --existing FILE ({' or '.join(REMEMBERED)} only)")
    return renderer(agent, existing, last, reveal)


def _config(agent: Agent, existing: Source | None, last: Source | None, reveal: bool) -> Rendered:
    file, version = agent.hermes.config_file, settings.version(agent, None)
    if file is not None:
        text = decoded(file.read(f"{agent.option}.config_file"), file.written)
        tree = _of(Source(file.written, text), config.parse)
        stamped = config.stamped(text, version)
        shown = stamped.text if reveal else masks.settings_text(stamped.text)
        return Rendered(shown, (*([_VERSION_NOTE] if stamped.changed else ()), *_undefined(agent, tree)))
    tree = settings.declared(agent)
    new = existing is None or _of(existing, config.is_new)
    update = config.update(
        existing.text if existing else None,
        tree,
        last=_of(last, config.remembered) if last else None,
        defaults=settings.defaults(agent, version if new else None),
    )
    kept = (".".join(map(str, path)) for path in update.kept)
    notes = [f"{path} is no longer in the inventory, but was changed since: it stays" for path in kept]
    if new and agent.hermes.config_version is None:
        notes.append(_VERSION_NOTE)
    if "context_length" not in tree["model"]:
        notes.append("model.context_length comes from LiteLLM, which is not asked here")
    text = update.text if reveal else masks.settings_text(update.text)
    return Rendered(text, (*notes, *_undefined(agent, tree)))


def _undefined(agent: Agent, tree: Mapping[str, Any]) -> tuple[str, ...]:
    """A note for each `${NAME}` that the inventory does not define; the container's own .env might."""
    names = environment(agent, reveal=False).lines
    return tuple(
        f"{where}: the inventory does not define ${{{name}}}" for where, name in variables.missing(agent, tree, names)
    )


def _env(agent: Agent, existing: Source | None, last: Source | None, reveal: bool) -> Rendered:
    declared = environment(agent, reveal=reveal)
    there = _parsed(existing, env.values)
    lines = dict(declared.lines)
    notes = list(declared.duplicates)
    forget = last.text.split() if last else ()
    if needs_key(lines, there, forget):
        notes.append(f"{API_KEY} is made where there is none yet")
        lines |= {} if reveal else {API_KEY: MASK}
    text = env.update(existing.text if existing else "", lines, forget).text
    plain = {name: value for name, value in declared.lines.items() if name not in declared.secret}
    return Rendered(text if reveal else masks.env_text(text, plain), tuple(notes))


def _compose(agent: Agent, existing: Source | None, last: Source | None, reveal: bool) -> Rendered:
    _only(agent, "compose.yaml", "docker", "persistent")
    return Rendered(compose.render(agent, mtu=None, api_port=api_port(agent)))


def _unit(agent: Agent, existing: Source | None, last: Source | None, reveal: bool) -> Rendered:
    _only(agent, "unit", "native")
    return Rendered(unit.render(agent))


def _daemon(agent: Agent, existing: Source | None, last: Source | None, reveal: bool) -> Rendered:
    _only(agent, "daemon.json", "docker", "persistent")
    if getattr(agent.runtime, "engine", None) == "podman":
        raise UsageError(
            f"agent {agent.vmid} has no daemon.json: its engine is podman",
            hint="none is written for Podman; what is written in its place, docs/podman.md says",
        )
    _parsed(existing, daemon.parse)
    text = existing.text if existing else None
    update = daemon.update(text, daemon.wanted(agent.engine, agent.guest))
    shown = masks.masked(daemon.parse(update.text))
    if reveal or same(shown, daemon.parse(update.text)):
        return Rendered(update.text)
    return Rendered(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")


def _only(agent: Agent, name: str, *types: str) -> None:
    if agent.runtime.type not in types:
        has = {"native": "unit"}.get(agent.runtime.type, "compose.yaml")
        raise UsageError(
            f"agent {agent.vmid} has no {name}: its runtime is {agent.runtime.type}",
            hint=f"proxhermes render {agent.vmid} {has}",
        )


def _parsed(source: Source | None, parse: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What the source says; nothing for none. Raises UsageError with its line."""
    return {} if source is None else _of(source, parse)


def _of(source: Source, parse: Callable[[str], T]) -> T:
    """What is made of the source. Raises UsageError with its line."""
    try:
        return parse(source.text)
    except UnusableFile as error:
        place = f"{source.name}:{error.line}" if error.line else source.name
        raise UsageError(f"{place}: {error.what}") from None


REMEMBERED: Final = ("config.yaml", ".env")
"""The files that lose what is declared no more."""
KINDS: Final[Mapping[str, tuple[Renderer, bool]]] = {
    "config.yaml": (_config, True),
    ".env": (_env, True),
    "compose.yaml": (_compose, False),
    "unit": (_unit, False),
    "daemon.json": (_daemon, True),
}
"""Name -> how it is rendered, and whether it is merged into what is there."""
