"""A lab as its users see it: where it is, and how to do something on its node and in its guests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxhermes.lab.node.paths import LabPaths, Slot
from proxhermes.lab.node.process import LabError, Process, run
from proxhermes.lab.node.services import ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Lab:
    """A running instance."""

    paths: LabPaths
    slot: Slot
    init: Process

    @classmethod
    def find(cls, instance: str) -> Lab | None:
        """The instance when its node stands (its services may not); None otherwise."""
        paths = LabPaths(instance)
        init = Process.load(paths.init_file)
        if init is None or not init.alive():
            return None
        return cls(paths, Slot(int(paths.slot_file.read_text())), init)

    @property
    def address(self) -> str:
        """The node's address, reachable from this machine."""
        return self.slot.node_address

    @property
    def client(self) -> Path:
        """The folder with inventory.yaml, token, keys."""
        return self.paths.client

    @property
    def inventory(self) -> Path:
        """An inventory with agent 118 on this node."""
        return self.paths.client / "inventory.yaml"

    def enter(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs `argv` on the node as root, with the node's environment, in /root."""
        if not self.init.alive():
            raise LabError(f"lab {self.paths.instance} does not run")
        if os.geteuid() != 0:
            raise LabError("entering the lab's node needs root (sudo)")
        enter = ["nsenter", "-t", str(self.init.pid), "-m", "-u", "-n", "-p", "--"]
        variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        return [*enter, "env", "-i", "-C", "/root", *variables, *map(str, argv)]

    def run(
        self, argv: Sequence[str | Path], *, check: bool = True, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the node. Raises LabError when it fails (`check`) or takes more than `timeout` seconds."""
        return run(self.enter(argv), check=check, stdin=stdin, timeout=timeout)

    def guest(
        self, vmid: int, argv: Sequence[str], *, check: bool = True, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a running guest, as its root, with an empty environment."""
        attach = ["lxc-attach", "-n", str(vmid), "--clear-env", "--", *argv]
        return self.run(attach, check=check, stdin=stdin, timeout=timeout)

    def inside(self, action: str, *words: str, timeout: float = 120) -> Any:
        """An action of `proxhermes.lab.node.inside` on the node, and what it returns."""
        argv = [sys.executable, "-m", "proxhermes.lab.node.inside", action, self.paths.instance, *words]
        return json.loads(self.run(argv, timeout=timeout).stdout)

    def pvesh(self, *words: str) -> Any:
        """`pvesh get …` on the node, as data."""
        return json.loads(self.run(["pvesh", "get", *words, "--output-format", "json"]).stdout)
