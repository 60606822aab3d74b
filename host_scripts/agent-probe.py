"""Asks in the agent's place what only it can be asked from there, and prints one JSON object.

Usage: agent-probe.py look HOME PORT BASE_URL MODEL    the gateway, and LiteLLM as the agent reaches it
       agent-probe.py ask HOME PORT SECONDS PROMPT     a question to the agent that runs; code 1: no answer
       agent-probe.py known HOME PORT PROFILE...       the jobs and skills that the gateway knows, by profile
HOME: HERMES_HOME; PORT: of the gateway's own API.

Runs as `python -I -S -c`: the standard library alone, no module of the agent's and none of its workspace. The keys are
read from the agent's .env and never printed; what is read and what is told is bounded, whoever answers.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import stat
import sys
import urllib.error
import urllib.request
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

MOST = 4 << 20
"""Bytes that are read of a file or an answer."""
NAMES = 20
SHORT, LONG = 300, 2000
"""Characters that are told of a sentence, and of an answer."""
JOB = (
    *("id", "name", "schedule", "prompt", "deliver", "skills", "skill", "script", "no_agent", "workdir", "repeat"),
    *("enabled", "state", "paused_at", "next_run_at", "last_status", "last_error", "last_delivery_error"),
)
"""Keys of a job that are told."""
LITELLM_KEY, GATEWAY_KEY = "LITELLM_API_KEY", "API_SERVER_KEY"

# Of a .env, as python-dotenv reads it (1.2: parser.py): what an entry begins with, and how it ends. All may be missing.
ENTRY = re.compile(
    r"""
    \s* (?: export [^\S\r\n]+ )?
    (?: (?: '(?P<quoted_key>[^']+)' | (?P<key>[^=\#\s'][^=\#\s]*) ) [^\S\r\n]*
        (?: (?P<sets>=) [^\S\r\n]*
            (?: '(?P<single>(?:\\.|[^'\\])*)' | "(?P<double>(?:\\.|[^"\\])*)" | (?P<bare>[^\s'"][^\r\n]*) )?
        )?
    )?
    """,
    re.VERBOSE | re.DOTALL,
)
END = re.compile(r"[^\S\r\n]*(?:\#[^\r\n]*)?(?:\r\n|\n|\r|\Z)")
LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
REFERENCE = re.compile(r"\$\{(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\}")
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the key is for the address that was asked."""

    def redirect_request(self, *_: Any) -> None:
        return None


# The proxy is where the inventory says, not where a proxy variable points.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)


def read(path: Path) -> str:
    """The beginning of a plain file; nothing of a link, a pipe, or what is not there."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        return os.read(handle, MOST).decode(errors="replace") if stat.S_ISREG(os.fstat(handle).st_mode) else ""
    finally:
        os.close(handle)


def variables(text: str) -> dict[str, str]:
    """What python-dotenv reads in a .env. An entry that it cannot read is left out."""
    found: dict[str, str] = {}
    text = text.removeprefix("\ufeff")
    at = 0

    def named(reference: re.Match[str]) -> str:
        return found.get(reference["name"], os.environ.get(reference["name"], reference["default"] or ""))

    while at < len(text):
        entry = ENTRY.match(text, at)
        assert entry is not None  # it matches nothing, too
        key = entry["quoted_key"] or entry["key"]
        end = END.match(text, entry.end()) or LINE.match(text, entry.end())
        assert end is not None
        if key and entry["sets"] and end.re is END:
            found[key] = REFERENCE.sub(named, value(entry))
        at = end.end()
    return found


def value(entry: re.Match[str]) -> str:
    if entry["single"] is not None:
        return re.sub(r"\\([\\'])", r"\1", entry["single"])
    if entry["double"] is not None:
        return re.sub(r"\\([\\'\"abfnrtv])", lambda found: ESCAPES.get(found[1], found[1]), entry["double"])
    return re.sub(r"\s+#.*", "", entry["bare"] or "").rstrip()


def ask(url: str, key: str | None = None, body: bytes | None = None, seconds: float = 15) -> tuple[int, str]:
    """Status and body of an answer; status 0 with the reason where there was none."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        try:
            with opener.open(urllib.request.Request(url, body, headers), timeout=seconds) as answer:
                return answer.status, answer.read(MOST).decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read(MOST).decode(errors="replace")
    except ValueError:  # what it says holds the key
        return 0, "HTTP cannot carry this address or this key"
    except (OSError, http.client.HTTPException) as error:
        return 0, str(getattr(error, "reason", error)) or type(error).__name__


def parsed(text: str) -> Any:
    """A JSON text's value; None for what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def within(data: Any, *path: str | int) -> Any:
    """What stands at `path` in a value; None if nothing does."""
    for step in path:
        try:
            data = data[step]
        except (LookupError, TypeError):
            return None
    return data


def words(found: object) -> str:
    return found[:SHORT] if isinstance(found, str) else ""


def gateway(port: str) -> dict[str, Any]:
    status, text = ask(f"http://127.0.0.1:{port}/health")
    return {
        "status": status,
        "version": words(within(parsed(text), "version")),
        "error": "" if status == 200 else text[:SHORT],
    }


def litellm(key: str, base: str, model: str) -> dict[str, Any]:
    """How LiteLLM answers with the agent's key and without; what it has to say of a refusal, and of the model."""
    base = base.rstrip("/")
    alive, alive_text = ask(base.removesuffix("/v1") + "/health/liveliness")
    keyed, keyed_text = ask(base + "/models", key) if alive else (0, "")
    listed = within(parsed(keyed_text), "data")
    names = [words(within(entry, "id")) for entry in listed] if isinstance(listed, list) else []
    return {
        "has_key": bool(key),
        "alive": alive,
        "alive_text": "" if alive == 200 else alive_text.replace(key or "\0", "***")[:SHORT],
        "keyed": keyed,
        "keyed_text": "" if keyed == 200 else keyed_text.replace(key or "\0", "***")[:SHORT],
        "listed": any(fnmatchcase(model, name) if "*" in name else model == name for name in names),
        "count": len(names),
        "names": names[:NAMES],
        "bare": ask(base + "/models")[0] if alive else 0,
    }


def question(key: str, port: str, seconds: float, prompt: str) -> dict[str, Any]:
    """The running agent's answer, or why there is none. Without a model's name: it takes its own."""
    body = json.dumps({"messages": [{"role": "user", "content": prompt}]}).encode()
    status, text = ask(f"http://127.0.0.1:{port}/v1/chat/completions", key, body, seconds)
    data = parsed(text)
    said, end = (within(data, "choices", 0, *path) for path in (("message", "content"), ("finish_reason",)))
    answered = status == 200 and end == "stop" and within(data, "hermes", "failed") is not True
    why = words(within(data, "hermes", "error")) or words(within(data, "error", "message"))
    return {
        "answered": answered,
        "status": status,
        "text": said[-LONG:] if isinstance(said, str) else "",
        "error": "" if answered else why or words(said) or text[:SHORT],
    }


def known(home: str, port: str, profile: str) -> dict[str, Any]:
    """What the gateway has of a profile: its jobs, and the names of the skills that it lists; null and why where not.

    Each has a key of its own. 0.22.2 fails at its own skills (gateway/platforms/api_server.py, `include_editorial`).
    """
    below, prefix = ("", "") if profile == "default" else (f"profiles/{profile}", f"/p/{profile}")
    key = variables(read(Path(home, below, ".env"))).get(GATEWAY_KEY, "")
    base = f"http://127.0.0.1:{port}{prefix}"
    jobs, jobs_error = listed(base + "/api/jobs?include_disabled=true", key, "jobs")
    skills, skills_error = listed(base + "/v1/skills", key, "data")
    return {
        "jobs": None if jobs is None else [{name: job[name] for name in JOB if name in job} for job in jobs],
        "jobs_error": jobs_error,
        "skills": None if skills is None else [words(skill.get("name")) for skill in skills],
        "skills_error": skills_error,
    }


def listed(url: str, key: str, name: str) -> tuple[list[dict[str, Any]] | None, str]:
    """The objects in the list called `name` of an answer; None and why where it has none."""
    status, text = ask(url, key)
    found = within(parsed(text), name)
    if status == 200 and isinstance(found, list):
        return [entry for entry in found if isinstance(entry, dict)], ""
    return None, words(within(parsed(text), "error", "message")) or (f"HTTP {status}" if status else text[:SHORT])


def main(what: str, home: str, port: str, *more: str) -> int:
    keys = variables(read(Path(home, ".env")))
    if what == "ask":
        told = question(keys.get(GATEWAY_KEY, ""), port, float(more[0]), more[1])
    elif what == "known":
        told = {profile: known(home, port, profile) for profile in more}
    else:
        told = {"gateway": gateway(port), "litellm": litellm(keys.get(LITELLM_KEY, ""), *more)}
    print(json.dumps(told))
    return 0 if told.get("answered", True) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
