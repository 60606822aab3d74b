"""An MCP server's OAuth consent for an agent without a screen: asked for there, given in the operator's browser.

Hermes waits for the browser on its own loopback address. The browser is here, so what it brings to that address on
this machine is handed over in the agent's place, through the doors that are there already.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from proxhermes.apply.guest import GATEWAY_S
from proxhermes.apply.telling import tell
from proxhermes.errors import CommandFailed, Interrupted, ProxhermesError
from proxhermes.facts.frame import frame
from proxhermes.hermes import layout, oauth
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
_RELAY_S: Final = 40.0
_LISTEN_S: Final = 0.2
"""How soon Ctrl-C is noticed."""
_ENTRY: Final = "guest-mcp-login.sh"

# Run by the agent's Python in its place: what the browser asked for comes on standard input, for it holds the code.
# Hermes tells the address a moment before it listens there.
_RELAY: Final = """\
import sys, time, urllib.error, urllib.request
target, ends = sys.stdin.read().strip(), time.monotonic() + 20
ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
while True:
    try:
        print(ask(f"http://127.0.0.1:{sys.argv[1]}{target}", timeout=20).read().decode())
        break
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > ends:
            sys.exit(f"failed: {error}")
        time.sleep(0.1)
"""
_STOP: Final = "import os, signal, sys; os.kill(int(sys.argv[1]), signal.SIGTERM)"

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
    limit = seconds + _START_S + GATEWAY_S
    doing = f"logging CT {agent.vmid} in to {name}"
    try:
        bundle = {**frame(agent, _ENTRY, "guest-wait.sh"), "mcp-login.py": (script("mcp-login.py"), 0o600)}
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
        self._here = ""  # the scripts' folder in the guest
        self._pid = 0  # of the login, as the agent sees it
        self._end: Mapping[str, Any] = {}
        self._refusal: str | None = None
        self._callback: Callback | None = None

    def wait(self, told: queue.Queue[_Told]) -> CommandResult:
        """Follow the login to its end; Ctrl-C has it end early. Raises what ended it from this side."""
        stopped = False
        while True:
            if self._events.stopping and not stopped and self._pid:
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
        try:
            message = json.loads(line)
        except ValueError:
            if not line.startswith(("gateway.", "file.")):  # facts are not for the eye
                tell(line, Door.GUEST, self._events)
            return
        self._here, self._pid = message.get("here", self._here), message.get("pid", self._pid)
        if "said" in message:
            self._events.line(message["said"])
        if "done" in message:
            self._end = message
        if "url" in message:
            self._ask(message["url"])

    def _ask(self, url: str) -> None:
        """Open the door for the answer, then show the address."""
        from proxhermes.transport.callback import Callback

        wanted = oauth.read(url)
        if wanted.port is not None:
            deliver = partial(self._deliver, wanted.port)
            self.close()
            self._callback = Callback(wanted.port, wanted.answers, deliver)
        self._show(url)

    def _deliver(self, port: int, target: str) -> str:
        """Hand the browser's answer to Hermes; the page that it shows."""
        self._refusal = oauth.refusal(target)
        return self._inside((_RELAY, str(port)), target.encode(), check=True).stdout

    def stop(self) -> None:
        """Have a login that is still at work end, and put back what it has removed."""
        if self._pid and not self._end:
            self._inside((_STOP, str(self._pid)), None, check=False)

    def _inside(self, words: tuple[str, str], stdin: bytes | None, *, check: bool) -> CommandResult:
        """Run Python in the agent's place, beside the login: through its scripts, for it holds the guest's lock."""
        argv = ("sh", f"{self._here}/guest-call.sh", "rt_exec", layout.python(self._agent), "-c", *words)
        doing = f"reaching the login in CT {self._agent.vmid}"
        return self._doors.ssh.run(exec_(self._agent.vmid, argv, stdin), timeout=_RELAY_S, check=check, doing=doing)

    def outcome(self, result: CommandResult) -> Login:
        """What it came to. Raises as `login` does."""
        doing = f"logging CT {self._agent.vmid} in to {self._name}"
        why = self._end.get("why", "")
        if self._end.get("done") and result.ok:
            return Login(bool(self._end.get("known")), why)
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
