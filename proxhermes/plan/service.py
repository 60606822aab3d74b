"""The agent's service, whatever runs it: what is to be done that it runs as the inventory says. Pure."""

from __future__ import annotations

from dataclasses import replace

from proxhermes.facts.guest import GuestFacts, Service
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime, PersistentRuntime
from proxhermes.plan.commands import plan_commands
from proxhermes.plan.compose import plan_compose
from proxhermes.plan.hermes_model import ServicePlan
from proxhermes.plan.model import Effect
from proxhermes.plan.move import Move
from proxhermes.plan.native import plan_native
from proxhermes.plan.package import PackagePlan
from proxhermes.plan.persistent import plan_persistent


def plan_service(
    agent: Agent, facts: GuestFacts, move: Move, so_far: Effect, package: PackagePlan | None = None
) -> ServicePlan:
    """The difference between the service that is wanted and the one that is.

    so_far: what the other changes ask for already. package: of the agent's code, for the types that
    have one. Raises Refused for
    a service of that name that is not ours, UnusableFile for a file of ours that somebody broke.
    """
    if move.retire:  # it is going to be taken away with all that it consists of
        gone = {name: file for name, file in facts.files.items() if name not in ("compose", "unit", "layer", "pending")}
        facts = replace(facts, container=None, service=Service(facts=facts.service.facts), files=gone)
    plan = _of_its_type(agent, facts, so_far, package or PackagePlan())
    changes, files = plan_commands(agent, facts)
    return replace(plan, changes=(*plan.changes, *changes), files={**plan.files, **files})


def _of_its_type(agent: Agent, facts: GuestFacts, so_far: Effect, package: PackagePlan) -> ServicePlan:
    if isinstance(agent.runtime, NativeRuntime):
        return plan_native(agent, facts, so_far, package)
    if isinstance(agent.runtime, PersistentRuntime):
        return plan_persistent(agent, facts, so_far, package)
    return plan_compose(agent, facts, so_far)
