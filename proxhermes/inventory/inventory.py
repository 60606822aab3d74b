"""The inventory as the rest of proxhermes sees it: nodes and agents, resolved and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from proxhermes.errors import UsageError
from proxhermes.inventory.models import Agent, Node
from proxhermes.inventory.problems import Problem


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the user wants. Every agent's `node` is a key of `nodes`; no two agents share a host folder."""

    path: Path
    nodes: Mapping[str, Node]
    agents: Mapping[int, Agent]
    warnings: tuple[Problem, ...] = ()

    def node_of(self, agent: Agent) -> Node:
        """The node that the agent runs on."""
        return self.nodes[agent.node]

    def select(self, names: Sequence[str] = ()) -> tuple[Agent, ...]:
        """The agents with these VMIDs or host names, each once, in the inventory's order; all if none is named.

        Raises UsageError for a name that no agent has, and for a host name that several have.
        """
        if not names:
            return tuple(self.agents.values())
        wanted = {self._vmid(name) for name in names}
        return tuple(agent for vmid, agent in self.agents.items() if vmid in wanted)

    def _vmid(self, name: str) -> int:
        if name.isascii() and name.isdigit() and int(name) in self.agents:
            return int(name)
        found = [vmid for vmid, agent in self.agents.items() if agent.hostname == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{len(found)} agents are called {name}: {', '.join(map(str, found))}", hint="name the VMID"
            )
        known = [*map(str, self.agents), *(agent.hostname for agent in self.agents.values())]
        near = get_close_matches(name, known, n=1)
        listed = ", ".join(f"{vmid} ({agent.hostname})" for vmid, agent in self.agents.items()) or "none"
        raise UsageError(
            f"the inventory {self.path} has no agent {name}",
            hint=f"did you mean {near[0]}? It has: {listed}" if near else f"it has: {listed}",
        )
