"""The scene: each source once, also one that fails; nothing left behind; nothing asked of a stranger's container."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from proxhermes.errors import ConnectError, DeadlineExceeded, Interrupted, Refused
from proxhermes.events import Event, Events, Kind
from proxhermes.facts.container import ContainerFacts
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes
from proxhermes.transport.command import Command, CommandResult
from proxhermes.verify.checks import CHECKS
from proxhermes.verify.model import Verdict
from proxhermes.verify.runner import run_checks
from proxhermes.verify.scene import Scene, bound_ports

MakeAgent = Callable[..., Agent]
ALL = frozenset(check.id for check in CHECKS)
ASKS = ("hermes.answer", "hermes.tool")


class Doors:
    """A guest and a node that remember what they were asked; an exception given is what they raise."""

    def __init__(self, guest: Exception | None = None, node: Exception | None = None, said: str = "") -> None:
        self.failures = {"guest": guest, "node": node}
        self.said = said
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.ssh = SimpleNamespace(run=self._on_node)

    @property
    def commands(self) -> int:
        return len(self.asked)

    def guest(self, _vmid: int) -> Any:
        return SimpleNamespace(run=self._in_guest)

    def _in_guest(self, _bundle: Any, entry: str, args: list[str], **_: Any) -> CommandResult:
        return self._answer("guest", (entry, *args))

    def _on_node(self, command: Command, **_: Any) -> CommandResult:
        return self._answer("node", command.argv)

    def _answer(self, where: str, words: tuple[str, ...]) -> CommandResult:
        self.asked.append((where, words))
        if failure := self.failures[where]:
            raise failure
        return CommandResult(0, self.said, "")


def scene(agent: Agent, doors: Doors, events: Events | None = None, wants: frozenset[str] = ALL) -> Scene:
    made: Any = doors
    found = Scene(agent, made, events or Events(), wants)
    found.asked["container"] = ContainerFacts(
        agent.node,
        agent.vmid,
        exists=True,
        running=True,
        addresses=("10.1.10.30",),
        config=MappingProxyType({"tags": "proxhermes", "description": notes.render(agent)}),
    )
    return found


def test_a_guest_that_does_not_answer_is_asked_once_and_cleaned_up_after(make_agent: MakeAgent) -> None:
    doors = Doors(guest=DeadlineExceeded("guest-verify.sh did not end"))
    looked_at = scene(make_agent(), doors)
    report = run_checks(looked_at, CHECKS, Events())
    assert [where for where, _ in doors.asked].count("guest") == 1
    hindered = [result.finding.verdict for result in report if "guest-verify.sh" in result.finding.evidence]
    assert hindered == [Verdict.FAIL], "told once"
    assert sum("same reason" in result.finding.evidence for result in report) > 10
    looked_at.close()
    assert [where for where, _ in doors.asked].count("node") == 1


def said(**values: str) -> str:
    return "".join(f"{key} {base64.b64encode(text.encode()).decode()}\n" for key, text in values.items())


def test_an_agent_without_its_model_is_not_asked_and_one_check_fails(make_agent: MakeAgent) -> None:
    """Hermes takes 331 s to say so, since 0.21."""
    no = {"alive": 0, "alive_text": "Connection refused", "keyed": 0, "keyed_text": "", "bare": 0}
    litellm = {"has_key": True, "listed": False, "count": 0, "names": [], **no}
    gateway = {"status": 200, "version": "0.22.2", "error": ""}
    doors = Doors(said=said(probe=json.dumps({"gateway": gateway, "litellm": litellm})))
    asks = [check for check in CHECKS if check.id.startswith("hermes.litellm") or check.id in ASKS]
    looked_at = scene(make_agent(), doors)
    report = run_checks(looked_at, asks, Events())
    verdicts = {result.check.id: result.finding.verdict for result in report}
    assert [name for name, verdict in verdicts.items() if verdict is Verdict.FAIL] == ["hermes.litellm-reached"]
    assert {verdict for name, verdict in verdicts.items() if name != "hermes.litellm-reached"} == {Verdict.SKIP}
    _ = looked_at.node
    assert [words[0] for _, words in doors.asked] == ["guest-verify.sh", "sh"]
    (alone,) = run_checks(scene(make_agent(), doors, wants=frozenset({"hermes.answer"})), asks[-2:-1], Events())
    assert alone.finding.verdict is Verdict.FAIL, "there is no other check to tell it"


@pytest.mark.parametrize(("version", "seconds"), [("0.19.0", 180), ("0.21.4", 361), ("0.22.2", 361), ("", 361)])
def test_a_question_may_take_as_long_as_this_version_needs_to_say_why(
    make_agent: MakeAgent, version: str, seconds: int
) -> None:
    doors = Doors(said=said(codes=f"sha256:1f {version} 50"))
    _ = scene(make_agent(), doors).dialogue
    assert doors.asked[-1][1][2] == str(seconds)


def test_the_version_is_the_gateways_own_and_else_the_installed_one(make_agent: MakeAgent) -> None:
    def version(**guest: str) -> str | None:
        looked_at = scene(make_agent(), Doors(said=said(**guest)))
        _ = looked_at.guest
        return looked_at.hermes_version

    codes = "0.19.0-aa 0.19.0 33\n0.22.2-bb 0.22.2 50"
    assert version(codes=codes, package="versions/0.22.2-bb") == "0.22.2"
    assert version(codes="sha256:1f 0.19.0 33") == "0.19.0"
    assert version(codes="sha256:1f \x1b[2J 33") is version() is None
    assert scene(make_agent(), Doors()).hermes_version is None, "nobody has asked yet"


def test_ctrl_c_ends_the_questions_and_still_removes_the_files(make_agent: MakeAgent) -> None:
    doors, events = Doors(), Events()
    looked_at = scene(make_agent(), doors, events)
    _ = looked_at.guest
    events._stop.set()
    with pytest.raises(Interrupted):
        run_checks(looked_at, CHECKS, events)
    looked_at.close()
    assert [where for where, _ in doors.asked] == ["guest", "node"]


def test_files_that_stay_are_named(make_agent: MakeAgent) -> None:
    heard: list[Event] = []
    looked_at = scene(make_agent(), Doors(node=ConnectError("gone")), Events([heard.append]))
    _ = looked_at.guest
    looked_at.close()
    (warning,) = [event.text for event in heard if event.kind is Kind.WARNING]
    assert f"/mnt/pve/hdd/hermes/.proxhermes-verify-{looked_at.nonce}-" in warning


def test_nothing_is_looked_for_where_nothing_was_written(make_agent: MakeAgent) -> None:
    doors = Doors()
    looked_at = scene(make_agent(), doors, wants=frozenset({"engine.docker"}))
    _ = looked_at.guest
    looked_at.close()
    assert [where for where, _ in doors.asked] == ["guest"]


def test_a_strangers_container_is_left_alone(make_agent: MakeAgent) -> None:
    doors = Doors()
    looked_at = scene(make_agent(), doors)
    looked_at.asked["container"] = ContainerFacts("gihyeon", 118, exists=True, running=True)
    with pytest.raises(Refused, match="not made by proxhermes"):
        _ = looked_at.guest
    report = run_checks(looked_at, [check for check in CHECKS if check.id.startswith("hermes.")], Events())
    assert not report.ok and all(where != "guest" for where, _ in doors.asked)


def test_the_agent_writes_where_it_may_and_the_node_sees_it(make_agent: MakeAgent) -> None:
    read_only = {"host": "/srv/a", "guest": "/a", "read_only": True}
    doors = Doors()
    _ = scene(make_agent(mounts=[read_only, {"host": "/srv/b", "guest": "/b"}]), doors).dialogue
    assert "/b/.proxhermes-verify-" in doors.asked[-1][1][-1]
    for mounts in ([], [read_only]):
        doors = Doors()
        _ = scene(make_agent(mounts=mounts), doors).dialogue
        assert "tool" not in doors.asked[-1][1]


def test_ports_that_docker_forwards_without_a_process_are_tried(make_agent: MakeAgent) -> None:
    inspected = 'true|0|x|image|always|{"8642/tcp":[{"HostIp":"0.0.0.0","HostPort":"18642"}],"1/udp":null}'
    assert bound_ports(inspected) == {18642}
    assert bound_ports("") == bound_ports("true|0|x|i|r|null") == bound_ports("a|b|c|d|e|rubbish") == set()
    doors = Doors(said=f"inspect {base64.b64encode(inspected.encode()).decode()}\n")
    _ = scene(make_agent(), doors).node
    assert "18642" in doors.asked[-1][1][4].split(",")
