"""What the verification says of a persistent agent's layer."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest

from proxhermes.hermes import persistent
from proxhermes.verify import layer
from proxhermes.verify.model import Finding, Verdict
from proxhermes.verify.scene import Answers

(CHECK,) = layer.CHECKS


def look(make_agent: Any, **change: str) -> Finding:
    agent = make_agent(runtime={"type": "persistent"})
    said = {
        "identity": persistent.identity(agent),
        "package": "versions/0.19.0-abc",
        "provisioned": "1 sudo\n",
        "provision_failed": "",
    }
    lines = [f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in (said | change).items()]
    scene: Any = SimpleNamespace(agent=agent, guest=Answers("\n".join(lines)))
    return CHECK.look(scene)


def test_one_that_is_meant_and_has_its_tools_passes(make_agent: Any) -> None:
    finding = look(make_agent)
    assert finding.verdict is Verdict.PASS and "0.19.0-abc" in finding.evidence


@pytest.mark.parametrize("change", [{"identity": "0" * 64}, {"identity": ""}, {"provisioned": ""}])
def test_another_one_and_a_bare_one_fail(make_agent: Any, change: dict[str, str]) -> None:
    assert look(make_agent, **change).verdict is Verdict.FAIL


def test_what_could_not_be_provisioned_is_told_with_its_reason(make_agent: Any) -> None:
    finding = look(make_agent, provisioned="", provision_failed="Get:1 ...\nE: Unable to locate package jq\n")
    assert finding.verdict is Verdict.WARN and "Unable to locate package jq" in finding.evidence


def test_others_have_none(make_agent: Any) -> None:
    scene: Any = SimpleNamespace(agent=make_agent())
    assert CHECK.look(scene).verdict is Verdict.SKIP
