"""What is to be done about the agent's service, whichever runtime it has; and what all of them look at. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes import layout
from proxhermes.hermes.files import decoded
from proxhermes.inventory.models import Agent
from proxhermes.plan.model import Change, Door, Effect, Layer


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """What is to be done about the service. files: name in the bundle (compose.yaml, a unit) -> new content."""

    changes: tuple[Change, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()


def change(
    subject: str, before: str | None, after: str | None, effect: Effect = Effect.NONE, blocked: str | None = None
) -> Change:
    """A change of the agent's own layer."""
    return Change(Layer.HERMES, Door.GUEST, subject, before, after, effect, blocked=blocked)


def owner_changed(agent: Agent, facts: GuestFacts, effect: Effect) -> list[Change]:
    """The agent's other uid or gid, with which all that was its own before changes hands."""
    folder, wanted = facts.files.get("data"), f"{agent.hermes.uid}:{agent.hermes.gid}"
    if folder is None or f"{folder.uid}:{folder.gid}" == wanted:
        return []
    return [change(f"{layout.home(agent)}: owner", f"{folder.uid}:{folder.gid}", wanted, effect)]


def unfinished(
    facts: GuestFacts, subject: str, changes: Sequence[Change], so_far: Effect, up: Effect = Effect.RESTART_SERVICE
) -> list[Change]:
    """The start that a run did not get to the end of, where nothing else asks for one.

    changes: what was found of the service; so_far: what all others ask for. up: what a changed definition asks for.
    """
    pending = decoded(facts.content("pending") or b"", "pending").strip()
    if not pending or changes or so_far >= Effect.RESTART_SERVICE:
        return []
    if pending == "wait":  # it runs, and was still at work on its databases: a restart would begin that again
        return [change(subject, "not up since the last change", "running", Effect.NONE)]
    effect = up if pending == "up" else Effect.RESTART_SERVICE
    return [change(subject, "not up since the last change", "running", effect)]
