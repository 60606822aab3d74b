"""Podman in Docker's place: the same story on the other engine, and back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from conftest import Operator, agent, init_pid

from proxhermes.lab.images.mcp import SERVERS

VMID = 171
HOME = "/opt/hermes/data"
IMAGE = "nousresearch/hermes-agent"
HERMES = {
    "documents": {"AGENTS.md": "The PASSWORD-OF-THE-CAT is Minka.\n"},
    "home_files": {"mcp/tools.py": {"file": "tools.py"}},
    "mcp_servers": {"lab": {"command": "/opt/hermes/.venv/bin/python", "args": ["/opt/data/mcp/tools.py"]}},
}


@pytest.fixture(scope="module")
def podman(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose agent runs under Podman, up and verified."""
    someone = Operator(lab, tmp_path_factory.mktemp("podman"))
    (someone.folder / "tools.py").write_text((SERVERS / "tools.py").read_text())
    someone.write(mine)
    yield someone
    someone.write(mine)
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def mine(document: dict[str, Any], engine: str = "podman", **changed: Any) -> None:
    agent(document, VMID, **({"messaging": {}, "runtime": {"engine": engine}, "hermes": HERMES} | changed))


guest = partial(Operator.guest, vmid=VMID)


def container(operator: Operator, engine: str = "podman") -> tuple[str, str]:
    """Identity and start of the agent's container."""
    identity, _, started = guest(
        operator, f"{engine} container inspect hermes --format '{{{{.Id}}}} {{{{.State.StartedAt}}}}'"
    ).partition(" ")
    return identity, started


def changes(operator: Operator, *argv: str) -> list[dict[str, Any]]:
    told = operator.json(*argv)
    (result,) = told.get("up") or told["agents"]
    return list(result["changes"])


# From here on the tests follow one container; their order is part of the story.


def test_a_fresh_container_gets_podman_and_a_verified_agent(podman: Operator) -> None:
    said = podman.run("up")
    assert "engine.docker: Podman 5." in said.stdout + said.stderr
    assert guest(podman, "command -v docker || echo none").strip() == "none"
    # Through the mirror, under the name that Podman knows it by.
    assert "docker.io/nousresearch/hermes-agent:latest" in guest(podman, "podman image ls --format '{{.Names}}'")
    assert "10.1.10.1:5000" in guest(podman, "cat /etc/containers/registries.conf.d/50-proxhermes.conf")


def test_the_agent_answers_calls_a_tool_and_reads_its_document(podman: Operator) -> None:
    ask = partial(podman.ask, vmid=VMID, inside=("podman", "exec", "-i", "hermes"))
    assert "42" in ask('Call the tool mcp__lab__add with {"a": 2, "b": 40}')
    assert "Minka" in ask("Quote the line with PASSWORD-OF-THE-CAT")


def test_its_commands_are_on_the_path_and_run_as_the_agent(podman: Operator) -> None:
    assert guest(podman, "hermes config get model.default").strip() == "claude-sonnet"
    assert guest(podman, f"find {HOME} ! -uid 10000").strip() == ""


def test_an_image_is_named_by_its_digest(podman: Operator) -> None:
    digest = guest(podman, "podman image inspect -f '{{.Digest}}' docker.io/nousresearch/hermes-agent:latest").strip()
    podman.write(lambda document: mine(document, runtime={"engine": "podman", "image": f"{IMAGE}:latest@{digest}"}))
    assert "compose.yaml: image" in [each["subject"] for each in changes(podman, "bootstrap")]
    assert changes(podman, "bootstrap") == []
    podman.write(mine)
    changes(podman, "bootstrap")


def test_again_nothing_changes(podman: Operator) -> None:
    before = container(podman)
    assert changes(podman, "up", "--no-verify") == []
    assert container(podman) == before


def test_settings_restart_it_and_a_changed_service_makes_it_anew(podman: Operator) -> None:
    identity, started = container(podman)
    podman.write(lambda document: mine(document, hermes=HERMES | {"settings": {"display": {"compact": True}}}))
    podman.run("bootstrap")
    now, again = container(podman)
    assert now == identity and again != started
    podman.write(lambda document: mine(document, runtime={"engine": "podman", "shm_size": "512m"}))
    podman.run("bootstrap")
    assert container(podman)[0] != identity
    assert guest(podman, "podman container inspect hermes --format '{{.HostConfig.ShmSize}}'").strip() == str(512 << 20)


def test_it_comes_back_after_a_reboot_by_itself(podman: Operator) -> None:
    identity, started = container(podman)
    boot = init_pid(podman.lab, VMID)
    podman.lab.run(["pct", "reboot", str(VMID)])
    assert init_pid(podman.lab, VMID) != boot
    # The look waits until the boot is done with it; a container that did not come back would be a change.
    assert changes(podman, "bootstrap") == []
    now, again = container(podman)
    assert now == identity and again != started


def test_a_container_that_died_is_started(podman: Operator) -> None:
    identity, _ = container(podman)
    guest(podman, "podman stop -t 5 hermes")
    assert [change["subject"] for change in changes(podman, "bootstrap")] == ["container hermes"]
    assert container(podman)[0] == identity


def test_its_log_is_bounded_where_the_inventory_says_so(podman: Operator) -> None:
    found = guest(podman, "podman container inspect hermes --format '{{.HostConfig.LogConfig.Type}}'")
    assert found.strip() == "k8s-file"
    conmon = guest(podman, "podman container inspect hermes --format '{{.State.ConmonPid}}'").strip()
    assert f"--log-size-max {100 << 20}" in guest(podman, f"tr '\\0' ' ' </proc/{conmon}/cmdline")


def test_somebody_elses_container_of_that_name_is_not_touched(podman: Operator) -> None:
    guest(
        podman, "podman rename hermes ours; podman run -d --name hermes --entrypoint sleep $(podman image ls -q) 1000"
    )
    try:
        said = podman.run("bootstrap", code=1)
        assert "hermes already, made by" in said.stderr and "podman rename" in said.stderr
    finally:
        guest(podman, "podman rm -f -t 0 hermes; podman rename ours hermes")
    podman.run("bootstrap")


def test_docker_takes_over_and_gives_back_with_the_same_home(podman: Operator) -> None:
    guest(podman, f"install -o 10000 -g 10000 /dev/null {HOME}/memories/kept.md")
    podman.write(lambda document: mine(document, "docker"))
    planned = [change["subject"] for change in podman.json("plan", code=3)["agents"][0]["changes"]]
    assert "runtime" in planned and "Docker" in planned
    podman.run("bootstrap")
    assert guest(podman, "podman ps -aq").strip() == ""
    assert container(podman, "docker")
    # Docker forwards nothing but its own from now on, and Podman's container has to get through all the same.
    guest(podman, "iptables -P FORWARD DROP")
    podman.write(mine)
    podman.run("up")
    assert guest(podman, "docker ps -aq").strip() == ""
    guest(podman, f"test -f {HOME}/memories/kept.md")
    assert changes(podman, "bootstrap") == []


def test_a_guest_too_old_for_podman_is_refused_untouched(podman: Operator) -> None:
    guest(podman, "sed -i 's/^VERSION_ID=.*/VERSION_ID=\"12\"/' /etc/os-release")
    before = container(podman)
    said = podman.run("bootstrap", code=1)
    assert "Podman is set up on Debian 13" in said.stderr and "runtime.engine: docker" in said.stderr
    assert container(podman) == before
