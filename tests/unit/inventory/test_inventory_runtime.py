"""How an agent may run: what contradicts proxhermes' own service, and what would be open to everybody."""

from __future__ import annotations

from typing import Any

import pytest

from proxhermes.inventory.problems import InventoryError

HEAD = """\
version: 1
nodes: {n: {api: "https://h:8006", token: u@pve!tok, token_secret: {env: S}}}
litellm: {base_url: "http://l:4000/v1", api_key: {env: K}, model: m}
agents:
  118:
    node: n
    hostname: h
    network: {bridge: b}
    mounts: [{host: /mnt/a/b, guest: /data}]
"""
BOARD = "HERMES_DASHBOARD: '1', HERMES_DASHBOARD_BASIC_AUTH_USERNAME: me"
PASSWORD = "secrets: {HERMES_DASHBOARD_BASIC_AUTH_PASSWORD: {env: P}}"


def agent(runtime: str, hermes: str = "{}") -> str:
    return HEAD + f"    runtime: {{{runtime}}}\n    hermes: {hermes}\n"


def told(read: Any, runtime: str, hermes: str = "{}") -> list[tuple[str, str, str]]:
    """Path, message and what is allowed, of each mistake."""
    try:
        read(agent(runtime, hermes))
    except InventoryError as error:
        return [(each.path, each.message, each.allowed) for each in error.problems]
    return []


@pytest.mark.parametrize(
    ("key", "option"),
    [
        ("image: x", "runtime.image"),
        ("build: .", "runtime.image"),
        ("container_name: other", "nothing"),
        ("command: [bash]", "runtime.extra_args"),
        ("entrypoint: [bash]", "runtime.image"),
        ("restart: always", "runtime.restart"),
        ("network_mode: host", "runtime.network"),
        ("networks: [a]", "runtime.network"),
        ("ports: ['80:80']", "runtime.ports"),
        ("volumes: ['/a:/b']", "runtime.extra_volumes"),
        ("shm_size: 1g", "runtime.shm_size"),
        ("healthcheck: {disable: true}", "runtime.healthcheck"),
        ("user: root", "hermes.uid"),
        ("env_file: a", "hermes.environment_files"),
        ("scale: 2", "nothing"),
        ("environment: {HERMES_UID: '5'}", "hermes.uid"),
        ("environment: {HERMES_MANAGED: x}", "hermes.managed"),
    ],
)
def test_what_proxhermes_writes_itself_is_refused_with_the_option_for_it(read: Any, key: str, option: str) -> None:
    [(path, message, allowed)] = told(read, f"compose_override: {{{key}}}")
    assert path.startswith("agents.118.runtime.compose_override.")
    assert "written by proxhermes" in message
    assert option in allowed


def test_all_else_of_the_service_passes(read: Any) -> None:
    override = (
        "cap_add: [SYS_PTRACE], devices: ['/dev/dri:/dev/dri'], gpus: all, privileged: true, labels: {a: b}, "
        "stop_grace_period: 1m, environment: {MINE: '1'}, deploy: {resources: {limits: {memory: 2g}}}"
    )
    assert told(read, f"compose_override: {{{override}}}") == []


def test_compose_yaml_is_no_place_for_a_secret_or_for_a_list_of_variables(read: Any) -> None:
    [(path, message, allowed)] = told(read, "compose_override: {environment: {MY_TOKEN: abc}}")
    assert (path, allowed) == ("agents.118.runtime.compose_override.environment.MY_TOKEN", "hermes.secrets")
    assert "abc" not in message
    [(path, message, _)] = told(read, "compose_override: {environment: ['A=b']}")
    assert "take the place of" in message


def test_two_folders_at_one_path_are_refused(read: Any) -> None:
    [(path, message, _)] = told(read, "extra_volumes: ['/a:/x', 'cache:/data/']")
    assert (path, message) == ("agents.118.runtime.extra_volumes[1]", "/data is the path of a mount already")
    [(path, message, _)] = told(read, "extra_volumes: ['/a:/x', '/b:/x:ro']")
    assert message == "/x is the path of another volume already"
    assert told(read, "extra_volumes: ['/a:/x', '/b:/y:ro', 'cache:/z']") == []


@pytest.mark.parametrize("volume", ["/a", "a:b", "/a:/b:rx", "/a:b", "../a:/b", "/a:/b:ro:x"])
def test_what_is_no_volume_is_told(read: Any, volume: str) -> None:
    [(_, message, _)] = told(read, f"extra_volumes: ['{volume}']")
    assert "is not a volume" in message


def test_a_published_api_needs_nothing_but_must_listen(read: Any) -> None:
    assert told(read, "ports: ['8642:8642']") == []
    assert told(read, "ports: ['80:8642']", "{environment: {API_SERVER_HOST: 0.0.0.0}}") == []
    [(path, message, _)] = told(read, "ports: ['80:8642']", "{environment: {API_SERVER_HOST: 127.0.0.1}}")
    assert path == "agents.118.hermes.environment.API_SERVER_HOST"
    assert "listens to itself alone" in message
    assert told(read, "ports: ['80:9000']", "{environment: {API_SERVER_HOST: 127.0.0.1}}") == []


@pytest.mark.parametrize(
    ("hermes", "word"),
    [
        ("{}", "there is none"),
        ("{environment: {HERMES_DASHBOARD: '0'}}", "there is none"),
        ("{environment: {HERMES_DASHBOARD: '1'}}", "open to everybody"),
        (f"{{environment: {{{BOARD}}}}}", "open to everybody"),
        (f"{{environment: {{HERMES_DASHBOARD: '1'}}, {PASSWORD}}}", "open to everybody"),
    ],
)
def test_a_published_dashboard_without_authentication_is_refused(read: Any, hermes: str, word: str) -> None:
    [(path, message, allowed)] = told(read, "ports: ['9119:9119']", hermes)
    assert path == "agents.118.runtime.ports[0]"
    assert word in message
    assert "HERMES_DASHBOARD_BASIC_AUTH_PASSWORD in hermes.secrets" in allowed


@pytest.mark.parametrize(
    "hermes",
    [
        f"{{environment: {{{BOARD}}}, {PASSWORD}}}",
        "{environment: {HERMES_DASHBOARD: '1', HERMES_DASHBOARD_OAUTH_CLIENT_ID: x}}",
        "{environment_files: [all.env]}",
    ],
)
def test_one_that_asks_who_is_there_is_fine(read: Any, hermes: str) -> None:
    assert told(read, "ports: ['9119:9119']", hermes) == []


def test_on_the_hosts_network_the_dashboard_needs_it_too(read: Any) -> None:
    open_to_all = "HERMES_DASHBOARD_HOST: 0.0.0.0"
    assert told(read, "network: host") == []
    [(path, _, _)] = told(read, "network: host", f"{{environment: {{HERMES_DASHBOARD: '1', {open_to_all}}}}}")
    assert path == "agents.118.hermes.environment.HERMES_DASHBOARD_HOST"
    assert told(read, "network: host", f"{{environment: {{{BOARD}, {open_to_all}}}, {PASSWORD}}}") == []


def test_ports_of_their_own_contradict_the_hosts_network(read: Any) -> None:
    [(_, message, _)] = told(read, "network: host, ports: ['7000:7000']")
    assert "publishes nothing" in message


def test_an_option_of_the_defaults_that_one_agents_type_has_not(smallest: str, problems: Any) -> None:
    text = smallest.replace("agents:\n", "defaults: {runtime: {type: native, restart_sec: 3}}\nagents:\n")
    other = "  119: {node: gihyeon, hostname: b, network: {bridge: intra01}, runtime: {type: docker}}\n"
    (found,) = problems(text + other)
    line = (text + other).count("\n")
    assert found.path == "defaults.runtime.restart_sec"
    assert found.message == f"agent 119 is of type docker (line {line}), which has no restart_sec"
    assert found.allowed == "move it to the native agents"
    (alone,) = problems(text.replace("type: native", "type: docker"))
    assert alone.allowed == "it is an option of the runtime native"
