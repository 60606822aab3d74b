"""The door on the operator's own machine: what it takes, what it passes on, and that it is closed again."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from proxhermes.errors import ConnectError, ProxhermesError
from proxhermes.transport.callback import ADDRESS, Callback


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def get(port: int, target: str) -> str:
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}{target}", timeout=10) as answer:
        return str(answer.read().decode())


def answers(target: str) -> bool:
    return target.startswith("/callback")


def echo(target: str) -> str:
    return f"<p>took {target}</p>"


def fails(_: str) -> str:
    raise ProxhermesError("the node is gone")


def test_the_answer_is_passed_on_and_its_page_shown(port: int) -> None:
    with Callback(port, answers, echo) as callback:
        assert get(port, "/callback?code=x&state=y") == "<p>took /callback?code=x&state=y</p>"
        assert callback.failure is None


def test_nothing_else_is(port: int) -> None:
    with Callback(port, answers, fails), pytest.raises(urllib.error.HTTPError, match="404"):
        get(port, "/favicon.ico")


def test_what_cannot_be_passed_on_is_told_on_both_sides(port: int) -> None:
    with Callback(port, answers, fails) as callback:
        with pytest.raises(urllib.error.HTTPError, match="502"):
            get(port, "/callback?code=x")
        assert callback.failure is not None
        assert callback.failure.message == "the node is gone"


def test_it_is_closed_afterwards_and_can_be_opened_again(port: int) -> None:
    for _ in range(2):
        with Callback(port, answers, echo):
            get(port, "/callback")
    with pytest.raises(urllib.error.URLError):
        get(port, "/callback")


def test_a_port_that_is_taken(port: int) -> None:
    with socket.socket() as other:
        other.bind((ADDRESS, port))
        other.listen()
        with pytest.raises(ConnectError, match=f"port {port} of this machine"):
            Callback(port, answers, echo)


def test_no_code_is_printed(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    deliver: Callable[[str], str] = echo
    with Callback(port, answers, deliver):
        get(port, "/callback?code=secret")
    assert "secret" not in "".join(capfd.readouterr())
