"""The runner: which checks are asked, what a failing look becomes, what the reports say."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from proxhermes.errors import CommandFailed, ProxhermesError, SecretError, UsageError
from proxhermes.events import Event, Events, Kind
from proxhermes.plan.model import Layer
from proxhermes.redaction import register_secret
from proxhermes.verify.checks import CHECKS
from proxhermes.verify.model import Check, Verdict, failed, passed, skipped, warned
from proxhermes.verify.report import as_dict, as_junit
from proxhermes.verify.runner import run_checks, select

SCENE: Any = SimpleNamespace(agent=SimpleNamespace(vmid=118, hostname="hermes"), hermes_version="0.22.2")


def _check(name: str, look: Any, layer: Layer = Layer.HERMES) -> Check:
    return Check(name, layer, f"{name}?", look)


def test_ids_are_unique_and_say_their_layer() -> None:
    ids = [check.id for check in CHECKS]
    assert len(ids) == len(set(ids))
    assert all(check.id.startswith(f"{check.layer.value}.") for check in CHECKS)


def test_only_and_skip_take_ids_and_layers() -> None:
    assert [c.id for c in select(CHECKS, ["hermes.answer"], [])] == ["hermes.answer"]
    assert {c.layer for c in select(CHECKS, ["engine", "host"], [])} == {Layer.ENGINE, Layer.HOST}
    assert "hermes.tool" not in {c.id for c in select(CHECKS, ["hermes"], ["hermes.tool"])}
    assert select(CHECKS, [], []) == CHECKS


def test_an_unknown_id_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'hermes\.answer'") as caught:
        select(CHECKS, ["hermes.anwser"], [])
    assert "container.running" in (caught.value.hint or "")


def test_a_look_that_raises_has_failed_and_the_next_is_asked() -> None:
    def broken(_: Any) -> Any:
        raise CommandFailed("guest-verify.sh failed", command="pct exec", rc=1, stderr="first\nlast words")

    heard: list[Event] = []
    report = run_checks(SCENE, [_check("a", broken), _check("b", lambda _: passed("fine"))], Events([heard.append]))
    assert [result.finding.verdict for result in report] == [Verdict.FAIL, Verdict.PASS]
    assert "last words" in report.results[0].finding.evidence
    assert not report.ok
    assert [event.data["verdict"] for event in heard if event.kind is Kind.CHECK] == ["fail", "pass"]


def test_what_hinders_every_check_is_told_once() -> None:
    def gone(_: Any) -> Any:
        raise ProxhermesError("container 118 does not exist")

    report = run_checks(SCENE, [_check(name, gone) for name in "abc"], Events())
    assert [result.finding.verdict for result in report] == [Verdict.FAIL, Verdict.SKIP, Verdict.SKIP]
    assert report.results[2].finding.evidence.endswith("for the same reason as a")


def test_a_secret_that_is_missing_here_is_no_verdict() -> None:
    def look(_: Any) -> Any:
        raise SecretError("the environment variable PVE_TOKEN_SECRET is not set")

    with pytest.raises(SecretError):
        run_checks(SCENE, [_check("a", look)], Events())


def test_a_programming_error_is_not_swallowed() -> None:
    def bug(_: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_checks(SCENE, [_check("a", bug)], Events())


def test_reports_say_every_verdict_and_no_secret() -> None:
    register_secret("sk-very-secret")
    looks = {
        "a": passed("fine"),
        "b": warned("odd", "look"),
        "c": failed("HTTP 400 sk-very-secret \x1b[31m", "mend it"),
        "d": skipped("not asked"),
    }
    checks = [_check(name, lambda _, finding=finding: finding) for name, finding in looks.items()]
    report = run_checks(SCENE, checks, Events())
    data = as_dict([report])
    assert data["ok"] is False
    assert data["agents"][0]["counts"] == {"pass": 1, "warn": 1, "fail": 1, "skip": 1}
    assert [check["verdict"] for check in data["agents"][0]["checks"]] == ["pass", "warn", "fail", "skip"]
    suite = ET.fromstring(as_junit([report])).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    assert "sk-very-secret" not in json.dumps(data) + as_junit([report])
