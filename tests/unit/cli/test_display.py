"""What is seen of events: at which level, in which form, with and without a terminal."""

from __future__ import annotations

import io
import re
import threading

import pytest

from proxhermes.cli.display import LiveDisplay, PlainDisplay, format_line, make_display, visible
from proxhermes.errors import Interrupted
from proxhermes.events import Event, Events, Kind


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _play(display: object) -> None:
    events = Events([display]).for_agent(118)  # type: ignore[list-item]
    with events.step("creating the container"):
        events.command("POST /nodes/gihyeon/lxc")
        events.line("extracting archive")
        for done in range(0, 101, 5):
            events.progress("debian-13.tar.zst", done, 100)
    events.change("mp0: /mnt/a → /data")
    events.warning("something odd")
    events.emit(Kind.CHECK, "engine.docker: Docker 26", verdict="pass")
    events.emit(Kind.CHECK, "hermes.answer: no answer", verdict="fail")


def _shown(level: int) -> str:
    stream = io.StringIO()
    _play(PlainDisplay(stream, level))
    return stream.getvalue()


def test_plain_lines_without_a_terminal() -> None:
    text = _shown(0)
    assert "118 ✔ creating the container" in text
    assert "118 ~ mp0: /mnt/a → /data" in text
    assert "118 ! something odd" in text
    assert "118 ✔ engine.docker" in text
    assert "118 ✘ hermes.answer" in text
    assert "extracting" not in text
    assert text.count("debian-13.tar.zst: ") == 4
    assert "\x1b" not in text


def test_verbose_shows_lines_and_commands() -> None:
    text = _shown(1)
    assert "118 $ POST /nodes/gihyeon/lxc" in text
    assert "118 | extracting archive" in text


def test_quiet_shows_only_what_is_wrong() -> None:
    lines = _shown(-1).splitlines()
    assert lines == ["118 ! something odd", "118 ✘ hermes.answer: no answer"]


def test_a_terminal_gets_the_live_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    display = make_display(terminal, verbose=0, quiet=False)
    assert isinstance(display, LiveDisplay)
    _play(display)
    display.close()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "118 ✔ creating the container" in text
    assert isinstance(make_display(terminal, verbose=0, quiet=True), PlainDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_display(terminal, verbose=0, quiet=False), PlainDisplay)


def test_a_warning_from_a_signal_handler_does_not_wait_for_the_thread_that_it_interrupted() -> None:
    display = LiveDisplay(Terminal(), 0)
    track, told = display._track, []

    def interrupted(event: Event) -> None:
        track(event)
        if not told:
            told.append(event)
            display(Event(Kind.WARNING, "stopping at the next safe point"))

    display._track = interrupted  # type: ignore[method-assign]
    runner = threading.Thread(target=display, args=(Event(Kind.NOTE, "at work"),), daemon=True)
    runner.start()
    runner.join(10)
    assert not runner.is_alive()
    display.close()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    display = make_display(terminal, verbose=0, quiet=False)
    _play(display)
    display.close()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", terminal.getvalue())


def test_durations_are_shown_when_they_matter() -> None:
    done = Event(Kind.STEP_DONE, "starting", 118, data={"seconds": 1.26})
    assert format_line(done, color=False) == "118 ✔ starting (1.3 s)"
    quick = Event(Kind.STEP_DONE, "starting", None, data={"seconds": 0.01})
    assert format_line(quick, color=False) == "✔ starting"
    assert visible(done, 0)
    assert not visible(done, -1)


def test_after_a_stop_the_next_step_does_not_begin() -> None:
    stop = threading.Event()
    events = Events(stop=stop)
    with events.step("one"):
        stop.set()
    with pytest.raises(Interrupted, match="after “one”, before “two”"), events.step("two"):
        raise AssertionError("it began")
