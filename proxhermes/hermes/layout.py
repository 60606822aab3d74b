"""Where Hermes' things are: names that the planner, the scripts and the checks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent

CONTAINER: Final = "hermes"
"""Name of the agent's Docker container, and of its compose project and service."""

CONTAINER_HOME: Final = "/opt/data"
"""HERMES_HOME inside the Docker container (the official image's volume)."""


def folder(agent: Agent) -> str:
    """The folder in the guest that holds compose.yaml."""
    return agent.hermes.data_dir


def home(agent: Agent) -> str:
    """HERMES_HOME as the guest sees it; mounted at CONTAINER_HOME."""
    return f"{agent.hermes.data_dir}/data"
