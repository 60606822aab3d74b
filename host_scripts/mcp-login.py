"""Runs `hermes mcp login NAME` on a terminal of its own, in the agent's place, and tells how it goes.

Usage: mcp-login.py NAME HOME SECONDS [force]    HOME: HERMES_HOME; SECONDS: when to give up.
Prints JSON objects, a line each: {"pid": …}, {"url": …} (where the browser goes), {"said": …} (Hermes' own words), and
at the end {"done": true|false, "why": …, "known": true if there was a login already}.

Hermes 0.19 asks for a consent only on a terminal, removes the tokens that it has before it asks for new ones, breaks
off when the server's `connect_timeout` is over (60 s, which is little for a person), and ends with 0 in any case: so it
gets a terminal and a longer time, and what was removed is put back unless new ones came.
"""

from __future__ import annotations

import json
import math
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ADDRESS = re.compile(r"^\s*(https?://\S+[?&]response_type=code\S*)\s*$")
WORDS = re.compile(r"^\s*[✓✗⚠]\s*(.+?)\s*$")


class Stopped(Exception):
    """Somebody asked this process to end."""


def tell(**said: object) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def state_files(home: str, name: str) -> list[Path]:
    """What Hermes keeps of a login: tokens first, then the client's registration and the server's metadata."""
    stem = re.sub(r"[^\w\-]", "_", name).strip("_")[:128] or "default"
    return [Path(home, "mcp-tokens", stem + end) for end in (".json", ".client.json", ".meta.json")]


def put_back(files: dict[Path, bytes | None]) -> None:
    for path, content in files.items():
        path.unlink(missing_ok=True)
        if content is not None:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)


def patient(name: str, seconds: float, folder: Path) -> dict[str, str]:
    """The environment in which Hermes waits `seconds` for the server, by its managed scope, which `folder` becomes.

    Keys of that scope go before config.yaml's, for whoever has this environment: nothing is written for good.
    """
    import yaml  # the agent's Python has it

    present = Path(os.environ.get("HERMES_MANAGED_DIR", "").strip() or "/etc/hermes")
    scope, variables = present / "config.yaml", present / ".env"
    config = yaml.safe_load(scope.read_text()) if scope.exists() else None
    config = config if isinstance(config, dict) else {}
    config.setdefault("mcp_servers", {}).setdefault(name, {})["connect_timeout"] = math.ceil(seconds) + 15
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if variables.exists():
        (folder / ".env").symlink_to(variables)
    return {**os.environ, "HERMES_MANAGED_DIR": str(folder), "NO_COLOR": "1", "TERM": "dumb"}


def lines(name: str, deadline: float, environment: dict[str, str]) -> Generator[str, None, None]:
    """What `hermes mcp login` prints, line by line, until it ends. Raises TimeoutError."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("hermes", ["hermes", "mcp", "login", name], environment)  # noqa: S606 - no shell is needed
    text = ""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if not select.select([terminal], [], [], left)[0]:
                continue
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # how a terminal tells that nobody is at its other end
                chunk = b""
            if not chunk:
                break
            *whole, text = (text + chunk.decode(errors="replace")).split("\n")
            yield from (ESCAPE.sub("", line).rstrip("\r") for line in whole)
        yield ESCAPE.sub("", text)
    finally:
        end(pid)
        os.close(terminal)


def end(pid: int) -> None:
    """End the process if it still runs, insisting after five seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 5
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                break
            os.kill(pid, number)
            time.sleep(0.05)
        else:
            return


def works(name: str) -> bool:
    """Whether the server takes the tokens that are there; without a terminal Hermes asks nobody."""
    done = subprocess.run(
        ["hermes", "mcp", "test", name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return "✓ Connected" in ESCAPE.sub("", done.stdout)


def login(name: str, home: str, seconds: float, force: bool) -> tuple[bool, str, bool]:
    """Whether there is a login now, why (not), and whether it was there before."""
    files = state_files(home, name)
    before = {path: path.read_bytes() if path.exists() else None for path in files}
    try:
        if files[0].exists() and not force and works(name):
            return True, "the server takes the tokens that are there", True
        with TemporaryDirectory() as folder:
            environment = patient(name, seconds, Path(folder))
            done, why = attempt(name, time.monotonic() + seconds, environment)
    except TimeoutError:
        done, why = False, f"nobody consented within {seconds:g} s"
    except Stopped:
        done, why = False, "stopped as asked"
    if not (done and files[0].exists()):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        put_back(before)
        return False, why, False
    return True, why, False


def attempt(name: str, deadline: float, environment: dict[str, str]) -> tuple[bool, str]:
    """Whether Hermes says that the login succeeded, and its last words. Raises TimeoutError, Stopped."""
    why, asked = "Hermes said nothing", False
    with closing(lines(name, deadline, environment)) as said:
        for line in said:
            if found := ADDRESS.match(line):
                if asked:  # it does not take a refusal for an answer, and asks three times more
                    return False, "the consent was not given, or not taken"
                asked = True
                tell(url=found[1])
            elif found := WORDS.match(line):
                why = found[1]
                tell(said=why)
    return why.startswith("Authenticated"), why


def stop(_number: int, _frame: object) -> None:
    raise Stopped


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    tell(pid=os.getpid())
    done, why, known = login(sys.argv[1], sys.argv[2], float(sys.argv[3]), "force" in sys.argv[4:])
    tell(done=done, why=why, known=known)
