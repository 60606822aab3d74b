"""Replays the recorded command lines on a node in a folder: same order, same surroundings, same exit codes and texts.

Commands run in this process. `pct exec`, `enter`, `push` and `pull` run in a fork of it with real file descriptors, in
a guest of real namespaces (`local_guest`), because they end in another program or enter the guest.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import local_guest
from cli_recordings import Answer, Step

from proxhermes.lab.pve.cli import pct, pveam, pvesh, pvesm, pveum
from proxhermes.lab.pve.cli.tool import Tool, run
from proxhermes.lab.pve.containers import Containers
from proxhermes.lab.pve.node import Node
from proxhermes.lab.pve.storage import Storages

TOOLS: dict[str, Tool] = {tool.name: tool for tool in (pct.TOOL, pveam.TOOL, pvesh.TOOL, pvesm.TOOL, pveum.TOOL)}
IN_GUEST = {"exec", "enter", "push", "pull"}
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f someone@somewhere\n"
LOCK_HELD = "another process holds /run/lock/lxc/pve-config-324.lock"


@dataclass(slots=True)
class Replay:
    """A node in `folder` and what stood around the recorded one."""

    node: Node
    folder: Path

    @property
    def here(self) -> dict[str, str]:
        """Paths of the recording machine's /tmp that stand for files of the recording."""
        names = ("recpush", "key.pub", "no-dir", "no-such-file")
        return {f"/tmp/{name}": str(self.folder / "tmp" / name) for name in names}

    def prepare(self) -> None:
        """The files that the recorded commands name."""
        (self.folder / "tmp/recpush").mkdir(parents=True)
        (self.folder / "tmp/recpush/a.txt").write_text("hello ü\n")
        (self.folder / "tmp/key.pub").write_text(PUBLIC_KEY)

    def answer(self, step: Step) -> Answer:
        """Run one step; paths of this run are given back as the recording has them."""
        argv = [self._outward(word) for word in step.argv]
        with self._surroundings(step):
            in_guest = argv[0] == "pct" and argv[1:2] and argv[1] in IN_GUEST
            said = self._forked(argv, step) if in_guest else self._called(argv)
        return Answer(said.rc, cut(self._inward(said.stdout)), cut(self._inward(said.stderr)))

    def _outward(self, word: str) -> str:
        for recorded, real in self.here.items():
            word = word.replace(recorded, real)
        return self.digest() if word == "<digest>" else word

    def _inward(self, text: str) -> str:
        for recorded, real in self.here.items():
            text = text.replace(real, recorded)
        return text

    def digest(self) -> str:
        """The digest of the recorded container's configuration."""
        return self.containers.load(324).digest

    def rescan(self) -> None:
        """What `pct rescan` did to CT 324, a command that this node does not offer: its bind mount got a size."""
        config = self.containers.load(324)
        options = {**config.options, "mp0": f"{config.options['mp0']},size=0T"}
        self.containers.save(324, config.changed(options))

    def end_guest(self) -> None:
        """A guest that was asked to shut down without being waited for has ended before the next command looks."""
        self.node.runtime.stop(324)

    def give_address(self) -> None:
        """What `ip -j addr` says in the recorded guest just after its start: no address of its own yet."""
        hardware = re.search(r"hwaddr=([0-9A-F:]+)", self.containers.load(324).options["net0"])
        assert hardware
        parts = hardware[1].lower().split(":")
        local = f"fe80::be24:11ff:fe{parts[3]}:{int(parts[4] + parts[5], 16):x}"
        loop = [
            {"family": "inet", "local": "127.0.0.1", "prefixlen": 8},
            {"family": "inet6", "local": "::1", "prefixlen": 128},
        ]
        card = [{"family": "inet6", "local": local, "prefixlen": 64}]
        runtime: Any = self.node.runtime
        runtime.cards = [
            {"ifname": "lo", "address": "00:00:00:00:00:00", "addr_info": loop},
            {"ifname": "eth0", "address": hardware[1].lower(), "addr_info": card},
        ]

    @property
    def containers(self) -> Containers:
        return Containers(self.node.site, Storages(self.node.site))

    @contextlib.contextmanager
    def _surroundings(self, step: Step) -> Iterator[None]:
        if step.note != LOCK_HELD:
            yield
            return
        file = self.node.site.real("/run/lock/lxc/pve-config-324.lock")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _called(self, argv: list[str]) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            rc = run(TOOLS[argv[0]], argv[1:], lambda: self.node)
        return Answer(rc, out.getvalue(), err.getvalue())

    def _forked(self, argv: list[str], step: Step) -> Answer:
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            source.write(os.urandom(100000) if step.stdin == "<binary>" else (step.stdin or "").encode())
            source.seek(0)
            child = os.fork()
            if child == 0:
                self._child(argv, step, [source.fileno(), out.fileno(), err.fileno()])
            status = os.waitpid(child, 0)[1]
            out.seek(0)
            err.seek(0)
            return Answer(os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode())

    def _child(self, argv: list[str], step: Step, streams: list[int]) -> None:
        rc = 70
        try:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            os.environ.clear()
            os.environ.update({**RECORDED_ENVIRONMENT, **step.env})
            os.chdir("/")
            rc = run(TOOLS[argv[0]], argv[1:], lambda: self.node)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(rc)


def cut(text: str, most: int = 9000) -> str:
    """Long outputs are recorded with their beginning and their length."""
    return text if len(text) <= most else f"{text[:most]}\n<cut, {len(text)} characters in all>"


RECORDED_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
}


@dataclass(slots=True)
class Guests:
    """Guests for a runtime that has none of its own: started when first entered, ended with the container."""

    folder: Path
    share: Path
    running: dict[int, local_guest.LocalGuest] = field(default_factory=dict)

    def pid(self, vmid: int) -> int:
        """The pid of the guest's first process."""
        if vmid not in self.running:
            root = self.folder / f"guest-{vmid}"
            self.running[vmid] = local_guest.start(root, f"rec-{vmid}", {"/mnt/share": self.share})
        return self.running[vmid].pid

    def end(self, vmid: int) -> None:
        """End it, if it was ever entered."""
        if vmid in self.running:
            self.running.pop(vmid).stop()


def with_guests(runtime: Any, guests: Guests) -> Any:
    """The runtime, with guests that can be entered."""
    stop, is_running = runtime.stop, runtime.is_running

    def ended(vmid: int) -> None:
        guests.end(vmid)
        stop(vmid)

    runtime.stop = ended
    runtime.init_pid = lambda vmid: guests.pid(vmid) if is_running(vmid) else None
    runtime.attach_argv = lambda vmid, argv, *, keep_env: local_guest.attach_argv(
        guests.pid(vmid), argv, keep_env=keep_env
    )
    return runtime


def is_json(step: Step) -> bool:
    """Whether the step asks for JSON."""
    return bool(re.search(r"--output-format json(?!-)", " ".join(step.argv)))
