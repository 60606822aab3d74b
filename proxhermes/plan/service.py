"""The agent's service, whatever runs it: what is to be done that it runs as the inventory says. Pure."""

from __future__ import annotations

from dataclasses import replace

from proxhermes.facts.guest import GuestFacts, Service
from proxhermes.hermes import compose, layout
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime, PersistentRuntime
from proxhermes.plan.commands import plan_commands
from proxhermes.plan.compose import plan_compose
from proxhermes.plan.hermes_model import ServicePlan, change
from proxhermes.plan.model import Effect
from proxhermes.plan.move import Move
from proxhermes.plan.native import plan_native
from proxhermes.plan.package import PackagePlan
from proxhermes.plan.persistent import plan_persistent


def plan_service(
    agent: Agent,
    facts: GuestFacts,
    move: Move,
    so_far: Effect,
    package: PackagePlan | None = None,
    *,
    recreate: bool = False,
) -> ServicePlan:
    """The difference between the service that is wanted and the one that is.

    so_far: what the other changes ask for already. package: of the agent's code, for the types that have one. recreate:
    its container is to be another one in any case. Raises Refused for a service of that name that is not ours,
    UnusableFile for a file of ours that somebody broke.
    """
    if move.retire:  # it is going to be taken away with all that it consists of
        gone = {name: file for name, file in facts.files.items() if name not in ("compose", "unit", "layer", "pending")}
        facts = replace(facts, container=None, service=Service(facts=facts.service.facts), files=gone)
    plan = _of_its_type(agent, facts, so_far, package or PackagePlan())
    if recreate and facts.container is not None:
        plan = _recreated(agent, plan)
    changes, files = plan_commands(agent, facts)
    return replace(plan, changes=(*plan.changes, *changes), files={**plan.files, **files})


def _recreated(agent: Agent, plan: ServicePlan) -> ServicePlan:
    """The plan, with another container in any case; what is lost with the one that is there is said first."""
    subject = f"container {layout.CONTAINER}"
    changes = [change(subject, "as it is", "recreated, as asked for", Effect.RECREATE_SERVICE)]
    notes = [compose.lost(agent)]
    if any(found.subject == f"{subject}: layer" for found in plan.changes):  # it is another one without being asked for
        changes, notes = [], []
    return replace(
        plan,
        changes=(*plan.changes, *changes),
        files={**plan.files, compose.RECREATE: b""},
        notes=(*plan.notes, *notes),
    )


def _of_its_type(agent: Agent, facts: GuestFacts, so_far: Effect, package: PackagePlan) -> ServicePlan:
    if isinstance(agent.runtime, NativeRuntime):
        return plan_native(agent, facts, so_far, package)
    if isinstance(agent.runtime, PersistentRuntime):
        return plan_persistent(agent, facts, so_far, package)
    return plan_compose(agent, facts, so_far)
