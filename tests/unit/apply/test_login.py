"""A login as the operator's side sees it: (what the guest tells) -> (what is shown, done and raised)."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from proxhermes.apply.login import Login, login
from proxhermes.errors import CommandFailed, Interrupted, ProxhermesError
from proxhermes.events import Event, Events, Kind
from proxhermes.inventory.models import Agent
from proxhermes.transport.command import Command, CommandResult

AGENT = Agent.model_validate({
    "vmid": 118, "node": "node", "hostname": "hermes", "network": {"bridge": "vmbr0"},
    "litellm": {"base_url": "http://10.1.10.22:4000/v1", "api_key": {"env": "KEY"}, "model": "model"},
})  # fmt: skip
READY = "ready"
HAND_OVER = (
    *("pct", "exec", "118", "--keep-env", "0", "--"),
    *("timeout", "10", "dd", "of=/run/proxhermes.login", "conv=nocreat,notrunc", "status=none"),
)
GOOD = {"done": True, "why": "Authenticated — 4 tool(s) available", "known": False}


class Doors:
    """A guest that tells `lines` (a callable is waited for), and a node that keeps what is run on it."""

    def __init__(self, *lines: dict[str, Any] | str | Callable[[], object], rc: int = 0, err: str = "") -> None:
        self.lines, self.rc, self.err = lines, rc, err
        self.asked: list[int] = []
        self.ran: list[Command] = []
        self.heard = threading.Event()
        self.ssh = self

    def guest(self, vmid: int) -> Any:
        assert vmid == 118
        self.asked.append(vmid)
        return _Guest(self)

    def run(self, command: Command, **_: Any) -> CommandResult:
        self.ran.append(command)
        self.heard.set()
        return CommandResult(0, "<script>alert(1)</script>", "")


class _Guest:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def run(self, bundle: Any, entry: str, args: list[str], *, on_line: Callable[[str], None], **_: Any) -> Any:
        assert {entry, "mcp-login.py", "guest-wait.sh", "agent.sh", "runtime.sh"} <= bundle.keys()
        assert args[:2] == ["linear", "300"]
        for line in self._doors.lines:
            if callable(line):
                line()
            else:
                on_line(line if isinstance(line, str) else f"login: {json.dumps(line)}")
        return CommandResult(self._doors.rc, "", self._doors.err)


def run(doors: Doors, events: Events | None = None, show: Callable[[str], None] = lambda url: None) -> Login:
    return login(AGENT, "linear", doors, events or Events(), show=show)  # type: ignore[arg-type]


def test_a_login_and_what_changed_with_it() -> None:
    told: list[Event] = []
    done = run(Doors(READY, GOOD, "changed: container hermes: restarted", "gateway.health=200"), Events([told.append]))
    assert done == Login(known=False, why="Authenticated — 4 tool(s) available")
    assert [event.text for event in told if event.kind is Kind.CHANGE] == ["container hermes: restarted"]
    assert "gateway.health" not in str(told)


def test_the_browsers_answer_goes_into_the_agents_place_on_standard_input() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    back = f"http://127.0.0.1:{port}/callback"
    url = f"https://login.example.com/a?{urlencode({'response_type': 'code', 'redirect_uri': back, 'state': 's'})}"
    shown: list[str] = []
    pages: list[str] = []

    def browse(address: str) -> None:
        shown.append(address)
        answer = urllib.request.urlopen(f"{back}?code=secret&state=s", timeout=10)
        pages.append(answer.read().decode())

    doors = Doors(READY, {"url": url}, lambda: doors.heard.wait(10), GOOD)
    run(doors, show=browse)
    (command,) = doors.ran
    assert shown == [url]
    assert "handed to the agent" in pages[0] and "script" not in pages[0], "no page of the agent's is shown"
    assert command.argv == HAND_OVER
    assert command.stdin == b"/callback?code=secret&state=s\n"
    assert "secret" not in command.shown()
    with pytest.raises(OSError):
        urllib.request.urlopen(back, timeout=10)


def test_a_refusal_is_told_in_the_servers_words() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        back = f"http://127.0.0.1:{probe.getsockname()[1]}/callback"
    url = f"https://login.example.com/a?{urlencode({'response_type': 'code', 'redirect_uri': back, 'state': 's'})}"
    doors = Doors(READY, {"url": url}, lambda: doors.heard.wait(10), {"done": False, "why": "not given"})
    with pytest.raises(ProxhermesError, match="the consent was refused: access_denied"):
        run(doors, show=lambda _: urllib.request.urlopen(f"{back}?error=access_denied&state=s", timeout=10).close())


@pytest.mark.parametrize(
    ("doors", "kind", "words", "hint"),
    [
        (Doors(READY, {"done": False, "why": "access_denied"}), ProxhermesError, "access_denied", None),
        (
            Doors(READY, {"done": False, "why": "Server 'linear' not found in config."}),
            ProxhermesError, "not found", "proxhermes bootstrap 118",
        ),
        (Doors(READY, rc=1, err="container is not running"), CommandFailed, "did not get to its end", None),
        (Doors(READY, GOOD, rc=1, err="failed: no"), CommandFailed, "did not come up again", None),
    ],
)  # fmt: skip
def test_what_comes_to_nothing(doors: Doors, kind: type[ProxhermesError], words: str, hint: str | None) -> None:
    with pytest.raises(kind, match=words) as caught:
        run(doors)
    assert caught.value.hint == hint
    assert doors.ran == []


def test_ctrl_c_ends_it_there() -> None:
    stop = threading.Event()
    doors = Doors(READY, stop.set, lambda: doors.heard.wait(10), {"done": False, "why": "stopped as asked"})
    with pytest.raises(Interrupted, match="as before"):
        run(doors, Events(stop=stop))
    (command,) = doors.ran
    assert (command.argv, command.stdin) == (HAND_OVER, b"stop\n")


def test_who_has_stopped_before_it_begins_starts_nothing() -> None:
    stop = threading.Event()
    stop.set()
    doors = Doors(READY, GOOD)
    with pytest.raises(Interrupted, match="before"):
        run(doors, Events(stop=stop))
    assert not doors.asked


def test_a_second_ctrl_c_ends_it_there_too() -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    url = "https://login.example.com/a?response_type=code&redirect_uri=https%3A%2F%2Fproxy.example.com%2Fcb&state=s"
    doors = Doors(READY, {"url": url}, lambda: doors.heard.wait(10))
    with pytest.raises(KeyboardInterrupt):
        run(doors, show=interrupted)
    assert doors.ran[0].stdin == b"stop\n"


def test_a_door_that_does_not_open_is_told_and_not_waited_for() -> None:
    doors = Doors(lambda: (_ for _ in ()).throw(ProxhermesError("the node is gone")))
    with pytest.raises(ProxhermesError, match="the node is gone"):
        run(doors)


BACK = "http://127.0.0.1:40999/callback"
URL = f"https://login.example.com/a?{urlencode({'response_type': 'code', 'redirect_uri': BACK, 'state': 's'})}"


@pytest.mark.parametrize(
    "line",
    [
        "5", "[]", "null", '"x"', "{", "[" * 50_000, '{"said": 5}', '{"done": "yes"}', '{"url": {}}', '{"why": []}',
        '{"here": "/data/evil", "pid": 1}', '{"pid": "1; reboot"}', json.dumps({"said": "x" * 20_000}),
    ],
)  # fmt: skip
def test_what_the_agent_tells_in_its_place_changes_nothing(line: str) -> None:
    """A line of any kind; what was once believed to be a folder and a process."""
    stop, told = threading.Event(), list[Event]()
    doors = Doors(READY, f"login: {line}", stop.set, lambda: doors.heard.wait(10), {"done": False, "why": "stopped"})
    with pytest.raises(Interrupted):
        run(doors, Events([told.append], stop=stop))
    (command,) = doors.ran
    assert (command.argv, command.stdin) == (HAND_OVER, b"stop\n")
    assert [event for event in told if event.kind is Kind.LINE] == []


@pytest.mark.parametrize(
    "forged", ["ready", "changed: container hermes: made", 'changed: {"url": "x"}', "gateway.health=200"]
)
def test_what_the_agent_tells_is_never_taken_for_the_guests_root(forged: str) -> None:
    told: list[Event] = []
    doors = Doors(f"login: {forged}", GOOD)
    run(doors, Events([told.append]))
    assert doors.ran == []
    assert not [event for event in told if event.kind in (Kind.LINE, Kind.CHANGE)]


@pytest.mark.parametrize(
    "url", ["ftp://evil.example/?redirect_uri=http://127.0.0.1:4444/cb", "https://a\x1b]0;t\x07/", "5"]
)
def test_an_address_that_is_none_is_shown_to_nobody(url: str) -> None:
    shown: list[str] = []
    doors = Doors(READY, {"url": url}, lambda: doors.heard.wait(10))
    with pytest.raises(ProxhermesError, match="no place to consent"):
        run(doors, show=shown.append)
    assert (shown, [command.stdin for command in doors.ran]) == ([], [b"stop\n"])


def test_one_address_is_shown_however_many_there_are() -> None:
    shown: list[str] = []
    run(Doors(READY, {"url": URL}, {"url": URL.replace("40999", "40998")}, GOOD), show=shown.append)
    assert shown == [URL]


def test_what_is_shown_of_its_words_is_one_line() -> None:
    told: list[Event] = []
    run(Doors(READY, {"said": "a\n118 ✔ forged"}, GOOD), Events([told.append]))
    assert [event.text for event in told if event.kind is Kind.LINE] == ["a 118 ✔ forged"]
