"""The native runtime's unit, and the scripts beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.hermes import commands, compose, unit
from proxhermes.hermes.assignments import assignments
from proxhermes.hermes.persistent import environment as rendered
from proxhermes.inventory.models import Agent

LINE = st.text(st.characters(exclude_characters="\0\r\n", codec="utf-8"))


def native(make_agent: Any, **runtime: Any) -> Agent:
    return make_agent(runtime={"type": "native"} | runtime)  # type: ignore[no-any-return]


def settings(agent: Agent) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.render(agent).splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def understood(text: str) -> str:
    """One word as systemd.syntax(7) has it: quotes undone, then specifiers."""
    quoted = text.startswith('"')
    assert quoted == text.endswith('"') or not quoted
    inner = text[1:-1] if quoted else text
    assert quoted or not re.search(r"[\s\"'\\;]", inner)
    assert not re.search(r'(?<!\\)(?:\\\\)*"', inner)
    return re.sub(r'\\(["\\])', r"\1", inner).replace("%%", "%")


@given(LINE)
def test_a_word_of_the_command_arrives_as_it_was_written(word: str) -> None:
    assert understood(unit.quote(word)).replace("$$", "$") == word
    assert not re.search(r"(?<!%)(?:%%)*%(?!%)", unit.quote(word))
    assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", unit.quote(word))


@given(LINE)
def test_a_variable_arrives_as_it_was_written(value: str) -> None:
    assert understood(unit.assignment("NAME", value)) == f"NAME={value}"


def test_a_specifier_in_a_path_is_none() -> None:
    assert unit.path("/srv/100%h") == "/srv/100%%h"


def test_the_options_of_the_inventory_are_in_the_unit(make_agent: Any) -> None:
    agent = native(
        make_agent,
        user="bot",
        group="bots",
        restart="on-failure",
        restart_sec=9,
        extra_args=["-v", "a b"],
        state_dir="/srv/s",
    )
    found = settings(agent)
    assert (found["User"], found["Group"]) == (["bot"], ["bots"])
    assert (found["Restart"], found["RestartSec"]) == (["on-failure"], ["9"])
    assert found["ExecStart"] == ['/opt/hermes/current/bin/hermes gateway run -v "a b"']
    assert found["ReadWritePaths"] == ["/srv/s /data /fast"]
    assert "HERMES_HOME=/srv/s/.hermes" in found["Environment"]
    assert "HOME=/srv/s/home" in found["Environment"]


def test_the_agents_numbers_are_those_of_the_inventory_everywhere(make_agent: Any) -> None:
    numbers = {"uid": 1500, "gid": 1600}
    plain = make_agent(hermes=numbers)
    assert "--reuid 1500 --regid 1600 " in unit.as_agent(make_agent(hermes=numbers, runtime={"type": "native"}))
    service = yaml.safe_load(compose.render(plain, mtu=None))["services"]["hermes"]
    assert (service["environment"]["HERMES_UID"], service["environment"]["HERMES_GID"]) == ("1500", "1600")
    persistent = rendered(make_agent(hermes=numbers, runtime={"type": "persistent"}), 8642)
    assert "agent_uid=1500\nagent_gid=1600\n" in persistent
    names = assignments(plain)
    assert (names["uid"], names["gid"]) == ("1500", "1600")


@pytest.mark.parametrize(
    "policy", ["always", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "no"]
)
def test_it_restarts_by_any_policy_of_systemd(make_agent: Any, policy: str) -> None:
    assert settings(native(make_agent, restart=policy))["Restart"] == [policy]


def test_the_hardening_is_there(make_agent: Any) -> None:
    found = settings(native(make_agent))
    assert found["NoNewPrivileges"] == ["yes"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["PrivateTmp"] == ["yes"]
    assert found["CapabilityBoundingSet"] == [""]
    assert found["UMask"] == ["0027"]
    assert found["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert {"After", "Wants"} <= set(found)


def test_a_read_only_mount_is_not_opened(make_agent: Any) -> None:
    mounts = [{"host": "/srv/a", "guest": "/data"}, {"host": "/srv/b", "guest": "/books", "read_only": True}]
    assert settings(make_agent(mounts=mounts, runtime={"type": "native"}))["ReadWritePaths"] == [
        "/var/lib/hermes /data"
    ]


def test_a_working_directory_of_ones_own_is_opened_unless_it_is_within(make_agent: Any) -> None:
    def paths(folder: str) -> list[str]:
        agent = make_agent(hermes={"working_directory": folder}, runtime={"type": "native"})
        return settings(agent)["ReadWritePaths"] + settings(agent)["WorkingDirectory"]

    assert paths("/srv/work") == ["/var/lib/hermes /data /fast /srv/work", "/srv/work"]
    assert paths("/data/work") == ["/var/lib/hermes /data /fast", "/data/work"]


def test_homes_are_hidden_unless_something_of_the_agents_lies_there(make_agent: Any) -> None:
    assert settings(native(make_agent))["ProtectHome"] == ["yes"]
    assert settings(native(make_agent, state_dir="/home/hermes"))["ProtectHome"] == ["read-only"]


def test_a_managed_agent_is_told_so(make_agent: Any) -> None:
    assert any("HERMES_MANAGED=" in line for line in settings(native(make_agent))["Environment"])
    free = make_agent(hermes={"managed": False}, runtime={"type": "native"})
    assert not any("HERMES_MANAGED=" in line for line in settings(free)["Environment"])


@pytest.mark.parametrize(("drain", "seconds"), [(None, "70"), (10, "70"), (120, "150"), ("soon", "70")])
def test_it_gets_the_time_to_end_that_it_gives_itself(make_agent: Any, drain: object, seconds: str) -> None:
    section = {} if drain is None else {"agent": {"restart_drain_timeout": drain}}
    agent = make_agent(hermes={"settings": section}, runtime={"type": "native"})
    assert settings(agent)["TimeoutStopSec"] == [seconds]


@pytest.mark.parametrize("render", [unit.as_agent, commands.render])
def test_the_scripts_are_clean(make_agent: Any, render: Any) -> None:
    text = render(native(make_agent))
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([shellcheck, "-"], input=text, text=True, check=True)
    assert unit.MARK in text


def test_the_command_shares_its_state_with_the_service(make_agent: Any) -> None:
    agent = native(make_agent)
    assert 'exec /opt/hermes/as-agent /opt/hermes/current/bin/"$name" "$@"' in commands.render(agent)
    for name, value in unit.environment(agent).items():
        assert unit.assignment(name, value) in unit.render(agent)
        assert f"export {name}=" in unit.as_agent(agent)
