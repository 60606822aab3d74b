"""Tasks: UPIDs, their logs under `/var/log/pve/tasks`, the workers that run them, and lists of them.

A worker is a thread (or, for the command line tools, the process itself); its UPID holds the kernel's id of that thread
and that thread's start time, so every process of the node can tell whether it still runs, and a daemon that died leaves
tasks that have visibly ended.
"""

from __future__ import annotations

import re
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxhermes.lab.pve.errors import PveError, RuntimeFailure, TaskFailed, bad_parameters
from proxhermes.lab.pve.files import read_text, write_text
from proxhermes.lab.pve.identity import Identity
from proxhermes.lab.pve.runtime import Log
from proxhermes.lab.pve.site import Site

FOLDER = "/var/log/pve/tasks"
_UPID = re.compile(
    r"UPID:([A-Za-z0-9\-]+):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):([0-9A-Fa-f]{8}):([^:\s]+):([^:\s]*):([^:\s]+):"
)
Work = Callable[[Log], None]


@dataclass(frozen=True, slots=True)
class Upid:
    """A parsed UPID; `user` is the whole `user@realm!token`."""

    text: str
    node: str
    pid: int
    pstart: int
    starttime: int
    kind: str
    id: str
    user: str

    def describe(self) -> dict[str, Any]:
        """The fields that every answer about a task has."""
        user, _, token = self.user.partition("!")
        fields = {"upid": self.text, "node": self.node, "type": self.kind, "id": self.id, "user": user}
        fields |= {"tokenid": token} if token else {}
        return {**fields, "pid": self.pid, "pstart": self.pstart, "starttime": self.starttime}


def parse_upid(text: str) -> Upid:
    """A UPID's parts; PveError 400 `unable to parse worker upid`."""
    found = _UPID.fullmatch(text)
    if not found:
        raise bad_parameters({"upid": "unable to parse worker upid"})
    pid, pstart, starttime = (int(found[group], 16) for group in (2, 3, 4))
    return Upid(text, found[1], pid, pstart, starttime, found[5], found[6], found[7])


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of one node."""

    site: Site

    def run(self, who: Identity, kind: str, subject: str, work: Work, console: Log | None = None) -> str:
        """Start a task and return its UPID; with `console` it runs now, and its failure is a TaskFailed."""
        if console:
            upid = self._register(who, kind, subject)
            failure = self._work(upid, work, console)
            if failure:
                raise TaskFailed(failure.message, upid.text)
            return upid.text
        registered = threading.Event()
        made: list[Upid] = []

        def worker() -> None:
            made.append(self._register(who, kind, subject))
            registered.set()
            self._work(made[0], work, None)

        # Daemonic: a node that ends takes its tasks with it, and they show as ended.
        threading.Thread(target=worker, name=f"task-{kind}-{subject}", daemon=True).start()
        registered.wait()
        return made[0].text

    def _register(self, who: Identity, kind: str, subject: str) -> Upid:
        pid = threading.get_native_id()
        numbers = f"{pid:08X}:{_started(pid) or 0:08X}:{int(time.time()):08X}"
        upid = parse_upid(f"UPID:{self.site.name}:{numbers}:{kind}:{subject}:{who.name}:")
        write_text(self.log_path(upid), "")
        with self.site.lock(f"{FOLDER}/.lock"):
            self._write_active([*self._active(), upid.text])
        return upid

    def _work(self, upid: Upid, work: Work, console: Log | None) -> TaskFailed | None:
        failure: TaskFailed | None = None
        with self.log_path(upid).open("a", encoding="utf-8", buffering=1) as stream:

            def log(line: str) -> None:
                if self.stop_path(upid).exists():
                    raise RuntimeFailure("interrupted by signal")
                stream.write(line.rstrip("\n") + "\n")
                if console:
                    console(line.rstrip("\n"))

            try:
                work(log)
                status, last = "OK", "TASK OK"
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the task must be seen to have ended
                failure = TaskFailed(str(error) or type(error).__name__, upid.text)
                if not isinstance(error, PveError | RuntimeFailure):
                    traceback.print_exc()
                status = failure.message.splitlines()[0] if failure.message else "unknown error"
                last = f"TASK ERROR: {failure.message}"
            stream.write(last + "\n")
        self._finish(upid, status)
        return failure

    def _finish(self, upid: Upid, status: str) -> None:
        self.stop_path(upid).unlink(missing_ok=True)
        with self.site.lock(f"{FOLDER}/.lock"):
            if upid.text not in self._active():
                return
            # In this order, so that whoever finds it active no more finds it here.
            with self.site.real(f"{FOLDER}/index").open("a", encoding="utf-8") as index:
                index.write(f"{upid.text} {int(time.time()):08X} {status}\n")
            self._write_active([text for text in self._active() if text != upid.text])

    def stop(self, upid: Upid) -> None:
        """Ask a running task to end; it does at its next line."""
        if self.is_running(upid):
            write_text(self.stop_path(upid), "")

    def is_running(self, upid: Upid) -> bool:
        """Whether the worker lives and has not written its end."""
        return _started(upid.pid) == upid.pstart and self._end(upid) is None

    def status(self, upid: Upid) -> dict[str, Any]:
        """The answer of `GET …/tasks/UPID/status`; PveError 400 `no such task`."""
        if not self.log_path(upid).exists():
            raise bad_parameters({"upid": "no such task"})
        if self.is_running(upid):
            return {**upid.describe(), "status": "running"}
        return {**upid.describe(), "status": "stopped", "exitstatus": self._end(upid) or "unexpected status"}

    def _end(self, upid: Upid) -> str | None:
        last = (read_text(self.log_path(upid)).splitlines() or [""])[-1]
        if last == "TASK OK":
            return "OK"
        found = re.match(r"TASK (ERROR|WARNINGS): (.*)", last)
        return None if not found else found[2] if found[1] == "ERROR" else f"WARNINGS: {found[2]}"

    def log_lines(self, upid: Upid) -> list[str] | None:
        """The lines so far; None without a log."""
        path = self.log_path(upid)
        return read_text(path).splitlines() if path.exists() else None

    def active(self) -> list[Upid]:
        """What runs, newest first. Tasks whose process died are written down as ended on the way."""
        running = []
        for text in self._active():
            upid = parse_upid(text)
            if _started(upid.pid) == upid.pstart:
                running.append(upid)
            else:
                self._finish(upid, self._end(upid) or "unexpected status")
        return running[::-1]

    def archive(self) -> list[tuple[Upid, int, str]]:
        """What has ended, newest first: UPID, time of the end, status."""
        entries = []
        for line in read_text(self.site.real(f"{FOLDER}/index")).splitlines():
            text, end, status = line.split(" ", 2)
            entries.append((parse_upid(text), int(end, 16), status))
        return entries[::-1]

    def log_path(self, upid: Upid) -> Path:
        """The log's file: a folder for each last digit of the process' start time, as on a real node."""
        return self.site.real(f"{FOLDER}/{upid.pstart & 0xF:X}/{upid.text}")

    def stop_path(self, upid: Upid) -> Path:
        """The mark that asks a task to end."""
        return self.site.real(f"{FOLDER}/.stop-{upid.pid:X}-{upid.pstart:X}")

    def _active(self) -> list[str]:
        return read_text(self.site.real(f"{FOLDER}/active")).split()

    def _write_active(self, upids: list[str]) -> None:
        write_text(self.site.real(f"{FOLDER}/active"), "".join(f"{upid}\n" for upid in upids))


def _started(pid: int) -> int | None:
    """When a thread or process started (clock ticks since boot); None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])
