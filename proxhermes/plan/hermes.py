"""Hermes in the guest: its files, its container, and what a change of them asks for. Pure.

A changed .env or config.yaml restarts the container, for the gateway reads them once; a changed image or service makes
it anew, which compose decides; an image with a moving tag (`latest`) is pulled when it is missing and never by itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from proxhermes.errors import Refused
from proxhermes.facts.guest import File, GuestFacts
from proxhermes.hermes import compose, config, env, litellm, messaging, wanted
from proxhermes.hermes.files import UnusableFile, decoded
from proxhermes.hermes.merge import ABSENT, Difference, leaves
from proxhermes.inventory.models import HERMES_SMALLEST_CONTEXT, Agent
from proxhermes.plan.model import Change, Door, Effect, Layer, pending, worst
from proxhermes.plan.move import Move, plan_move
from proxhermes.plan.service import plan_service

_CONTEXT: Final = ("model", "context_length")
_SECRET_KEY: Final = re.compile(r"(token|secret|password|passwd|key)$", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\$\{\w+\}")
_READABLE_BY_ALL: Final = 0o004
_READABLE_BY_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class HermesPlan:
    """What is to be done. files: name in the bundle (config.yaml, env, and the service's own) -> new content.

    move: what a change of the runtime asks for.
    healthy: the gateway answered when the facts were read. unmounted: mounts that are plain folders in the container.
    notes: what the operator should know besides.
    """

    changes: tuple[Change, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    move: Move = field(default_factory=Move)
    healthy: bool = False
    platforms: tuple[str, ...] = ()
    unmounted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def effect(self) -> Effect:
        return worst(self.changes)

    @property
    def needed(self) -> bool:
        return bool(pending(self.changes))


def plan_hermes(agent: Agent, facts: GuestFacts | None, environment: wanted.Environment, fresh_key: str) -> HermesPlan:
    """The difference between the Hermes that is wanted and the one that is. facts: None for a container not made yet.

    environment: from `wanted.environment`. fresh_key: for the gateway's own API, used if .env has none yet.
    Raises UnusableFile for a file that someone else broke; Refused where LiteLLM refuses the key, does not list the
    model, or has too small a context for Hermes (before anything is touched), and for a foreign container.
    """
    facts = facts or GuestFacts()
    length, notes = _asked(agent, facts)
    remembered = _remembered(facts)
    settings = wanted.settings(agent, length)
    move = plan_move(agent, facts)

    settings_changes, new_config = _config(agent, facts, settings, remembered)
    variable_changes, new_env = _env(agent, facts, environment, fresh_key, remembered)
    changes = [*move.changes, *settings_changes, *variable_changes]
    # LiteLLM may be away today: what it told of the context yesterday stays, so it is never taken out again.
    ours = tuple(path for path, _ in leaves(settings) if path != _CONTEXT)
    now = compose.Remembered(tuple(environment.lines), ours)
    service = plan_service(agent, facts, move, worst(changes), now)
    changes += service.changes
    unmounted = tuple(mount.guest for mount in agent.mounts if facts.mounted.get(mount.guest) is False)
    files = {name: content for name, content in {"config.yaml": new_config, "env": new_env}.items() if content}
    return HermesPlan(
        tuple(changes),
        {**files, **service.files},
        move,
        facts.health == 200,
        messaging.enabled(agent.messaging),
        unmounted,
        (*notes, *service.notes),
    )


def _asked(agent: Agent, facts: GuestFacts) -> tuple[int | None, list[str]]:
    """The model's context as LiteLLM tells it, and notes. Raises Refused for what cannot work."""
    if facts.litellm is None:
        return None, []
    verdict = litellm.judge(facts.litellm, agent.litellm.model)
    if verdict.standing is litellm.Standing.UNREACHABLE:
        return None, [
            f"{verdict.reason} ({agent.litellm.base_url}); Hermes is set up, but will not answer until it does"
        ]
    if verdict.standing is not litellm.Standing.FINE:
        hint = (
            "see litellm.api_key in the inventory: it must be a key of this proxy"
            if verdict.standing is litellm.Standing.KEY_REFUSED
            else "litellm.model in the inventory must be one of them; a key may also be limited to some models"
        )
        raise Refused(
            verdict.reason, doing=f"asking LiteLLM from inside CT {agent.vmid}; nothing was changed there", hint=hint
        )
    length = agent.litellm.context_length or verdict.context_length
    if length is not None and length < HERMES_SMALLEST_CONTEXT:
        raise Refused(
            f"{agent.litellm.model} has a context of {length} tokens; Hermes needs {HERMES_SMALLEST_CONTEXT}",
            doing=f"asking LiteLLM from inside CT {agent.vmid}; nothing was changed there",
            hint="another model, or correct max_input_tokens in LiteLLM; litellm.context_length goes before it",
        )
    return verdict.context_length, []


def _remembered(facts: GuestFacts) -> compose.Remembered:
    content = _content(facts, "compose", compose.NAME)
    return compose.Remembered() if content is None else compose.read(decoded(content, compose.NAME))


def _content(facts: GuestFacts, name: str, shown: str) -> bytes | None:
    """The content of a file; None if it is not there. Raises UnusableFile for a link or a folder in its place."""
    file = facts.files.get(name)
    if file is not None and file.content is None:
        raise UnusableFile(shown, f"this is a {file.kind}, not a plain file")
    return file.content if file else None


def _config(
    agent: Agent, facts: GuestFacts, settings: dict[str, Any], remembered: compose.Remembered
) -> tuple[list[Change], bytes | None]:
    """The changes of config.yaml, and its new content if it has to be written."""
    content = _content(facts, "config", config.NAME)
    text = None if content is None else decoded(content, config.NAME)
    defaults = wanted.defaults(agent, new=not (text or "").strip())
    update = config.update(text, settings, defaults=defaults, forget=remembered.settings)
    changes = [
        _change(f"{config.NAME}: {'.'.join(found.path)}", *_shown(found), Effect.RESTART_SERVICE)
        for found in update.differences
    ]
    file = facts.files.get("config")
    if wrong := _ownership(agent, facts, file, _READABLE_BY_ALL):
        changes.append(_change(config.NAME, wrong, f"{agent.hermes.uid}, 0640", Effect.NONE))
    return changes, update.text.encode() if changes else None


def _env(
    agent: Agent,
    facts: GuestFacts,
    environment: wanted.Environment,
    fresh_key: str,
    remembered: compose.Remembered,
) -> tuple[list[Change], bytes | None]:
    """The changes of .env, and its new content if it has to be written."""
    text = decoded(_content(facts, "env", ".env") or b"", ".env")
    lines = dict(environment.lines)
    existing = env.values(text)
    if wanted.API_KEY not in lines and not existing.get(wanted.API_KEY):
        lines[wanted.API_KEY] = fresh_key
    hidden = environment.secret | {wanted.API_KEY}
    update = env.update(text, lines, forget=remembered.env)
    changes: list[Change] = []
    for name in (*update.added, *update.changed, *update.gone):
        before, after = existing.get(name), lines.get(name)
        if name in hidden or name not in lines or _SECRET_KEY.search(name):
            before, after = before and "(hidden)", after and "(hidden, new)" if name in update.changed else "(hidden)"
            after = None if name in update.gone else after
        changes.append(_change(f".env: {name}", before, after, Effect.RESTART_SERVICE))
    if wrong := _ownership(agent, facts, facts.files.get("env"), _READABLE_BY_OTHERS):
        changes.append(_change(".env", wrong, f"{agent.hermes.uid}, 0600", Effect.NONE))
    return changes, update.text.encode() if changes or "env" not in facts.files else None


def _ownership(agent: Agent, facts: GuestFacts, file: File | None, forbidden: int) -> str | None:
    """The file's owner and mode, if the agent cannot use it or others can; None if they are right."""
    folder = facts.files.get("data")
    if file is None or folder is None or folder.uid != agent.hermes.uid:  # all of it is going to change hands
        return None
    wrong = file.uid != agent.hermes.uid or file.mode & forbidden
    return f"{file.uid}, {file.mode:04o}" if wrong else None


def _shown(found: Difference) -> tuple[str | None, str | None]:
    """Both values as text; one that looks like a secret and is no reference is not shown."""

    def text(value: Any) -> str | None:
        if value is ABSENT:
            return None
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        hide = _SECRET_KEY.search(found.path[-1]) and written and not _REFERENCE.fullmatch(written)
        return "(hidden)" if hide else written

    return text(found.before), text(found.after)


def _change(subject: str, before: str | None, after: str | None, effect: Effect) -> Change:
    return Change(Layer.HERMES, Door.GUEST, subject, before, after, effect)
