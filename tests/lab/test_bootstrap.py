"""Inside the container: what fails on the way, what is killed on the way, and what somebody else did in between."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from conftest import Operator, agent

from proxhermes.lab.images.agents import NEWEST
from proxhermes.lab.images.hermes import REPOSITORY
from proxhermes.lab.node.lab import Lab

VMID = 161
HOME = "/opt/hermes/data"
LITELLM = 117


@pytest.fixture(scope="module")
def inside(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator with a fresh container of one's own; every test leaves it bootstrapped and right."""
    someone = Operator(lab, tmp_path_factory.mktemp("inside"))
    someone.write(mine)
    someone.run("create")
    yield someone
    someone.write(mine)
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def mine(document: dict[str, Any], **changed: Any) -> None:
    """The inventory of these tests: one agent, without messaging, so that its gateway starts sooner."""
    agent(document, VMID, **({"messaging": {}} | changed))


guest = partial(Operator.guest, vmid=VMID)


def container(operator: Operator) -> tuple[str, str]:
    """Identity and start of the agent's Docker container."""
    identity, started = guest(operator, "docker inspect -f '{{.Id}} {{.State.StartedAt}}' hermes").split()
    return identity, started


def bootstrap(operator: Operator) -> list[dict[str, Any]]:
    """Bootstrap, and what it changed."""
    (result,) = operator.json("bootstrap")["agents"]
    return list(result["changes"])


def until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what} in vain"
        time.sleep(0.1)


@contextmanager
def without(lab: Lab, *rule: str) -> Iterator[None]:
    """The node refuses these packets for a while."""
    lab.run(["iptables", "-I", *rule, "-j", "REJECT", "--reject-with", "tcp-reset"])
    try:
        yield
    finally:
        lab.run(["iptables", "-D", *rule, "-j", "REJECT", "--reject-with", "tcp-reset"])


def change(operator: Operator, section: str, **values: Any) -> None:
    """Write the inventory with one section of the agent replaced."""
    operator.write(lambda document: mine(document, **{section: values}))


# From here on the tests follow one container through its first hour; their order is part of the story.


def test_wrong_model_and_wrong_key_stop_before_anything_is_touched(inside: Operator) -> None:
    for name, value in (("model", "gpt-nope"), ("api_key", {"env": "WRONG"})):
        inside.environment["WRONG"] = "sk-this-is-not-the-key"
        inside.write(lambda document, n=name, v=value: (mine(document), document["litellm"].update({n: v})))  # type: ignore[misc]
        done = inside.run("bootstrap", code=1)
        said = "lists no model 'gpt-nope'" if name == "model" else "refuses the key"
        assert said in done.stderr
        assert "before anything is set up there" in done.stderr
        assert "sk-this-is-not-the-key" not in done.stderr + done.stdout + inside.logs()
    assert guest(inside, "command -v docker || echo none").strip() == "none"
    inside.write(mine)


IMPOSTOR = """\
#!/bin/sh
case "$*" in
*/gpg) while [ "$1" != -o ]; do shift; done; cp /usr/share/keyrings/debian-archive-keyring.gpg "$2" ;;
*) exec /usr/bin/curl "$@" ;;
esac
"""


def test_docker_comes_from_docker_only_under_dockers_key(inside: Operator) -> None:
    """The lab does not reach download.docker.com, and whoever answers in its place has another key."""
    change(inside, "engine", source="docker-ce")
    assert "could not be downloaded" in inside.run("bootstrap", code=1).stderr
    inside.lab.guest(VMID, ["install", "-m", "755", "/dev/null", "/usr/local/bin/curl"])
    inside.lab.guest(VMID, ["tee", "/usr/local/bin/curl"], stdin=IMPOSTOR)
    try:
        done = inside.run("bootstrap", code=1)
    finally:
        guest(inside, "rm /usr/local/bin/curl")
        inside.write(mine)
    assert "not Docker's 9DC858229FC7DD38854AE2D88D81803C0EBFCD88; nothing was installed" in done.stderr
    assert guest(inside, "ls /etc/apt/sources.list.d").split() == ["debian.sources"]
    assert guest(inside, "ls /etc/apt/keyrings") == ""


def test_an_installation_that_was_killed_is_finished(inside: Operator) -> None:
    run = inside.start("bootstrap")
    until(lambda: "dpkg" in guest(inside, "ps -eo comm"), "dpkg at work")
    run.send_signal(signal.SIGKILL)
    run.communicate()
    guest(inside, "pkill -KILL -x apt-get || :; pkill -KILL -x dpkg || :")
    with without(inside.lab, "INPUT", "-p", "tcp", "--dport", "5000"):
        done = inside.run("bootstrap", code=1)
    assert "could not be pulled" in done.stderr
    assert "registry" in done.stderr
    assert guest(inside, "docker info -f '{{.Driver}}'").strip() == "overlay2"
    assert guest(inside, "dpkg --audit") == ""
    assert guest(inside, f"test ! -e {HOME} && echo nothing").strip() == "nothing"


@pytest.mark.parametrize("moment", [f"test -e {HOME}/config.yaml", "docker inspect hermes"])
def test_a_killed_bootstrap_converges(inside: Operator, moment: str) -> None:
    if moment.startswith("docker"):
        guest(inside, "docker rm -f hermes")
    run = inside.start("bootstrap")
    until(lambda: guest(inside, f"{moment} >/dev/null 2>&1 && echo yes || :").strip() == "yes", moment)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    bootstrap(inside)
    assert bootstrap(inside) == []
    assert guest(inside, "docker ps -aq | wc -l").strip() == "1"
    left = "ls -A /opt/hermes /opt/hermes/data | grep -cE '^[.]proxhermes-pending|[.]new$|^[.]proxhermes[.]' || :"
    assert guest(inside, left).strip() == "0"
    assert guest(inside, "ls -d /run/proxhermes.run.* 2>/dev/null | wc -l").strip() == "0"


def test_modes_and_owners(inside: Operator) -> None:
    stat = guest(inside, f"stat -c '%a %u %g' {HOME} {HOME}/.env {HOME}/config.yaml /opt/hermes/compose.yaml")
    assert stat.splitlines() == ["750 10000 10000", "600 10000 10000", "640 10000 10000", "644 0 0"]


def test_the_key_stands_in_env_alone(inside: Operator) -> None:
    key = (inside.lab.client / "litellm.key").read_text().strip()
    # The code of the search is no answer: files come and go under /run.
    search = ["grep", "-rlsF", "-f", "-", "/opt", "/etc", "/root", "/run"]
    found = inside.lab.guest(VMID, search, stdin=key + "\n", check=False)
    assert found.stdout.split() == [f"{HOME}/.env"]
    assert key not in inside.logs()
    assert key not in guest(inside, "docker inspect hermes; ps -ewwo args")


def test_a_restart_keeps_the_container_and_a_new_image_does_not(inside: Operator) -> None:
    identity, started = container(inside)
    change(inside, "hermes", environment={"MARK": "1"})
    assert [found["subject"] for found in bootstrap(inside)] == [".env: MARK"]
    assert container(inside)[0] == identity
    assert container(inside)[1] != started
    change(inside, "runtime", image=f"{REPOSITORY}:{NEWEST.version}")
    subjects = [found["subject"] for found in bootstrap(inside)]
    assert subjects == [".env: MARK", "compose.yaml: image"]
    assert container(inside)[0] != identity
    assert "MARK" not in guest(inside, f"cat {HOME}/.env")
    assert bootstrap(inside) == []


def test_a_registry_that_is_down_is_told_and_the_agent_goes_on(inside: Operator) -> None:
    before = container(inside)
    change(inside, "runtime", image=f"{REPOSITORY}:{NEWEST.rebuild}")
    with without(inside.lab, "INPUT", "-p", "tcp", "--dport", "5000"):
        done = inside.run("bootstrap", code=1)
    assert f"the image {REPOSITORY}:{NEWEST.rebuild} could not be pulled" in done.stderr
    assert "→ " in done.stderr
    assert container(inside) == before
    assert [each["subject"] for each in bootstrap(inside)] == ["compose.yaml: image"]
    inside.write(mine)
    bootstrap(inside)
    assert bootstrap(inside) == []


def test_a_stopped_container_is_started_again(inside: Operator) -> None:
    identity, _ = container(inside)
    guest(inside, "docker stop hermes")
    assert [found["before"] for found in bootstrap(inside)] == ["exited"]
    assert container(inside)[0] == identity


def test_daemon_json_is_merged_and_a_broken_one_stops_the_run(inside: Operator) -> None:
    path = "/etc/docker/daemon.json"
    whole = guest(inside, f"cat {path}")
    inside.lab.guest(VMID, ["tee", path], stdin=json.dumps({**json.loads(whole), "max-concurrent-downloads": 2}))
    change(inside, "engine", registry_mirrors=["http://10.1.10.1:5000"], log_driver="json-file")
    bootstrap(inside)
    merged = json.loads(guest(inside, f"cat {path}"))
    assert merged["max-concurrent-downloads"] == 2
    assert merged["log-driver"] == "json-file"
    inside.lab.guest(VMID, ["tee", path], stdin='{"a": 1,\n}')
    assert "daemon.json, line 2" in inside.run("bootstrap", code=1).stderr
    inside.lab.guest(VMID, ["tee", path], stdin=whole)
    inside.write(mine)
    bootstrap(inside)


def test_a_changed_uid_takes_everything_along(inside: Operator) -> None:
    made = (
        "setpriv --reuid 10000 --regid 10000 --clear-groups sh -c 'umask 027; mkdir /data/mine; touch /data/mine/file'"
    )
    guest(inside, f"{made}; touch /data/theirs")
    change(inside, "hermes", uid=1500, gid=1500)
    inside.run("up", "--no-verify", "--take-ownership")
    assert guest(inside, f"find {HOME} /data ! -uid 1500 -o ! -gid 1500").split() == ["/data/theirs"]
    assert bootstrap(inside) == []
    inside.write(mine)
    inside.run("up", "--no-verify", "--take-ownership")
    assert guest(inside, f"find {HOME} /data ! -uid 10000 -o ! -gid 10000").split() == ["/data/theirs"]


def test_a_link_laid_by_the_agent_is_not_followed(inside: Operator) -> None:
    guest(inside, f"mv {HOME}/.env {HOME}/.env.kept; ln -s /etc/shadow {HOME}/.env")
    assert ".env: this is a file that cannot be read" in inside.run("bootstrap", code=1).stderr
    assert guest(inside, "stat -c '%a %u' /etc/shadow").split() == ["640", "0"]
    guest(inside, f"mv {HOME}/.env.kept {HOME}/.env")
    assert bootstrap(inside) == []


def test_a_gateway_that_cannot_start_shows_its_last_words(inside: Operator) -> None:
    guest(inside, "docker rm -f hermes; docker tag nousresearch/hermes-agent kept")
    dockerfile = 'FROM kept\\nENTRYPOINT ["sh", "-c", "echo these are my last words; exit 3"]\\n'
    guest(inside, f"printf '{dockerfile}' | docker build -q -t nousresearch/hermes-agent - 2>&1")
    done = inside.run("bootstrap", code=1)
    assert "these are my last words" in done.stderr
    assert "again and again" in done.stderr or "has stopped" in done.stderr
    guest(inside, "docker tag kept nousresearch/hermes-agent; docker rmi kept")
    bootstrap(inside)
    assert bootstrap(inside) == []


def test_litellm_being_down_is_told_and_nothing_is_touched(inside: Operator) -> None:
    before = container(inside)
    litellm = ["systemctl", "-q"]
    inside.lab.guest(LITELLM, [*litellm, "stop", "litellm"])
    try:
        done = inside.run("bootstrap")
        assert "LiteLLM does not answer from inside the container" in done.stderr
        assert container(inside) == before
        inside.run("verify", "--only", "hermes.litellm-reached", code=4)
    finally:
        inside.lab.guest(LITELLM, [*litellm, "start", "litellm"])
        until(lambda: bool(inside.json("verify", "--only", "hermes.litellm-reached", code=None)["ok"]), "LiteLLM")
