"""The agent in a plain image with a layer of its own: (wanted, facts) -> changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.guest import DockerContainer, File, GuestFacts, Service
from proxhermes.hermes import commands, compose, package, persistent
from proxhermes.hermes.package import Files
from proxhermes.hermes.python import System
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime_rules import API_PORT
from proxhermes.plan.hermes_model import ServicePlan
from proxhermes.plan.model import Effect, worst
from proxhermes.plan.move import Move
from proxhermes.plan.package import plan_package
from proxhermes.plan.persistent import plan_persistent
from proxhermes.plan.service import plan_service


def plain(make_agent: Any, hermes: dict[str, Any] | None = None, **runtime: Any) -> Agent:
    return make_agent(runtime={"type": "persistent"} | runtime, hermes=hermes or {})  # type: ignore[no-any-return]


def file(text: str) -> File:
    return File(0, 0, 0o644, "regular file", text.encode())


def settled(agent: Agent, **known: str) -> GuestFacts:
    """A guest in which everything is as `agent` wants it, but for what `known` says of the service."""
    facts = {
        "package": package.recipe(agent, system=System("debian 13")).id,
        "identity": persistent.identity(agent),
        "entrypoint": "same",
    }
    files = {
        "compose": file(compose.render(agent, mtu=None)),
        "layer": file(persistent.environment(agent, API_PORT)),
    }
    container = DockerContainer("sha256:1", "running", "hermes", "/opt/hermes", "another hash of compose's", 80)
    return GuestFacts(
        "debian", "13", container=container, service=Service("running", facts | known), files=files, image_id="sha256:1"
    )


def planned(agent: Agent, facts: GuestFacts) -> ServicePlan:
    return plan_persistent(agent, facts, Effect.NONE, plan_package(agent, facts, Files()))


def effect(agent: Agent, facts: GuestFacts) -> Effect:
    return worst(planned(agent, facts).changes)


def test_nothing_changes_where_all_is_as_wanted(make_agent: Any) -> None:
    agent = plain(make_agent)
    assert planned(agent, settled(agent)) == ServicePlan()


def test_into_an_empty_guest_everything_goes(make_agent: Any) -> None:
    agent = plain(make_agent)
    found = planned(agent, GuestFacts("debian", "13"))
    assert {persistent.ENVIRONMENT, compose.NAME, package.NAME, package.REQUIREMENTS} == set(found.files)
    assert not any("lost" in note for note in found.notes)


@pytest.mark.parametrize(
    ("hermes", "runtime"),
    [
        ({}, {"package": {"pypi": "hermes-agent==0.18.2"}}),
        ({}, {"extra_args": ["--verbose"]}),
        ({}, {"extra_packages": ["jq"]}),
        ({}, {"extra_python_packages": ["httpx"]}),
        ({}, {"allow_root": True}),
        ({"uid": 2000, "gid": 2000}, {}),
        ({"managed": False}, {}),
        ({"working_directory": "/fast"}, {}),
    ],
    ids=str,
)
def test_what_is_read_at_the_start_restarts_and_costs_no_layer(make_agent: Any, hermes: Any, runtime: Any) -> None:
    before, after = plain(make_agent), plain(make_agent, hermes, **runtime)
    assert persistent.identity(before) == persistent.identity(after)
    assert effect(after, settled(before)) is Effect.RESTART_SERVICE


def test_a_package_that_is_wanted_no_longer_restarts_nothing_unless_it_failed(make_agent: Any) -> None:
    before, after = plain(make_agent, extra_packages=["jq", "pandoc"]), plain(make_agent, extra_packages=["pandoc"])
    assert effect(after, settled(before)) is Effect.NONE
    assert effect(after, settled(before, **{"provision_failed:": "E: no jq"})) is Effect.RESTART_SERVICE
    assert effect(before, settled(after)) is Effect.RESTART_SERVICE


def test_another_restart_policy_restarts_nothing(make_agent: Any) -> None:
    before, after = plain(make_agent), plain(make_agent, restart="always")
    found = planned(after, settled(before))
    assert [(change.subject, change.after, change.effect) for change in found.changes] == [
        ("compose.yaml: restart", "always", Effect.NONE)
    ]
    assert compose.NAME in found.files


@pytest.mark.parametrize(
    "runtime",
    [
        {"image": "ubuntu:24.04"},
        {"extra_volumes": ["/srv/models:/models:ro"]},
        {"state_dir": "/srv/hermes"},
        {"network": "host"},
        {"ports": ["127.0.0.1:7642:8642"]},
        {"shm_size": "2g"},
        {"healthcheck": {"interval": 60}},
        {"compose_override": {"cap_add": ["SYS_PTRACE"]}},
    ],
    ids=str,
)
def test_another_identity_is_another_container_and_the_plan_says_what_is_lost(make_agent: Any, runtime: Any) -> None:
    before, after = plain(make_agent), plain(make_agent, **runtime)
    found = planned(after, settled(before))
    assert worst(found.changes) is Effect.RECREATE_SERVICE
    assert any("LOST" in (change.after or "") for change in found.changes)
    assert any("is lost" in note for note in found.notes)
    assert persistent.identity(after).encode() in found.files[compose.NAME]


def test_another_mount_is_another_container(make_agent: Any) -> None:
    after = make_agent(runtime={"type": "persistent"}, mounts=[{"host": "/mnt/a", "guest": "/data"}])
    assert effect(after, settled(plain(make_agent))) is Effect.RECREATE_SERVICE


def test_another_way_to_write_compose_yaml_costs_no_layer(make_agent: Any) -> None:
    agent = plain(make_agent)
    facts = settled(agent)
    older = compose.render(agent, mtu=None).replace("init: true", "init: true\n    stop_signal: SIGTERM")
    found = planned(agent, replace(facts, files={**facts.files, "compose": file(older)}))
    assert {change.effect for change in found.changes} == {Effect.NONE} and compose.NAME in found.files


def test_the_inventory_s_order_of_keys_is_no_identity(make_agent: Any) -> None:
    one = plain(make_agent, compose_override={"cap_add": ["A"], "devices": ["/dev/fuse"]})
    other = plain(make_agent, compose_override={"devices": ["/dev/fuse"], "cap_add": ["A"]})
    assert persistent.identity(one) == persistent.identity(other)


@pytest.mark.parametrize(
    ("known", "subject"),
    [({"entrypoint": ""}, "layer/entrypoint"), ({"package": ""}, "package")],
)
def test_what_is_wrong_is_put_right(make_agent: Any, known: dict[str, str], subject: str) -> None:
    agent = plain(make_agent)
    (change,) = planned(agent, settled(agent, **known)).changes
    assert (change.subject, change.effect) == (subject, Effect.RESTART_SERVICE)


def test_one_that_does_not_run_is_started_and_not_made_anew(make_agent: Any) -> None:
    agent = plain(make_agent)
    facts = settled(agent)
    assert facts.container is not None
    facts = replace(facts, container=replace(facts.container, status="exited"))
    assert effect(agent, facts) is Effect.RESTART_SERVICE


def test_a_run_that_was_cut_off_is_made_good(make_agent: Any) -> None:
    agent = plain(make_agent)
    facts = settled(agent)
    facts = replace(facts, files={**facts.files, "pending": file("up\n")})
    assert effect(agent, facts) is Effect.RESTART_SERVICE


def test_tools_that_could_not_be_provisioned_are_told_and_change_nothing(make_agent: Any) -> None:
    agent = plain(make_agent)
    facts = settled(agent, **{"provision_failed:": "...\nE: no network\n"})
    found = planned(agent, facts)
    assert not found.changes and "E: no network" in found.notes[0]


def test_a_container_of_somebody_else_s_is_refused(make_agent: Any) -> None:
    agent = plain(make_agent)
    facts = settled(agent)
    assert facts.container is not None
    with pytest.raises(Refused, match="made by docker run"):
        planned(agent, replace(facts, container=replace(facts.container, project="")))


@pytest.mark.parametrize("stop", [None, 10, 79])
def test_a_container_that_gets_too_little_time_to_end_is_told_and_kept(make_agent: Any, stop: int | None) -> None:
    agent = plain(make_agent)
    facts = settled(agent)
    found = planned(agent, replace(facts, container=replace(facts.container, stop=stop)))
    assert not found.changes
    [note] = found.notes
    assert f"after {stop or 10} s" in note and "may need 80 s" in note and "--recreate" in note


def test_another_container_that_is_asked_for_says_first_what_is_lost(make_agent: Any) -> None:
    agent = plain(make_agent)
    facts = settled(agent)
    there = {f"command-{name}": file(commands.render(agent)) for name in commands.NAMES}
    facts = replace(facts, files={**facts.files, **there})
    package = plan_package(agent, facts, Files())
    found = plan_service(agent, facts, Move(), Effect.NONE, package, recreate=True)
    assert [(each.subject, each.effect) for each in found.changes] == [("container hermes", Effect.RECREATE_SERVICE)]
    assert compose.RECREATE in found.files
    [note] = found.notes
    assert "with apt, sudo pip or sudo npm is lost; /var/lib/hermes" in note
    # One that is another one anyway tells it once.
    known = replace(facts, service=Service("running", {**facts.service.facts, "identity": "another"}))
    found = plan_service(agent, known, Move(), Effect.NONE, package, recreate=True)
    assert [note for note in found.notes if "is lost" in note] == [note]
    assert compose.RECREATE in found.files
    # And where there is none, there is nothing to lose.
    fresh = GuestFacts("debian", "13")
    assert (
        compose.RECREATE
        not in plan_service(agent, fresh, Move(), Effect.NONE, plan_package(agent, fresh, Files()), recreate=True).files
    )
