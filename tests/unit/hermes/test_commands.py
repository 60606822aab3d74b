"""The agent's commands on the guest's PATH: run for real, with an engine that only tells how it was called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxhermes.hermes import commands, unit

RUNTIMES = [
    {"type": "docker"},
    {"type": "docker", "engine": "podman"},
    {"type": "persistent"},
    {"type": "persistent", "engine": "podman"},
    {"type": "native"},
]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=str)
def test_the_script_is_clean_and_carries_our_mark(make_agent: Any, runtime: Any) -> None:
    text = commands.render(make_agent(runtime=runtime))
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([shellcheck, "-"], input=text, text=True, check=True)
    assert unit.MARK in text


def called(make_agent: Any, tmp_path: Path, name: str, *, me: int = 0, sudo: bool = False, **fields: Any) -> list[str]:
    """What the engine is called with; empty where it is not."""
    agent = make_agent(**fields)
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    tools = {agent.runtime.engine: 'printf "%s\\n" "${0##*/}" "$@"', "id": f"echo {me}"}
    if sudo:
        tools["sudo"] = 'printf "%s\\n" sudo "$@"'
    for tool, text in {**tools, name: ""}.items():
        path = folder / tool
        path.write_text(commands.render(agent) if tool == name else f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    path = f"{folder}:/usr/bin:/bin" if sudo or not os.path.exists("/usr/bin/sudo") else f"{folder}"
    done = subprocess.run(
        ["/bin/sh", folder / name, "chat", "-q", "two words"], env={"PATH": path}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=10, check=False,
    )  # fmt: skip
    assert done.returncode == (0 if done.stdout else 77), done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("engine", ["docker", "podman"])
@pytest.mark.parametrize(
    ("name", "meant"),
    [("hermes", "hermes"), ("hermes-agent", "hermes-agent"), ("hermes-acp", "hermes-acp"), ("mine", "hermes")],
)
def test_in_the_official_image_it_is_the_images_own_command_as_the_agents_user(
    make_agent: Any, tmp_path: Path, engine: str, name: str, meant: str
) -> None:
    words = called(make_agent, tmp_path, name, runtime={"engine": engine}, hermes={"uid": 1500, "gid": 1600})
    assert words == [
        *(engine, "exec", "-i", "--user", "1500:1600", "--env", "TERM", "--workdir", "/data", "hermes"),
        *(meant, "chat", "-q", "two words"),
    ]


def test_in_a_plain_image_it_goes_through_the_entrypoint_which_becomes_the_agent(
    make_agent: Any, tmp_path: Path
) -> None:
    words = called(make_agent, tmp_path, "hermes-acp", runtime={"type": "persistent"})
    assert words[-6:] == [
        "/opt/hermes/layer/entrypoint", "exec", "/opt/hermes/current/bin/hermes-acp", "chat", "-q", "two words",
    ]  # fmt: skip
    assert "--user" not in words


def test_who_is_not_root_needs_sudo(make_agent: Any, tmp_path: Path) -> None:
    assert called(make_agent, tmp_path, "hermes", me=1000) == []
    words = called(make_agent, tmp_path, "hermes", me=1000, sudo=True)
    assert words[:2] == ["sudo", "--"] and words[-3:] == ["chat", "-q", "two words"]
