"""A redacted log of every run, under the state folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO

from proxhermes.events import Event, Kind
from proxhermes.redaction import redact

_KEEP = 100


def state_folder() -> Path:
    """Where proxhermes keeps logs and locks: $XDG_STATE_HOME/proxhermes, else ~/.local/state/proxhermes."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "proxhermes"


class RunLog:
    """One run's log file: plain lines with a time, readable by its owner only."""

    def __init__(self, path: Path, stream: IO[str]) -> None:
        self.path = path
        self._stream = stream

    @classmethod
    def open(cls, command: str, argv: list[str]) -> RunLog:
        """Create `log/TIME-COMMAND-PID.log` under the state folder and drop the oldest beyond a hundred."""
        folder = state_folder() / "log"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(folder.glob("*.log"))[: -_KEEP + 1]:
            old.unlink(missing_ok=True)
        path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{command}-{os.getpid()}.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        log = cls(path, os.fdopen(descriptor, "w", encoding="utf-8"))
        log.write("proxhermes " + " ".join(argv))
        return log

    def __call__(self, event: Event) -> None:
        if event.kind is Kind.PROGRESS:
            return
        who = f"{event.agent} " if event.agent is not None else ""
        extra = f" ({event.data['seconds']} s)" if "seconds" in event.data else ""
        self.write(f"{who}{event.kind}: {event.text}{extra}")

    def write(self, text: str) -> None:
        """Append lines, redacted, flushed: a killed run leaves what it wrote."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        for line in redact(text).splitlines():
            self._stream.write(f"{stamp} {line}\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()
