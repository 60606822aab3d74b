"""Telling what happens while a plan is carried out: what a script changed, and where things stand if it breaks off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxhermes.events import Events
    from proxhermes.plan.model import Door


def tell(text: str, door: Door, events: Events) -> None:
    """Tell one line that a script printed: `changed: …` is a change that was made, anything else what a tool said.

    `note: …` is for the operator, too.
    """
    if text.startswith("changed: "):
        events.change(text.removeprefix("changed: "), door=door.value)
    elif text.startswith("note: "):
        events.note(text.removeprefix("note: "))
    elif text.strip():
        events.line(text)


@contextmanager
def standing(events: Events, where: str) -> Iterator[None]:
    """If the work inside breaks off, say where it stands: `where` is a sentence without its full stop."""
    try:
        yield
    except BaseException:
        events.note(f"{where}; the same command goes on from there")
        raise
