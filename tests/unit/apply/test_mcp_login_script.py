"""The login's helper, run for real beside a `hermes` that behaves as 0.19: on a terminal only, forgetful, always 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxhermes.transport.scripts import script

ADDRESS = "https://login.example.com/authorize?response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A4000%2Fcallback"
HERMES = f"""#!{sys.executable}
import os, pathlib, sys, time, yaml
tokens = pathlib.Path(os.environ["HERMES_HOME"], "mcp-tokens")
how = os.environ["HOW"]
name = sys.argv[3]
if sys.argv[2] == "test":
    print("  ✓ Connected (1ms)" if how == "works" else "  ✗ Connection failed: expired")
    sys.exit()
assert sys.argv[1:3] == ["mcp", "login"] and sys.stdin.isatty()
scope = yaml.safe_load(pathlib.Path(os.environ["HERMES_MANAGED_DIR"], "config.yaml").read_text())
(tokens / "patience").write_text(str(scope["mcp_servers"][name]["connect_timeout"]))
for end in (".json", ".client.json", ".meta.json"):
    (tokens / (name + end)).unlink(missing_ok=True)
print("\\x1b[2m  Starting OAuth flow for 'lab'...\\x1b[0m")
print("    {ADDRESS}", file=sys.stderr)
if how == "waits":
    time.sleep(60)
if how == "allow":
    (tokens / (name + ".client.json")).write_text("new client")
    (tokens / (name + ".json")).write_text("new")
    print("\\x1b[32m  ✓ Authenticated — 4 tool(s) available\\x1b[0m")
elif how == "deny":
    for _ in range(4):
        print("    {ADDRESS}", file=sys.stderr)
    time.sleep(60)
elif how == "half":
    (tokens / (name + ".client.json")).write_text("new client")
    print("  ⚠ Server responded, but no OAuth token was obtained")
else:
    print("  ✗ Authentication failed: no such server")
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """HERMES_HOME with an old login to `lab`, and the command on the way to it."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "hermes"
    command.write_text(HERMES)
    command.chmod(0o755)
    folder = tmp_path / "mcp-tokens"
    folder.mkdir()
    for name in ("lab.json", "lab.client.json"):
        (folder / name).write_text("old")
        (folder / name).chmod(0o600)
    return tmp_path


def start(home: Path, how: str, *argv: str) -> subprocess.Popen[str]:
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    environment = {"PATH": path, "HERMES_HOME": str(home), "HOW": how, "TMPDIR": str(home)}
    command = [sys.executable, "-c", script("mcp-login.py").decode(), "lab", str(home), *argv]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def said(run: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert run.stdout is not None
    yield from (json.loads(line) for line in run.stdout)


def result(home: Path, how: str, *argv: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What it told, and its last word."""
    run = start(home, how, *(argv or ("30", "force")))
    told = list(said(run))
    _, err = run.communicate(timeout=30)
    assert (run.returncode, err) == (0, "")
    return told, told[-1]


def files(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (home / "mcp-tokens").glob("lab*")}


OLD = {"lab.json": "old", "lab.client.json": "old"}


def test_a_consent_gives_new_tokens(home: Path) -> None:
    told, last = result(home, "allow")
    assert {"url": ADDRESS} in told
    assert last == {"done": True, "why": "Authenticated — 4 tool(s) available", "known": False}
    assert files(home) == {"lab.json": "new", "lab.client.json": "new client"}
    assert (home / "mcp-tokens" / "patience").read_text() == "45", "longer than a person needs to make up their mind"
    assert list(home.glob("tmp*")) == [], "the scope that makes Hermes patient goes with the login"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("deny", "not given"),
        ("broken", "no such server"),
        ("half", "no OAuth token"),
        ("waits", "nobody consented within 1 s"),
    ],
)
def test_what_comes_to_nothing_leaves_what_was_there(home: Path, how: str, why: str) -> None:
    _, last = result(home, how, "1" if how == "waits" else "30", "force")
    assert (last["done"], why in last["why"]) == (False, True)
    assert files(home) == OLD
    assert (home / "mcp-tokens" / "lab.json").stat().st_mode & 0o777 == 0o600


def test_a_first_login_that_fails_leaves_nothing(home: Path) -> None:
    for path in (home / "mcp-tokens").glob("lab*"):
        path.unlink()
    assert result(home, "half", "30")[1]["done"] is False
    assert files(home) == {}


def test_somebody_stops_it(home: Path) -> None:
    run = start(home, "waits", "60", "force")
    lines = said(run)
    pid = next(line["pid"] for line in lines if "pid" in line)
    assert "url" in next(lines)
    os.kill(pid, signal.SIGTERM)
    assert list(lines)[-1] == {"done": False, "why": "stopped as asked", "known": False}
    run.communicate(timeout=30)
    assert files(home) == OLD


def test_a_login_that_works_is_left_alone(home: Path) -> None:
    _, last = result(home, "works", "30")
    assert (last["done"], last["known"]) == (True, True)
    assert files(home) == OLD


def test_one_that_is_void_is_asked_for_again(home: Path) -> None:
    _, last = result(home, "allow", "30")
    assert (last["done"], last["known"]) == (True, False)
    assert files(home)["lab.json"] == "new"


def test_a_managed_scope_that_is_there_stays_in_force(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = home / "scope"
    scope.mkdir()
    (scope / "config.yaml").write_text("model: {default: pinned}\n")
    (scope / ".env").write_text("A=1\n")
    code = (
        f"{script('mcp-login.py').decode().partition('if __name__')[0]}\n"
        "import yaml\n"
        "env = patient('lab', 10, Path(sys.argv[1]))\n"
        "print(yaml.safe_load(Path(sys.argv[1], 'config.yaml').read_text()), Path(sys.argv[1], '.env').read_text())\n"
    )
    (home / "made").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(home / "made")],
        env={"HERMES_MANAGED_DIR": str(scope), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout == "{'mcp_servers': {'lab': {'connect_timeout': 25}}, 'model': {'default': 'pinned'}} A=1\n\n"
