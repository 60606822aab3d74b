"""The agent's own code: (wanted, what the guest tells) -> changes, and what the operator should know of them."""

from __future__ import annotations

from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts, Service
from proxhermes.hermes import package
from proxhermes.hermes.package import Files
from proxhermes.inventory.models import Agent
from proxhermes.plan.package import PackagePlan, plan_package

ONE, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NAME = "docker.io/nousresearch/hermes-agent"


def native(make_agent: Any, package: dict[str, Any], **runtime: Any) -> Agent:
    return make_agent(runtime={"type": "native", "package": package} | runtime)  # type: ignore[no-any-return]


def planned(agent: Agent, files: Files = Files(), **known: str) -> PackagePlan:
    return plan_package(agent, GuestFacts("debian", "13", service=Service("running", known)), files)


def image(make_agent: Any, tag: str = ":0.22.2") -> Agent:
    return native(make_agent, {"image": f"nousresearch/hermes-agent{tag}"})


def test_an_image_is_what_its_tag_is_today(make_agent: Any) -> None:
    found = planned(image(make_agent), image_told=ONE)
    assert found.id is not None and found.id.startswith("0.22.2-")
    assert found.notes == ()
    assert package.NAME in found.files
    assert planned(image(make_agent), image_told=ONE, package=found.id) == PackagePlan(id=found.id)


def test_a_tag_that_moved_is_another_version_and_is_said(make_agent: Any) -> None:
    there = {"package": "0.22.2-1", "package_subject": NAME, "package_ref": "0.22.2", "package_commit": ONE}
    found = planned(image(make_agent), image_told=OTHER, **there)
    assert found.changes
    assert found.notes == (f"0.22.2 of {NAME} is sha256:bbbbbbbbbbbb now, not sha256:aaaaaaaaaaaa",)
    assert planned(image(make_agent, ":0.23.4"), image_told=OTHER, **there).notes == ()  # it was asked for


def test_a_registry_that_is_away_leaves_the_agent_where_it_is(make_agent: Any) -> None:
    agent = image(make_agent)
    there = planned(agent, image_told=ONE).id or ""
    known = {"package": there, "package_subject": NAME, "package_ref": "0.22.2", "package_commit": ONE}
    found = planned(agent, image_error="dial tcp: no such host", **known)
    assert (found.changes, found.id) == ((), there)
    assert found.notes == (f"{NAME} does not answer (dial tcp: no such host); the agent stays at sha256:aaaaaaaaaaaa",)
    with pytest.raises(Refused, match="dial tcp") as caught:
        planned(agent, image_error="dial tcp: no such host")
    assert "registry_mirrors" in (caught.value.hint or "")


def test_without_skopeo_the_plan_says_what_is_coming(make_agent: Any) -> None:
    found = planned(image(make_agent))
    assert [change.after for change in found.changes] == [f"0.22.2 of {NAME}"]
    assert (found.files, found.id) == ({}, None)


@pytest.mark.parametrize("told", ["", "sha256:abc", "latest"])
def test_a_tag_that_is_not_there_is_refused(make_agent: Any, told: str) -> None:
    with pytest.raises(Refused, match=f"the registry has no {NAME}:0.22.2"):
        planned(image(make_agent), image_told=told)


def test_an_image_by_digest_needs_no_answer(make_agent: Any) -> None:
    assert planned(image(make_agent, f"@{ONE}")).id == planned(image(make_agent, f"@{ONE}"), image_told=OTHER).id


def test_what_pip_installs_without_hashes_is_said(make_agent: Any) -> None:
    pypi = {"pypi": "hermes-agent==0.19.0"}
    assert "package.require_hashes" in planned(native(make_agent, pypi)).notes[0]
    pinned = native(make_agent, pypi | {"require_hashes": "hermes.lock"})
    assert planned(pinned, Files(hashes=b"x")).notes == ()
    besides = native(make_agent, {"image": f"nousresearch/hermes-agent@{ONE}"}, extra_python_packages=["six"])
    assert "package.require_hashes" in planned(besides).notes[0]


def test_a_python_that_is_downloaded_is_said_and_one_that_cannot_be_is_refused(make_agent: Any) -> None:
    agent = native(make_agent, {"pypi": "hermes-agent==0.22.2"}, python_mirror="http://mirror.lan/pbs")
    assert "its Python is downloaded from http://mirror.lan/pbs/" in planned(agent, python="3.13.5").notes[0]
    assert not any("Python is" in note for note in planned(agent, python="3.14.2").notes)
    with pytest.raises(Refused, match=r"needs Python >=3\.14,<3\.15.*for riscv64"):
        planned(agent, python="3.13.5", architecture="riscv64")
