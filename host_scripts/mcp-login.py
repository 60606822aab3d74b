"""Runs `hermes mcp login NAME` on a terminal of its own, in the agent's place, and tells how it goes.

Usage: mcp-login.py HERMES NAME HOME SECONDS [force]
HERMES: the command; HOME: HERMES_HOME; SECONDS: when to give up.
Standard input: a line that begins with `/` is what the owner's browser asks of Hermes' loopback address, and goes
there; any other line, and the end, are a stop.
Prints JSON objects, a line each: {"url": …} (where the browser goes), {"said": …} (Hermes' own words), and at the end
{"done": true|false, "why": …, "known": true if there was a login already}.

Runs as `python -I -S -c`: the standard library alone, no module of the agent's and none of its workspace.

Hermes removes the tokens that it has before it asks for new ones, and ends with 0 in any case; 0.19 asks for a consent
on a terminal only. So it gets a terminal, and what was removed is put back unless new ones came.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ADDRESS = re.compile(r"^\s*(https?://\S+[?&]response_type=code\S*)\s*$")
WORDS = re.compile(r"^\s*[✓✗⚠]\s*(.+?)\s*$")
SHORT, LONG = 300, 65536
"""Characters of what is told, and bytes of what is read at a time."""
TRIAL_S, REACH_S, END_S = 90, 20, 5


class Stopped(Exception):
    """Somebody asked this process to end."""


def tell(**said: object) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


class Browser:
    """The owner's: what it brings comes on standard input, for it holds the code."""

    port = 0

    def expect(self, address: str) -> None:
        """It was sent to `address`, which says where it comes back to."""
        back = parse_qs(urlsplit(address).query).get("redirect_uri", [""])[0]
        self.port = urlsplit(back).port or 80

    def follow(self) -> None:
        """Hand over what comes, until there is a stop."""
        while (line := sys.stdin.readline(LONG)).startswith("/"):
            self.deliver(line.strip())
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGTERM)

    def deliver(self, target: str) -> None:
        """Hermes tells the address a moment before it listens there."""
        ends = time.monotonic() + REACH_S
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REACH_S)
            try:
                connection.request("GET", target)
                connection.getresponse().read(LONG)
                return
            except ConnectionRefusedError:
                if time.monotonic() > ends:
                    tell(said="nobody took what the browser brought")
                    return
                time.sleep(0.1)
            except (OSError, http.client.HTTPException) as error:
                tell(said=f"what the browser brought was not taken: {type(error).__name__}")
                return
            finally:
                connection.close()


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

    0.19 breaks off after the server's `connect_timeout`, 60 s by default, which is little for a person; 0.22 does not
    (hermes_cli/mcp_config.py). A scope that is there already stays, and with it its time. The file is YAML, as JSON is.
    """
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "dumb"}
    present = Path(os.environ.get("HERMES_MANAGED_DIR", "").strip() or "/etc/hermes")
    if (present / "config.yaml").exists():
        return environment
    scope = {"mcp_servers": {name: {"connect_timeout": math.ceil(seconds) + 15}}}
    (folder / "config.yaml").write_text(json.dumps(scope))
    if (present / ".env").exists():
        (folder / ".env").symlink_to(present / ".env")
    return environment | {"HERMES_MANAGED_DIR": str(folder)}


def lines(argv: list[str], deadline: float, environment: dict[str, str]) -> Generator[str, None, None]:
    """What a command prints on its terminal, line by line, until it ends. Raises TimeoutError."""
    terminal, inner = pty.openpty()
    process = subprocess.Popen(argv, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True)
    os.close(inner)
    text = ""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if not select.select([terminal], [], [], left)[0]:
                continue
            try:
                chunk = os.read(terminal, LONG)
            except OSError:  # how a terminal tells that nobody is at its other end
                chunk = b""
            if not chunk:
                break
            *whole, text = (text + chunk.decode(errors="replace")).split("\n")
            yield from (ESCAPE.sub("", line).rstrip("\r") for line in whole)
            text = text[-LONG:]
        yield ESCAPE.sub("", text)
    finally:
        end(process)
        os.close(terminal)


def end(process: subprocess.Popen[bytes]) -> None:
    """End it if it still runs, insisting after a while."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def works(hermes: str, name: str) -> bool:
    """Whether the server takes the tokens that are there; without a terminal Hermes asks nobody."""
    done = subprocess.run(
        [hermes, "mcp", "test", name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TRIAL_S,
        check=False,
    )
    return "✓ Connected" in ESCAPE.sub("", done.stdout)


def login(hermes: str, name: str, home: str, seconds: float, force: bool, browser: Browser) -> tuple[bool, str, bool]:
    """Whether there is a login now, why (not), and whether it was there before."""
    files = state_files(home, name)
    done, why = False, "it was interrupted"
    try:
        if files[0].exists() and not force and works(hermes, name):
            return True, "the server takes the tokens that are there", True
    except subprocess.TimeoutExpired:
        return False, f"`hermes mcp test` did not end within {TRIAL_S} s", False
    except Stopped:
        return False, "stopped as asked", False
    before = {path: path.read_bytes() if path.exists() else None for path in files}
    try:
        with TemporaryDirectory() as folder:
            argv = [hermes, "mcp", "login", name]
            said = lines(argv, time.monotonic() + seconds, patient(name, seconds, Path(folder)))
            done, why = attempt(said, browser)
    except TimeoutError:
        why = f"nobody consented within {seconds:g} s"
    except Stopped:
        why = "stopped as asked"
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        done = done and files[0].exists()
        if not done:
            put_back(before)
    return done, why, False


def attempt(output: Generator[str, None, None], browser: Browser) -> tuple[bool, str]:
    """Whether Hermes says that the login succeeded, and its last words. Raises TimeoutError, Stopped."""
    why, asked = "Hermes said nothing", False
    with closing(output) as said:
        for line in said:
            if found := ADDRESS.match(line):
                if asked:  # it does not take a refusal for an answer, and asks three times more
                    return False, "the consent was not given, or not taken"
                asked = True
                browser.expect(found[1])
                tell(url=found[1])
            elif found := WORDS.match(line):
                why = found[1][:SHORT]
                tell(said=why)
    return why.startswith("Authenticated"), why


def stop(_number: int, _frame: object) -> None:
    raise Stopped


def main(hermes: str, name: str, home: str, seconds: str, *force: str) -> None:
    signal.signal(signal.SIGTERM, stop)
    browser = Browser()
    threading.Thread(target=browser.follow, daemon=True).start()
    done, why, known = login(hermes, name, home, float(seconds), bool(force), browser)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(done=done, why=why, known=known)


if __name__ == "__main__":
    main(*sys.argv[1:])
