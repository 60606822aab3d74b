"""Several agents in one run: one that fails does not take the others' turn, and nothing about it is lost."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from proxhermes import run
from proxhermes.cli import main
from proxhermes.errors import Interrupted, ProxhermesError, UsageError
from proxhermes.plan.model import Change, Door, Layer

INVENTORY = """\
version: 1
nodes:
  gihyeon:
    api: https://192.168.1.10:8006
    token: hermes@pve!proxhermes
    token_secret: {env: NOBODY_ASKS}
litellm: {base_url: "http://10.1.10.22:4000/v1", api_key: {env: NOBODY_ASKS}, model: claude-sonnet}
defaults: {node: gihyeon, network: {bridge: intra01}}
agents:
  118: {hostname: one}
  119: {hostname: two}
  120: {hostname: three}
"""
CHANGE = Change(Layer.HOST, Door.ROOT, "mp0", None, "/srv/a,mp=/data", command="pct set 118 --mp0 /srv/a,mp=/data")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PROXHERMES_INVENTORY", str(tmp_path / "inventory.yaml"))
    (tmp_path / "inventory.yaml").write_text(INVENTORY)


def _stage(monkeypatch: pytest.MonkeyPatch, name: str, failing: dict[int, ProxhermesError]) -> list[int]:
    """Put a stage in place that fails for some agents; returns whose turn it was."""
    turns: list[int] = []

    def stage(agent: Any, *_: Any, **__: Any) -> tuple[Change, ...]:
        turns.append(agent.vmid)
        if agent.vmid in failing:
            raise failing[agent.vmid]
        return (CHANGE,)

    monkeypatch.setattr(run, name, stage)
    return turns


def test_the_others_have_their_turn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    turns = _stage(monkeypatch, "up", {119: ProxhermesError("it broke", hint="mend it")})
    assert main.run_with(["up", "--no-verify", "--json"]) == 1
    assert turns == [118, 119, 120]
    out, err = capsys.readouterr()
    assert [result["error"] for result in json.loads(out)["up"]] == [None, "it broke", None]
    assert "119 ✘ it broke" in err
    assert "→ mend it" in err
    assert "1 of 3 agents failed: 119" in err


def test_the_exit_code_is_theirs_if_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    _stage(monkeypatch, "up", {118: UsageError("no such variable"), 120: UsageError("no such file")})
    assert main.run_with(["up", "--no-verify"]) == 2
    _stage(monkeypatch, "up", {118: UsageError("no such variable"), 120: ProxhermesError("it broke")})
    assert main.run_with(["up", "--no-verify"]) == 1


def test_the_plan_is_data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _stage(monkeypatch, "plan_all", {})
    assert main.run_with(["plan", "118"]) == 3
    out, err = capsys.readouterr()
    assert out == "118 + [root] mp0: – → /srv/a,mp=/data   # pct set 118 --mp0 /srv/a,mp=/data\n"
    assert "1 change; `proxhermes up` makes it" in err
    assert main.run_with(["plan", "118", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["agents"][0]["changes"][0]["subject"] == "mp0"


def test_a_single_one_fails_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _stage(monkeypatch, "up", {119: UsageError("no such variable")})
    assert main.run_with(["up", "119"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "Error: no such variable"


def test_an_interrupt_ends_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = _stage(monkeypatch, "up", {118: Interrupted("stopped as asked")})
    assert main.run_with(["up", "--no-verify"]) == 130
    assert turns == [118]


def _stage_of_bootstrap(monkeypatch: pytest.MonkeyPatch, turns: list[int]) -> None:
    def stage(agent: Any, *_: Any, **__: Any) -> run.InnerPlan:
        turns.append(agent.vmid)
        return run.InnerPlan(run.EnginePlan(), run.HermesPlan())

    monkeypatch.setattr(run, "bootstrap", stage)


@pytest.mark.parametrize("command", ["up", "bootstrap"])
def test_a_container_is_recreated_only_once_that_is_confirmed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    turns = _stage(monkeypatch, command, {})
    if command == "bootstrap":
        _stage_of_bootstrap(monkeypatch, turns)
    words = [command, "118", "--recreate", *(["--no-verify"] if command == "up" else [])]
    assert main.run_with(words) == 2
    told = capsys.readouterr().err
    assert "there is no terminal" in told and "is lost" in told and "/opt/hermes/data" in told and "--yes" in told
    assert turns == []
    assert main.run_with([*words, "--yes"]) == 0
    assert turns == [118]


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 130), ("\n", 130)])
def test_at_a_terminal_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, code: int
) -> None:
    turns = _stage(monkeypatch, "up", {})
    terminal = io.StringIO(typed)
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    assert main.run_with(["up", "118", "--no-verify", "--recreate"]) == code
    assert turns == ([118] if code == 0 else [])
    assert "is recreated" in capsys.readouterr().err


def test_an_agent_without_a_container_cannot_have_another_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    turns = _stage(monkeypatch, "up", {})
    text = INVENTORY.replace("{hostname: two}", "{hostname: two, runtime: {type: native}}")
    (tmp_path / "inventory.yaml").write_text(text)
    assert main.run_with(["up", "--no-verify", "--recreate", "--yes"]) == 2
    assert "runtime of 119 is native" in capsys.readouterr().err and turns == []
