"""A command as a value: built purely, rendered twice (as sent, as shown), run by whoever holds a shell."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Command:
    """One command line for a POSIX shell at the other end.

    argv: words, quoted when rendered; no secret may stand in them (they would show in the process list).
    stdin: what is sent on standard input, never shown; secrets travel here.
    """

    argv: tuple[str, ...]
    stdin: bytes | None = field(default=None, repr=False)

    def line(self) -> str:
        """The line that is sent, each word quoted for a POSIX shell."""
        return shlex.join(self.argv)

    def shown(self) -> str:
        """The line that may be shown and logged: the command, with standard input only counted."""
        return self.line() + (f"  # {len(self.stdin)} bytes on standard input" if self.stdin else "")


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: its exit code and both streams, decoded as UTF-8 (undecodable bytes replaced)."""

    rc: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.rc == 0


class Shell(Protocol):
    """Runs commands somewhere as root."""

    def run(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        doing: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Run it and wait, `timeout` seconds at most.

        check: raise CommandFailed for a code other than 0. on_line: called with each line of standard output as it
        comes. Raises DeadlineExceeded, ConnectError, CommandFailed.
        """
        ...
