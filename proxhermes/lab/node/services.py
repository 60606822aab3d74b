"""What runs on the node beside its containers: a table of programs, and how they are started, watched and ended.

Used on the node, inside its namespaces (`inside.py`). A service's process is remembered by pid and start time as the
node sees them, so that nothing else is ever taken for it.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from proxhermes.lab.node.paths import LabPaths
from proxhermes.lab.node.process import LabError, Process, wait_until

ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "USER": "root",
    "LOGNAME": "root",
}
"""What a process on the node has in its environment: nothing of whoever brought the lab up."""


@dataclass(frozen=True, slots=True)
class Service:
    """A program in the foreground. `ready` is `tcp://HOST:PORT`, `http://…` or `https://…`; it answers once it is up.

    `files` are written before each start (the folder of each must exist).
    """

    name: str
    argv: tuple[str, ...]
    ready: str
    files: Mapping[Path, str] = field(default_factory=dict)
    deadline: float = 20.0


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether somebody listens (tcp) or answers with a status below 500 (http, https with any certificate)."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "tcp":
            assert parts.hostname and parts.port, "the table names host and port"
            socket.create_connection((parts.hostname, parts.port), timeout=timeout).close()
            return True
        return _status(url, timeout) < 500
    except (OSError, http.client.HTTPException):
        return False


def _status(url: str, timeout: float) -> int:
    # The node's own certificate is not what this asks about.
    context = ssl._create_unverified_context() if url.startswith("https") else None  # noqa: S323
    try:
        with urllib.request.urlopen(url, timeout=timeout, context=context) as answer:  # noqa: S310 - our own table
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


class Keeper:
    """Starts, finds and ends the services of one instance."""

    def __init__(self, paths: LabPaths) -> None:
        self._paths = paths

    def process(self, name: str) -> Process | None:
        """The service's process when it runs."""
        found = Process.load(self._paths.services / f"{name}.json")
        return found if found and found.alive() else None

    def start(self, service: Service) -> None:
        """Start it without waiting; its output goes to its log file."""
        for file, text in service.files.items():
            file.write_text(text)
        with (self._paths.logs / f"{service.name}.log").open("ab") as log:
            child = subprocess.Popen(
                service.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=dict(ENVIRONMENT), cwd="/", start_new_session=True,
            )  # fmt: skip
        Process.of(child.pid).save(self._paths.services / f"{service.name}.json")

    def await_ready(self, service: Service) -> None:
        """Wait until it answers. LabError with its last words when it ends or does not answer in time."""

        def settled() -> bool:
            return self.process(service.name) is None or answers(service.ready)

        what = f"service {service.name} answering at {service.ready}"
        try:
            wait_until(settled, what, seconds=service.deadline)
        except LabError as error:
            raise LabError(f"{error}\n{self.last_words(service.name)}") from error
        if self.process(service.name) is None:
            raise LabError(f"service {service.name} has ended:\n{self.last_words(service.name)}")

    def stop(self, name: str) -> None:
        """End it: ask, then insist after three seconds."""
        process = self.process(name)
        if process is None:
            return
        process.kill(signal.SIGTERM)
        try:
            wait_until(lambda: not process.alive(), f"service {name} ended", seconds=3)
        except LabError:
            process.kill(signal.SIGKILL)
            wait_until(lambda: not process.alive(), f"service {name} ended", seconds=5)

    def last_words(self, name: str, lines: int = 15) -> str:
        """The end of its log."""
        file = self._paths.logs / f"{name}.log"
        if not file.exists():
            return ""
        with file.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 8192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
