"""How events look: live on a terminal, plain lines elsewhere. Everything goes to stderr; stdout is for data."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol, TextIO

import click

from proxhermes.events import Event, Kind

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.spinner import Spinner

_MARKS = {
    Kind.STEP_DONE: ("✔", "green"),
    Kind.STEP_FAILED: ("✘", "red"),
    Kind.PLAN: ("+", "cyan"),
    Kind.CHANGE: ("~", "green"),
    Kind.NOTE: ("·", "bright_black"),
    Kind.WARNING: ("!", "yellow"),
    Kind.FAILURE: ("✘", "red"),
    Kind.COMMAND: ("$", "bright_black"),
    Kind.LINE: ("|", "bright_black"),
}
_VERDICTS = {"pass": ("✔", "green"), "warn": ("!", "yellow"), "fail": ("✘", "red"), "skip": ("-", "bright_black")}


class Display(Protocol):
    """A listener that may hold the terminal until it is closed."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


def make_display(stream: TextIO, *, verbose: int, quiet: bool) -> Display:
    """The display that fits: live for a terminal, else plain lines. NO_COLOR and TERM=dumb are respected."""
    level = -1 if quiet else verbose
    terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    return LiveDisplay(stream, level) if terminal and not quiet else PlainDisplay(stream, level)


def wants_color(stream: TextIO) -> bool:
    """Whether colour is welcome there (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def label(text: str, tint: str) -> str:
    """The word at the head of a message on stderr, bold and coloured where that is welcome (click asks nobody)."""
    return click.style(text, fg=tint, bold=True) if wants_color(sys.stderr) else text


def visible(event: Event, level: int) -> bool:
    """Whether an event is shown at a level: -1 quiet, 0 normal, 1 and more verbose."""
    match event.kind:
        case Kind.WARNING | Kind.FAILURE:
            return True
        case Kind.LINE | Kind.COMMAND:
            return level >= 1
        case Kind.PROGRESS | Kind.STEP_STARTED:
            return False
        case Kind.CHECK:
            return level >= 0 or event.data.get("verdict") in ("fail", "warn")
        case _:
            return level >= 0


def format_line(event: Event, color: bool) -> str:
    """One event as one line: `118 ✔ started the container (1.3 s)`."""
    mark, tint = _MARKS.get(event.kind, (" ", "white"))
    if event.kind is Kind.CHECK:
        mark, tint = _VERDICTS.get(str(event.data.get("verdict")), (" ", "white"))
    who = f"{event.agent} " if event.agent is not None else ""
    seconds = event.data.get("seconds")
    took = f" ({seconds:.1f} s)" if isinstance(seconds, int | float) and seconds >= 0.1 else ""
    return f"{who}{click.style(mark, fg=tint) if color else mark} {event.text}{took}"


class PlainDisplay:
    """A line per event, for logs, cron and pipes."""

    def __init__(self, stream: TextIO, level: int) -> None:
        self._stream = stream
        self._level = level
        self._quarter: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        if event.kind is Kind.PROGRESS and self._level >= 0:
            self._progress(event)
        elif visible(event, self._level):
            print(format_line(event, wants_color(self._stream)), file=self._stream, flush=True)

    def _progress(self, event: Event) -> None:
        """A quarter at a time: a log wants to see that it moves, not every per cent."""
        total = float(event.data.get("total") or 0)
        quarter = int(4 * float(event.data["done"]) / total) if total else 0
        if quarter > self._quarter.get(event.text, 0):
            self._quarter[event.text] = quarter
            print(f"{event.text}: {25 * quarter} %", file=self._stream, flush=True)

    def close(self) -> None:
        self._stream.flush()


class LiveDisplay:
    """Finished lines scroll; below them live the running steps, the last lines that came, and a bar."""

    def __init__(self, stream: TextIO, level: int) -> None:
        from rich.console import Console
        from rich.live import Live

        self._level = level
        self._color = wants_color(stream)
        self._console: Console = Console(file=stream, no_color=not self._color, highlight=False, soft_wrap=True)
        self._steps: list[str] = []
        self._tail: deque[str] = deque(maxlen=4)
        self._bar: tuple[str, float, float] | None = None
        # Reentrant: Ctrl-C is told from within a signal handler, which may interrupt this very thread holding it.
        self._mutex = threading.RLock()
        self._live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=8, transient=True, screen=False
        )
        self._started = False
        self._spinning: tuple[str, Spinner] | None = None

    def __call__(self, event: Event) -> None:
        with self._mutex:
            self._track(event)
        if not self._started:
            self._live.start()
            self._started = True
        if visible(event, self._level):
            from rich.text import Text

            self._console.print(Text.from_ansi(format_line(event, self._color)))

    def _track(self, event: Event) -> None:
        match event.kind:
            case Kind.STEP_STARTED:
                self._steps.append(event.text)
                self._tail.clear()
            case Kind.STEP_DONE | Kind.STEP_FAILED:
                if event.text in self._steps:
                    self._steps.remove(event.text)
                self._tail.clear()
                self._bar = None
            case Kind.LINE:
                self._tail.append(event.text)
            case Kind.PROGRESS:
                self._bar = (event.text, float(event.data["done"]), float(event.data.get("total") or 0))
            case _:
                pass

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        with self._mutex:
            steps, tail, bar = list(self._steps), list(self._tail), self._bar
        width = max(20, self._console.width - 4)
        parts: list[RenderableType] = []
        if steps:
            parts.append(self._spinner_for(steps[-1]))
        parts += [Text("  │ " + line[: width - 4], style="bright_black") for line in tail]
        if bar and bar[2]:
            row = Table.grid(padding=(0, 1))
            row.add_row(f"  {bar[0]}", ProgressBar(total=bar[2], completed=bar[1], width=30), f"{bar[1] / bar[2]:.0%}")
            parts.append(row)
        return Group(*parts)

    def _spinner_for(self, text: str) -> Spinner:
        """One spinner for one step: a new one for each frame would never turn."""
        from rich.spinner import Spinner

        if self._spinning is None or self._spinning[0] != text:
            self._spinning = text, Spinner("dots", text=f" {text} …", style="cyan")
        return self._spinning[1]

    def close(self) -> None:
        if self._started:
            self._live.stop()
            self._started = False
        sys.stderr.flush()
