"""The agent's commands on the guest's PATH: (wanted, facts) -> written, taken away, or left alone."""

from __future__ import annotations

from typing import Any

import pytest

from proxhermes.facts.guest import File, GuestFacts
from proxhermes.hermes import commands
from proxhermes.plan.commands import plan_commands
from proxhermes.plan.model import Effect, pending, worst

PATHS = {f"/usr/local/bin/{name}" for name in ("hermes", "hermes-agent", "hermes-acp")}
FOREIGN = [
    File(0, 0, 0o755, "regular file", b"#!/bin/sh\n"),
    File(0, 0, 0o777, "symbolic link"),
    File(0, 0, 0o755, "directory"),
]


def there(file: File, *names: str) -> GuestFacts:
    return GuestFacts(files={f"command-{name}": file for name in names or commands.NAMES})


def ours(agent: Any) -> File:
    return File(0, 0, 0o755, "regular file", commands.render(agent).encode())


@pytest.mark.parametrize("kind", ["docker", "persistent", "native"])
def test_every_runtime_has_them_and_no_start_is_needed_for_that(make_agent: Any, kind: str) -> None:
    agent = make_agent(runtime={"type": kind})
    changes, files = plan_commands(agent, GuestFacts())
    assert {change.subject for change in changes} == PATHS
    assert worst(changes) is Effect.NONE
    assert files == {"command": commands.render(agent).encode()}
    assert plan_commands(agent, there(ours(agent))) == ([], {})


def test_another_runtimes_are_replaced(make_agent: Any) -> None:
    before, agent = make_agent(runtime={"type": "native"}), make_agent()
    changes, files = plan_commands(agent, there(ours(before)))
    assert {change.before for change in changes} == {"another one"} and files


@pytest.mark.parametrize("file", FOREIGN, ids=lambda file: file.kind)
def test_what_others_put_there_is_left_alone_and_told(make_agent: Any, file: File) -> None:
    changes, files = plan_commands(make_agent(), there(file))
    assert not pending(changes) and not files
    assert {change.subject for change in changes} == PATHS
    assert all("add_to_path: false" in str(change.blocked) for change in changes)
    off = make_agent(runtime={"add_to_path": False})
    assert plan_commands(off, there(file)) == ([], {})


def test_where_they_are_not_wanted_ours_go(make_agent: Any) -> None:
    off = make_agent(runtime={"add_to_path": False})
    changes, files = plan_commands(off, there(ours(make_agent()), "hermes", "hermes-acp"))
    assert [(change.subject, change.after) for change in changes] == [
        ("/usr/local/bin/hermes", None), ("/usr/local/bin/hermes-acp", None),
    ]  # fmt: skip
    assert not files and plan_commands(off, GuestFacts()) == ([], {})
