"""What there is, agent by agent: read-only, through the token alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from proxhermes.facts import properties
from proxhermes.facts.container import read_container
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes
from proxhermes.plan.notes import Ownership
from proxhermes.plan.persistent import identity

if TYPE_CHECKING:
    from proxhermes.facts.container import ContainerFacts
    from proxhermes.transport.doors import Doors
    from proxhermes.transport.pve import Pve


class State(StrEnum):
    """How an agent's container stands. FOREIGN: the VMID is taken by what proxhermes did not make."""

    ABSENT = "absent"
    FOREIGN = "foreign"
    UNFINISHED = "unfinished"
    STOPPED = "stopped"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """One agent's container in detail. uptime: seconds. pending: options that wait for a boot.

    current: it was last set up from what the inventory says now; None where nobody can tell. version: of proxhermes,
    hermes_version: of the agent, at that time. mounts: host folder and guest path as Proxmox has them. remark: what is
    odd about it. identity: with `persistent`, what the inventory means its container to be (see hermes.persistent);
    another one than before is another container. `verify` compares it with the one that is there.
    """

    vmid: int
    node: str
    hostname: str
    state: State
    uptime: int = 0
    addresses: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    pending: tuple[str, ...] = ()
    current: bool | None = None
    version: str | None = None
    hermes_version: str | None = None
    remark: str | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """One line of the list. in_inventory: False for a container of proxhermes' that the inventory does not know."""

    vmid: int
    node: str
    hostname: str
    state: State
    uptime: int
    in_inventory: bool


def status(agent: Agent, doors: Doors) -> AgentStatus:
    """The container of `agent`: at most four API reads. Raises what the token's door raises."""
    return status_of(agent, read_container(doors.pve, agent.node, agent.vmid, doors.events))


def status_of(agent: Agent, facts: ContainerFacts) -> AgentStatus:
    """The same out of facts that were read already. Pure."""
    owner = notes.ownership(facts)
    if owner is Ownership.ABSENT:
        return AgentStatus(agent.vmid, agent.node, agent.hostname, State.ABSENT)
    if owner is Ownership.FOREIGN:
        remark = notes.why_foreign(facts)
        return AgentStatus(agent.vmid, agent.node, agent.hostname, State.FOREIGN, remark=remark)
    block = notes.read(facts.config.get("description", ""))
    unfinished = owner is Ownership.UNFINISHED or (block is not None and block.creating)
    running = State.RUNNING if facts.running else State.STOPPED
    return AgentStatus(
        vmid=agent.vmid,
        node=agent.node,
        hostname=facts.config.get("hostname", agent.hostname),
        state=State.UNFINISHED if unfinished else running,
        uptime=facts.uptime,
        addresses=facts.addresses,
        mounts=bind_mounts(facts),
        pending=tuple(sorted(facts.pending)),
        current=block.spec == notes.spec_hash(agent) if block and block.spec and not unfinished else None,
        version=block.version if block else None,
        hermes_version=block.hermes if block else None,
        remark="its creation was cut off; `proxhermes create` goes on from there" if unfinished else None,
        identity=identity(agent),
    )


def bind_mounts(facts: ContainerFacts) -> tuple[tuple[str, str], ...]:
    """Host folder and guest path of each bind mount in force."""
    points = properties.mount_points(facts.config).values()
    return tuple((point["volume"], point.get("mp", "")) for point in points if point["volume"].startswith("/"))


def overview(agents: Sequence[Agent], node: str, pve: Pve) -> tuple[AgentSummary, ...]:
    """All agents of the inventory on `node`, and what else on it carries our tag: one API read for the lot.

    The tag alone makes a container ours here, which is enough for a list; `status` looks at the notes, too.
    (The node's own list is live; /cluster/resources is up to ten seconds old.)
    """
    seen = {int(each["vmid"]): each for each in pve.get(f"/nodes/{node}/lxc") or ()}
    wanted = {agent.vmid: agent for agent in agents if agent.node == node}
    lines = [_summary(agent.vmid, node, agent.hostname, seen.get(agent.vmid), True) for agent in wanted.values()]
    lines += [
        _summary(vmid, node, str(guest.get("name") or f"CT{vmid}"), guest, False)
        for vmid, guest in seen.items()
        if vmid not in wanted and notes.TAG in properties.tag_set(str(guest.get("tags", "")))
    ]
    return tuple(sorted(lines, key=lambda line: line.vmid))


def _summary(vmid: int, node: str, hostname: str, guest: dict[str, object] | None, known: bool) -> AgentSummary:
    if guest is None:
        return AgentSummary(vmid, node, hostname, State.ABSENT, 0, known)
    tagged = notes.TAG in properties.tag_set(str(guest.get("tags", "")))
    state = State.RUNNING if guest.get("status") == "running" else State.STOPPED
    if guest.get("lock") == "create":
        state = State.UNFINISHED
    elif not tagged:
        state = State.FOREIGN
    return AgentSummary(vmid, node, hostname, state, int(str(guest.get("uptime") or 0)), known)
