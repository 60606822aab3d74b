"""An MCP server's OAuth consent for an agent without a screen: asked for there, given in the operator's browser.

Hermes waits for the browser on its own loopback address. The browser is here, so what it brings to that address on
this machine is handed over in the agent's place, through the doors that are there already.

What the login tells, the agent can tell in its place: it is read as something to show, never as a path, a command, an
argument or a page for the browser.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from proxhermes.apply.guest import GATEWAY_S, LONGEST_WAIT_S
from proxhermes.apply.telling import tell
from proxhermes.errors import CommandFailed, Interrupted, ProxhermesError
from proxhermes.facts.frame import frame
from proxhermes.hermes import oauth
from proxhermes.plan.model import Door
from proxhermes.transport.command import CommandResult
from proxhermes.transport.pct import exec_
from proxhermes.transport.scripts import script

if TYPE_CHECKING:
    from proxhermes.events import Events
    from proxhermes.inventory.models import Agent
    from proxhermes.transport.callback import Callback
    from proxhermes.transport.doors import Doors

CONSENT_S: Final = 300
"""How long Hermes waits for the browser (0.19: tools/mcp_oauth.py)."""
_START_S: Final = 60
_HAND_OVER_S: Final = 40.0
_LISTEN_S: Final = 0.2
"""How soon Ctrl-C is noticed."""
_ENTRY: Final = "guest-mcp-login.sh"
_PROGRAM: Final = "mcp-login.py"
_READY: Final = "ready"
"""The guest's root says that the login can be spoken to."""
_LOGIN: Final = "login: "
"""Begins a line of the login's own."""
_LONGEST: Final = 16384
"""Characters of such a line."""
_SHOWN: Final = 300
_INBOX: Final = "/run/proxhermes.login"
_HAND_OVER: Final = ("timeout", "10", "dd", f"of={_INBOX}", "conv=nocreat,notrunc", "status=none")
_PAGE: Final = "<!doctype html><title>proxhermes</title><p>{}. You can close this page: the terminal says how it ends."

_Told = str | CommandResult | BaseException
"""From the login: a line, its result, or why there is none."""


@dataclass(frozen=True, slots=True)
class Login:
    """How it ended: with a login of now, or one that was there before; and Hermes' words for it."""

    known: bool
    why: str


def login(
    agent: Agent,
    name: str,
    doors: Doors,
    events: Events,
    *,
    show: Callable[[str], None],
    seconds: int = CONSENT_S,
    force: bool = False,
) -> Login:
    """Log the agent in to its MCP server `name`, and have its gateway begin anew with the tokens.

    show: gets the address for the browser, once. seconds: that the owner has for the consent. force: also where the
    tokens that are there are taken. Raises ProxhermesError with Hermes' words if it failed, Interrupted if it was
    stopped; what was there before is then there again.
    """
    consent = _Consent(agent, name, doors, events, show)
    told: queue.Queue[_Told] = queue.Queue()
    with closing(consent), events.step(f"logging CT {agent.vmid} in to {name}"):
        # Not before the step has begun: who has stopped us by then has started nothing in the guest.
        threading.Thread(target=_work, args=(agent, name, doors, told, seconds, force), daemon=True).start()
        try:
            result = consent.wait(told)
        except BaseException:
            consent.stop()
            raise
        return consent.outcome(result)


def _work(agent: Agent, name: str, doors: Doors, told: queue.Queue[_Told], seconds: int, force: bool) -> None:
    """Run the login in the guest; its lines, and then its result, go into `told`."""
    limit = seconds + _START_S + LONGEST_WAIT_S
    doing = f"logging CT {agent.vmid} in to {name}"
    try:
        bundle = {**frame(agent, _ENTRY, "guest-wait.sh"), _PROGRAM: (script(_PROGRAM), 0o600)}
        args = [name, str(seconds), str(GATEWAY_S), *(["force"] if force else [])]
        guest = doors.guest(agent.vmid)
        told.put(guest.run(bundle, _ENTRY, args, timeout=limit, check=False, doing=doing, on_line=told.put))
    except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
        told.put(error)


class _Consent:
    """One login at work in the guest, the door for the browser's answer, and how it ends."""

    def __init__(self, agent: Agent, name: str, doors: Doors, events: Events, show: Callable[[str], None]) -> None:
        self._agent = agent
        self._name = name
        self._doors = doors
        self._events = events
        self._show = show
        self._ready = False
        self._asked = False
        self._end: Mapping[str, Any] = {}
        self._refusal: str | None = None
        self._callback: Callback | None = None

    def wait(self, told: queue.Queue[_Told]) -> CommandResult:
        """Follow the login to its end; Ctrl-C has it end early. Raises what ended it from this side."""
        stopped = False
        while True:
            if self._events.stopping and not stopped and self._ready:
                stopped = True
                self.stop()
            try:
                said = told.get(timeout=_LISTEN_S)
            except queue.Empty:
                continue
            if isinstance(said, BaseException):
                raise said
            if not isinstance(said, str):
                return said
            self._hear(said)

    def _hear(self, line: str) -> None:
        if line == _READY:
            self._ready = True
        elif line.startswith(_LOGIN):
            self._understand(_message(line.removeprefix(_LOGIN)))
        elif not line.startswith(("gateway.", "file.")):  # facts are not for the eye
            tell(line, Door.GUEST, self._events)

    def _understand(self, message: Mapping[str, Any]) -> None:
        if said := _words(message, "said"):
            self._events.line(said)
        if isinstance(message.get("done"), bool):
            self._end = message
        if isinstance(url := message.get("url"), str) and not self._asked:
            self._asked = True
            self._ask(url)

    def _ask(self, url: str) -> None:
        """Open the door for the answer, then show the address."""
        from proxhermes.transport.callback import Callback

        try:
            wanted = oauth.read(url)
        except ValueError as error:
            raise ProxhermesError(f"Hermes gave an address that is no place to consent: {error}") from None
        if wanted.port is not None:
            self._callback = Callback(wanted.port, wanted.answers, self._deliver)
        self._show(wanted.url)

    def _deliver(self, target: str) -> str:
        """Hand the browser's answer to Hermes; the page that it shows."""
        self._refusal = oauth.refusal(target)
        self._hand_over(target, check=True)
        return _PAGE.format("The consent was refused" if self._refusal else "The consent was handed to the agent")

    def stop(self) -> None:
        """Have a login that is still at work end, and put back what it has removed."""
        if self._ready and not self._end:
            self._hand_over("stop", check=False)

    def _hand_over(self, line: str, *, check: bool) -> None:
        """Give the login a line on its standard input, as the container's root."""
        doing = f"reaching the login in CT {self._agent.vmid}"
        command = exec_(self._agent.vmid, _HAND_OVER, f"{line}\n".encode())
        self._doors.ssh.run(command, timeout=_HAND_OVER_S, check=check, doing=doing)

    def outcome(self, result: CommandResult) -> Login:
        """What it came to. Raises as `login` does."""
        doing = f"logging CT {self._agent.vmid} in to {self._name}"
        why = _words(self._end, "why") or "it did not say why"
        if self._end.get("done") and result.ok:
            return Login(self._end.get("known") is True, why)
        if self._end.get("done"):
            raise CommandFailed(
                f"{doing}: there is a login now, but the gateway did not come up again with it",
                command=_ENTRY, rc=result.rc, stderr=result.stderr,
            )  # fmt: skip
        if self._events.stopping:
            raise Interrupted(f"stopped as asked; CT {self._agent.vmid} is logged in to {self._name} as before")
        if self._callback and self._callback.failure:
            raise self._callback.failure
        if self._refusal is not None:
            raise ProxhermesError(f"the consent was refused: {self._refusal}", doing=doing)
        if not self._end:
            raise CommandFailed(
                f"{doing}: it did not get to its end", command=_ENTRY, rc=result.rc, stderr=result.stderr
            )
        missing = "not found in config" in why
        raise ProxhermesError(why, doing=doing, hint=f"proxhermes bootstrap {self._agent.vmid}" if missing else None)

    def close(self) -> None:
        """Close the door for the answer."""
        if self._callback is not None:
            self._callback.close()


def _message(text: str) -> Mapping[str, Any]:
    """The JSON object that is in a line of the login's; an empty one for anything else."""
    try:
        message = json.loads(text) if len(text) <= _LONGEST else None
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _words(message: Mapping[str, Any], key: str) -> str:
    """A text of the login's, on one line."""
    found = message.get(key)
    return " ".join(found.split())[:_SHOWN] if isinstance(found, str) else ""
