"""Stopping, whoever asks for it: work in flight gets to its end, the databases are closed, and no message is lost.

On the newest agent, for it waits for a run of its API; with an init that kills what still runs, as the official one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agents import Chat
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.images.agents import NEWEST
from proxhermes.lab.node.process import wait_until

pytestmark = pytest.mark.soak

PUBLISHED = f"docker.io/nousresearch/hermes-agent:{NEWEST.version}"
STRICT = f"docker.io/nousresearch/hermes-agent:{NEWEST.version}-strict"
HOME = "/opt/hermes/data"
INIT = Path(__file__).with_name("strict-init.sh")
SECONDS = 20
"""That the model takes: longer than engines, s6 and systemd's own defaults wait for a container."""
GATEWAY = "ps -eo args | grep '[h]ermes gateway run'"


@dataclass
class Stage:
    """An agent under one engine, and its operator."""

    operator: Operator
    engine: str
    vmid: int

    def write(self, **runtime: Any) -> None:
        template = WITH_DOCKER if self.engine == "docker" else {}
        options = {"engine": self.engine, "image": STRICT, **runtime}
        self.operator.write(lambda document: agent(document, self.vmid, **template, runtime=options))

    def guest(self, script: str) -> str:
        return self.operator.guest(script, vmid=self.vmid)

    def inspect(self, path: str) -> str:
        return self.guest(f"{self.engine} container inspect hermes --format '{{{{{path}}}}}'").strip()

    def up(self) -> None:
        self.operator.run("up", "--no-verify")
        self.await_gateway()

    def await_gateway(self) -> None:
        """Until its start is over; before, it does not know of a run that it would have to wait for."""
        state = f"tr -d ' \\n' <{HOME}/gateway_state.json"
        wanted = ('"gateway_state":"running"', '"telegram":{"state":"connected"')
        told = " && ".join(f"{state} | grep -qF '{each}'" for each in wanted)
        self.guest(f"timeout 120 sh <<'END'\nuntil {told}; do sleep 0.3; done\nEND")

    def asked_while(self, stop: Callable[[], object]) -> str:
        """The answer to a question that is with the model when `stop` is called."""
        before, answers = self.slow_questions(), list[str]()
        # From the container's network, and not with the engine, which may end with the guest.
        inside = ("nsenter", "-t", self.inspect(".State.Pid"), "-n")
        prompt = f"Take {SECONDS} seconds. Then reply with exactly: LATE-{before}"

        def ask() -> None:
            answers.append(self.operator.ask(prompt, vmid=self.vmid, inside=inside))

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: self.slow_questions() > before, "the question at the model", seconds=60)
        stop()
        asking.join()
        assert answers == [f"LATE-{before}"]
        return answers[0]

    def slow_questions(self) -> int:
        """How often the model was asked to take its time."""
        asked = self.operator.lab.paths.logs / "upstream.jsonl"
        return asked.read_text().count("Take ") if asked.exists() else 0

    def left(self) -> str:
        """The databases' logs that hold what was not written back."""
        return self.guest(f"find {HOME} -maxdepth 1 -name '*.db-wal' -size +0 -printf '%f '")

    def last_end(self) -> str:
        """How the last start found that the gateway before it had ended."""
        return (
            self.guest(f"grep profile=default {HOME}/logs/container-boot.log | tail -n 1")
            .split("prior_exit=")[1]
            .split()[0]
        )


@pytest.fixture(scope="module", params=["docker", "podman"])
def stage(request: pytest.FixtureRequest, lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An agent that runs, in an image with the strict init."""
    someone = Operator(lab, tmp_path_factory.mktemp("stopping"))
    made = Stage(someone, request.param, 181 if request.param == "docker" else 182)
    made.write(image=PUBLISHED)
    someone.run("up", "--no-verify")
    lab.guest(made.vmid, ["sh", "-c", INIT.read_text(), "strict", PUBLISHED, STRICT, made.engine])
    made.write()
    made.up()
    yield made
    made.write()
    someone.run("destroy", str(made.vmid), "--yes", "--purge-data", "--yes-purge-data", code=None)


# From here on the tests follow one agent through its stops; their order is part of the story.


def test_without_the_hook_a_run_would_be_killed(stage: Stage) -> None:
    """What the others would not see if the image waited by itself."""
    stage.guest("cp /opt/hermes/finish /root/finish; echo '#!/bin/true' >/opt/hermes/finish")
    with pytest.raises(AssertionError):
        stage.asked_while(lambda: stage.guest(f"{stage.engine} stop hermes"))
    assert "state.db-wal" in stage.left()
    stage.guest("cat /root/finish >/opt/hermes/finish")
    stage.up()
    assert stage.last_end() == "unclean"


def test_the_engines_own_stop_waits_for_a_run_in_flight(stage: Stage) -> None:
    stage.asked_while(lambda: stage.guest(f"{stage.engine} stop hermes"))
    assert stage.inspect(".State.ExitCode") == "0"
    assert "state.db-wal" not in stage.left()
    stage.up()
    stage.asked_while(lambda: stage.guest(f"{stage.engine} restart hermes"))
    stage.await_gateway()
    assert stage.last_end() == "clean"


def test_a_new_container_waits_for_what_the_old_one_does(stage: Stage) -> None:
    before = stage.inspect(".Id")
    stage.write(shm_size="256m")
    stage.asked_while(lambda: stage.operator.run("up", "--no-verify"))
    assert stage.inspect(".Id") != before
    assert stage.last_end() == "clean"


def test_a_shutdown_of_the_proxmox_container_waits_too(stage: Stage) -> None:
    stage.await_gateway()
    stage.asked_while(lambda: stage.operator.lab.run(["pct", "shutdown", str(stage.vmid), "--timeout", "100"]))
    stage.up()
    assert stage.last_end() == "clean"


def test_arguments_for_a_gateway_that_runs_and_none_again(stage: Stage) -> None:
    """The gateway becomes the container's main program, which its supervisor's one would keep from running."""
    stage.write(extra_args=["--accept-hooks"])
    stage.up()
    stage.operator.run("verify", "--only", "hermes.service", "--only", "hermes.gateway")
    [running] = stage.guest(f"{stage.engine} exec hermes {GATEWAY}").splitlines()
    assert "gateway run --no-supervise --accept-hooks" in running
    stage.asked_while(lambda: stage.guest(f"{stage.engine} restart hermes"))
    stage.await_gateway()
    assert stage.last_end() == "clean"
    stage.write()
    stage.up()
    [running] = stage.guest(f"{stage.engine} exec hermes {GATEWAY}").splitlines()
    assert "--accept-hooks" not in running
    assert stage.operator.json("up", "--no-verify")["up"][0]["changes"] == []


def test_what_is_written_to_the_bot_while_it_is_down_is_answered(stage: Stage) -> None:
    chat = Chat(stage.operator)
    stage.guest(f"{stage.engine} stop hermes")
    last = chat.say("Reply with exactly: STILL-HERE")
    stage.up()
    chat.hear("STILL-HERE", after=last)
