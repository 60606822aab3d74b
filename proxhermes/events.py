"""What is happening, told to whoever listens: a terminal, plain lines, JSON lines, a log file.

Core code reports to an `Events` and never prints. `Events()` with no listener is silent.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from proxhermes.errors import Interrupted


class Kind(StrEnum):
    """What an event tells."""

    STEP_STARTED = "step_started"
    STEP_DONE = "step_done"
    STEP_FAILED = "step_failed"
    LINE = "line"  # a line that a task, a command or a service printed
    PROGRESS = "progress"
    PLAN = "plan"  # something is going to be changed
    CHANGE = "change"  # something was changed
    NOTE = "note"
    WARNING = "warning"
    FAILURE = "failure"  # an agent failed, and the run goes on with the next one
    COMMAND = "command"  # a masked command line or API call, for -v and the log
    CHECK = "check"  # a verdict of verify


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `agent` is the VMID it concerns, `data` what a machine may want."""

    kind: Kind
    text: str
    agent: int | None = None
    at: float = 0.0  # seconds since the epoch
    data: dict[str, Any] = field(default_factory=dict)


class Listener(Protocol):
    """Shows or stores events; is called from several threads, one event at a time."""

    def __call__(self, event: Event) -> None: ...


class _Queue:
    """Passes events on, one at a time.

    A signal's handler may report one while a listener is at work, on the same thread: a stream that is written to just
    then refuses to be written to once more. Such an event is passed on after the one that is.
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._lock = threading.RLock()
        self._waiting: deque[Event] = deque()
        self._at_work = False

    def put(self, event: Event) -> None:
        self._waiting.append(event)
        with self._lock:
            if self._at_work:
                return
            self._at_work = True
            try:
                while self._waiting:
                    self._pass_on(self._waiting.popleft())
            finally:
                self._at_work = False

    def _pass_on(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


class Events:
    """The hub: passes every event to its listeners, in order.

    `for_agent` gives a view that stamps a VMID on whatever is reported. `stop`: once it is set (Ctrl-C), the next step
    does not begin but raises Interrupted, which says where the run stands: steps are the safe points.
    """

    def __init__(
        self,
        listeners: Sequence[Listener] = (),
        agent: int | None = None,
        stop: threading.Event | None = None,
        _queue: _Queue | None = None,
    ) -> None:
        self._queue = _queue or _Queue(listeners)
        self._agent = agent
        self._stop = stop or threading.Event()
        self._finished: str | None = None

    def for_agent(self, vmid: int) -> Events:
        return Events((), vmid, self._stop, self._queue)

    def emit(self, kind: Kind, text: str, **data: Any) -> None:
        self._queue.put(Event(kind, text, self._agent, time.time(), data))

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for: what waits for a long time looks here."""
        return self._stop.is_set()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """A piece of work with a beginning and an end; an exception ends it as failed and goes on its way."""
        if self._stop.is_set():
            after = f"after “{self._finished}”, " if self._finished else ""
            raise Interrupted(f"stopped as asked, {after}before “{text}”; the same command goes on from here")
        began = time.monotonic()
        self.emit(Kind.STEP_STARTED, text)
        try:
            yield
        except BaseException:
            self.emit(Kind.STEP_FAILED, text, seconds=round(time.monotonic() - began, 3))
            raise
        self._finished = text
        self.emit(Kind.STEP_DONE, text, seconds=round(time.monotonic() - began, 3))

    def line(self, text: str) -> None:
        self.emit(Kind.LINE, text)

    def progress(self, text: str, done: float, total: float, unit: str = "%") -> None:
        self.emit(Kind.PROGRESS, text, done=done, total=total, unit=unit)

    def change(self, text: str, **data: Any) -> None:
        self.emit(Kind.CHANGE, text, **data)

    def note(self, text: str) -> None:
        self.emit(Kind.NOTE, text)

    def warning(self, text: str) -> None:
        self.emit(Kind.WARNING, text)

    def failure(self, text: str) -> None:
        self.emit(Kind.FAILURE, text)

    def command(self, text: str) -> None:
        self.emit(Kind.COMMAND, text)
