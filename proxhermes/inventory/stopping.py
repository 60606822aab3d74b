"""How long the agent gets to end, whoever asks for it: one number, and a little more for each shell around it.

The gateway waits for work in flight (Hermes 0.22: gateway/restart.py). Killed in the middle of that, it loses the work,
and may leave its databases with a log that was never written back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from proxhermes import upstream

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent

NODE_S: Final = 180
"""What a node that shuts down gives each container by default, in seconds (PVE 8 and 9: API2/Nodes.pm, stopall)."""
_IMAGE_S: Final = 10
"""The image's own init: s6-overlay sleeps 3 s after all has ended, whatever that is (S6_KILL_GRACETIME)."""
_ENGINE_S: Final = 10
_SYSTEM_S: Final = 10
"""The guest's other services."""
_VARIABLES: Final = {
    "restart_drain_timeout": "HERMES_RESTART_DRAIN_TIMEOUT",
    "cron_drain_timeout": "HERMES_CRON_DRAIN_TIMEOUT",
}
"""Keys of `agent` in config.yaml, and lines of .env that count where it says nothing (Hermes 0.22: gateway/run.py)."""


def gateway(agent: Agent) -> int:
    """How long the gateway itself may take, in seconds."""
    return declared(agent.hermes.keys, agent.hermes.environment)


def declared(settings: Mapping[str, Any], environment: Mapping[str, Any]) -> int:
    """The same from the keys of config.yaml and the lines of .env that the inventory declares."""
    section = settings.get("agent")
    lines = {key: environment[name] for key, name in _VARIABLES.items() if name in environment}
    return upstream.stop_seconds({"agent": {**lines, **(section if isinstance(section, Mapping) else {})}})


def container(gateway_s: int) -> int:
    """How long the engine waits until it kills the container, for a gateway that may take so long."""
    return gateway_s + _IMAGE_S


def engine(gateway_s: int) -> int:
    """How long systemd waits for the engine, which ends its containers first, and itself 5 s later at the most."""
    return container(gateway_s) + _ENGINE_S


def guest(gateway_s: int) -> int:
    """How long Proxmox waits for its container to shut down."""
    return engine(gateway_s) + _SYSTEM_S
