"""What is reported arrives whole and in order, whoever reports it and when."""

from __future__ import annotations

import threading

import pytest

from proxhermes.events import Event, Events


def test_what_a_signal_reports_while_a_stream_is_written_to_comes_after_it() -> None:
    """A handler runs between two steps of whatever its thread is at: an event may come in the middle of another."""
    heard: list[str] = []
    writing = False

    def listener(event: Event) -> None:
        nonlocal writing
        assert not writing, "written to while it is written to"
        writing = True
        if event.text == "first":
            events.warning("stopping")  # as the handler of Ctrl-C does
        heard.append(event.text)
        writing = False

    events = Events([listener])
    events.note("first")
    events.for_agent(118).note("last")
    assert heard == ["first", "stopping", "last"]


def test_a_listener_that_fails_holds_nothing_up() -> None:
    heard: list[str] = []

    def listener(event: Event) -> None:
        if event.text == "broken":
            raise OSError("no space")
        heard.append(event.text)

    events = Events([listener])
    with pytest.raises(OSError, match="no space"):
        events.note("broken")
    events.note("next")
    assert heard == ["next"]


def test_threads_report_one_at_a_time() -> None:
    heard: list[str] = []
    inside: list[int] = []

    def listener(event: Event) -> None:
        inside.append(1)
        assert len(inside) == 1
        heard.append(event.text)
        inside.pop()

    events = Events([listener])
    threads = [threading.Thread(target=lambda: [events.note(str(n)) for n in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(heard) == sorted([str(n) for n in range(200)] * 4)
