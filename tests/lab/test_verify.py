"""One fault is one failing check, on both versions of Hermes; and it is the agent that runs who is asked, no other."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.images.agents import FIRST, NEWEST
from proxhermes.lab.node.lab import Lab

LITELLM = 117
HOME = "/opt/hermes/data"
VERSIONS = {NEWEST.version: 195, FIRST.version: 196}


@dataclass
class Story(Operator):
    """An operator with one agent, of one version of Hermes."""

    version: str = NEWEST.version

    @property
    def vmid(self) -> int:
        return VERSIONS[self.version]

    def mine(self, document: dict[str, Any], **changed: Any) -> None:
        image = f"nousresearch/hermes-agent:{self.version}"
        agent(document, self.vmid, **(WITH_DOCKER | {"runtime": {"image": image}} | changed))

    def verify(self, *argv: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """The checks by their ids."""
        (report,) = self.json("verify", *argv, code=code)["agents"]
        assert report["hermes_version"].startswith(self.version)
        return {check["id"]: check for check in report["checks"]}

    def inside(self, script: str) -> str:
        return self.guest(f"docker exec -i --user 10000:10000 hermes sh -euc {shlex.quote(script)}", vmid=self.vmid)


@pytest.fixture(scope="module", params=VERSIONS)
def story(lab: Lab, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Story]:
    """The tests follow one agent; their order is part of the story."""
    someone = Story(lab, tmp_path_factory.mktemp("verify"), version=request.param)
    someone.write(someone.mine)
    someone.run("up", "--no-verify")
    yield someone
    someone.write(someone.mine)
    someone.run("destroy", str(someone.vmid), "--yes", "--purge-data", "--yes-purge-data", code=None)


def with_verdict(checks: dict[str, dict[str, Any]], verdict: str) -> set[str]:
    return {check_id for check_id, check in checks.items() if check["verdict"] == verdict}


def test_all_is_well(story: Story) -> None:
    checks = story.verify()
    assert with_verdict(checks, "fail") == set()
    assert with_verdict(checks, "warn") <= {"hermes.state"}, "the SQLite of the old image is no good one"
    assert checks["hermes.version"]["evidence"].startswith(story.version)
    asked = ("hermes.gateway", "hermes.answer", "hermes.tool", "hermes.platforms", "hermes.litellm-model")
    assert {checks[name]["verdict"] for name in asked} == {"pass"}


def test_the_agent_that_runs_has_answered_itself(story: Story) -> None:
    """Its gateway wrote down what it was asked; no process beside it did."""
    log = story.guest(f"cat {HOME}/logs/*.log", vmid=story.vmid)
    assert "api_server" in log
    sources = story.inside(
        "/opt/hermes/.venv/bin/python -Ic \"import sqlite3; print(*sqlite3.connect('file:/opt/data/state.db?mode=ro',"
        " uri=True).execute('select distinct source from sessions'))\""
    )
    assert "api_server" in sources and "cli" not in sources


def test_nothing_of_the_agents_is_imported(story: Story) -> None:
    """In what it works in, and where its user's packages are."""
    evil = "open('/opt/data/imported', 'a').write(__name__)"
    packages = " ".join(f"/opt/data/home/.local/lib/python3.{minor}/site-packages" for minor in (11, 12, 13, 14))
    story.inside(
        f"for folder in /opt/data /opt/data/workspace /data {packages}; do"
        ' mkdir -p "$folder"; for name in json re os pty yaml urllib sitecustomize usercustomize; do'
        f' echo "{evil}" >"$folder/$name.py"; done; done'
    )
    checks = story.verify("--only", "hermes.gateway", "--only", "hermes.answer", "--only", "hermes.litellm-key")
    assert with_verdict(checks, "pass") == set(checks)
    assert "none" in story.inside("cat /opt/data/imported 2>/dev/null || echo none")
    story.inside("rm -f /opt/data/*.py /opt/data/workspace/*.py /data/*.py; rm -rf /opt/data/home/.local")


def test_a_platform_that_refuses_is_one_failing_check(story: Story) -> None:
    (story.folder / "token").write_text("123456:of-another-bot-that-nobody-knows-here")
    (story.folder / "token").chmod(0o600)

    def refused(document: dict[str, Any]) -> None:
        story.mine(document)
        document["agents"][story.vmid]["messaging"]["telegram"]["token"] = {"file": str(story.folder / "token")}

    story.write(refused)
    story.run("up", "--no-verify")
    checks = story.verify(code=4)
    assert with_verdict(checks, "fail") == {"hermes.platforms"}
    assert "telegram" in checks["hermes.platforms"]["evidence"]
    story.write(story.mine)
    story.run("up", "--no-verify")


def test_litellm_is_down_and_nobody_waits_for_an_answer(story: Story) -> None:
    """Hermes itself takes 331 s to say so, since 0.21."""
    story.lab.guest(LITELLM, ["systemctl", "stop", "litellm"])
    try:
        done = story.run("verify", "--json", code=4)
        alone = story.verify("--only", "hermes.answer", code=4)
    finally:
        story.lab.guest(LITELLM, ["systemctl", "start", "litellm"])
    checks = {check["id"]: check for check in json.loads(done.stdout)["agents"][0]["checks"]}
    assert with_verdict(checks, "fail") == {"hermes.litellm-reached"}
    hindered = {"hermes.litellm-key", "hermes.litellm-closed", "hermes.litellm-model", "hermes.answer", "hermes.tool"}
    assert {checks[name]["verdict"] for name in hindered} == {"skip"}
    assert checks["hermes.answer"]["evidence"] == "LiteLLM was not reached: see hermes.litellm-reached"
    assert alone["hermes.answer"]["verdict"] == "fail"
    assert "talking to the agent" not in done.stderr


def test_another_version_that_is_installed_and_does_not_run_yet_is_told(story: Story) -> None:
    """As after somebody pulled the tag anew: the container is still the old image's."""
    (other,) = VERSIONS.keys() - {story.version}
    mine, others = (f"nousresearch/hermes-agent:{version}" for version in (story.version, other))
    story.guest(f"docker tag {mine} kept:here; docker pull -q {others}; docker tag {others} {mine}", vmid=story.vmid)
    try:
        checks = story.verify("--only", "hermes.version", code=4)
    finally:
        story.guest(f"docker tag kept:here {mine}; docker image rm kept:here", vmid=story.vmid)
    assert f"{story.version} runs; {other} is installed" in checks["hermes.version"]["evidence"].replace(".post1", "")
    assert story.verify("--only", "hermes.version")["hermes.version"]["verdict"] == "pass"


def test_the_version_is_noted(story: Story) -> None:
    (status,) = story.json("status", str(story.vmid))["agents"]
    assert status["hermes_version"].startswith(story.version)
    assert f"hermes    {story.version}" in story.run("status", str(story.vmid)).stdout
    story.run("plan", str(story.vmid))  # ends with 0: what was noted is no change to come
