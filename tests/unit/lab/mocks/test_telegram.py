from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from proxhermes.lab.mocks.telegram import Chats, Telegram

TOKEN = "123456:LABTOKEN"


@pytest.fixture
def url(serve: Callable[[Telegram], str]) -> str:
    return serve(Telegram(("127.0.0.1", 0), TOKEN, Chats(), ("bot", "control")))


def call(url: str, method: str, token: str = TOKEN, **parameters: object) -> dict[str, Any]:
    answer: dict[str, Any] = requests.post(f"{url}/bot{token}/{method}", json=parameters, timeout=5).json()
    return answer


def say(url: str, sender: int, text: str) -> int:
    body = {"from": sender, "text": text}
    return int(requests.post(f"{url}/control/messages", json=body, timeout=5).json()["update_id"])


def test_who_the_bot_is(url: str) -> None:
    assert call(url, "getMe")["result"]["is_bot"] is True


def test_another_token_is_refused(url: str) -> None:
    assert call(url, "getMe", token="123456:OTHER") == {"ok": False, "error_code": 401, "description": "Unauthorized"}


def test_a_message_comes_once_until_it_is_acknowledged(url: str) -> None:
    number = say(url, 777, "/start now")
    for _ in range(2):
        [update] = call(url, "getUpdates", timeout=0)["result"]
        assert (update["update_id"], update["message"]["chat"]["id"]) == (number, 777)
        assert update["message"]["entities"] == [{"type": "bot_command", "offset": 0, "length": 6}]
    assert call(url, "getUpdates", offset=number + 1, timeout=0)["result"] == []
    assert requests.get(f"{url}/control/state", timeout=5).json() == {"polls": 3, "waiting": 0}


def test_a_poll_waits_for_a_message_and_no_longer(url: str) -> None:
    answers: list[dict[str, Any]] = []
    # The longest that it would wait is more than the join below: without the message there is no answer in time.
    poll = threading.Thread(target=lambda: answers.append(call(url, "getUpdates", timeout=4)))
    poll.start()
    while requests.get(f"{url}/control/state", timeout=5).json()["polls"] == 0:
        time.sleep(0.01)
    assert poll.is_alive() and answers == []
    say(url, 777, "hello")
    poll.join(3)
    assert [update["message"]["text"] for update in answers[0]["result"]] == ["hello"]


def test_what_the_bot_sends_can_be_read(url: str) -> None:
    sent = requests.post(f"{url}/bot{TOKEN}/sendMessage", data={"chat_id": "777", "text": "one"}, timeout=5).json()
    call(url, "sendMessage", chat_id=777, text="two", parse_mode="MarkdownV2")
    call(url, "editMessageText", chat_id=777, message_id=sent["result"]["message_id"], text="one!")
    texts = [entry["text"] for entry in requests.get(f"{url}/control/sent", timeout=5).json()]
    assert texts == ["one!", "two"]
    [last] = requests.get(f"{url}/control/sent?after=1", timeout=5).json()
    assert (last["text"], last["chat_id"]) == ("two", 777)


def test_what_a_bot_calls_besides_is_accepted(url: str) -> None:
    for method in ("deleteWebhook", "setMyCommands", "sendChatAction"):
        assert call(url, method) == {"ok": True, "result": True}


def test_what_waits_is_dropped_for_a_bot_that_asks_for_it(url: str) -> None:
    say(url, 777, "kept")
    for dropped in (False, True):
        call(url, "deleteWebhook", drop_pending_updates=dropped)
        assert len(call(url, "getUpdates")["result"]) == (0 if dropped else 1)


def test_the_control_door_can_be_elsewhere(serve: Callable[[Telegram], str]) -> None:
    chats = Chats()
    bot = serve(Telegram(("127.0.0.1", 0), TOKEN, chats, ("bot",)))
    control = serve(Telegram(("127.0.0.1", 0), TOKEN, chats, ("control",)))
    assert requests.get(f"{bot}/control/state", timeout=5).status_code == 404
    assert requests.get(f"{control}/bot{TOKEN}/getMe", timeout=5).status_code == 404
    say(control, 1, "x")
    assert len(call(bot, "getUpdates")["result"]) == 1


def test_what_telegram_would_refuse_is_refused(url: str) -> None:
    assert call(url, "sendRichMessage", chat_id=777) == {"ok": False, "error_code": 404, "description": "Not Found"}
    assert call(url, "sendMessage", chat_id=777, text="")["error_code"] == 400
    assert call(url, "editMessageText", chat_id=777, message_id=500_009, text="x")["error_code"] == 400
    assert call(url, "setMyCommands", commands=[])["result"] is True
