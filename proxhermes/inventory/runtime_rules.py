"""Rules for how the agent runs: what would contradict proxhermes' own service, and what would stand open to all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from proxhermes.inventory.hermes_rules import OUR_VARIABLES, instead, is_on, names_a_secret
from proxhermes.inventory.tree import Report, Tree

API_PORT: Final = 8642
"""Port of the gateway's own API (Hermes 0.19: gateway/platforms/api_server.py)."""
DASHBOARD_PORT: Final = 9119
"""Port of the dashboard (Hermes: docker.md)."""

# Keys of the compose service that proxhermes writes, and where their value is said.
_OURS: Final = {
    "image": "runtime.image",
    "build": "runtime.image",
    "container_name": "nothing: proxhermes finds the container by this name",
    "command": "runtime.extra_args",
    "entrypoint": "runtime.image with another entrypoint",
    "restart": "runtime.restart",
    "network_mode": "runtime.network",
    "networks": "runtime.network",
    "ports": "runtime.ports",
    "volumes": "runtime.extra_volumes",
    "tmpfs": "runtime.extra_volumes",
    "shm_size": "runtime.shm_size",
    "healthcheck": "runtime.healthcheck",
    "user": "hermes.uid and hermes.gid",
    "env_file": "hermes.environment_files",
    "scale": "nothing: two gateways would share one home",
    "profiles": "nothing: the agent would not be started",
    "extends": "the keys themselves",
}
_OUR_VARIABLES: Final = {**OUR_VARIABLES, "HERMES_WRITE_SAFE_ROOT": "hermes.environment"}
_LOOPBACK: Final = ("127.", "localhost", "::1")
# Ways in which the dashboard knows who is there (Hermes 0.19: plugins/dashboard_auth).
_USER: Final = "HERMES_DASHBOARD_BASIC_AUTH_USERNAME"
_PASSWORDS: Final = ("HERMES_DASHBOARD_BASIC_AUTH_PASSWORD", "HERMES_DASHBOARD_BASIC_AUTH_PASSWORD_HASH")
_CLIENTS: Final = ("HERMES_DASHBOARD_OAUTH_CLIENT_ID", "HERMES_DASHBOARD_OIDC_CLIENT_ID")
_HOW: Final = f"{_USER} in hermes.environment, {_PASSWORDS[0]} in hermes.secrets"


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All rules for `runtime` of every agent."""
    for agent in agents.values():
        _engine(agent, report)
        _override(agent, report)
        _volumes(agent, report)
        _open(agent, report)


def _engine(agent: Tree, report: Report) -> None:
    """What `engine` says that Podman has no counterpart for."""
    runtime = agent.at("runtime", "engine")
    if runtime is None or runtime.value != "podman":
        return
    for key, value, other in (("source", "docker-ce", "auto or distro"), ("log_driver", "syslog", "journald")):
        tree = agent.at("engine", key)
        if tree is not None and tree.value == value:
            report.add(
                tree.spot,
                f"`{value}` is Docker's, and line {runtime.spot.line} says `engine: podman`",
                f"{other}, or another runtime.engine",
            )


def _override(agent: Tree, report: Report) -> None:
    tree = agent.at("runtime", "compose_override")
    for key, each in tree.children.items() if tree else ():
        if key in _OURS:
            report.add(each.key, f"`{key}` of the service is written by proxhermes", instead(_OURS[key]))
        elif key == "environment":
            _environment(each, report)
        else:
            _no_secret(each, report)


def _environment(tree: Tree, report: Report) -> None:
    if tree.items:
        report.add(tree.spot, "a list would take the place of proxhermes' own variables", "{NAME: VALUE}")
    for name, each in tree.children.items():
        if name in _OUR_VARIABLES:
            report.add(each.key, f"{name} is written by proxhermes", instead(_OUR_VARIABLES[name]))
        else:
            _no_secret(each, report)


def _no_secret(tree: Tree, report: Report) -> None:
    """compose.yaml is no place for one: everybody in the guest can read it."""
    if isinstance(tree.value, str) and tree.value and names_a_secret(str(tree.key.path[-1])):
        report.add(tree.spot, "this is a secret by its name, and is written as it is", "hermes.secrets")
    for child in (*tree.children.values(), *tree.items):
        _no_secret(child, report)


def _volumes(agent: Tree, report: Report) -> None:
    """No two folders at one path: one of them would not be seen."""
    taken = {str(path.value).rstrip("/"): "a mount" for path in _each(agent.at("mounts"), "guest")}
    volumes = agent.at("runtime", "extra_volumes")
    for volume in volumes.items if volumes else ():
        if not isinstance(volume.value, str) or volume.value.count(":") < 1:
            continue  # told by its own type
        path = volume.value.split(":")[1].rstrip("/")
        if path in taken:
            report.add(volume.spot, f"{path} is the path of {taken[path]} already", "another path for the agent")
        taken[path] = "another volume"


def _each(tree: Tree | None, key: str) -> Iterable[Tree]:
    return [each for item in (tree.items if tree else ()) if (each := item.at(key)) is not None]


def _open(agent: Tree, report: Report) -> None:
    """What is reachable asks who is there: the API does (it has a key in any case), the dashboard if it can."""
    environment = _plain(agent, "environment")
    api = environment.get("API_SERVER_PORT", str(API_PORT))
    board = environment.get("HERMES_DASHBOARD_PORT", str(DASHBOARD_PORT))
    ports = agent.at("runtime", "ports")
    for port in ports.items if ports else ():
        inner = str(port.value).partition("/")[0].rpartition(":")[2]
        if inner == api and environment.get("API_SERVER_HOST", "").startswith(_LOOPBACK):
            spot = agent.at("hermes", "environment", "API_SERVER_HOST") or port
            report.add(spot.spot, "the API's port is published, but it listens to itself alone", "no API_SERVER_HOST")
        if inner == board:
            _dashboard(agent, environment, port, report)
    network = agent.at("runtime", "network")
    host = environment.get("HERMES_DASHBOARD_HOST", "127.0.0.1")
    if network is not None and network.value == "host" and not host.startswith(_LOOPBACK):
        _dashboard(agent, environment, agent.at("hermes", "environment", "HERMES_DASHBOARD_HOST") or network, report)


def _dashboard(agent: Tree, environment: Mapping[str, str], spot: Tree, report: Report) -> None:
    if agent.at("hermes", "environment_files"):
        return  # they may say all of it; a dashboard without authentication does not start then, either
    if not is_on(environment.get("HERMES_DASHBOARD", "")):
        report.add(spot.spot, "the dashboard's port is open, but there is none", 'HERMES_DASHBOARD: "1" and ' + _HOW)
        return
    names = {*environment, *_plain(agent, "secrets")}
    if not (_USER in names and names & {*_PASSWORDS}) and not names & {*_CLIENTS}:
        report.add(spot.spot, "the dashboard would be open to everybody, so it would not start", _HOW)


def _plain(agent: Tree, block: str) -> dict[str, str]:
    tree = agent.at("hermes", block)
    return {name: str(each.value) for name, each in tree.children.items()} if tree else {}
