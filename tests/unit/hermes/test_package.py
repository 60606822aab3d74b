"""Which version of the agent's own code is meant: (inventory) -> id, and what pip is told."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.errors import Refused, UsageError
from proxhermes.hermes import package, persistent
from proxhermes.hermes.package import Recipe
from proxhermes.inventory.models import Agent

COMMIT = "1240600aa57d34e7a2d69a2b18bc630c14059d9a"
PLAIN = Recipe("pypi", "hermes-agent==0.19.0", "0.19.0", extras=("cli", "mcp"), system="debian 13")


def native(make_agent: Any, **runtime: Any) -> Agent:
    return make_agent(runtime={"type": "native"} | runtime)  # type: ignore[no-any-return]


def lines(recipe: Recipe) -> list[str]:
    return recipe.files[package.REQUIREMENTS].decode().splitlines()


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "hermes-agent==0.18.2"},
        {"source": "git"},
        {"commit": COMMIT},
        {"extras": ("cli",)},
        {"python_packages": ("six",)},
        {"interpreter": "own"},
        {"system": "debian 14"},
        {"wheel": b"another"},
    ],
)
def test_whatever_goes_in_makes_another_version(change: dict[str, Any]) -> None:
    assert replace(PLAIN, **change).id != PLAIN.id


def test_two_wheels_of_one_name_are_two_versions() -> None:
    assert replace(PLAIN, wheel=b"a").id != replace(PLAIN, wheel=b"b").id


def test_order_and_repetition_make_no_other_version() -> None:
    assert replace(PLAIN, extras=("mcp", "cli", "mcp")).id == PLAIN.id


def test_from_pypi_the_extras_of_both_places_come_together(make_agent: Any) -> None:
    agent = native(make_agent, package={"pypi": "hermes-agent[web]==0.19.0"}, extras=["cli"])
    found = package.recipe(agent, system="debian 13")
    assert found.label == "0.19.0"
    assert lines(found) == ["hermes-agent[cli,web]==0.19.0"]


@pytest.mark.parametrize("written", ["hermes-agent", "hermes-agent>=0.19,<1"])
def test_without_a_version_the_name_is_the_label(make_agent: Any, written: str) -> None:
    found = package.recipe(native(make_agent, package={"pypi": written}, extras=[]))
    assert found.id.startswith("hermes-agent-")
    assert lines(found) == [written]


def test_extra_python_packages_are_installed_along(make_agent: Any) -> None:
    agent = native(make_agent, extra_python_packages=["pandas==2.2.3", "httpx[http2]>=0.27"])
    assert lines(package.recipe(agent))[1:] == ["pandas==2.2.3", "httpx[http2]>=0.27"]


def test_a_wheel_goes_along_under_its_own_name(make_agent: Any, tmp_path: Path) -> None:
    file = tmp_path / "hermes_agent-0.19.0-py3-none-any.whl"
    agent = native(make_agent, package={"wheel": str(file)}, extras=["cli"])
    with pytest.raises(UsageError, match=r"runtime\.package\.wheel"):
        package.wheel(agent)
    file.write_bytes(b"PK")
    found = package.recipe(agent, wheel=package.wheel(agent))
    assert found.label == "0.19.0"
    assert found.files[file.name] == b"PK"
    assert lines(found) == [f"./{file.name}[cli]"]


def test_git_is_taken_at_the_commit_that_its_ref_stands_for(make_agent: Any) -> None:
    agent = native(make_agent, package={"git": "https://git.example/hermes.git", "ref": "feature/x"}, extras=[])
    assert package.git_question(agent) == ("https://git.example/hermes.git", "feature/x")
    found = package.recipe(agent, commit=COMMIT)
    assert found.label == "feature-x-1240600"
    assert found.commit == COMMIT
    assert lines(found) == ["./source"]
    with pytest.raises(Refused, match="feature/x"):
        package.recipe(agent, commit="")


def test_a_whole_commit_is_not_asked_for(make_agent: Any) -> None:
    agent = native(make_agent, package={"git": "https://git.example/hermes.git", "ref": COMMIT})
    assert package.git_question(agent) == ("", "")
    assert package.recipe(agent).label == COMMIT[:12]


def test_a_persistent_agent_has_an_interpreter_of_its_own(make_agent: Any) -> None:
    same = {"package": {"pypi": "hermes-agent==0.19.0"}}
    assert package.recipe(make_agent(runtime={"type": "persistent"} | same)).interpreter == "own"
    assert package.recipe(make_agent(runtime={"type": "native"} | same)).interpreter == "guest"


def test_the_agents_tools_come_with_the_native_runtime_alone(make_agent: Any) -> None:
    packages = package.build_packages(native(make_agent, extra_packages=["pandoc=3.1", "git"]))
    assert {"python3-venv", "ripgrep", "pandoc=3.1"} <= set(packages)
    assert packages.count("git") == 1
    assert package.names(native(make_agent, extra_packages=["pandoc=3.1"]))["debian_packages"].endswith(" pandoc")
    within = make_agent(runtime={"type": "persistent", "extra_packages": ["pandoc"]})
    assert not {"ripgrep", "pandoc"} & set(package.build_packages(within))
    assert package.build_packages(make_agent()) == ()


@given(st.text(), st.text())
def test_what_the_script_reads_is_what_was_said(subject: str, commit: str) -> None:
    recipe = replace(PLAIN, source="git", subject=subject.replace("\0", ""), commit=commit.replace("\0", ""))
    found = dict(word.split("=", 1) for word in shlex.split(recipe.files[package.NAME].decode()))
    assert (found["package_subject"], found["package_commit"]) == (recipe.subject, recipe.commit)


@pytest.mark.parametrize("kind", ["native", "persistent"])
def test_the_agents_tools_are_those_of_the_official_image_unless_few_are_wanted(make_agent: Any, kind: str) -> None:
    large = {"ffmpeg", "nodejs", "openssh-client"}
    for tools, wanted in (("full", {"git", "ripgrep", *large}), ("minimal", {"git", "ripgrep"})):
        agent = make_agent(runtime={"type": kind, "tools": tools})
        assert set(package.tools(agent.runtime)) == wanted
        packages = package.build_packages(agent) if kind == "native" else persistent.environment(agent, 8642).split()
        assert wanted <= {each.strip("'") for each in packages}
