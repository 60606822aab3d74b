"""The agent's compose.yaml: one service, no port unless asked for, the host's folders under their own paths.

The file is proxhermes' own; what a user wants beside it goes into a `compose.override.yaml` next to it, which compose
reads by itself. Under `x-proxhermes` the file remembers which keys of .env and config.yaml came from the inventory, so
that one taken out of the inventory is taken out there, too, and nobody else's is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import yaml

from proxhermes.hermes import layout
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import Path, parse_pointer, pointer
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import ContainedRuntime, NativeRuntime

NAME: Final = "compose.yaml"
API_PORT: Final = 8642
"""Port of the gateway's own API, bound to 127.0.0.1 within the container (Hermes 0.19: gateway/platforms)."""
_MARK: Final = "x-proxhermes"
_ETHERNET_MTU: Final = 1500
_SAFE_ROOT: Final = "HERMES_WRITE_SAFE_ROOT"
"""Folders that write_file and patch may write to, separated by colons (Hermes 0.19: agent/file_safety.py)."""
_HEADER: Final = """\
# Written by proxhermes: changes here are lost. Put yours into compose.override.yaml beside it.
"""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What proxhermes set in Hermes' files: names in .env, paths in config.yaml."""

    env: tuple[str, ...] = ()
    settings: tuple[Path, ...] = ()


def render(agent: Agent, *, mtu: int | None, remembered: Remembered, api_port: int = API_PORT) -> str:
    """The file. mtu: of the guest's card; Docker's own network would otherwise send packets that do not fit through."""
    runtime = contained(agent)
    service: dict[str, Any] = {
        "image": runtime.image,
        "container_name": layout.CONTAINER,
        "command": ["gateway", "run"],
        "restart": runtime.restart,
        "shm_size": runtime.shm_size,
        "environment": _environment(agent),
        "volumes": _volumes(agent),
        # "Up" says nothing about the gateway; its own API does.
        "healthcheck": {
            "test": ["CMD", "curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{api_port}/health"],
            "interval": "30s",
            "timeout": "10s",
            "retries": 3,
            "start_period": "3m",
        },
    }
    if runtime.ports:
        service["ports"] = list(runtime.ports)
    document: dict[str, Any] = {"name": layout.CONTAINER, "services": {layout.CONTAINER: service}}
    if mtu is not None and mtu < _ETHERNET_MTU:
        document["networks"] = {"default": {"driver_opts": {"com.docker.network.driver.mtu": str(mtu)}}}
    document[_MARK] = {
        "env": sorted(remembered.env),
        "settings": sorted(pointer(path) for path in remembered.settings),
    }
    return _HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def contained(agent: Agent) -> ContainedRuntime:
    """The agent's runtime, which is one that compose runs. Raises ValueError for another."""
    if isinstance(agent.runtime, NativeRuntime):
        raise ValueError("the native runtime has no compose.yaml")
    return agent.runtime


def read(text: str) -> Remembered:
    """What an existing compose.yaml remembers. Raises UnusableFile for one that proxhermes did not write."""
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise UnusableFile(NAME, f"this is not YAML: {error.problem}", line) from None
    mark = document.get(_MARK) if isinstance(document, dict) else None
    if not isinstance(mark, dict):
        raise UnusableFile(NAME, f"proxhermes did not write this file (no {_MARK} in it)")
    return Remembered(_texts(mark.get("env")), tuple(parse_pointer(text) for text in _texts(mark.get("settings"))))


def service_of(text: str) -> Any:
    """All of a file that compose makes something of, parsed: without what it remembers. Raises as `read` does."""
    read(text)
    return {key: value for key, value in yaml.safe_load(text).items() if key != _MARK}


def _environment(agent: Agent) -> dict[str, str]:
    """What the image itself reads; everything else stands in .env."""
    lines = {"HERMES_UID": str(agent.hermes.uid), "HERMES_GID": str(agent.hermes.gid)}
    if _SAFE_ROOT not in agent.hermes.environment:
        # The image lets the agent's file tools write to its home alone; the mounts are there to be written to.
        writable = [mount.guest for mount in agent.mounts if not mount.read_only]
        lines[_SAFE_ROOT] = ":".join([layout.CONTAINER_HOME, *writable])
    return lines


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, Collection) else ()


def _volumes(agent: Agent) -> list[dict[str, Any]]:
    # A folder that is not there is an error, not a new folder on the container's root disk.
    volumes = [_volume(layout.home(agent), layout.CONTAINER_HOME)]
    return volumes + [_volume(mount.guest, mount.guest, read_only=mount.read_only) for mount in agent.mounts]


def _volume(source: str, target: str, *, read_only: bool = False) -> dict[str, Any]:
    only = {"read_only": True} if read_only else {}
    return {"type": "bind", "source": source, "target": target, **only, "bind": {"create_host_path": False}}
