"""The inventory as the rest of proxhermes sees it: nodes and agents, resolved and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxhermes.inventory.models import Agent, Node
from proxhermes.inventory.problems import Problem


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the user wants. Every agent's `node` is a key of `nodes`; no two agents share a host folder."""

    path: Path
    nodes: Mapping[str, Node]
    agents: Mapping[int, Agent]
    warnings: tuple[Problem, ...] = ()
