"""How a command is found and what is said when there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxhermes.lab.pve.cli import pct, pveum
from proxhermes.lab.pve.cli.tool import Tool, error_text, run
from proxhermes.lab.pve.errors import PveError, bad_parameters
from proxhermes.lab.pve.node import Node


def no_node() -> Node:
    raise AssertionError("no node is needed for this")


@pytest.mark.parametrize(
    ("tool", "words", "name", "rest"),
    [
        (pct.TOOL, ["status", "118"], "status", ["118"]),
        (pct.TOOL, ["stat", "118"], "status", ["118"]),
        (pct.TOOL, ["set", "118", "--cores", "1"], "set", ["118", "--cores", "1"]),
        (pveum.TOOL, ["user", "token", "add", "a@pve", "t1"], "user token add", ["a@pve", "t1"]),
        (pveum.TOOL, ["user", "add", "a@pve"], "user add", ["a@pve"]),
        (pveum.TOOL, ["aclmod", "/vms"], "acl modify", ["/vms"]),
        (pveum.TOOL, ["user", "token", "remove", "a@pve", "t1"], "user token delete", ["a@pve", "t1"]),
    ],
)
def test_finds(tool: Tool, words: list[str], name: str, rest: list[str]) -> None:
    found = tool.find(words)
    assert found is not None
    assert (found[0].name, found[1]) == (name, rest)


@pytest.mark.parametrize("words", [["sta", "118"], ["nosuch"], ["user"]])
def test_does_not_guess(words: list[str]) -> None:
    assert (pveum.TOOL if words == ["user"] else pct.TOOL).find(words) is None


@pytest.mark.parametrize("words", [["clone", "1", "2"], ["template", "118"]])
def test_says_what_it_does_not_offer(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(pct.TOOL, words, no_node) == 255
    assert capsys.readouterr().err == f"pct {words[0]}: not offered by this node\n"


def test_errors_show_every_parameter_and_the_usage() -> None:
    error = bad_parameters({"net0": "invalid format - format error\n", "cores": "bad"})
    assert error_text(error, "pct set <vmid> [OPTIONS]") == (
        "400 Parameter verification failed.\n"
        "cores: bad\n"
        "net0: invalid format - format error\n\n"
        "pct set <vmid> [OPTIONS]\n"
    )
    assert error_text(PveError("CT 101 already running"), "usage") == "CT 101 already running\n"


@pytest.mark.parametrize("tool", ["pct", "pvesm", "pveam", "pvesh", "pveum"])
def test_runs_as_a_program(tool: str) -> None:
    argv = [sys.executable, "-m", f"proxhermes.lab.pve.cli.{tool}"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 255
    assert done.stderr.startswith(f"ERROR: no command specified\nUSAGE: {tool} <COMMAND> [ARGS] [OPTIONS]\n\n")


def test_a_machine_that_is_no_node(tmp_path: Path) -> None:
    """No stack trace: the file that would say which node this is, is named."""
    environment = {**os.environ, "PVE_LAB_FILE": str(tmp_path / "none.json")}
    argv = [sys.executable, "-m", "proxhermes.lab.pve.cli.pct", "list"]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    assert done.returncode == 255
    assert done.stderr == f"this machine is no node of the lab: {tmp_path}/none.json: No such file or directory\n"
