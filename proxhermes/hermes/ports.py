"""What is reachable of the agent, and what that asks of it: its API and its dashboard listen to themselves else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime
from proxhermes.inventory.runtime_rules import API_PORT, DASHBOARD_PORT

EVERYWHERE: Final = "0.0.0.0"
_LOOPBACK: Final = "127."


@dataclass(frozen=True, slots=True)
class Published:
    """A published port: for whom (an address of the guest, empty for all), its number there, and the agent's."""

    address: str
    outer: int
    inner: int

    @property
    def reachable(self) -> bool:
        """Whether somebody outside the guest reaches it."""
        return not self.address.startswith(_LOOPBACK)


def published(agent: Agent) -> tuple[Published, ...]:
    """The ports that the inventory publishes: `[ADDRESS:]PORT:PORT[/PROTOCOL]`."""
    if isinstance(agent.runtime, NativeRuntime):
        return ()
    written = [entry.partition("/")[0].split(":") for entry in agent.runtime.ports]
    return tuple(Published(address[0] if address else "", int(outer), int(inner)) for *address, outer, inner in written)


def expected(agent: Agent) -> frozenset[int]:
    """The guest's ports that others may reach, for the inventory says so."""
    found = {port.outer for port in published(agent) if port.reachable}
    shared = isinstance(agent.runtime, NativeRuntime) or agent.runtime.network == "host"
    if shared:  # what the agent listens on is the guest's own
        environment = agent.hermes.environment
        if not _own(environment.get("API_SERVER_HOST")):
            found.add(int(environment.get("API_SERVER_PORT", API_PORT)))
        if not _own(environment.get("HERMES_DASHBOARD_HOST")):
            found.add(int(environment.get("HERMES_DASHBOARD_PORT", DASHBOARD_PORT)))
    return frozenset(found)


def closed_pages(agent: Agent) -> tuple[str, ...]:
    """Of the API and the dashboard, where others may reach them: PORT/PATH of a page that is for nobody without a key.

    (Hermes 0.19: gateway/platforms/api_server.py, hermes_cli/web_server.py.)
    """
    declared = agent.hermes.environment
    pages = {
        int(declared.get("API_SERVER_PORT", API_PORT)): "v1/models",
        int(declared.get("HERMES_DASHBOARD_PORT", DASHBOARD_PORT)): "api/config",
    }
    mapped = {port.outer: port.inner for port in published(agent)}
    found = ((outer, pages.get(mapped.get(outer, outer))) for outer in sorted(expected(agent)))
    return tuple(f"{outer}/{path}" for outer, path in found if path)


def environment(agent: Agent) -> dict[str, str]:
    """The lines of .env that a published port needs; the inventory's own go before them."""
    inner = {port.inner for port in published(agent)}
    declared = agent.hermes.environment
    lines = {}
    if int(declared.get("API_SERVER_PORT", API_PORT)) in inner:
        lines["API_SERVER_HOST"] = EVERYWHERE
    if int(declared.get("HERMES_DASHBOARD_PORT", DASHBOARD_PORT)) in inner:
        lines["HERMES_DASHBOARD_HOST"] = EVERYWHERE
    return lines


def _own(host: str | None) -> bool:
    return host is None or host.startswith((_LOOPBACK, "localhost", "::1"))
