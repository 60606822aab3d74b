"""The agent as a service of systemd: (wanted, facts) -> changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.guest import File, GuestFacts, Service
from proxhermes.hermes import package, unit
from proxhermes.hermes.package import Files
from proxhermes.hermes.python import System
from proxhermes.inventory.models import Agent
from proxhermes.plan.engine_model import EnginePlan
from proxhermes.plan.hermes_model import ServicePlan
from proxhermes.plan.model import Effect
from proxhermes.plan.native import plan_native
from proxhermes.plan.package import plan_package
from proxhermes.plan.packages import plan_packages, with_packages

SYSTEM = System("debian 13")
COMMIT = "1240600aa57d34e7a2d69a2b18bc630c14059d9a"
GIT = {"package": {"git": "https://git.example/hermes.git", "ref": "main"}}
ASKED = {"package_subject": "https://git.example/hermes.git", "package_ref": "main"}


def native(make_agent: Any, **runtime: Any) -> Agent:
    return make_agent(runtime={"type": "native"} | runtime)  # type: ignore[no-any-return]


def file(text: str) -> File:
    return File(0, 0, 0o644, "regular file", text.encode())


def settled(agent: Agent, **known: str) -> GuestFacts:
    """A guest in which everything is as `agent` wants it, but for what `known` says of the service."""
    facts = {
        "package": package.recipe(agent, system=SYSTEM).id,
        "user": "10000",
        "group": "10000",
        "enabled": "enabled",
        "stale": "no",
    }
    files = {
        "unit": file(unit.render(agent)),
        "as-agent": file(unit.as_agent(agent)),
    }
    return GuestFacts("debian", "13", service=Service("running", facts | known), files=files)


def planned(agent: Agent, facts: GuestFacts, so_far: Effect = Effect.NONE) -> ServicePlan:
    return plan_native(agent, facts, so_far, plan_package(agent, facts, Files()))


def changes(agent: Agent, facts: GuestFacts, so_far: Effect = Effect.NONE) -> dict[str, tuple[str | None, str | None]]:
    return {change.subject: (change.before, change.after) for change in planned(agent, facts, so_far).changes}


def test_nothing_changes_where_all_is_as_wanted(make_agent: Any) -> None:
    agent = native(make_agent)
    assert planned(agent, settled(agent), Effect.NONE) == ServicePlan()


def test_into_an_empty_guest_everything_goes(make_agent: Any) -> None:
    agent = native(make_agent)
    found = planned(agent, GuestFacts("debian", "13"), Effect.NONE)
    assert {"unit", "as-agent", package.NAME, package.REQUIREMENTS} == set(found.files)
    assert {change.effect for change in found.changes} >= {Effect.RESTART_SERVICE, Effect.RECREATE_SERVICE}


def test_another_version_restarts(make_agent: Any) -> None:
    agent = native(make_agent, package={"pypi": "hermes-agent==0.18.2"})
    found = planned(agent, settled(agent, package="0.19.0-1"), Effect.NONE)
    (change,) = found.changes
    assert (change.subject, change.before, change.effect) == ("package", "0.19.0-1", Effect.RESTART_SERVICE)
    assert change.after is not None and change.after.startswith("0.18.2-")
    assert b"hermes-agent" in found.files[package.REQUIREMENTS]


def test_another_release_of_the_system_is_another_version(make_agent: Any) -> None:
    agent = native(make_agent)
    assert "package" in changes(agent, replace(settled(agent), os_version="14"))


def test_a_changed_option_is_shown_by_its_setting(make_agent: Any) -> None:
    agent = native(make_agent, restart_sec=9)
    found = changes(agent, replace(settled(agent), files=settled(native(make_agent)).files))
    assert found["hermes-agent.service: RestartSec"] == ("5", "9")
    assert set(found) == {"hermes-agent.service: RestartSec", "hermes-agent.service: StartLimitIntervalSec"}


def test_a_unit_that_differs_by_its_remarks_alone_restarts_nothing(make_agent: Any) -> None:
    agent = native(make_agent)
    older = settled(agent)
    text = unit.render(agent).replace("# An agent", "# Some agent")
    found = planned(agent, replace(older, files={**older.files, "unit": file(text)}), Effect.NONE)
    assert [change.effect for change in found.changes] == [Effect.NONE]
    assert "unit" in found.files


@pytest.mark.parametrize(
    ("known", "subject"),
    [
        ({"user": ""}, "user hermes"),
        ({"group": "999"}, "group hermes"),
        ({"enabled": "disabled"}, "hermes-agent.service"),
        ({"stale": "yes"}, "hermes-agent.service"),
    ],
)
def test_what_is_wrong_is_put_right(make_agent: Any, known: dict[str, str], subject: str) -> None:
    agent = native(make_agent)
    assert set(changes(agent, settled(agent, **known))) == {subject}


@pytest.mark.parametrize("status", ["failed", "exited", "nothing"])
def test_one_that_does_not_run_is_started(make_agent: Any, status: str) -> None:
    agent = native(make_agent)
    facts = settled(agent)
    stopped = replace(facts, service=replace(facts.service, status=status))
    assert changes(agent, stopped)["hermes-agent.service"][1] == "running"


def test_one_that_was_cut_off_before_it_was_up_is_restarted(make_agent: Any) -> None:
    agent = native(make_agent)
    facts = settled(agent)
    pending = replace(facts, files={**facts.files, "pending": file("restart\n")})
    assert changes(agent, pending) == {"hermes-agent.service": ("not up since the last change", "running")}
    assert not changes(agent, pending, Effect.RESTART_SERVICE)


def test_another_uid_is_shown(make_agent: Any) -> None:
    agent = native(make_agent)
    facts = settled(agent)
    home = File(999, 999, 0o700, "directory")
    assert "/var/lib/hermes/.hermes: owner" in changes(agent, replace(facts, files={**facts.files, "data": home}))


@pytest.mark.parametrize("name", ["unit", "as-agent"])
def test_what_others_wrote_is_left_alone(make_agent: Any, name: str) -> None:
    agent = native(make_agent)
    facts = settled(agent)
    with pytest.raises(Refused, match="did not write it"):
        changes(agent, replace(facts, files={**facts.files, name: file("[Unit]\n")}))
    with pytest.raises(Refused):
        changes(agent, replace(facts, files={**facts.files, name: File(0, 0, 0o777, "symbolic link")}))


def package_changes(agent: Agent, **known: str) -> tuple[list[str | None], bool, list[str]]:
    found = plan_package(agent, GuestFacts("debian", "13", service=Service("running", known)), Files())
    return [change.after for change in found.changes], bool(found.files), [*found.notes]


def test_a_branch_that_moved_is_another_version(make_agent: Any) -> None:
    agent = native(make_agent, **GIT)
    ((first,), _, _) = package_changes(agent, git_told=COMMIT)
    assert first is not None and first.startswith("main-1240600-")
    assert package_changes(agent, package=first, git_told=COMMIT) == ([], False, [])
    assert package_changes(agent, package=first, git_told="f" * 40)[1]


def test_a_repository_that_is_away_leaves_the_agent_where_it_is(make_agent: Any) -> None:
    agent = native(make_agent, **GIT)
    ((there,), _, _) = package_changes(agent, git_told=COMMIT)
    known = {"package": str(there), "package_commit": COMMIT, "git_error": "could not resolve host"} | ASKED
    assert package_changes(agent, **known)[:2] == ([], False)
    assert "could not resolve host" in package_changes(agent, **known)[2][0]
    with pytest.raises(Refused, match="could not resolve host"):
        package_changes(agent, **known | {"package_ref": "other"})


def test_without_git_the_plan_says_what_is_coming(make_agent: Any) -> None:
    assert package_changes(native(make_agent, **GIT)) == (["main of https://git.example/hermes.git"], False, [])


def test_a_ref_that_is_not_there_is_refused(make_agent: Any) -> None:
    with pytest.raises(Refused, match="has no main"):
        package_changes(native(make_agent, **GIT), git_told="")


def test_packages_that_are_missing_or_of_another_version_are_installed(make_agent: Any) -> None:
    agent = native(make_agent, tools="minimal", extra_packages=["jq", "pandoc=3.1"])
    there = dict.fromkeys(("ca-certificates", "curl", "git", "python3-venv", "ripgrep"), "1")
    assert plan_packages(agent, GuestFacts("debian", "13", {**there, "pandoc": "3.0"})).packages == ("jq", "pandoc=3.1")
    assert not plan_packages(agent, GuestFacts("debian", "13", {**there, "pandoc": "3.1", "jq": "1"})).needed
    assert plan_packages(agent, GuestFacts("debian", "13", there, dpkg_broken=True)).changes[0].subject == "dpkg"


def test_the_native_runtime_is_for_systems_with_apt(make_agent: Any) -> None:
    with pytest.raises(Refused, match="alpine"):
        plan_packages(native(make_agent), GuestFacts("alpine", "3.22"))


def test_an_engine_gets_what_the_code_needs_besides(make_agent: Any) -> None:
    agent = make_agent(runtime={"type": "persistent"})
    engine = EnginePlan(packages=("docker.io", "curl"))
    plan = with_packages(agent, GuestFacts("debian", "13"), engine)
    assert set(package.build_packages(agent)) | {"docker.io"} == set(plan.packages)
    assert plan.packages.count("curl") == 1
