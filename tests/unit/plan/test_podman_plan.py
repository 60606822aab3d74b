"""Podman in the guest: (wanted, facts) -> what is installed, configured, started, or refused."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.errors import Refused
from proxhermes.facts.guest import Docker, File, GuestFacts
from proxhermes.hermes import podman
from proxhermes.plan.engine import EnginePlan, plan_engine
from proxhermes.plan.model import Effect

RUNNING = Docker(server="5.4.2", driver="overlay", compose="2.26.1", enabled=True)
PACKAGES = dict.fromkeys(("podman", "docker-compose", "aardvark-dns", "catatonit", "nftables", "curl"), "1")
RUNTIME = {"engine": "podman"}


def file(text: str) -> File:
    return File(0, 0, 0o644, "regular file", text.encode())


def guest(agent: Any, *, iptables: bool = False, **fields: Any) -> GuestFacts:
    """A guest whose Podman is as `agent` wants it."""
    files = {
        "containers": file(podman.containers(agent.engine, agent.guest, iptables=iptables)),
        "registries": file(podman.registries(agent.engine)),
        "restart": file(podman.restart(90)),
    }
    settled = {"os_id": "debian", "os_version": "13", "packages": PACKAGES, "podman": RUNNING, "files": files}
    return GuestFacts(**(settled | fields))


def test_a_podman_as_wanted_is_left_alone(make_agent: Any) -> None:
    agent = make_agent(runtime=RUNTIME)
    assert plan_engine(agent, guest(agent)) == EnginePlan()


def test_a_fresh_guest_gets_podman_and_all_of_its_files(make_agent: Any) -> None:
    agent = make_agent(runtime=RUNTIME, engine={"registry_mirrors": ["http://10.1.10.1:5000"]})
    plan = plan_engine(agent, guest(agent, packages={}, podman=None, files={}))
    assert plan.source == "distro"
    assert {"podman", "docker-compose", "aardvark-dns", "nftables"} <= set(plan.packages)
    assert set(plan.files) == {"containers.conf", "registries.conf", "restart.conf"}
    assert {change.effect for change in plan.changes} == {Effect.NONE}


@pytest.mark.parametrize(("system", "version"), [("debian", "12"), ("ubuntu", "24.04"), ("alpine", "3.22"), ("", "")])
def test_podman_is_for_debian_13(make_agent: Any, system: str, version: str) -> None:
    agent = make_agent(runtime=RUNTIME)
    with pytest.raises(Refused, match="Podman is set up on Debian 13") as caught:
        plan_engine(agent, guest(agent, os_id=system, os_version=version))
    assert "runtime.engine: docker" in str(caught.value.hint)


@pytest.mark.parametrize("version", ["13", "14", ""])  # testing has no number
def test_podman_is_for_what_comes_after_it_too(make_agent: Any, version: str) -> None:
    agent = make_agent(runtime=RUNTIME)
    assert not plan_engine(agent, guest(agent, os_version=version)).needed


def test_what_is_missing_of_it_is_installed(make_agent: Any) -> None:
    agent = make_agent(runtime=RUNTIME)
    without = {name: version for name, version in PACKAGES.items() if name != "aardvark-dns"}
    assert plan_engine(agent, guest(agent, packages=without)).packages == ("aardvark-dns",)


def test_what_would_not_come_back_after_a_boot_is_enabled(make_agent: Any) -> None:
    agent = make_agent(runtime=RUNTIME)
    plan = plan_engine(agent, guest(agent, podman=Docker("5.4.2", "overlay", "2.26.1", enabled=False)))
    assert [change.after for change in plan.changes] == ["started at boot"]


def test_another_log_driver_changes_that_file_alone(make_agent: Any) -> None:
    before, now = make_agent(runtime=RUNTIME), make_agent(runtime=RUNTIME, engine={"log_driver": "journald"})
    plan = plan_engine(now, guest(before))
    assert set(plan.files) == {"containers.conf"}
    assert tomllib.loads(plan.files["containers.conf"].decode())["containers"]["log_driver"] == "journald"


def test_mirrors_that_are_declared_no_more_go(make_agent: Any) -> None:
    mirrored = make_agent(runtime=RUNTIME, engine={"registry_mirrors": ["https://mirror.lan/hub/"]})
    assert "mirror.lan/hub" in podman.registries(mirrored.engine)
    plan = plan_engine(make_agent(runtime=RUNTIME), guest(mirrored))
    assert "mirror" not in plan.files["registries.conf"].decode().split("\n", 1)[1]


def test_beside_docker_the_rules_go_where_docker_has_its_own(make_agent: Any) -> None:
    agent = make_agent(runtime=RUNTIME)
    plan = plan_engine(agent, guest(agent, docker=Docker("26")))
    assert tomllib.loads(plan.files["containers.conf"].decode())["network"] == {"firewall_driver": "iptables"}
    # Docker is gone, the container's rules are not.
    assert not plan_engine(agent, guest(agent, iptables=True)).needed


def test_vfs_is_named_and_not_worked_around(make_agent: Any) -> None:
    agent = make_agent(runtime=RUNTIME)
    plan = plan_engine(agent, guest(agent, podman=Docker("5.4.2", "vfs", "2.26.1", True)))
    assert not plan.needed
    assert "vfs" in plan.notes[0]


@pytest.mark.parametrize("driver", podman.LOG_DRIVERS)
def test_every_log_driver_has_its_name_in_podman(make_agent: Any, driver: str) -> None:
    agent = make_agent(runtime=RUNTIME, engine={"log_driver": driver})
    text = podman.containers(agent.engine, agent.guest, iptables=False)
    found = tomllib.loads(text)["containers"]
    assert found["log_driver"] == podman.LOG_DRIVERS[driver]
    assert ("log_size_max" in found) == (driver == "local")


def test_a_mirror_without_tls_is_asked_all_the_same(make_agent: Any) -> None:
    mirrors = ["http://10.1.10.1:5000", "https://mirror.lan/hub"]
    (hub,) = tomllib.loads(podman.registries(make_agent(engine={"registry_mirrors": mirrors}).engine))["registry"]
    assert hub == {
        "location": "docker.io",
        "mirror": [{"location": "10.1.10.1:5000", "insecure": True}, {"location": "mirror.lan/hub"}],
    }


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("debian:13", "docker.io/library/debian:13"),
        ("nousresearch/hermes-agent", "docker.io/nousresearch/hermes-agent"),
        ("ghcr.io/nous/agent:1", "ghcr.io/nous/agent:1"),
        ("localhost/mine", "localhost/mine"),
        ("registry:5000/mine:1", "registry:5000/mine:1"),
    ],
)
def test_short_names_are_docker_hubs(image: str, full: str) -> None:
    assert podman.qualified(image) == full


@given(
    st.from_regex(
        r"(?:[a-z0-9.]{1,8}(?::[0-9]{2,4})?/)?[a-z0-9]{1,8}(?:/[a-z0-9]{1,8})?(?::[a-z0-9]{1,4})?", fullmatch=True
    )
)
def test_a_full_name_stays(image: str) -> None:
    full = podman.qualified(image)
    assert podman.qualified(full) == full
    assert full.endswith(image)


def test_docker_takes_names_as_they_are(make_agent: Any) -> None:
    assert podman.image(make_agent().runtime) == "nousresearch/hermes-agent"
    assert podman.image(make_agent(runtime=RUNTIME).runtime) == "docker.io/nousresearch/hermes-agent"
