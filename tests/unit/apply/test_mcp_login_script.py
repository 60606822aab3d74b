"""The login's helper, run as it is in the agent's place, beside a `hermes` that behaves as 0.19 does: forgetful."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from guest_bundle import lay_out

from proxhermes.transport.scripts import script

SCRIPT = Path(__file__).parents[3] / "host_scripts" / "mcp-login.py"
ADDRESS = "https://login.example.com/authorize?response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3APORT%2Fcallback"
HERMES = f"""#!{sys.executable}
import http.server, os, pathlib, sys, time, yaml
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

class Back(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        (tokens / "came").write_text(self.path)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Back, bind_and_activate=False)
server.server_bind()
print("    {ADDRESS}".replace("PORT", str(server.server_port)), file=sys.stderr)
if how == "browser":
    time.sleep(0.3)  # as Hermes: it listens a moment later
    server.server_activate()
    server.handle_request()
    how = "allow"
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
    """HERMES_HOME with an old login to `lab`, the command, and what the agent has laid out for who imports it."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "hermes"
    command.write_text(HERMES)
    command.chmod(0o755)
    for module in ("pty", "json", "yaml", "os", "sitecustomize"):
        (tmp_path / f"{module}.py").write_text("import os; os.write(1, b'HIJACKED')\n")
    folder = tmp_path / "mcp-tokens"
    folder.mkdir()
    for name in ("lab.json", "lab.client.json"):
        (folder / name).write_text("old")
        (folder / name).chmod(0o600)
    return tmp_path


def start(home: Path, how: str, *argv: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "HERMES_HOME": str(home), "HOW": how, "TMPDIR": str(home)}
    command = [sys.executable, "-I", "-S", "-c", script("mcp-login.py").decode()]
    command += [str(home / "bin" / "hermes"), "lab", str(home), *argv]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, cwd=home, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def say(run: subprocess.Popen[str], line: str) -> None:
    assert run.stdin is not None
    run.stdin.write(line)
    run.stdin.flush()


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
    assert any(re.fullmatch(ADDRESS.replace("PORT", r"\d+").replace("?", r"\?"), each.get("url", "")) for each in told)
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


@pytest.mark.parametrize("how", ["stop", "the end"])
def test_somebody_stops_it(home: Path, how: str) -> None:
    """The connection that is lost is the end of its input."""
    run = start(home, "waits", "60", "force")
    lines = said(run)
    assert "url" in next(lines)
    assert run.stdin is not None
    if how == "stop":
        say(run, "stop\n")
    else:
        run.stdin.close()
    assert list(lines)[-1] == {"done": False, "why": "stopped as asked", "known": False}
    assert run.wait(30) == 0
    assert files(home) == OLD


def test_what_the_browser_brings_goes_to_the_address_that_hermes_waits_at(home: Path) -> None:
    run = start(home, "browser", "60", "force")
    lines = said(run)
    assert "url" in next(lines)
    say(run, "/callback?code=secret&state=s\n")
    rest = list(lines)
    assert rest[-1]["done"] is True and "secret" not in str(rest)
    assert (home / "mcp-tokens" / "came").read_text() == "/callback?code=secret&state=s"


def test_a_login_that_works_is_left_alone(home: Path) -> None:
    _, last = result(home, "works", "30")
    assert (last["done"], last["known"]) == (True, True)
    assert files(home) == OLD


def test_one_that_is_void_is_asked_for_again(home: Path) -> None:
    _, last = result(home, "allow", "30")
    assert (last["done"], last["known"]) == (True, False)
    assert files(home)["lab.json"] == "new"


def test_a_managed_scope_that_is_there_stays_in_force(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads YAML here, so it is not added to; what Hermes waits then is what that scope says."""
    module, made = runpy.run_path(str(SCRIPT)), home / "made"
    made.mkdir()
    monkeypatch.setenv("HERMES_MANAGED_DIR", str(home / "scope"))
    (home / "scope").mkdir()
    (home / "scope" / ".env").write_text("A=1\n")
    assert module["patient"]("lab", 10, made)["HERMES_MANAGED_DIR"] == str(made)
    assert yaml.safe_load((made / "config.yaml").read_text()) == {"mcp_servers": {"lab": {"connect_timeout": 25}}}
    assert (made / ".env").read_text() == "A=1\n"
    (home / "scope" / "config.yaml").write_text("model: {default: pinned}\n")
    assert module["patient"]("lab", 10, made)["HERMES_MANAGED_DIR"] == str(home / "scope")


def in_guest(home: Path, how: str, *argv: str) -> subprocess.Popen[str]:
    """The guest's script, with a Docker that runs what it is given right here."""
    (home / "bin" / "python").symlink_to(sys.executable)
    bundle = lay_out(home / "bundle", home / "project", docker='[ "$1" = exec ] || exit 1; shift 5; exec "$@"')
    entry = bundle / "guest-mcp-login.sh"
    entry.write_text(entry.read_text().replace("/run/proxhermes.login", str(home / "inbox")))
    with (bundle / "agent.sh").open("a") as names:
        names.write(f"python={home}/bin/python inner_home={home}\n")
    environment = {"PATH": f"{bundle}:{os.environ['PATH']}", "HERMES_HOME": str(home), "HOW": how, "TMPDIR": str(home)}
    pipe = subprocess.PIPE
    words = ("sh", "./guest-mcp-login.sh", "lab", *argv)
    return subprocess.Popen(
        words, cwd=bundle, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    )


def test_the_guests_script_marks_what_the_agent_may_have_written(home: Path) -> None:
    out, err = in_guest(home, "works", "30", "5").communicate(timeout=60)
    ready, *told = out.splitlines()
    assert (ready, err) == ("ready", "")
    assert told and all(line.startswith("login: {") for line in told)
    assert not (home / "inbox").exists()


def test_the_login_is_spoken_to_through_the_guests_script(home: Path) -> None:
    run = in_guest(home, "waits", "60", "5", "force")
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    assert '"url"' in run.stdout.readline()
    assert (home / "inbox").stat().st_mode & 0o777 == 0o600
    subprocess.run(
        ["dd", f"of={home / 'inbox'}", "conv=nocreat,notrunc", "status=none"], input=b"stop\n", timeout=10, check=True
    )
    assert '"why": "stopped as asked"' in run.stdout.read()
    assert run.wait(30) == 0
    assert files(home) == OLD


def test_a_login_whose_guest_dies_puts_back_what_it_removed(home: Path) -> None:
    run = in_guest(home, "waits", "60", "5", "force")
    assert run.stdout is not None
    while '"url"' not in run.stdout.readline():
        pass
    run.kill()
    assert "stopped as asked" in run.stdout.read()
    assert files(home) == OLD
