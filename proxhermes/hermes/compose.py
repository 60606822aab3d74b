"""The agent's compose.yaml: one service, no port unless asked for, the host's folders under their own paths.

The file is proxhermes' own; what a user wants beside it goes into a `compose.override.yaml` next to it, which compose
reads by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from proxhermes.hermes import layout, persistent, podman, ports
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import merged
from proxhermes.hermes.yaml_edit import Dumper
from proxhermes.inventory import stopping
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import ContainedRuntime, DockerRuntime, Healthcheck, NativeRuntime, PersistentRuntime
from proxhermes.inventory.runtime_rules import API_PORT

NAME: Final = "compose.yaml"
FINISH: Final = "finish"
"""Beside it: what the official image runs when its container ends (host_scripts/container-finish.sh)."""
RECREATE: Final = "recreate"
"""Name in the bundle of an empty file that asks for another container."""
_FINISH_AT: Final = "/etc/cont-finish.d/proxhermes"
_MARK: Final = "x-proxhermes"
_ETHERNET_MTU: Final = 1500
_SAFE_ROOT: Final = "HERMES_WRITE_SAFE_ROOT"
"""Folders that write_file and patch may write to, separated by colons (Hermes 0.19: agent/file_safety.py)."""
_UNSUPERVISED: Final = "--no-supervise"
_SUPERVISORS: Final = (
    "HERMES_DASHBOARD",
    "HERMES_DASHBOARD_HOST",
    "HERMES_DASHBOARD_PORT",
    "HERMES_SKIP_CONFIG_MIGRATION",
)
"""Lines of .env that the image's supervisor and start scripts read, too, which do not know .env."""
_HEADER: Final = """\
# Written by proxhermes: changes here are lost. Put yours into compose.override.yaml beside it.
"""


def render(agent: Agent, *, mtu: int | None, api_port: int = API_PORT, subnet: str | None = None) -> str:
    """The file. mtu: of the guest's card; Docker's own network would otherwise send packets that do not fit through.

    subnet: that the service's own network is to have; None for the engine's choice.
    """
    runtime = contained(agent)
    service: dict[str, Any] = {
        "image": podman.image(runtime),
        "container_name": layout.CONTAINER,
        "command": command(runtime),
        "restart": runtime.restart,
        "stop_grace_period": f"{stop_seconds(agent)}s",
        "shm_size": runtime.shm_size,
        "environment": _environment(agent),
        "volumes": [*_volumes(agent), *(_extra(written) for written in runtime.extra_volumes)],
        "healthcheck": _healthcheck(runtime.healthcheck, api_port),
    }
    if isinstance(runtime, PersistentRuntime):
        service = {key: value for key, value in merged(service, persistent.service(agent)).items() if value is not None}
    if runtime.network == "host":
        service["network_mode"] = "host"
    if runtime.ports:
        service["ports"] = list(runtime.ports)
    service = merged(service, runtime.compose_override)
    document: dict[str, Any] = {"name": layout.CONTAINER, "services": {layout.CONTAINER: service}}
    if runtime.network == "bridge" and (network := _network(mtu, subnet)):
        document["networks"] = {"default": network}
    if names := [volume["source"] for volume in service["volumes"] if volume["type"] == "volume"]:
        document["volumes"] = {name: {} for name in names}
    document[_MARK] = {"agent": agent.vmid}
    text = yaml.dump(_literal(document), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return _HEADER + str(text)


def command(runtime: ContainedRuntime) -> list[str]:
    """What the container runs.

    The official image starts the gateway under its own supervisor, without any argument that it is not built for
    (Hermes 0.19: hermes_cli/service_manager.py). With arguments, the gateway is the container's main program; that
    argument comes first, by which container-finish.sh knows it.
    """
    extra = [argument for argument in runtime.extra_args if argument != _UNSUPERVISED]
    return ["gateway", "run", *([_UNSUPERVISED] if runtime.extra_args else []), *extra]


def stop_seconds(agent: Agent) -> int:
    """How long the engine waits until it kills the container."""
    return stopping.container(stopping.gateway(agent))


def lost(agent: Agent) -> str:
    """What goes with the agent's container when it is recreated, and what stays."""
    what, kept = "what was changed in it", layout.home(agent)
    if isinstance(agent.runtime, PersistentRuntime):
        what, kept = "what the agent installed in it with apt, sudo pip or sudo npm", agent.runtime.state_dir
    return (
        f"the container of CT {agent.vmid}'s agent is recreated: {what} is lost; {kept} (state, home, workspace) "
        "and the mounts stay"
    )


def supervised(agent: Agent) -> bool:
    """Whether the image's own supervisor runs the gateway, if it has one."""
    return not isinstance(agent.runtime, DockerRuntime) or _UNSUPERVISED not in command(agent.runtime)


def folders(agent: Agent) -> tuple[str, ...]:
    """Folders of the guest that have to be there before the service is started: those of the extra volumes."""
    if isinstance(agent.runtime, NativeRuntime):
        return ()
    volumes = [_extra(written) for written in agent.runtime.extra_volumes]
    return tuple(volume["source"] for volume in volumes if volume["type"] == "bind")


def _network(mtu: int | None, subnet: str | None) -> dict[str, Any]:
    small = mtu is not None and mtu < _ETHERNET_MTU
    options = {"driver_opts": {"com.docker.network.driver.mtu": str(mtu)}} if small else {}
    return options | ({"ipam": {"config": [{"subnet": subnet}]}} if subnet else {})


def _healthcheck(check: Healthcheck, api_port: int) -> dict[str, Any]:
    """ "Up" says nothing about the gateway; its own API does."""
    if not check.enabled:
        return {"disable": True}
    return {
        "test": ["CMD", "curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{api_port}/health"],
        "interval": f"{check.interval}s",
        "timeout": f"{check.timeout}s",
        "retries": check.retries,
        "start_period": f"{check.start_period}s",
    }


def _extra(written: str) -> dict[str, Any]:
    """SOURCE:PATH[:ro|rw] as compose has it; a name in place of a folder is a volume of the engine's."""
    source, target, *mode = written.split(":")
    if source.startswith("/"):
        return _volume(source, target, read_only=mode == ["ro"])
    return {"type": "volume", "source": source, "target": target, **({"read_only": True} if mode == ["ro"] else {})}


def _literal(value: Any) -> Any:
    """The same with every `$` doubled, for compose would take a single one for a variable of the operator's shell."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    return [_literal(item) for item in value] if isinstance(value, (list, tuple)) else value


def contained(agent: Agent) -> ContainedRuntime:
    """The agent's runtime, which is one that compose runs. Raises ValueError for another."""
    if isinstance(agent.runtime, NativeRuntime):
        raise ValueError("the native runtime has no compose.yaml")
    return agent.runtime


def service_of(text: str) -> Any:
    """All of a file that compose makes something of, parsed. Raises UnusableFile for one that we did not write."""
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise UnusableFile(NAME, f"this is not YAML: {error.problem}", line) from None
    if not isinstance(document, dict) or not isinstance(document.get(_MARK), dict):
        raise UnusableFile(NAME, f"proxhermes did not write this file (no {_MARK} in it)")
    return {key: value for key, value in document.items() if key != _MARK}


def _environment(agent: Agent) -> dict[str, str]:
    """What the image itself reads; everything else stands in .env."""
    lines = {
        "HERMES_UID": str(agent.hermes.uid),
        "HERMES_GID": str(agent.hermes.gid),
        "HERMES_HOME_MODE": layout.HOME_MODE,
        "S6_KILL_FINISH_MAXTIME": str(stopping.gateway(agent) * 1000),
    }
    known = {**ports.environment(agent), **agent.hermes.environment}
    lines |= {name: known[name] for name in _SUPERVISORS if name in known}
    if _SAFE_ROOT not in agent.hermes.environment:
        # The image lets the agent's file tools write to its home alone; the mounts are there to be written to.
        writable = [mount.guest for mount in agent.mounts if not mount.read_only]
        lines[_SAFE_ROOT] = ":".join([layout.CONTAINER_HOME, *writable])
    return lines


def _volumes(agent: Agent) -> list[dict[str, Any]]:
    # A folder that is not there is an error, not a new folder on the container's root disk.
    if isinstance(agent.runtime, PersistentRuntime):
        volumes = [_volume(path, path, read_only=only) for path, only in persistent.folders(agent)]
    else:
        finish = _volume(f"{layout.folder(agent)}/{FINISH}", _FINISH_AT, read_only=True)
        volumes = [finish, _volume(layout.home(agent), layout.CONTAINER_HOME)]
    return volumes + [_volume(mount.guest, mount.guest, read_only=mount.read_only) for mount in agent.mounts]


def _volume(source: str, target: str, *, read_only: bool = False) -> dict[str, Any]:
    only = {"read_only": True} if read_only else {}
    return {"type": "bind", "source": source, "target": target, **only, "bind": {"create_host_path": False}}
