"""Waiting for a condition, with a deadline, saying what is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from proxhermes.errors import DeadlineExceeded

T = TypeVar("T")
POLL_S: Final = 0.5


def wait_for(look: Callable[[], T | None], what: str, *, timeout: float, doing: str, hint: str | None = None) -> T:
    """Call `look` until it gives something other than None, and return that.

    what: completes "waiting for …". timeout: seconds. Raises DeadlineExceeded, and whatever `look` raises.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() >= deadline:
            raise DeadlineExceeded(f"waited {timeout:.0f} s for {what} in vain", doing=doing, hint=hint)
        time.sleep(POLL_S)
