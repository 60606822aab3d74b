"""What destroying an agent means, told before it happens. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from proxhermes.facts.container import ContainerFacts
from proxhermes.facts.properties import flag
from proxhermes.inventory import stopping
from proxhermes.inventory.models import Agent
from proxhermes.plan import idmap
from proxhermes.plan.container import refuse_foreign


@dataclass(frozen=True, slots=True)
class DestroyPlan:
    """exists: there is a container to remove. folders: host folders that stay, unless their data is purged too.

    owners: the node's users that the container's users were, as first and last id: purging spares all others.
    seconds: that the container may take to shut down.
    """

    node: str
    vmid: int
    hostname: str
    exists: bool
    running: bool
    protected: bool
    folders: tuple[str, ...]
    owners: tuple[tuple[int, int], ...]
    seconds: int


def plan_destroy(agent: Agent, facts: ContainerFacts) -> DestroyPlan:
    """Raises Refused for a container that proxhermes did not make."""
    refuse_foreign(facts)
    users = [each for each in idmap.from_lxc(facts.lxc).ranges if each.kind == "u"]
    return DestroyPlan(
        node=agent.node,
        vmid=agent.vmid,
        hostname=facts.config.get("hostname", agent.hostname),
        exists=facts.exists,
        running=facts.running,
        protected=flag(facts.config.get("protection")),
        # What the agent may only read is not its data.
        folders=tuple(mount.host for mount in agent.mounts if not mount.read_only),
        owners=tuple((each.host, each.host + each.length - 1) for each in users),
        seconds=stopping.guest(stopping.gateway(agent)),
    )
