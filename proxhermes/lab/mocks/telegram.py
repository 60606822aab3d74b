"""A mock of Telegram's Bot API: enough for a bot that polls, plus a second door to speak to the bot and hear it.

Markup (`parse_mode`), limits of length and of rate are not checked; media, groups and keyboards are not there.

Run: `python -m proxhermes.lab.mocks.telegram --listen HOST:PORT --token-file FILE [--control HOST:PORT]`.
The bot's door is `/bot<TOKEN>/<METHOD>`, as in Telegram's own API (https://core.telegram.org/bots/api).
The control door (default: the same address, under `/control`):
  POST /control/messages {"from": 777, "text": "hello"}   a person writes to the bot -> {"update_id": …}
  GET  /control/sent[?after=N]                            what the bot sent: [{"number", "chat_id", "text", …}]
  GET  /control/state                                     {"polls": times the bot asked, "waiting": updates not fetched}
"""

from __future__ import annotations

import argparse
import hmac
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from proxhermes.lab.mocks.http import JsonHandler, Server, address

BOT = {
    "id": 123456,
    "is_bot": True,
    "first_name": "Hermes (lab)",
    "username": "proxhermes_lab_bot",
    "can_join_groups": True,
    "can_read_all_group_messages": False,
    "supports_inline_queries": False,
}
_LONGEST_POLL = 50.0
_WITHOUT_EFFECT = frozenset({
    "answercallbackquery", "close", "deletemessage", "deletemycommands", "logout", "sendchataction",
    "setmessagereaction", "setmycommands", "setmydescription", "setmyshortdescription",
})  # fmt: skip
"""Methods that are accepted and do nothing here. Any other unknown one is refused, as Telegram refuses it."""


@dataclass(slots=True)
class Chats:
    """What was said on either side; every method may be called from any thread."""

    _updates: list[dict[str, Any]] = field(default_factory=list)
    _sent: list[dict[str, Any]] = field(default_factory=list)
    _polls: int = 0
    _last_update: int = 1000
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def say(self, sender: int, text: str) -> int:
        """A person writes to the bot in a private chat; returns the update's id."""
        with self._changed:
            self._last_update += 1
            person = {"id": sender, "is_bot": False, "first_name": f"User {sender}", "username": f"user{sender}"}
            message = {
                "message_id": self._last_update,
                "date": int(time.time()),
                "from": person,
                "chat": {"id": sender, "type": "private", "first_name": person["first_name"]},
                "text": text,
            }
            if text.startswith("/"):
                length = len(text.split()[0])
                message["entities"] = [{"type": "bot_command", "offset": 0, "length": length}]
            self._updates.append({"update_id": self._last_update, "message": message})
            self._changed.notify_all()
            return self._last_update

    def poll(self, offset: int, seconds: float) -> list[dict[str, Any]]:
        """Updates from `offset` on, as soon as there is one or the time is over; older ones are forgotten."""
        deadline = time.monotonic() + min(seconds, _LONGEST_POLL)
        with self._changed:
            self._polls += 1
            self._updates = [update for update in self._updates if update["update_id"] >= offset]
            while not self._updates and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return list(self._updates)

    def forget(self) -> None:
        """What waits for the bot is dropped."""
        with self._changed:
            self._updates.clear()

    def send(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The bot writes; returns the message as Telegram would. ValueError for an empty one."""
        if not parameters.get("text"):
            raise ValueError("message text is empty")
        with self._changed:
            chat = int(parameters.get("chat_id", 0))
            number = len(self._sent) + 1
            entry = {"number": number, "chat_id": chat, "text": str(parameters.get("text", "")), "time": time.time()}
            self._sent.append({**entry, "parse_mode": parameters.get("parse_mode")})
            return {
                "message_id": 500_000 + number,
                "date": int(time.time()),
                "from": BOT,
                "chat": {"id": chat, "type": "private"},
                "text": entry["text"],
            }

    def edit(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The bot changes a message it sent, which counts as its text from then on. ValueError when it sent none."""
        with self._changed:
            message_id = int(parameters.get("message_id", 0))
            number = message_id - 500_000
            if not 0 < number <= len(self._sent):
                raise ValueError("message to edit not found")
            self._sent[number - 1]["text"] = str(parameters.get("text", ""))
            chat = int(parameters.get("chat_id", 0))
            return {"message_id": message_id, "date": int(time.time()), "from": BOT,
                    "chat": {"id": chat, "type": "private"}, "text": str(parameters.get("text", ""))}  # fmt: skip

    def sent(self, after: int) -> list[dict[str, Any]]:
        """What the bot sent, from the message after number `after` on."""
        with self._changed:
            return [dict(entry) for entry in self._sent if entry["number"] > after]

    def state(self) -> dict[str, int]:
        """Counters for whoever waits for the bot to be there."""
        with self._changed:
            return {"polls": self._polls, "waiting": len(self._updates)}


class Telegram(Server):
    """The server; with a control address of its own, the control door is there alone."""

    def __init__(self, listen: tuple[str, int], token: str, chats: Chats, doors: tuple[str, ...]) -> None:
        """Bind to `listen`.

        :param token: the bot's token, as BotFather would give it
        :param doors: which of "bot" and "control" this server opens
        """
        super().__init__(listen, _Handler)
        self.token = token
        self.chats = chats
        self.doors = doors


class _Handler(JsonHandler):
    server: Telegram

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = {name: values[-1] for name, values in parse_qs(url.query).items()} | self.read_body()
        bot = re.fullmatch(r"/bot([^/]+)/(\w+)", url.path)
        if bot and "bot" in self.server.doors:
            self._bot(bot[1], bot[2], body)
        elif url.path.startswith("/control/") and "control" in self.server.doors:
            self._control(url.path.removeprefix("/control/"), body)
        else:
            self._refuse(404, "Not Found")

    def _bot(self, token: str, method: str, body: dict[str, Any]) -> None:
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(401, "Unauthorized")
            return
        chats = self.server.chats
        methods: dict[str, Callable[[], object]] = {
            "getme": lambda: BOT,
            "getupdates": lambda: chats.poll(int(body.get("offset") or 0), float(body.get("timeout") or 0)),
            "deletewebhook": lambda: _no_webhook(chats, body),
            "sendmessage": lambda: chats.send(body),
            "editmessagetext": lambda: chats.edit(body),
            "getwebhookinfo": lambda: {"url": "", "has_custom_certificate": False, "pending_update_count": 0},
            "getmycommands": list,
            "getchat": lambda: {"id": int(body.get("chat_id", 0)), "type": "private"},
        }
        known = methods | dict.fromkeys(_WITHOUT_EFFECT, lambda: True)
        if method.lower() not in known:
            self._refuse(404, "Not Found")
            return
        try:
            self.send_json({"ok": True, "result": known[method.lower()]()})
        except ValueError as error:
            self._refuse(400, f"Bad Request: {error}")

    def _refuse(self, code: int, description: str) -> None:
        self.send_json({"ok": False, "error_code": code, "description": description}, code)

    def _control(self, what: str, body: dict[str, Any]) -> None:
        chats = self.server.chats
        if what == "messages" and self.command == "POST":
            self.send_json({"update_id": chats.say(int(body["from"]), str(body["text"]))})
        elif what == "sent":
            self.send_json(chats.sent(int(body.get("after") or 0)))
        elif what == "state":
            self.send_json(chats.state())
        else:
            self.send_json({"error": f"the mock's control knows no {what}"}, 404)


def _no_webhook(chats: Chats, body: dict[str, Any]) -> bool:
    """There is none here; who asks for it before the first poll may have what waits dropped."""
    if str(body.get("drop_pending_updates")).lower() == "true":
        chats.forget()
    return True


def main(arguments: list[str] | None = None) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="mock of Telegram's Bot API")
    parser.add_argument("--listen", type=address, required=True, metavar="HOST:PORT")
    parser.add_argument("--control", type=address, metavar="HOST:PORT", help="default: under /control of --listen")
    parser.add_argument("--token-file", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    token, chats = options.token_file.read_text().strip(), Chats()
    if options.control is None:
        with Telegram(options.listen, token, chats, ("bot", "control")) as server:
            server.serve_forever()
    control = Telegram(options.control, token, chats, ("control",))
    threading.Thread(target=control.serve_forever, daemon=True).start()
    with Telegram(options.listen, token, chats, ("bot",)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
