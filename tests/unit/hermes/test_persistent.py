"""What a persistent agent's container is made of, and what its entrypoint is told."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxhermes.hermes import compose, managed, persistent
from proxhermes.inventory.models import Agent

WORD = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)


def plain(make_agent: Any, hermes: dict[str, Any] | None = None, **runtime: Any) -> Agent:
    return make_agent(runtime={"type": "persistent"} | runtime, hermes=hermes or {})  # type: ignore[no-any-return]


def told(agent: Agent, ask: str) -> list[str]:
    """What a shell makes of the file that the entrypoint reads."""
    script = f"{persistent.environment(agent, 8642)}\n{ask}"
    done = subprocess.run(["sh", "-euc", script], capture_output=True, check=True, env={"PATH": "/usr/bin:/bin"})
    return done.stdout.decode().split("\0")[:-1]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(WORD, max_size=4))
def test_arguments_arrive_as_they_were_written(make_agent: Any, words: list[str]) -> None:
    agent = plain(make_agent, extra_args=words)
    found = told(agent, 'eval "set -- $agent_command"; printf "%s\\0" "$@"')
    assert found == ["/opt/hermes/current/bin/hermes", "gateway", "run", "--replace", *words]


def test_the_environment_says_who_the_agent_is_and_who_manages_it(make_agent: Any) -> None:
    agent = plain(make_agent, {"uid": 2000, "gid": 2001}, state_dir="/srv/it", extra_packages=["jq"], allow_root=True)
    names = ("HERMES_HOME", "HOME", "agent_uid", "agent_gid", "agent_cwd", "agent_allow_root", managed.VARIABLE)
    found = told(agent, "".join(f'printf "%s\\0" "${name}"; ' for name in names))
    assert found == ["/srv/it/.hermes", "/srv/it/home", "2000", "2001", "/data", "yes", managed.manager(agent)]
    assert told(agent, 'printf "%s\\0" $agent_packages')[-1] == "jq"


def test_left_free_it_is_told_nothing_of_a_manager(make_agent: Any) -> None:
    assert managed.VARIABLE not in persistent.environment(plain(make_agent, {"managed": False}), 8642)


def test_the_container_sees_its_code_read_only_and_its_state(make_agent: Any) -> None:
    agent = plain(make_agent, extra_volumes=["/srv/models:/models:ro", "cache:/cache"])
    service = yaml.safe_load(compose.render(agent, mtu=None))["services"]["hermes"]
    volumes = {volume["target"]: (volume["source"], volume.get("read_only", False)) for volume in service["volumes"]}
    assert volumes == {
        "/opt/hermes": ("/opt/hermes", True),
        "/var/lib/hermes": ("/var/lib/hermes", False),
        "/data": ("/data", False),
        "/fast": ("/fast", False),
        "/models": ("/srv/models", True),
        "/cache": ("cache", False),
    }


def test_the_container_holds_nothing_that_the_next_start_could_read_instead(make_agent: Any) -> None:
    service = yaml.safe_load(compose.render(plain(make_agent), mtu=None))["services"]["hermes"]
    assert service["entrypoint"] == ["/opt/hermes/layer/entrypoint"]
    assert service["healthcheck"]["test"] == ["CMD", "/opt/hermes/layer/entrypoint", "health"]
    assert service["image"] == "debian:13" and service["init"] is True
    assert service["labels"] == {persistent.LABEL: persistent.identity(plain(make_agent))}
    assert not {"command", "environment"} & set(service)


def test_a_healthcheck_that_is_off_asks_nothing(make_agent: Any) -> None:
    text = compose.render(plain(make_agent, healthcheck={"enabled": False}), mtu=None)
    assert yaml.safe_load(text)["services"]["hermes"]["healthcheck"] == {"disable": True}


MOUNTS = [{"host": "/mnt/a", "guest": "/a"}, {"host": "/mnt/b", "guest": "/b", "read_only": True}]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"extra_volumes": ["/c:/c", "d:/d"]}, {"extra_volumes": ["d:/d", "/c:/c:rw"]}),
        ({"ports": ["8642:8642", "9119:9119/udp"]}, {"ports": ["9119:9119/udp", "8642:8642/tcp"]}),
        ({"shm_size": "3g"}, {"shm_size": "3072mb"}),
        ({"shm_size": "2m"}, {"shm_size": "2048k"}),
        ({"image": "debian:12"}, {"image": "docker.io/library/debian:12"}),
        ({"image": "debian"}, {"image": "debian:latest"}),
        ({"healthcheck": {"enabled": False}}, {"healthcheck": {"enabled": False, "interval": 5}}),
    ],
    ids=str,
)
def test_another_way_to_write_the_same_is_the_same(make_agent: Any, one: dict[str, Any], other: dict[str, Any]) -> None:
    agent = plain(make_agent)
    assert persistent.identity(agent) != persistent.identity(plain(make_agent, **one))
    assert persistent.identity(plain(make_agent, **one)) == persistent.identity(plain(make_agent, **other))


def test_another_order_of_mounts_is_the_same(make_agent: Any) -> None:
    runtime = {"type": "persistent"}
    one, other = (make_agent(runtime=runtime, mounts=mounts) for mounts in (MOUNTS, MOUNTS[::-1]))
    assert persistent.identity(one) == persistent.identity(other)


def test_others_have_no_layer(make_agent: Any) -> None:
    with pytest.raises(ValueError, match="docker has no layer"):
        persistent.identity(make_agent())
