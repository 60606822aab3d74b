"""Running commands, naming processes so that a reused pid is not mistaken for them, and waiting for conditions."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


class LabError(Exception):
    """Something the lab could not do; the text says what, and what the machine answered."""


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture what it says. Raises LabError with its output when it fails (`check`) or hangs."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True, text=True, errors="replace", env=env, timeout=timeout, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise LabError(f"{words[0]}: no such command on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words)}: not finished after {timeout:g} s") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"{' '.join(words)}: exit {done.returncode}: {said}")
    return done


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float, every: float = 0.05) -> None:
    """Ask `condition` until it is true; LabError naming `what` when it is not after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not so after {seconds:g} s")
        time.sleep(every)


def start_time(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Clock ticks after boot at which `pid` started (`proc(5)`, stat field 22); None when it does not run."""
    try:
        stat = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True, slots=True)
class Process:
    """A pid with its start time: together they name one process for good."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int, proc: Path = Path("/proc")) -> Process:
        """The running process `pid`; LabError when it has ended."""
        start = start_time(pid, proc)
        if start is None:
            raise LabError(f"process {pid} has ended")
        return cls(pid, start)

    @classmethod
    def load(cls, file: Path) -> Process | None:
        """The process that `file` names; None without a readable file."""
        try:
            data = json.loads(file.read_text())
            return cls(int(data["pid"]), int(data["start"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, file: Path) -> None:
        """Write it to `file` in one step."""
        write_atomically(file, json.dumps(asdict(self)) + "\n")

    def alive(self, proc: Path = Path("/proc")) -> bool:
        """Whether exactly this process still runs."""
        return start_time(self.pid, proc) == self.start

    def kill(self, signal: int) -> None:
        """Send `signal` to exactly this process; nothing when it has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                signal_pidfd(handle, signal)
        finally:
            os.close(handle)


def signal_pidfd(handle: int, signal: int) -> None:
    """Signal the process behind a pidfd; one that has ended meanwhile is no error."""
    import signal as signals

    try:
        signals.pidfd_send_signal(handle, signal)
    except ProcessLookupError:
        return


def write_atomically(file: Path, text: str, mode: int = 0o644) -> None:
    """Replace `file` by `text` with `mode`, so that a reader sees the old or the new whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "w") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
    draft.replace(file)
