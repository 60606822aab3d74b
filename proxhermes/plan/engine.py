"""The engine in the guest that the agent's runtime asks for: what is missing there. Pure."""

from __future__ import annotations

from proxhermes.facts.guest import GuestFacts
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime
from proxhermes.plan.docker import plan_docker
from proxhermes.plan.engine_model import EnginePlan
from proxhermes.plan.guest_apt import with_apt
from proxhermes.plan.packages import plan_packages, with_packages
from proxhermes.plan.podman import plan_podman

__all__ = ["EnginePlan", "plan_engine"]


def plan_engine(agent: Agent, facts: GuestFacts | None) -> EnginePlan:
    """The difference between the engine that is wanted and the one that is. facts: None for a container not made yet.

    Raises Refused for a guest that it does not come for, UnusableFile for a configuration that cannot be read.
    """
    if isinstance(agent.runtime, NativeRuntime):
        return with_apt(agent, facts, plan_packages(agent, facts))
    plan = plan_podman(agent, facts) if agent.runtime.engine == "podman" else plan_docker(agent, facts)
    return with_apt(agent, facts, with_packages(agent, facts, plan))
