"""An agent in each runtime: what its inventory says, where it has its things, and how one speaks with it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from conftest import WITH_DOCKER, Operator

from proxhermes.lab.images.agents import FIRST, NEWEST
from proxhermes.lab.node.client import TELEGRAM_USER
from proxhermes.lab.node.service_table import TELEGRAM_PORT

IMAGE: Final = "nousresearch/hermes-agent"
_APART: Final = "/var/lib/hermes/.hermes"


@dataclass(frozen=True)
class Runtime:
    """A type of runtime on an engine. inside: what runs a command as the agent, in its place."""

    kind: str
    engine: str
    home: str
    inside: tuple[str, ...]
    python: str

    def __str__(self) -> str:
        return self.kind + (f" on {self.engine}" if self.engine == "podman" else "")

    def section(self, version: str) -> dict[str, Any]:
        """`runtime` of the inventory, for an agent of this version."""
        image = f"{IMAGE}:{version}"
        section: dict[str, Any] = {"type": self.kind} | ({"engine": "podman"} if self.engine == "podman" else {})
        if self.kind == "docker":
            return section | {"image": image}
        # What its makers put on the package index; anything newer comes out of the image.
        return section | {
            "package": {"pypi": f"hermes-agent=={version}"} if version == FIRST.version else {"image": image}
        }

    @property
    def network(self) -> tuple[str, ...]:
        """What runs a command where the gateway listens."""
        return (self.engine, "exec", "-i", "hermes") if self.engine else ()

    @property
    def inner_home(self) -> str:
        """Its home as it sees it."""
        return "/opt/data" if self.kind == "docker" else self.home

    @property
    def template(self) -> dict[str, Any]:
        """What the container is made from."""
        return {} if self.engine == "podman" else WITH_DOCKER


def _runtime(kind: str, engine: str = "") -> Runtime:
    if kind == "docker":
        inside = (engine, "exec", "-i", "-u", "10000:10000", "hermes")
        return Runtime(kind, engine, "/opt/hermes/data", inside, "/opt/hermes/.venv/bin/python")
    enter = (
        (engine, "exec", "-i", "hermes", "/opt/hermes/layer/entrypoint", "exec")
        if engine
        else ("/opt/hermes/as-agent",)
    )
    return Runtime(kind, engine, _APART, enter, "/opt/hermes/current/bin/python")


RUNTIMES: Final = {
    str(runtime): runtime
    for runtime in (
        _runtime("docker", "docker"),
        _runtime("persistent", "docker"),
        _runtime("native"),
        _runtime("docker", "podman"),
        _runtime("persistent", "podman"),
    )
}
VERSIONS: Final = (FIRST.version, NEWEST.version)


def until(condition: Callable[[], Any], what: Callable[[], str], seconds: float = 180) -> Any:
    """What the condition says once it says something. what: told if it does not."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"timed out after {seconds} s waiting for {what()}"
        time.sleep(0.1)
    return found


class Chat:
    """The agent's owner, with the agent's bot."""

    def __init__(self, operator: Operator) -> None:
        self._door = f"http://{operator.lab.slot.node_address}:{TELEGRAM_PORT}/control"

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._door}/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    @property
    def polls(self) -> int:
        """How often the bot has asked for messages."""
        return int(self._ask("state")["polls"])

    @property
    def sent(self) -> int:
        """How many messages the bot has sent."""
        return len(self._ask("sent"))

    def say(self, text: str) -> int:
        """Write to the bot; the number of the last thing that it had said until then."""
        last = self.sent
        self._ask("messages", {"from": TELEGRAM_USER, "text": text})
        return last

    def hear(self, word: str, *, after: int) -> str:
        """What the bot says that has this word in it, as Telegram shows it; it also tells what it is about to do."""
        texts: list[str] = []

        def said() -> str:
            texts[:] = [str(message["text"]).replace("\\", "") for message in self._ask(f"sent?after={after}")]
            return next((text for text in texts if word in text), "")

        return str(until(said, lambda: f"{word} in what the bot says, which is {texts}"))

    def ask(self, text: str, word: str) -> str:
        """Write, and hear what is expected."""
        return self.hear(word, after=self.say(text))
