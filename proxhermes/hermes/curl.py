"""Options of curl as lines of a file for its `-K`: arguments show in the process list."""

from __future__ import annotations

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


def option(name: str, value: str) -> bytes:
    """One line; what would end the value or the line is escaped as curl reads it (its manual: --config)."""
    return f'{name} = "{value.translate(_ESCAPES)}"\n'.encode()
