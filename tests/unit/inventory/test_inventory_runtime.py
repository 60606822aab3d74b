"""How an agent may run: what contradicts proxhermes' own service, and what would be open to everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxhermes.inventory import stopping
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
        ("stop_grace_period: 1m", "cron_drain_timeout"),
        ("healthcheck: {disable: true}", "runtime.healthcheck"),
        ("user: root", "hermes.uid"),
        ("env_file: a", "hermes.environment_files"),
        ("scale: 2", "nothing"),
        ("environment: {HERMES_UID: '5'}", "hermes.uid"),
        ("environment: {HERMES_MANAGED: x}", "hermes.managed"),
        ("environment: {HERMES_DASHBOARD: '1'}", "hermes.environment"),
        ("environment: {HERMES_DASHBOARD_HOST: 0.0.0.0}", "hermes.environment"),
        ("environment: {API_SERVER_HOST: 0.0.0.0}", "hermes.environment"),
        ("environment: {API_SERVER_ENABLED: 'false'}", "hermes.environment"),
    ],
)
def test_what_proxhermes_writes_itself_is_refused_with_the_option_for_it(read: Any, key: str, option: str) -> None:
    [(path, message, allowed)] = told(read, f"compose_override: {{{key}}}")
    assert path.startswith("agents.118.runtime.compose_override.")
    assert "written by proxhermes" in message
    assert option in allowed


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("priviledged: true", "did you mean `privileged`?"),
        ("services: {hermes: {gpus: all}}", "keys of the service itself, as in `compose_override: {gpus: all}`"),
        ("xyzzy: 1", "keys of a service, as compose knows them, or `x-…`"),
    ],
)
def test_what_compose_does_not_know_is_told(read: Any, key: str, allowed: str) -> None:
    name = key.partition(":")[0]
    assert told(read, f"compose_override: {{{key}}}") == [
        (f"agents.118.runtime.compose_override.{name}", f"`{name}` is no key of a compose service", allowed)
    ]


def test_all_else_of_the_service_passes(read: Any) -> None:
    override = (
        "cap_add: [SYS_PTRACE], devices: ['/dev/dri:/dev/dri'], gpus: all, privileged: true, labels: {a: b}, "
        "x-mine: {a: 1}, environment: {MINE: '1'}, deploy: {resources: {limits: {memory: 2g}}}"
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


@pytest.mark.parametrize(
    ("runtime", "path", "own"),
    [
        ("type: docker", "/opt/data", "/opt/data"),
        ("type: docker", "/opt/data/", "/opt/data"),
        ("type: docker", "/opt/data/cron", "/opt/data"),
        ("type: docker", "/opt/data/workspace", "/opt/data"),
        ("type: docker", "/opt", "/opt/data"),
        ("type: docker", "/opt/hermes", "/opt/hermes"),
        ("type: persistent", "/var/lib/hermes", "/var/lib/hermes"),
        ("type: persistent", "/var/lib/hermes/.hermes", "/var/lib/hermes"),
        ("type: persistent", "/var/lib", "/var/lib/hermes"),
        ("type: persistent", "/opt/hermes", "/opt/hermes"),
        ("type: persistent", "/opt/hermes/versions", "/opt/hermes"),
        ("type: persistent, state_dir: /srv/s", "/srv/s", "/srv/s"),
    ],
)
def test_no_volume_covers_the_agents_own_folders(read: Any, runtime: str, path: str, own: str) -> None:
    [(_, message, _)] = told(read, f"{runtime}, extra_volumes: ['/srv/x:{path}']")
    assert message == f"{path.rstrip('/')} collides with the agent's own {own}"


@pytest.mark.parametrize(
    ("runtime", "path"),
    [
        ("type: docker", "/opt/data/workspace/vault"),
        ("type: docker", "/opt/data/home/.cache"),
        ("type: docker", "/var/lib/hermes"),
        ("type: docker", "/opt/hermes/skills/mine"),
        ("type: persistent", "/var/lib/hermes/workspace/vault"),
        ("type: persistent", "/opt/data"),
    ],
)
def test_volumes_beside_them_or_within_the_workspace_are_fine(read: Any, runtime: str, path: str) -> None:
    assert told(read, f"{runtime}, extra_volumes: ['/srv/x:{path}']") == []


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
        ("{environment_files: [all.env]}", "there is none"),
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
        "{environment: {HERMES_DASHBOARD: '1'}, environment_files: [all.env]}",
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


def test_a_dashboard_that_nothing_starts_is_told(read: Any) -> None:
    for kind, words in (("docker", []), ("native", ["native"]), ("persistent", ["persistent"])):
        inventory = read(agent(f"type: {kind}", "{environment: {HERMES_DASHBOARD: '1'}}"))
        assert [each.message.partition(":")[0] for each in inventory.warnings] == [
            f"HERMES_DASHBOARD starts nothing in the runtime {word}" for word in words
        ]


@pytest.mark.parametrize(
    "ports",
    [
        "'8642:8642', '8642:8643'",
        "'127.0.0.1:8642:8642', '8642:8643'",
        "'8642:8642', '10.0.0.1:8642:8643'",
        "'0.0.0.0:8642:8642', '10.0.0.1:8642:8643/tcp'",
    ],
)
def test_a_port_is_published_once(read: Any, ports: str) -> None:
    [(path, message, _)] = told(read, f"ports: [{ports}]")
    assert (path, message) == ("agents.118.runtime.ports[1]", "port 8642 of the container is published twice")


def test_ports_apart_by_address_or_protocol_are_two(read: Any) -> None:
    assert told(read, "ports: ['53:53', '53:53/udp', '127.0.0.1:80:80', '10.0.0.1:80:80']") == []


@pytest.mark.parametrize(
    "template",
    ["debian-12", "ubuntu-24.04", "'local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst'"],
)
def test_podman_wants_a_template_that_it_is_set_up_on(read: Any, template: str) -> None:
    text = agent("engine: podman").replace("    network:", f"    template: {template}\n    network:")
    with pytest.raises(InventoryError) as caught:
        read(text)
    [problem] = caught.value.problems
    assert problem.path == "agents.118.template"
    assert "Podman (line 11) is set up on Debian 13 and later" in problem.message
    read(text.replace("engine: podman", "engine: docker"))


@pytest.mark.parametrize("template", ["debian-13", "'local:vztmpl/mine.tar.zst'", "'local:vztmpl/debian-14-x.tar.zst'"])
def test_podman_takes_newer_templates_and_unknown_ones(read: Any, template: str) -> None:
    read(agent("engine: podman").replace("    network:", f"    template: {template}\n    network:"))


_SYSTEM = ["/root", "/etc", "/opt", "/home", "/usr/local/bin", "/var/lib", "/tmp", "/tmp/x", "/etc//"]


@pytest.mark.parametrize("kind", ["native", "persistent"])
@pytest.mark.parametrize(
    ("folder", "word"),
    [
        *((folder, "the container's own system") for folder in _SYSTEM),
        ("/opt/hermes", "overlaps with `hermes.data_dir`"),
        ("/opt/hermes/versions", "overlaps with `hermes.data_dir`"),
    ],
)
def test_no_folder_of_the_system_is_worked_in(read: Any, kind: str, folder: str, word: str) -> None:
    [(path, message, _)] = told(read, f"type: {kind}", f"{{working_directory: {folder}}}")
    assert path == "agents.118.hermes.working_directory"
    assert word in message


def test_nor_one_that_holds_the_agents_own(read: Any) -> None:
    hermes = "{working_directory: /srv/a, data_dir: /srv/a/code}"
    [(_, message, _)] = told(read, "type: native", hermes)
    assert "overlaps" in message
    [(_, message, _)] = told(read, "type: native, state_dir: /srv/a/state", "{working_directory: /srv/a}")
    assert "holds `runtime.state_dir`" in message


def test_nor_one_that_a_volume_brings_in(read: Any) -> None:
    [(_, message, _)] = told(read, "extra_volumes: ['/etc:/x']", "{working_directory: /x/y}")
    assert "'/x/y', in the container '/etc/y', belongs" in message


@pytest.mark.parametrize(
    ("runtime", "folder"),
    [
        ("type: native", "/data"),
        ("type: native", "/data/work"),
        ("type: native", "/srv/work"),
        ("type: native", "/var/lib/hermes/workspace/x"),
        ("type: native", "/home/agent"),
        ("type: persistent", "/var/lib/hermes/workspace"),
        ("type: persistent, extra_volumes: ['/srv/x:/x', 'cache:/etc']", "/x/y"),
        ("type: docker", "/opt/data/workspace/x"),
        ("type: docker", "/opt/data/notes"),
        ("type: docker", "/tmp/of/the/image"),
    ],
)
def test_folders_of_their_own_are_worked_in(read: Any, runtime: str, folder: str) -> None:
    assert told(read, runtime, f"{{working_directory: {folder}}}") == []


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


@pytest.mark.parametrize(
    ("startup", "hermes", "warned"),
    [
        ("order=3,down=30", "{}", True),
        ("down=100", "{}", False),
        ("order=3,up=10", "{settings: {agent: {cron_drain_timeout: 600}}}", False),
        ("down=200", "{settings: {agent: {cron_drain_timeout: 600}}}", True),
        ("down=200", "{environment: {HERMES_CRON_DRAIN_TIMEOUT: 600}}", True),
    ],
)
def test_a_node_that_would_kill_the_agent_at_its_work_is_named(
    read: Any, startup: str, hermes: str, warned: bool
) -> None:
    text = agent("type: docker", hermes).replace("    hostname: h\n", f"    hostname: h\n    startup: {startup}\n")
    found = [each for each in read(text).warnings if each.path == "agents.118.startup"]
    assert bool(found) == warned
    assert all("in the middle of its work" in each.message and "down=" in each.allowed for each in found)


@pytest.mark.parametrize("drain", [600, "'600'", 100_000])
def test_a_whole_file_says_how_long_the_agent_needs_as_settings_do(read: Any, tmp_path: Path, drain: object) -> None:
    section = f"{{agent: {{cron_drain_timeout: {drain}}}}}"
    (tmp_path / "config.yaml").write_text(section)
    seconds: list[int] = []
    for hermes in (f"{{settings: {section}}}", "{config_file: config.yaml}"):
        text = agent("type: docker", hermes).replace("    hostname: h\n", "    hostname: h\n    startup: down=200\n")
        inventory = read(text)
        assert [each.path for each in inventory.warnings if "in the middle" in each.message] == ["agents.118.startup"]
        seconds.append(stopping.gateway(inventory.agents[118]))
    assert seconds == [86_440 if drain == 100_000 else 640] * 2


@pytest.mark.parametrize("named", ["python3", "python3.12", "/opt/python-3.14/bin/python3"])
def test_the_python_of_the_agents_own_environment_can_be_named(read: Any, named: str) -> None:
    assert read(agent(f"type: persistent, venv_python: {named}")).agents[118].runtime.venv_python == named


@pytest.mark.parametrize("named", ["ruby", "python 3", "../python3", "/a;b", "$HOME/python3", "3.12"])
def test_what_is_no_python_is_refused(read: Any, named: str) -> None:
    [(path, _, allowed)] = told(read, f"type: persistent, venv_python: '{named}'")
    assert path == "agents.118.runtime.venv_python" and "python3.12" in allowed
