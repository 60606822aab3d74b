"""Profiles in the inventory: each is checked as an agent's own `hermes` is, and some things are the agent's alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxhermes.hermes import local_files
from proxhermes.inventory import Inventory, load, profiles
from proxhermes.inventory.problems import InventoryError, Problem

Problems = Callable[..., list[Problem]]
Read = Callable[..., Inventory]

WORK = """\
    hermes:
      secrets: {A_TOKEN: {env: A}}
      profiles:
        work:
"""


def of(problems: Problems, smallest: str, *lines: str) -> list[tuple[str, str]]:
    text = smallest + WORK + "".join(f"          {line}\n" for line in lines)
    return [
        (problem.path.removeprefix("agents.118.hermes.profiles.work."), problem.message) for problem in problems(text)
    ]


@pytest.mark.parametrize(
    ("line", "path", "words"),
    [
        ("secrets: {HERMES_UID: {env: X}}", "secrets.HERMES_UID", "written by proxhermes"),
        ("environment: {MY_TOKEN: abc}", "environment.MY_TOKEN", "a secret by its name"),
        ("environment: {API_SERVER_PORT: 8700}", "environment.API_SERVER_PORT", "a profile has none of its own"),
        ("secrets: {API_SERVER_CORS: {env: K}}", "secrets.API_SERVER_CORS", "a profile has none of its own"),
        ("settings: {model: {default: other}}", "settings.model.default", "something else than"),
        ("mcp_servers: {a: {url: 'http://x/m', headers: {Authorization: abc}}}", "mcp_servers.a.headers.Authorization",
         "a secret"),
        ("settings: {gateway: {standalone: true}}", "settings.gateway.standalone", "would not serve"),
        ("settings: {gateway: {standalone: 'yes'}}", "settings.gateway.standalone", "would not serve"),
        ("skills: {x: {git: 'https://git.lan/x', ref: v1}}", "skills.x.git", "no skills from git"),
        ("skills: {x: {hub: official/y}}", "skills.x", "Hermes calls official/y 'y'"),
        ("crons: {x: {schedule: 30m, prompt: x}}", "crons.x.schedule", "'30m' is not a schedule"),
        ("uid: 5", "uid", "unknown key"),
        ("profiles: {}", "profiles", "unknown key"),
        ("home_files: {config.yaml: x}", "home_files.config.yaml", "written from another option"),
    ],
)  # fmt: skip
def test_its_mistakes_are_told_at_their_place(
    problems: Problems, smallest: str, line: str, path: str, words: str
) -> None:
    ((where, message),) = of(problems, smallest, line)
    assert where == path and words in message


@pytest.mark.parametrize("name", ["Work", "default", "tmp", "-x", "a b", "x" * 65])
def test_names_are_those_that_hermes_takes(problems: Problems, smallest: str, name: str) -> None:
    (problem,) = problems(smallest + f"    hermes: {{profiles: {{'{name}': {{}}}}}}\n")
    assert "the name of a profile" in problem.message


def test_one_that_is_said_not_to_stand_alone_is_fine(read: Read, smallest: str) -> None:
    assert read(smallest + "    hermes: {profiles: {work: {settings: {gateway: {standalone: false}}}}}\n")


def test_one_that_stands_alone_by_a_settings_file_is_told_there(
    problems: Problems, smallest: str, tmp_path: Path
) -> None:
    (tmp_path / "alone.yaml").write_text("gateway:\n  standalone: true\n")
    (problem,) = problems(smallest + "    hermes: {profiles: {work: {settings_files: [alone.yaml]}}}\n")
    assert "would not serve" in problem.message


def test_the_gateway_has_to_serve_them(problems: Problems, smallest: str) -> None:
    text = "    hermes: {settings: {gateway: {multiplex_profiles: false}}, profiles: {work: {}}}\n"
    (problem,) = problems(smallest + text)
    assert "would serve none of" in problem.message and problem.path.endswith("gateway.multiplex_profiles")


def test_two_of_them_with_the_same_bot_are_told(read: Read, smallest: str) -> None:
    bot = "messaging: {telegram: {token: {env: BOT}, allowed_users: 1}}"
    inventory = read(f"{smallest}    {bot}\n    hermes: {{profiles: {{work: {{{bot}}}}}}}\n")
    assert [warning.message for warning in inventory.warnings] == ["agent 118 is the same bot"]


def test_to_those_who_plan_it_is_an_agent(read: Read, smallest: str, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("display: {compact: true}\n")
    text = """\
    hermes:
      uid: 1000
      environment: {A: of the agent}
      working_directory: /data
      profiles:
        work:
          model: small
          settings_files: [base.yaml]
          settings: {agent: {max_turns: 5}}
          environment: {B: of the profile}
          gateway: {enable: false}
        same: {}
"""
    agent = read(smallest + text).agents[118]
    work, same = profiles.of(agent)
    assert (work.profile, work.enabled, work.option) == ("work", False, "agents.118.hermes.profiles.work")
    assert (work.hermes.uid, work.hermes.environment, work.hermes.working_directory) == (
        1000,
        {"B": "of the profile"},
        None,
    )
    assert work.hermes.settings == {"display": {"compact": True}, "agent": {"max_turns": 5}}
    assert work.hermes.place(("agent", "max_turns")) == f"{tmp_path}/inventory.yaml:27"
    assert work.hermes.place(("display", "compact")) == f"{tmp_path}/base.yaml:1"
    assert (work.litellm.model, same.litellm, same.enabled) == ("small", agent.litellm, True)
    assert (agent.profile, agent.option, work.mounts) == ("", "agents.118.hermes", agent.mounts)
    assert not same.messaging.model_fields_set and same.hermes.profiles == {}


def test_what_is_wrong_with_a_file_of_its_is_told_where_it_is_named(tmp_path: Path, smallest: str) -> None:
    (tmp_path / "inventory.yaml").write_text(
        f"{smallest}    hermes: {{profiles: {{work: {{home_files: {{A.md: {{file: nope}}}}}}}}}}\n"
    )
    with pytest.raises(InventoryError) as caught:
        load(tmp_path / "inventory.yaml", {}, files=local_files.check)
    (problem,) = caught.value.problems
    assert problem.path == "agents.118.hermes.profiles.work.home_files.A.md.file" and "No such file" in problem.message


def test_one_that_is_gone_is_given_nothing(make_agent: Any) -> None:
    agent = make_agent(hermes={"environment": {"A": "b"}})
    gone = profiles.gone(agent, "old")
    assert (gone.profile, gone.enabled, gone.declared, gone.hermes.environment) == ("old", False, False, {})
