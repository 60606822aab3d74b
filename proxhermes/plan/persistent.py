"""The agent in a plain image with a layer of its own: its code, its environment, its container. Pure.

compose does not decide when the container is made anew: its identity does, for with the container its layer is lost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes import compose, layout, persistent
from proxhermes.hermes.files import decoded
from proxhermes.hermes.ports import api_port
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import PersistentRuntime
from proxhermes.plan.compose import compose_file, refuse_foreign, refuse_missing, rendered
from proxhermes.plan.hermes_model import ServicePlan, change, owner_changed, unfinished
from proxhermes.plan.model import Change, Effect, worst
from proxhermes.plan.package import PackagePlan

_SHOWN: Final = 12
_ENGINES_OWN_S: Final = 10
"""How long Docker and Podman wait for a container that says nothing itself."""
_SUBJECT: Final = f"container {layout.CONTAINER}"


def plan_persistent(agent: Agent, facts: GuestFacts, so_far: Effect, package: PackagePlan) -> ServicePlan:
    """What is different about the service. Raises Refused for a container of that name that is not ours."""
    refuse_foreign(agent, facts.container)
    refuse_missing(agent, facts)
    changes, files = [*package.changes], dict(package.files)
    found, text = _environment(agent, facts)
    changes += found
    if text is not None:
        files[persistent.ENVIRONMENT] = text
    new = _is_new(agent, facts)
    found, text = compose_file(
        facts,
        rendered(agent, facts),
        Effect.RECREATE_SERVICE if new else Effect.NONE,
    )
    found = [_moved(each) for each in found]
    changes += found
    if text is not None:
        files[compose.NAME] = text
    found, lost = _container(agent, facts, new, max(so_far, worst(changes)))
    changes += found
    return ServicePlan(tuple(changes), files, (*package.notes, *lost, *_hurried(agent, facts), *_unprovisioned(facts)))


def identity(agent: Agent) -> str | None:
    """What the inventory means the container to be; None for a runtime that has no layer."""
    return persistent.identity(agent) if isinstance(agent.runtime, PersistentRuntime) else None


def _moved(found: Change) -> Change:
    """Of all that compose.yaml says, another network is the one thing that the same container can be given."""
    subnet = found.subject.startswith(f"{compose.NAME}: networks.") and found.effect is Effect.NONE
    return replace(found, effect=Effect.RESTART_SERVICE) if subnet else found


def _is_new(agent: Agent, facts: GuestFacts) -> bool:
    """Whether there is no container yet, or another one than the inventory means."""
    return facts.container is None or facts.service.facts.get("identity") != persistent.identity(agent)


def _environment(agent: Agent, facts: GuestFacts) -> tuple[list[Change], bytes | None]:
    """What the entrypoint reads, by its lines; and the entrypoint itself, which goes along with every bundle."""
    text, shown = persistent.environment(agent, api_port(agent)), "layer/environment"
    content = facts.readable("layer", shown)
    if content is None:
        return [change(shown, None, "written", Effect.RESTART_SERVICE)], text.encode()
    changes = []
    if facts.service.facts.get("entrypoint") != "same":
        changes.append(change("layer/entrypoint", "of another version", "written anew", Effect.RESTART_SERVICE))
    before, after = _lines(decoded(content, shown)), _lines(text)
    failed = bool(facts.service.facts.get("provision_failed:"))
    changes += [
        change(f"{shown}: {name}", before.get(name), after.get(name), _effect(name, before, after, failed=failed))
        for name in dict.fromkeys([*after, *before])
        if before.get(name) != after.get(name)
    ]
    return changes, None if content.decode() == text else text.encode()


def _effect(name: str, before: dict[str, str], after: dict[str, str], *, failed: bool) -> Effect:
    """A package that is wanted no longer stays in the layer: nothing has to start for it, unless it was what failed."""
    if name == "agent_packages" and name in before and not failed:
        there, wanted = (set(lines[name].strip("'").split()) for lines in (before, after))
        return Effect.NONE if wanted <= there else Effect.RESTART_SERVICE
    return Effect.RESTART_SERVICE


def _lines(text: str) -> dict[str, str]:
    pairs = (line.removeprefix("export ").partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _container(agent: Agent, facts: GuestFacts, new: bool, so_far: Effect) -> tuple[list[Change], list[str]]:
    """What is different about the container itself; and, where it is made anew, what that costs."""
    changes, notes, container = owner_changed(agent, facts, Effect.RESTART_SERVICE), list[str](), facts.container
    image = persistent.persistent(agent).image
    if container is None:
        pull = "" if facts.image_id else " (pulled)"
        return [*changes, change(_SUBJECT, None, f"{image}{pull}", Effect.RECREATE_SERVICE)], notes
    if new:
        before = facts.service.facts.get("identity") or "none"
        after = persistent.identity(agent)
        changes.append(
            change(f"{_SUBJECT}: identity", before[:_SHOWN], f"{after[:_SHOWN]} (recreated)", Effect.RECREATE_SERVICE)
        )
        changes.append(
            change(
                f"{_SUBJECT}: layer", "what the agent installed", f"LOST; begins as {image}", Effect.RECREATE_SERVICE
            )
        )
        notes.append(compose.lost(agent))
    elif container.status != "running":
        changes.append(change(_SUBJECT, container.status, "running", Effect.RESTART_SERVICE))
    return changes + unfinished(facts, _SUBJECT, changes, so_far), notes


def _hurried(agent: Agent, facts: GuestFacts) -> list[str]:
    """That the container was made with less time to end than its gateway may need; only another container has more."""
    if facts.container is None or _is_new(agent, facts):
        return []
    has, needs = facts.container.stop or _ENGINES_OWN_S, compose.stop_seconds(agent)
    again = f"`proxhermes up {agent.vmid} --recreate` makes another one"
    told = (
        f"a shutdown of the guest kills the agent's container after {has} s, and it may need {needs} s to end: {again}"
    )
    return [] if has >= needs else [told]


def _unprovisioned(facts: GuestFacts) -> list[str]:
    failed = facts.service.facts.get("provision_failed:", "").strip()
    return (
        [f"the layer's tools are not all there ({failed.splitlines()[-1]}); each start tries again"] if failed else []
    )
