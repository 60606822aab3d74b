"""The way on which the agent asks LiteLLM: its proxy, and the authorities that it trusts. Pure.

As Hermes reads the variables of its .env: one proxy for whatever scheme, the first that is set; which hosts go past it,
and which variables name a file of authorities, differs by version (`upstream.Reading`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from proxhermes import upstream
from proxhermes.hermes import curl, layout, litellm
from proxhermes.inventory import profiles
from proxhermes.inventory.proxies import proxy_for

if TYPE_CHECKING:
    from proxhermes.hermes.wanted import Wanted
    from proxhermes.inventory.models import Agent

CA: Final = "litellm-ca.pem"
"""File of HERMES_HOME with the authorities of `litellm.ca_file`, and the one in a bundle."""
CURL: Final = "litellm.curl"
_BODY: Final = "litellm.ask"
_NAME: Final = "litellm.listed"


@dataclass(frozen=True, slots=True)
class Route:
    """proxy: its URL, which may hold a password; None for none. authorities: in PEM, None for the system's."""

    proxy: str | None = field(default=None, repr=False)
    authorities: bytes | None = field(default=None, repr=False)


def route(agent: Agent, wanted: Wanted, reading: upstream.Reading) -> Route:
    """The agent's way to its LiteLLM, as the inventory makes it."""
    lines = {**_service(agent), **wanted.environment.lines}
    proxy = proxy_for(agent.litellm.base_url, lines, ranges=reading.ranges)
    return Route(proxy, _authorities(agent, wanted, lines, reading))


def ca_path(agent: Agent) -> str:
    """Where the agent has them, as it sees it."""
    return f"{layout.of(agent).inner_home}/{CA}"


def _authorities(agent: Agent, wanted: Wanted, lines: Mapping[str, str], reading: upstream.Reading) -> bytes | None:
    """Those of `litellm.ca_file`; else the file that one of Hermes' variables names, if the inventory gives it."""
    home = f"{layout.of(agent).inner_home}/"
    path = next((lines[name] for name in reading.authorities if lines.get(name)), "")
    names = [CA, *([path.removeprefix(home)] if path.startswith(home) else [])]
    given = {file.path: file.content for file in wanted.files if file.place == "home"}
    return next((given[name] for name in names if name in given), None)


def _service(agent: Agent) -> dict[str, str]:
    """The variables that the inventory gives the agent's container itself."""
    given = getattr(agent.runtime, "compose_override", {}).get("environment")
    return {name: str(value) for name, value in given.items()} if isinstance(given, Mapping) else {}


def bundle(agent: Agent, key: str, way: Route) -> dict[str, tuple[bytes, int]]:
    """What guest-facts.sh asks LiteLLM with: the key's header and the way in a configuration of curl's, for arguments
    show in the process list; and each model's question, with what a list that has the model holds."""
    options = [("header", f"Authorization: Bearer {key}")]
    options += [("proxy", way.proxy), ("noproxy", "")] if way.proxy else [("noproxy", "*")]
    options += [("cacert", CA)] if way.authorities else []
    files = {CURL: b"".join(curl.option(*each) for each in options)} | (
        {CA: way.authorities} if way.authorities else {}
    )
    for number, model in enumerate(models(agent)):
        files |= {f"{_BODY}.{number}": litellm.question(model), f"{_NAME}.{number}": litellm.listed_as(model).encode()}
    return {name: (content, 0o600) for name, content in files.items()}


def models(agent: Agent) -> tuple[str, ...]:
    """The agent's model and those of its profiles, each once, in the order in which they are asked."""
    return tuple(dict.fromkeys(each.litellm.model for each in (agent, *profiles.of(agent))))


def rows() -> str:
    """How each version reads its variables, for agent-probe.py: [[VERSION, RANGES, [VARIABLE, …]], …] as JSON."""
    return json.dumps(
        [[".".join(map(str, row.since)), row.reading.ranges, row.reading.authorities] for row in upstream.RELEASES]
    )
