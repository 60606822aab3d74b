"""Masking of secrets in whatever is shown or logged.

Every secret that is resolved is registered here; the display, the log and the error output pass through `redact`. This
is the second line of defence: code does not put secrets into messages in the first place.

Much of what is shown was said by a guest, and the agent in it has a say in that: a bot's library that names the token
which was refused (no secret is looked up for `verify`, so none is registered then), or a sequence that makes the
operator's terminal do something. So what looks like a token is masked, too, and control characters are taken out.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from proxhermes.events import Event, Listener

_MASK = "********"
# Shorter values would blank ordinary words; a secret of this length is none.
_SHORTEST = 6

# As Telegram, Slack, and LiteLLM or OpenAI write theirs; and any key on its way in a header.
_TOKEN = re.compile(
    r"\b\d{6,12}:[A-Za-z0-9_-]{30,}|\bxox[a-z]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}|\bsk-[A-Za-z0-9_-]{16,}"
    r"|(?<=Bearer )(?!\$\{)[^\s\"']{8,}"
)
# Terminal sequences as a whole (ECMA-48: CSI, OSC), control characters but tab and newline, reversed writing.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)

_lock = threading.Lock()
_values: set[str] = set()


def register_secret(value: str) -> None:
    """Have `value` masked in everything that is shown or logged from now on in this process."""
    with _lock:
        _values.update(part for part in (value, value.strip()) if len(part) >= _SHORTEST)


def redact(text: str) -> str:
    """`text` with every registered secret masked (the longest first), and what looks like one; tabs, newlines stay."""
    text = _CONTROL.sub("", text)  # first, for one of them in its middle would hide a secret
    with _lock:
        values = sorted(_values, key=len, reverse=True)
    for value in values:
        text = text.replace(value, _MASK)
    return _TOKEN.sub(_MASK, text)


def redacted(data: Any) -> Any:
    """What is going to be printed as JSON, with `redact` done to every text in it: its escapes would hide a secret."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, dict):
        return {key: redacted(value) for key, value in data.items()}
    return [redacted(value) for value in data] if isinstance(data, (list, tuple)) else data


def redacting(listener: Listener) -> Listener:
    """A listener that hears the same events with every registered secret masked."""

    def listen(event: Event) -> None:
        listener(Event(event.kind, redact(event.text), event.agent, event.at, event.data))

    return listen
