"""What is reachable of the agent, and what that asks of it: its API and its dashboard listen to themselves else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxhermes.errors import UsageError
from proxhermes.inventory.hermes_rules import PORTS, is_port
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime
from proxhermes.inventory.runtime_rules import API_PORT, DASHBOARD_PORT, LOOPBACK

EVERYWHERE: Final = "0.0.0.0"
_API, _DASHBOARD = PORTS


@dataclass(frozen=True, slots=True)
class Published:
    """A published port: for whom (an address of the guest, empty for all), its number there, and the agent's."""

    address: str
    outer: int
    inner: int

    @property
    def reachable(self) -> bool:
        """Whether somebody outside the guest reaches it."""
        return not self.address.startswith(LOOPBACK)


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
            found.add(api_port(agent))
        if not _own(environment.get("HERMES_DASHBOARD_HOST")):
            found.add(_dashboard_port(agent))
    return frozenset(found)


def closed_pages(agent: Agent) -> tuple[str, ...]:
    """Of the API and the dashboard, where others may reach them: PORT/PATH of a page that is for nobody without a key.

    (Hermes 0.19: gateway/platforms/api_server.py, hermes_cli/web_server.py.)
    """
    pages = {api_port(agent): "v1/models", _dashboard_port(agent): "api/config"}
    mapped = {port.outer: port.inner for port in published(agent)}
    found = ((outer, pages.get(mapped.get(outer, outer))) for outer in sorted(expected(agent)))
    return tuple(f"{outer}/{path}" for outer, path in found if path)


def environment(agent: Agent) -> dict[str, str]:
    """The lines of .env that a published port needs; the inventory's own go before them."""
    inner = {port.inner for port in published(agent)}
    lines = {}
    if api_port(agent) in inner:
        lines["API_SERVER_HOST"] = EVERYWHERE
    if _dashboard_port(agent) in inner:
        lines["HERMES_DASHBOARD_HOST"] = EVERYWHERE
    return lines


def dashboard_open(agent: Agent) -> bool:
    """Whether the inventory opens the dashboard to others than the agent itself."""
    if isinstance(agent.runtime, NativeRuntime):
        return False  # nothing starts one there
    opened = agent.runtime.network == "host" and not _own(agent.hermes.environment.get("HERMES_DASHBOARD_HOST"))
    return opened or any(port.inner == _dashboard_port(agent) for port in published(agent))


def api_port(agent: Agent) -> int:
    """The port of the gateway's own API. Raises UsageError for something that is no port."""
    return _port(agent, _API, API_PORT)


def _dashboard_port(agent: Agent) -> int:
    return _port(agent, _DASHBOARD, DASHBOARD_PORT)


def _port(agent: Agent, name: str, default: int) -> int:
    written = agent.hermes.environment.get(name, str(default))
    if not is_port(written):
        raise UsageError(f"{agent.option}.environment.{name}: {written!r} is not a port")
    return int(written)


def _own(host: str | None) -> bool:
    return host is None or host.startswith(LOOPBACK)
