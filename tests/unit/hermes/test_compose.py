"""The agent's compose.yaml: what each option of the runtime becomes in it, and what it never holds."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from proxhermes.hermes import compose, persistent, ports
from proxhermes.hermes.environment import environment
from proxhermes.hermes.files import UnusableFile


def render(agent: Any, mtu: int | None = 1500) -> Any:
    return yaml.safe_load(compose.render(agent, mtu=mtu))


def service(agent: Any) -> Any:
    return render(agent)["services"]["hermes"]


def test_it_is_the_designs_service_without_a_port(make_agent: Any) -> None:
    made = service(make_agent())
    assert made["image"] == "nousresearch/hermes-agent"
    assert made["command"] == ["gateway", "run"]
    assert (made["restart"], made["shm_size"]) == ("unless-stopped", "1g")
    assert not {"ports", "network_mode", "privileged", "cap_add", "security_opt", "env_file"} & made.keys()
    volumes = [(volume["source"], volume["target"]) for volume in made["volumes"]]
    assert volumes.pop(0) == ("/opt/hermes/finish", "/etc/cont-finish.d/proxhermes")
    assert volumes == [("/opt/hermes/data", "/opt/data"), ("/data", "/data"), ("/fast", "/fast")]
    assert all(volume["bind"] == {"create_host_path": False} for volume in made["volumes"])


def test_its_environment_is_what_the_image_reads_by_itself(make_agent: Any) -> None:
    environment = service(make_agent())["environment"]
    assert {name: environment[name] for name in ("HERMES_UID", "HERMES_GID", "HERMES_HOME_MODE")} == {
        "HERMES_UID": "10000", "HERMES_GID": "10000", "HERMES_HOME_MODE": "0750",
    }  # fmt: skip
    assert "HERMES_MANAGED" not in environment  # the image's migration of config.yaml would save nothing


def test_the_agents_file_tools_may_write_where_it_can(make_agent: Any) -> None:
    mounts = [{"host": "/srv/a", "guest": "/ro", "read_only": True}, {"host": "/srv/b", "guest": "/rw"}]
    made = service(make_agent(mounts=mounts))
    assert made["environment"]["HERMES_WRITE_SAFE_ROOT"] == "/opt/data:/rw"
    assert made["volumes"][2]["read_only"] is True
    own = make_agent(hermes={"environment": {"HERMES_WRITE_SAFE_ROOT": "/opt/data"}})
    assert "HERMES_WRITE_SAFE_ROOT" not in service(own)["environment"]


def test_it_holds_no_secret(make_agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "the-value")
    hermes = {"secrets": {"HERMES_DASHBOARD_BASIC_AUTH_PASSWORD": {"env": "SECRET"}}, "environment": {"PLAIN": "plain"}}
    text = compose.render(make_agent(hermes=hermes), mtu=None)
    assert "the-value" not in text
    assert "plain" not in text


@pytest.mark.parametrize(
    "word",
    ["y", "N", "on", "1e5", "812e934", "0o17", "010", "1:30", "1_000", "2026-01-01", "2026-1-2", "0XFF", "1_0.5", "~"],
)
def test_what_a_reader_of_newer_yaml_takes_for_no_text_is_quoted(make_agent: Any, word: str) -> None:
    runtime = {"extra_args": [word], "compose_override": {"labels": {word: word}}}
    text = compose.render(make_agent(runtime=runtime), mtu=1500)
    newer = YAML(typ="safe", pure=True).load(text)
    for read in (newer, yaml.safe_load(text)):
        made = read["services"]["hermes"]
        assert (made["command"][-1], made["labels"]) == (word, {word: word})
    # What compose is written in knows dates and numbers that none of these readers know.
    assert f"- '{word}'\n" in text and f"'{word}': '{word}'\n" in text


def test_a_small_mtu_below_reaches_dockers_own_network(make_agent: Any) -> None:
    network = render(make_agent(), mtu=1450)["networks"]["default"]
    assert network == {"driver_opts": {"com.docker.network.driver.mtu": "1450"}}
    assert "networks" not in render(make_agent(), mtu=9000)
    shared = render(make_agent(runtime={"network": "host"}), mtu=1450)
    assert "networks" not in shared
    assert shared["services"]["hermes"]["network_mode"] == "host"


def test_arguments_reach_the_gateway_as_the_main_program(make_agent: Any) -> None:
    """The image's supervisor starts it without any."""
    assert service(make_agent(runtime={"extra_args": ["-v", "--accept-hooks"]}))["command"] == [
        "gateway", "run", "--no-supervise", "-v", "--accept-hooks",
    ]  # fmt: skip
    own = service(make_agent(runtime={"extra_args": ["--no-supervise"]}))
    assert own["command"] == ["gateway", "run", "--no-supervise"]
    behind = service(make_agent(runtime={"extra_args": ["-v", "--no-supervise"]}))
    assert behind["command"] == ["gateway", "run", "--no-supervise", "-v"]  # as container-finish.sh looks for it


def test_extra_volumes_are_folders_that_have_to_be_there_and_volumes_that_need_not(make_agent: Any) -> None:
    agent = make_agent(runtime={"extra_volumes": ["/srv/models:/models:ro", "cache:/cache", "/a:/b:rw", "c:/d:ro"]})
    document = render(agent)
    bind = {"create_host_path": False}
    assert document["services"]["hermes"]["volumes"][4:] == [
        {"type": "bind", "source": "/srv/models", "target": "/models", "read_only": True, "bind": bind},
        {"type": "volume", "source": "cache", "target": "/cache"},
        {"type": "bind", "source": "/a", "target": "/b", "bind": bind},
        {"type": "volume", "source": "c", "target": "/d", "read_only": True},
    ]
    assert document["volumes"] == {"cache": {}, "c": {}}
    assert compose.folders(agent) == ("/srv/models", "/a")
    assert compose.folders(make_agent(runtime={"type": "native"})) == ()


def test_keys_of_ones_own_are_merged_in(make_agent: Any) -> None:
    override = {
        "cap_add": ["SYS_PTRACE"], "gpus": "all", "devices": ["/dev/dri:/dev/dri"], "environment": {"MINE": "1"},
    }  # fmt: skip
    made = service(make_agent(runtime={"compose_override": override}))
    assert {key: made[key] for key in ("cap_add", "gpus", "devices")} == {
        key: value for key, value in override.items() if key != "environment"
    }
    assert made["environment"]["MINE"] == "1"
    assert made["environment"]["HERMES_UID"] == "10000"


def test_a_dollar_is_a_dollar(make_agent: Any) -> None:
    """Compose would look for a variable of the shell that starts it."""
    agent = make_agent(runtime={"extra_args": ["$HOME"], "compose_override": {"labels": {"price": "5$"}}})
    assert service(agent)["command"][-1] == "$$HOME"
    assert service(agent)["labels"] == {"price": "5$$"}


def test_restart_and_health_are_as_declared(make_agent: Any) -> None:
    health = {"interval": 5, "timeout": 2, "retries": 1, "start_period": 60}
    made = service(make_agent(runtime={"restart": "no", "shm_size": "2g", "healthcheck": health}))
    assert (made["restart"], made["shm_size"]) == ("no", "2g")
    assert made["healthcheck"] == {
        "test": ["CMD", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8642/health"],
        "interval": "5s", "timeout": "2s", "retries": 1, "start_period": "60s",
    }  # fmt: skip
    assert service(make_agent(runtime={"healthcheck": {"enabled": False}}))["healthcheck"] == {"disable": True}


# What is published.


def test_a_published_api_listens_to_others_and_only_then(make_agent: Any) -> None:
    assert ports.environment(make_agent()) == {}
    agent = make_agent(runtime={"ports": ["10.1.10.5:80:8642", "127.0.0.1:9999:9119", "7000:7000/udp"]})
    assert service(agent)["ports"] == ["10.1.10.5:80:8642", "127.0.0.1:9999:9119", "7000:7000/udp"]
    assert ports.environment(agent) == {"API_SERVER_HOST": "0.0.0.0", "HERMES_DASHBOARD_HOST": "0.0.0.0"}
    assert ports.expected(agent) == {80, 7000}
    assert ports.closed_pages(agent) == ("80/v1/models",)
    other = make_agent(runtime={"ports": ["80:8642"]}, hermes={"environment": {"API_SERVER_PORT": "9000"}})
    assert ports.environment(other) == {}


def test_the_images_supervisor_is_told_of_the_dashboard(make_agent: Any) -> None:
    agent = make_agent(runtime={"ports": ["9119:9119"]}, hermes={"environment": {"HERMES_DASHBOARD": "1", "X": "y"}})
    environment = service(agent)["environment"]
    assert (environment["HERMES_DASHBOARD"], environment["HERMES_DASHBOARD_HOST"]) == ("1", "0.0.0.0")
    assert "X" not in environment


def test_the_images_start_scripts_are_told_to_leave_config_yaml_as_it_is(make_agent: Any) -> None:
    agent = make_agent(hermes={"environment": {"HERMES_SKIP_CONFIG_MIGRATION": "1"}})
    assert service(agent)["environment"]["HERMES_SKIP_CONFIG_MIGRATION"] == "1"
    assert "HERMES_SKIP_CONFIG_MIGRATION" not in service(make_agent())["environment"]


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.10.5"])
def test_a_declared_host_and_port_of_the_dashboard_are_what_the_supervisor_gets(make_agent: Any, host: str) -> None:
    declared = {"HERMES_DASHBOARD": "1", "HERMES_DASHBOARD_HOST": host, "HERMES_DASHBOARD_PORT": "9200"}
    agent = make_agent(runtime={"ports": ["9119:9200"]}, hermes={"environment": declared})
    found = service(agent)["environment"]
    assert {name: found.get(name) for name in declared} == declared


@pytest.mark.parametrize("runtime", [{"network": "host"}, {"type": "native"}])
def test_on_the_guests_own_network_what_the_agent_opens_is_open(make_agent: Any, runtime: Any) -> None:
    assert ports.expected(make_agent(runtime=runtime)) == frozenset()
    opened = {"API_SERVER_HOST": "0.0.0.0", "HERMES_DASHBOARD_HOST": "10.1.10.5", "HERMES_DASHBOARD_PORT": "9000"}
    assert ports.expected(make_agent(runtime=runtime, hermes={"environment": opened})) == {8642, 9000}
    agent = make_agent(runtime=runtime, hermes={"environment": opened})
    assert ports.closed_pages(agent) == ("8642/v1/models", "9000/api/config")


@pytest.mark.parametrize("text", ["services: {}\n", "- a\n", "a: [1\n", ""])
def test_a_compose_yaml_of_others_is_not_overwritten(text: str) -> None:
    with pytest.raises(UnusableFile, match=r"compose\.yaml"):
        compose.service_of(text)


def test_the_image_may_migrate_the_configuration_of_a_managed_agent(
    make_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who manages it stands where `hermes` reads it, and what the image does at its start does not."""
    monkeypatch.setenv("LITELLM_API_KEY", "sk")
    assert "proxhermes up 118" in environment(make_agent()).lines["HERMES_MANAGED"]
    assert "HERMES_MANAGED" not in environment(make_agent(hermes={"managed": False})).lines
    assert "HERMES_MANAGED" not in environment(make_agent(runtime={"type": "native"})).lines


@pytest.mark.parametrize(
    ("hermes", "gateway"),
    [
        ({}, 70),
        ({"settings": {"agent": {"cron_drain_timeout": 120}}}, 160),
        ({"environment": {"HERMES_CRON_DRAIN_TIMEOUT": 120}}, 160),
        (
            {
                "settings": {"agent": {"cron_drain_timeout": 50}},
                "environment": {"HERMES_CRON_DRAIN_TIMEOUT": 120},
            },
            90,
        ),
        ({"settings": {"agent": []}}, 70),
    ],
)
def test_the_gateway_gets_the_time_to_end_that_it_may_need(make_agent: Any, hermes: Any, gateway: int) -> None:
    made = service(make_agent(hermes=hermes))
    assert made["environment"]["S6_KILL_FINISH_MAXTIME"] == f"{gateway}000"
    assert made["stop_grace_period"] == f"{gateway + 10}s"
    plain = service(make_agent(hermes=hermes, runtime={"type": "persistent"}))
    assert plain["stop_grace_period"] == f"{gateway + 10}s"
    assert "environment" not in plain


def test_a_time_to_end_makes_no_container_of_ones_own_another(make_agent: Any) -> None:
    """With the container its layer would be lost."""
    longer = {"settings": {"agent": {"cron_drain_timeout": 120}}}
    runtime = {"type": "persistent"}
    assert persistent.identity(make_agent(runtime=runtime)) == persistent.identity(
        make_agent(runtime=runtime, hermes=longer)
    )
