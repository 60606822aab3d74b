"""The stage for the stories: one node of real containers for the whole run, taken down at its end.

A run that dies leaves a lab behind. The next one clears it, and so does `proxhermes lab down --instance test`, which
`make lab-test` calls at the end in any case.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxhermes.lab.images import docker
from proxhermes.lab.node import lifecycle
from proxhermes.lab.node.lab import Lab

PROXHERMES = Path(sys.executable).parent / "proxhermes"
INSTANCE = "-".join(
    [os.environ.get("PROXHERMES_TEST_INSTANCE", "test"), *filter(None, [os.environ.get("PYTEST_XDIST_WORKER")])]
)
"""Files may run side by side (`pytest -n 2 --dist loadfile`), each worker with a node of its own."""

LONG = (
    *("test_native", "test_mcp", "test_versions", "test_upgrade", "test_persistence", "test_story", "test_create"),
    *("test_persistent", "test_package", "test_bootstrap"),
)
"""The stories that take longest."""

WITH_DOCKER = {"template": f"local:vztmpl/{docker.NAME}"}
"""For `agent`: made from a template that has Docker, where its installation is not what the story is about."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long stories first, so that no node is left alone with one at the end.

    Without root there is nothing to stage; in CI that is a failure, not an excuse.
    """
    items.sort(key=lambda item: LONG.index(name) if (name := item.path.stem) in LONG else len(LONG))
    if os.geteuid() == 0:
        return
    if os.environ.get("CI"):
        raise pytest.UsageError("tests/lab needs root, and CI must not skip it")
    for item in items:
        item.add_marker(pytest.mark.skip(reason="real containers need root"))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    lifecycle.down(INSTANCE)
    yield lifecycle.up(INSTANCE, say=lambda line: print(line, file=sys.stderr))
    lifecycle.down(INSTANCE)


@dataclass
class Operator:
    """Somebody at a workstation: an inventory in a folder, an environment, and the command."""

    lab: Lab
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.yaml"

    def write(self, change: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Write the lab's inventory, with `change` made to it."""
        document = yaml.safe_load(self.lab.inventory.read_text())
        if change is not None:
            change(document)
        self.inventory.write_text(yaml.safe_dump(document, sort_keys=False))

    @property
    def _environ(self) -> dict[str, str]:
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("PROXMOX", "PROXHERMES"))}
        return plain | {"XDG_STATE_HOME": str(self.folder / "state"), "HOME": str(self.folder)} | self.environment

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Begin a run, for those who do not wait for its end."""
        return subprocess.Popen(
            [PROXHERMES, *argv],
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str, code: int | None = 0, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run to the end; `code` is the exit code that is expected, None for any."""
        process = self.start(*argv)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{argv} took more than {timeout} s\n{out}\n{err}") from None
        print("$ proxhermes", *argv, f"\n{out}{err}")  # shown with the story if it fails
        done = subprocess.CompletedProcess(argv, process.returncode, out, err)
        if code is not None:
            assert done.returncode == code, f"{argv} ended with {done.returncode}\n--- stdout\n{out}\n--- stderr\n{err}"
        return done

    def json(self, *argv: str, code: int | None = 0) -> Any:
        return json.loads(self.run(*argv, "--json", code=code).stdout)

    def guest(self, script: str, *, vmid: int, check: bool = True) -> str:
        """What a script prints in the guest."""
        return str(self.lab.guest(vmid, ["sh", "-euc", script], check=check).stdout)

    def ask(
        self,
        prompt: str,
        *,
        vmid: int,
        home: str = "/opt/hermes/data",
        inside: Sequence[str] = ("docker", "exec", "-i", "hermes"),
    ) -> str:
        """What the agent's gateway answers, asked through its own API from `inside` its place with the key in .env.

        (`hermes chat` would be another agent, which works in the folder that it is started in.)
        """
        key = re.search(r"^API_SERVER_KEY='?([^'\n]+)", self.guest(f"cat {home}/.env", vmid=vmid), re.MULTILINE)
        assert key
        body = json.dumps({"model": "hermes-agent", "messages": [{"role": "user", "content": prompt}]})
        request = (
            f'header = "Authorization: Bearer {key[1]}"\nheader = "Content-Type: application/json"\n'
            f"url = http://127.0.0.1:8642/v1/chat/completions\ndata = {json.dumps(body)}\n"
        )
        answer = self.lab.guest(vmid, [*inside, "curl", "-sS", "-m", "120", "-K", "-"], stdin=request).stdout
        return str(json.loads(answer)["choices"][0]["message"]["content"])

    def logs(self) -> str:
        """All that the runs wrote to their logs."""
        return "".join(path.read_text() for path in sorted((self.folder / "state").rglob("*.log")))


@pytest.fixture
def operator(lab: Lab, tmp_path: Path) -> Operator:
    """An operator of one's own, with the lab's inventory."""
    someone = Operator(lab, tmp_path)
    someone.write()
    return someone


def agent(document: dict[str, Any], vmid: int, **change: Any) -> dict[str, Any]:
    """Make `vmid` the only agent of a document, on folders of its own; `change` replaces keys.

    One whose tools are installed gets few of them, unless it says otherwise: ffmpeg alone takes half a minute.
    """
    if (change.get("runtime") or {}).get("type") in ("native", "persistent"):
        change["runtime"] = {"tools": "minimal", **change["runtime"]}
    (template,) = document["agents"].values()
    mounts = [{"host": f"/mnt/pve/hdd/agent-{vmid}", "guest": "/data"}]
    document["agents"] = {vmid: template | {"hostname": f"agent-{vmid}", "mounts": mounts} | change}
    return document["agents"][vmid]  # type: ignore[no-any-return]


def init_pid(lab: Lab, vmid: int) -> int:
    """The guest's init on the node: another one is another boot."""
    return int(lab.pvesh(f"/nodes/gihyeon/lxc/{vmid}/status/current")["pid"])
