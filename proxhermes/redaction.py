"""Masking of secrets in whatever is shown or logged.

Every secret that is resolved is registered here; the display, the log and the error output pass through `redact`. This
is the second line of defence: code does not put secrets into messages in the first place.
"""

from __future__ import annotations

import threading

from proxhermes.events import Event, Listener

_MASK = "********"
# Shorter values would blank ordinary words; a secret of this length is none.
_SHORTEST = 6

_lock = threading.Lock()
_values: set[str] = set()


def register_secret(value: str) -> None:
    """Have `value` masked in everything that is shown or logged from now on in this process."""
    with _lock:
        _values.update(part for part in (value, value.strip()) if len(part) >= _SHORTEST)


def redact(text: str) -> str:
    """`text` with every registered secret masked, the longest first."""
    with _lock:
        values = sorted(_values, key=len, reverse=True)
    for value in values:
        text = text.replace(value, _MASK)
    return text


def redacting(listener: Listener) -> Listener:
    """A listener that hears the same events with every registered secret masked."""

    def listen(event: Event) -> None:
        listener(Event(event.kind, redact(event.text), event.agent, event.at, event.data))

    return listen
