"""Docker in the guest: (wanted, facts) -> what is installed, configured, started, or left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.guest import Docker, File, GuestFacts
from proxhermes.hermes.daemon import unit
from proxhermes.hermes.files import UnusableFile
from proxhermes.plan import traps
from proxhermes.plan.engine import EnginePlan, plan_engine
from proxhermes.plan.model import Effect

RUNNING = Docker(server="26.1.5", driver="overlay2", compose="2.26.1", enabled=True)


def daemon(content: str, seconds: int = 90) -> dict[str, File]:
    texts = {"daemon": content, "docker_unit": unit(seconds)}
    return {name: File(0, 0, 0o644, "regular file", text.encode()) for name, text in texts.items()}


def guest(**fields: Any) -> GuestFacts:
    settled = {
        "os_id": "debian",
        "os_version": "13",
        "packages": {"docker.io": "26.1.5", "curl": "8"},
        "docker": RUNNING,
        "files": daemon('{"log-driver": "local"}'),
    }
    return GuestFacts(**(settled | fields))


FRESH = {"packages": {}, "docker": None, "files": {}}


def test_a_docker_as_wanted_is_left_alone(make_agent: Any) -> None:
    assert plan_engine(make_agent(), guest()) == EnginePlan()


@pytest.mark.parametrize(
    ("system", "version", "wanted", "source", "package"),
    [
        ("debian", "13", "auto", "distro", "docker-compose"),
        ("debian", "", "auto", "distro", "docker-compose"),  # testing has no number
        ("debian", "12", "auto", "docker-ce", "docker-compose-plugin"),
        ("debian", "13", "docker-ce", "docker-ce", "docker-compose-plugin"),
        ("ubuntu", "24.04", "auto", "distro", "docker-compose-v2"),
        ("ubuntu", "20.04", "auto", "docker-ce", "docker-compose-plugin"),
    ],
)
def test_where_docker_comes_from(
    make_agent: Any, system: str, version: str, wanted: str, source: str, package: str
) -> None:
    plan = plan_engine(make_agent(engine={"source": wanted}), guest(os_id=system, os_version=version, **FRESH))
    assert plan.source == source
    assert {package, "curl", "ca-certificates", "apparmor"} <= set(plan.packages)
    assert json.loads(plan.files["daemon.json"]) == {"log-driver": "local"}
    assert {change.effect for change in plan.changes} == {Effect.NONE}


@pytest.mark.parametrize(("system", "version", "wanted"), [("alpine", "3.22", "auto"), ("debian", "12", "distro")])
def test_a_guest_that_no_docker_comes_for_is_refused(make_agent: Any, system: str, version: str, wanted: str) -> None:
    with pytest.raises(Refused) as caught:
        plan_engine(make_agent(engine={"source": wanted}), guest(os_id=system, os_version=version, **FRESH))
    assert caught.value.hint


def test_the_other_docker_is_named_and_left_alone(make_agent: Any) -> None:
    plan = plan_engine(make_agent(engine={"source": "docker-ce"}), guest())
    assert not plan.needed
    assert [change.blocked is not None for change in plan.changes] == [True]


def test_a_docker_that_somebody_put_there_by_other_means_is_used(make_agent: Any) -> None:
    assert plan_engine(make_agent(), guest(os_id="debian", packages={"curl": "8"})) == EnginePlan()


@pytest.mark.parametrize(("engine", "name"), [("docker", "docker.service"), ("podman", "podman")])
def test_an_engine_that_does_not_answer_is_told_with_its_own_words(make_agent: Any, engine: str, name: str) -> None:
    facts = guest(**{engine: Docker(error="no space left")})
    changes = plan_engine(make_agent(runtime={"engine": engine}), facts).changes
    assert [change.before for change in changes if change.subject == name] == ["does not answer: no space left"]


@pytest.mark.parametrize(
    ("packages", "missing"),
    [({"docker.io": "26", "curl": "8"}, "docker-compose"), ({"docker-ce": "28", "curl": "8"}, "docker-compose-plugin")],
)
def test_a_missing_compose_comes_from_where_docker_came(make_agent: Any, packages: Any, missing: str) -> None:
    docker = Docker(server="26.1.5", driver="overlay2", enabled=True)
    assert plan_engine(make_agent(), guest(packages=packages, docker=docker)).packages == (missing,)


def test_daemon_json_is_merged_and_that_restarts_docker(make_agent: Any) -> None:
    agent = make_agent(engine={"registry_mirrors": ["http://10.1.10.1:5000"], "log_driver": "journald"})
    plan = plan_engine(agent, guest(files=daemon('{"data-root": "/srv", "log-driver": "local"}')))
    assert json.loads(plan.files["daemon.json"]) == {
        "data-root": "/srv",
        "log-driver": "journald",
        "registry-mirrors": ["http://10.1.10.1:5000"],
    }
    assert {change.effect for change in plan.changes} == {Effect.RESTART_SERVICE}
    assert (plan.source, plan.packages) == ("none", ())


def test_a_mirrors_password_is_not_shown(make_agent: Any) -> None:
    agent = make_agent(engine={"registry_mirrors": ["http://10.1.10.1:5000"]})
    plan = plan_engine(agent, guest(files=daemon('{"registry-mirrors": ["http://me:hunter2@mirror.lan"]}')))
    assert "me:********@mirror.lan" in str(plan.changes)


def test_a_broken_daemon_json_stops_the_run(make_agent: Any) -> None:
    with pytest.raises(UnusableFile, match=r"daemon\.json, line 1"):
        plan_engine(make_agent(), guest(files=daemon("{")))


def test_what_a_killed_run_left_is_finished(make_agent: Any) -> None:
    plan = plan_engine(make_agent(), guest(dpkg_broken=True, docker=Docker(error="Cannot connect")))
    assert [change.subject for change in plan.changes] == ["dpkg", "docker.service"]
    assert plan.needed


def test_vfs_is_named_and_not_worked_around(make_agent: Any) -> None:
    plan = plan_engine(make_agent(), guest(docker=Docker("26", "vfs", "2.26", True)))
    assert not plan.needed
    assert "vfs" in plan.notes[0]


def test_a_container_that_is_not_there_yet_gets_its_docker(make_agent: Any) -> None:
    assert plan_engine(make_agent(), None).needed


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            (
                "runc create failed: open sysctl net.ipv4.ip_unprivileged_port_start file: unsafe procfs detected: "
                "openat2 /proc/./sys/net/ipv4/ip_unprivileged_port_start: permission denied"
            ),
            "on Proxmox VE 8 its newest",
        ),
        ("unable to join session keyring: unable to create session key: function not implemented", "keyctl"),
        ("failed to register layer: lchown /x: invalid argument", "ZFS"),
        ("bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not permitted", "nesting"),
        ("toomanyrequests: You have reached your pull rate limit", "registry_mirrors"),
        ('Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host', "not reached"),
        ("manifest for nousresearch/hermes-agent:nope not found: manifest unknown", "runtime.image"),
        ('failed to resolve reference "docker.io/x/y:no": docker.io/x/y:no: not found', "no such image"),
        ('failed to resolve reference "docker.io/x/y:z": failed to do request: dial tcp: no such host', "not reached"),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", "architecture"),
        (
            "no matching manifest for linux/arm64: no match for platform in manifest: not found",
            "architecture",
        ),
        (
            "choosing an image from manifest list docker://x/y: no image found in manifest list for architecture arm64",
            "architecture",
        ),
        ("write /var/lib/docker/tmp/x: no space left on device", "disk.size"),
        ("failed: x has 1900 MB, and needs about 7600 MB below /opt until it is unpacked: there are 9 MB", "disk.size"),
        ("failed: the index of x: unauthorized: the registry wants a login", "runtime.registry_auth"),
        ("ERROR: Ignored the following versions that require a different python version: 0.22.2", "runtime.python"),
        ("failed: Python could not be downloaded from https://github.com/x", "runtime.python_mirror"),
        ("E: Unable to fetch some archives", "package sources"),
        ("Failed to set up mount namespacing: /run/systemd/mount-rootfs: Permission denied", "nesting"),
        ("ERROR: No matching distribution found for hermes-agent==9 (from versions: 0.18.2)", "runtime.package"),
        ("(from versions: none) ERROR: No matching distribution found for hermes-agent==9", "package index"),
        ('invalid mount config for type "bind": bind source path does not exist: /data', "proxhermes create"),
    ],
)
def test_known_traps_are_recognised(said: str, advice: str) -> None:
    found = traps.advice(said)
    assert found is not None
    assert advice in found


def test_what_is_no_known_trap_gets_no_advice() -> None:
    assert traps.advice("something else went wrong") is None


def test_no_advice_weakens_the_container() -> None:
    for _, way in traps._TRAPS:
        assert "apparmor.profile" not in way
        assert "privileged: true" not in way


@pytest.mark.parametrize(("drain", "seconds"), [(30, 90), (600, 660)])
def test_systemd_waits_for_docker_as_long_as_the_agent_may_need(make_agent: Any, drain: int, seconds: int) -> None:
    agent = make_agent(hermes={"settings": {"agent": {"cron_drain_timeout": drain}}})
    plan = plan_engine(agent, guest(files=daemon('{"log-driver": "local"}', 30)))
    assert f"TimeoutStopSec={seconds}\n" in plan.files["docker.conf"].decode()
    assert [change.effect for change in plan.changes] == [Effect.NONE]
    assert plan_engine(agent, guest(files=daemon('{"log-driver": "local"}', seconds))) == EnginePlan()
