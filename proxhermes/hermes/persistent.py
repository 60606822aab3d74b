"""A plain image that the agent may change: what its container is made of, and what it is told at each start. Pure.

What a container is made of is its identity, a hash: another one is another container, and the layer with all that the
agent installed is lost. So it holds as little as can be. All else is in files that are mounted, and read at each start.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import Any, Final

from proxhermes.hermes import layout, managed, package, podman
from proxhermes.inventory import guest
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import PersistentRuntime

SCHEMA: Final = 2
"""Another one makes every container anew: for what the entrypoint cannot make good in a layer that is there."""
LABEL: Final = "io.proxhermes.identity"
ENVIRONMENT: Final = "layer-environment"
"""Name in the bundle of the file that the entrypoint reads."""
TOOLS: Final = ("ca-certificates", "curl", "nodejs", "procps", "python3", "python3-venv", "sudo")
"""What is provisioned once into each layer, besides npm and uv: Debian's and Ubuntu's names."""


def persistent(agent: Agent) -> PersistentRuntime:
    """The agent's runtime. Raises ValueError for another."""
    if not isinstance(agent.runtime, PersistentRuntime):
        raise ValueError(f"{agent.runtime.type} has no layer of its own")
    return agent.runtime


def identity(agent: Agent) -> str:
    """What its container is: SHA-256 over all that only a new container can change, in hex.

    Of the agent's values, and not of the compose.yaml that they become: another way to write the same is the same.
    """
    runtime = persistent(agent)
    check, image = runtime.healthcheck, podman.qualified(runtime.image)
    own = [*folders(agent), *((mount.guest, mount.read_only) for mount in agent.mounts)]
    inputs = {
        "schema": SCHEMA,
        "image": image if ":" in image.rpartition("/")[2] else f"{image}:latest",
        "volumes": sorted([*((path, path, only) for path, only in own), *map(_volume, runtime.extra_volumes)]),
        "network": (runtime.network, sorted(port.removesuffix("/tcp") for port in runtime.ports)),
        "shm_size": _bytes(runtime.shm_size),
        "healthcheck": check.enabled and [check.interval, check.timeout, check.retries, check.start_period],
        "compose_override": runtime.compose_override,
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _volume(written: str) -> tuple[str, str, bool]:
    """Where it is in the container, what it is, and whether it is read-only there."""
    source, target, *mode = written.split(":")
    return target, source, mode == ["ro"]


def _bytes(size: str) -> int:
    """`1g`, `64mb` and the like."""
    number = size.rstrip("bgkm")
    return int(number) << 10 * (1 + "kmg".index(size[len(number)]))


def folders(agent: Agent) -> list[tuple[str, bool]]:
    """The agent's own folders, each under the same path inside and outside, and whether it is read-only there."""
    return [(layout.of(agent).project, True), (persistent(agent).state_dir, False)]


def service(agent: Agent) -> dict[str, Any]:
    """Keys of the compose service that are otherwise with a plain image; None for those that it has not."""
    entrypoint = f"{layout.of(agent).project}/layer/entrypoint"
    check = {"test": ["CMD", entrypoint, "health"]} if persistent(agent).healthcheck.enabled else {}
    return {
        "entrypoint": [entrypoint],
        "command": None,
        # The agent's commands leave children behind, which somebody has to bury.
        "init": True,
        "environment": None,
        "labels": {LABEL: identity(agent)},
        "healthcheck": check,
    }


def environment(agent: Agent, api_port: int) -> str:
    """The file that the entrypoint reads, as shell. No secrets: those are in .env."""
    place, runtime = layout.of(agent), persistent(agent)
    plain = {
        "agent_uid": str(agent.hermes.uid),
        "agent_gid": str(agent.hermes.gid),
        "agent_code": f"{place.project}/current",
        "agent_workspace": place.workspace,
        "agent_cwd": layout.working_directory(agent),
        "agent_api_port": str(api_port),
        "agent_health_timeout": str(runtime.healthcheck.timeout),
        "agent_allow_root": "yes" if runtime.allow_root else "no",
        "agent_packages": " ".join(dict.fromkeys([*TOOLS, *package.tools(runtime), *runtime.extra_packages])),
        "agent_venv_python": runtime.venv_python,
        "agent_command": shlex.join(command(agent)),
    }
    exported = {
        "HOME": place.user_home,
        "HERMES_HOME": place.home,
        "HERMES_HOME_MODE": layout.HOME_MODE,
        # What Hermes would install into its read-only code when it is first needed goes to the agent's own home.
        "HERMES_LAZY_INSTALL_TARGET": f"{place.home}/lazy-packages",
        **managed.environment(agent),
        **guest.service_variables(agent.guest, agent.hermes.environment),
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in plain.items()]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in exported.items()]
    return "# Written by proxhermes; the agent's entrypoint reads it at each start.\n" + "\n".join(lines) + "\n"


def command(agent: Agent) -> list[str]:
    """What the container becomes."""
    code = f"{layout.of(agent).project}/current/bin/hermes"
    return [code, "gateway", "run", "--replace", *persistent(agent).extra_args]
