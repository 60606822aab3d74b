"""Rules for how the agent runs: what would contradict proxhermes' own service, and what would stand open to all."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from proxhermes.inventory import stopping
from proxhermes.inventory.hermes_rules import SEEN_VARIABLES, instead, is_on, names_a_secret, runtime_type, said_by
from proxhermes.inventory.tree import Report, Tree

PODMAN_ON_DEBIAN: Final = 13
"""Debian's release from which on Podman, its network and its compose do all that is asked of them."""
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
    "stop_grace_period": "hermes.settings: {agent: {cron_drain_timeout: SECONDS}}",
    "healthcheck": "runtime.healthcheck",
    "user": "hermes.uid and hermes.gid",
    "env_file": "hermes.environment_files",
    "scale": "nothing: two gateways would share one home",
    "profiles": "nothing: the agent would not be started",
    "extends": "the keys themselves",
}
_SERVICE: Final = (  # noqa: SIM905
    "annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name "
    "cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec "
    "depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file "
    "environment expose extends external_links extra_hosts gpus group_add healthcheck hostname image init ipc "
    "isolation label_file labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit "
    "models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop "
    "privileged profiles provider pull_policy pull_refresh_after read_only restart runtime scale secrets security_opt "
    "shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user "
    "userns_mode uts volumes volumes_from working_dir"
).split()
"""Keys of a service that compose knows (compose-spec: schema/compose-spec.json)."""
_OUR_PREFIXES: Final = ("API_SERVER_", "HERMES_DASHBOARD")
"""Variables that say what is open to whom: said twice, the service and .env would say different things."""
LOOPBACK: Final = ("127.", "localhost", "::1")
# Ways in which the dashboard knows who is there (Hermes 0.19: plugins/dashboard_auth).
_USER: Final = "HERMES_DASHBOARD_BASIC_AUTH_USERNAME"
_PASSWORDS: Final = ("HERMES_DASHBOARD_BASIC_AUTH_PASSWORD", "HERMES_DASHBOARD_BASIC_AUTH_PASSWORD_HASH")
_CLIENTS: Final = ("HERMES_DASHBOARD_OAUTH_CLIENT_ID", "HERMES_DASHBOARD_OIDC_CLIENT_ID")
OPEN_TO_ALL: Final = "the dashboard would be open to everybody, so it would not start"
HOW_TO_CLOSE: Final = f"{_USER} in hermes.environment, {_PASSWORDS[0]} in hermes.secrets"


def check(agents: Mapping[str, Tree], configs: Mapping[str, Tree], report: Report) -> None:
    """All rules for `runtime` of every agent. configs: the trees of the agents' `config_file`s."""
    for vmid, agent in agents.items():
        _engine(agent, report)
        _override(agent, report)
        _open(agent, report)
        _unsupervised(agent, report)
        _hurried(agent, configs.get(vmid), report)


def _engine(agent: Tree, report: Report) -> None:
    """What is said for Podman, and it has no counterpart for."""
    engine, runtime = agent.at("engine"), agent.at("runtime", "engine")
    if engine is not None and engine.value in ("docker", "podman"):
        report.refuse(engine.spot, f"`{engine.value}` is how the agent runs", f"`runtime: {{engine: {engine.value}}}`")
    if runtime is None or runtime.value != "podman":
        return
    template = agent.text("template") or ""
    found = re.search(r"(?:^|/)(debian|ubuntu)-(\d+)", template)
    if found and (found[1] != "debian" or int(found[2]) < PODMAN_ON_DEBIAN):
        report.add(
            agent.children["template"].spot,
            f"Podman (line {runtime.spot.line}) is set up on Debian {PODMAN_ON_DEBIAN} and later, not on {template!r}",
            f"`debian-{PODMAN_ON_DEBIAN}`, or another runtime.engine",
        )
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
            _environment(each, runtime_type(agent), report)
        elif key not in _SERVICE and not key.startswith("x-"):
            _unknown(each, report)
        else:
            _no_secret(each, report)


def _unknown(tree: Tree, report: Report) -> None:
    name = str(tree.key.path[-1])
    near = get_close_matches(name, _SERVICE, n=1)
    if name == "services":
        allowed = "keys of the service itself, as in `compose_override: {gpus: all}`"
    else:
        allowed = f"did you mean `{near[0]}`?" if near else "keys of a service, as compose knows them, or `x-…`"
    report.add(tree.key, f"`{name}` is no key of a compose service", allowed)


def _environment(tree: Tree, kind: str, report: Report) -> None:
    if tree.items:
        report.add(tree.spot, "a list would take the place of proxhermes' own variables", "{NAME: VALUE}")
    for name, each in tree.children.items():
        option = said_by(name, kind)
        if option is None and (name in SEEN_VARIABLES or name.startswith(_OUR_PREFIXES)):
            option = "hermes.secrets" if names_a_secret(name) else "hermes.environment"
        if option is not None:
            report.add(each.key, f"{name} is written by proxhermes", instead(option))
        else:
            _no_secret(each, report)


def _no_secret(tree: Tree, report: Report) -> None:
    """compose.yaml is no place for one: everybody in the guest can read it."""
    if isinstance(tree.value, str) and tree.value and names_a_secret(str(tree.key.path[-1])):
        report.add(tree.spot, "this is a secret by its name, and is written as it is", "hermes.secrets")
    for child in (*tree.children.values(), *tree.items):
        _no_secret(child, report)


def _open(agent: Tree, report: Report) -> None:
    """What is reachable asks who is there: the API does (it has a key in any case), the dashboard if it can."""
    environment = _plain(agent, "environment")
    api = environment.get("API_SERVER_PORT", str(API_PORT))
    board = environment.get("HERMES_DASHBOARD_PORT", str(DASHBOARD_PORT))
    ports = agent.at("runtime", "ports")
    _ports_apart(ports.items if ports else [], report)
    for port in ports.items if ports else ():
        inner = str(port.value).partition("/")[0].rpartition(":")[2]
        if inner == api and environment.get("API_SERVER_HOST", "").startswith(LOOPBACK):
            spot = agent.at("hermes", "environment", "API_SERVER_HOST") or port
            report.add(spot.spot, "the API's port is published, but it listens to itself alone", "no API_SERVER_HOST")
        if inner == board:
            _dashboard(agent, environment, port, report)
    network = agent.at("runtime", "network")
    host = environment.get("HERMES_DASHBOARD_HOST", "127.0.0.1")
    if network is not None and network.value == "host" and not host.startswith(LOOPBACK):
        _dashboard(agent, environment, agent.at("hermes", "environment", "HERMES_DASHBOARD_HOST") or network, report)


def _ports_apart(ports: Sequence[Tree], report: Report) -> None:
    """No port of the guest is published twice: the engine would not start the container."""
    taken: list[tuple[str, str, str]] = []
    for tree in ports:
        written, _, protocol = str(tree.value).partition("/")
        address, _, outer = written.rpartition(":")[0].rpartition(":")
        address = "" if address == "0.0.0.0" else address
        mine = (address, outer, protocol or "tcp")
        if any(mine[1:] == other[1:] and ("" in (address, other[0]) or address == other[0]) for other in taken):
            report.add(tree.spot, f"port {outer} of the container is published twice", "another port before the `:`")
        taken.append(mine)


def _unsupervised(agent: Tree, report: Report) -> None:
    kind, dashboard = runtime_type(agent), agent.at("hermes", "environment", "HERMES_DASHBOARD")
    if dashboard is not None and kind in ("native", "persistent") and is_on(str(dashboard.value)):
        report.warn(
            dashboard.key,
            f"HERMES_DASHBOARD starts nothing in the runtime {kind}: it is read by the official image alone",
            "`runtime: {type: docker}`",
        )


def _hurried(agent: Tree, config: Tree | None, report: Report) -> None:
    """A node that shuts down kills a container after `down` seconds, however long its agent still needs.

    config: the tree of its `config_file`.
    """
    startup = agent.at("startup")
    found = re.search(r"down=(\d+)", agent.text("startup") or "")
    blocks = (config or agent.at("hermes", "settings"), agent.at("hermes", "environment"))
    settings, environment = (tree.plain() if tree else {} for tree in blocks)
    if startup is None or not found or not isinstance(settings, dict) or not isinstance(environment, dict):
        return
    seconds = stopping.guest(stopping.declared(settings, environment))
    if int(found[1]) < seconds:
        report.warn(
            startup.spot,
            f"the agent may need {seconds} s to end, and would be killed in the middle of its work",
            f"`down={seconds}`, or none",
        )


def asks_who_is_there(names: Collection[str]) -> bool:
    """Whether the dashboard knows its users with these lines of .env."""
    return (_USER in names and any(each in names for each in _PASSWORDS)) or any(each in names for each in _CLIENTS)


def _dashboard(agent: Tree, environment: Mapping[str, str], spot: Tree, report: Report) -> None:
    if not is_on(environment.get("HERMES_DASHBOARD", "")):
        report.add(
            spot.spot, "the dashboard's port is open, but there is none", 'HERMES_DASHBOARD: "1" and ' + HOW_TO_CLOSE
        )
        return
    names = {*environment, *_plain(agent, "secrets")}
    if not agent.at("hermes", "environment_files") and not asks_who_is_there(names):  # what files say is seen later
        report.add(spot.spot, OPEN_TO_ALL, HOW_TO_CLOSE)


def _plain(agent: Tree, block: str) -> dict[str, str]:
    tree = agent.at("hermes", block)
    return {name: str(each.value) for name, each in tree.children.items()} if tree else {}
