"""The agent as the guest's scripts see it: a few shell assignments, none of them a secret."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from proxhermes.hermes import compose, layout, package, podman, route, unit, workplace
from proxhermes.hermes.ports import api_port
from proxhermes.inventory import guest
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime

NAME = "agent.sh"
"""The file in a bundle that the scripts read in first."""


def assignments(agent: Agent) -> dict[str, str]:
    """What the scripts need to know of `agent`, by the names that they use."""
    runtime = agent.runtime
    place = layout.of(agent)
    engine, image = ("", "") if isinstance(runtime, NativeRuntime) else (runtime.engine, podman.image(runtime))
    return {
        "engine": engine,
        "image": image,
        "container": layout.CONTAINER,
        "unit": layout.UNIT,
        "project": place.project,
        "home": place.home,
        "inner_home": place.inner_home,
        "user_home": place.user_home,
        "workspace": place.workspace,
        "uid": str(agent.hermes.uid),
        "gid": str(agent.hermes.gid),
        "api_port": str(api_port(agent)),
        "litellm": agent.litellm.base_url,
        "model": agent.litellm.model,
        "litellm_ca": route.ca_path(agent) if agent.litellm.ca_file else "",
        "readings": route.rows(),
        "python": layout.python(agent),
        **package.names(agent),
        **unit.names(agent),
        "add_to_path": "yes" if runtime.add_to_path else "no",
        "profiles": " ".join(agent.hermes.profiles),
        "folders": "\n".join(compose.folders(agent)),
        "writable": "\n".join(workplace.writable(agent)),
        "stop_seconds": str(compose.stop_seconds(agent)),
        "supervised": "yes" if compose.supervised(agent) else "no",
    }


def proxy(agent: Agent) -> dict[str, tuple[bytes, int]]:
    """The file of a bundle with the variables of the guest's proxy, if it has one."""
    found = guest.variables(agent.guest)
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in found.items())
    return {"proxy.sh": (text.encode(), 0o600)} if text else {}


def render(values: Mapping[str, str]) -> bytes:
    """The assignments as a file for `.` of a POSIX shell."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()).encode()
