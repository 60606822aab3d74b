"""Asks in the agent's place what only it can be asked from there, and prints one JSON object.

Usage: agent-probe.py look HOME PORT BASE_URL MODEL CA READINGS
           the gateway, and LiteLLM as the agent reaches it; CA: the file of authorities that config.yaml names for it;
           READINGS: see `reading`
       agent-probe.py ask HOME PORT SECONDS PROMPT     a question to the agent that runs; code 1: no answer
       agent-probe.py known HOME PORT PROFILE...       the jobs and skills that the gateway knows, by profile
HOME: HERMES_HOME; PORT: of the gateway's own API.

Runs as `python -I -S -c`: the standard library alone, no module of the agent's and none of its workspace. The keys are
read from the agent's .env and never printed; what is read and what is told is bounded, whoever answers.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import re
import ssl
import stat
import sys
import urllib.error
import urllib.parse
import urllib.request
from difflib import get_close_matches
from pathlib import Path
from typing import Any

MOST = 4 << 20
"""Bytes that are read of a file or an answer."""
NAMES, COMPARED = 20, 2000
"""Names of models: that are told, and that are compared."""
SHORT, LONG = 300, 2000
"""Characters that are told of a sentence, and of an answer."""
JOB = (
    *("id", "name", "schedule", "prompt", "deliver", "skills", "skill", "script", "no_agent", "workdir", "repeat"),
    *("enabled", "state", "paused_at", "next_run_at", "last_status", "last_error", "last_delivery_error"),
)
"""Keys of a job that are told."""
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")
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


def way(proxy: str = "", authorities: str = "") -> urllib.request.OpenerDirector:
    """Asks through `proxy`, or directly; trusts those in the file `authorities`, or the system's."""
    context = ssl.create_default_context(cafile=authorities or None)
    proxies = {"http": proxy, "https": proxy} if proxy else {}
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context), Stay
    )


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


def ask(
    url: str,
    key: str | None = None,
    body: bytes | None = None,
    seconds: float = 15,
    opener: urllib.request.OpenerDirector | None = None,
) -> tuple[int, str]:
    """Status and body of an answer; status 0 with the reason where there was none. opener: the way, else directly."""
    opener = opener or way()
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


def litellm(environment: dict[str, str], version: str, base: str, model: str, *more: str) -> dict[str, Any]:
    """How LiteLLM answers on the agent's way, with its key and without. It is not judged here.

    names: those of its models that are most like `model`; asked: the answer of that one to one token, where the list
    does not name it. unasked: why it could not be asked at all.
    """
    key, base = environment.get(LITELLM_KEY, ""), base.rstrip("/")
    ranges, variables = reading(version, more[1] if len(more) > 1 else "[]")
    proxy = proxy_for(base, environment, ranges)
    told = {"has_key": bool(key), "keyed": 0, "keyed_text": "", "names": [], "count": 0, "bare": 0, "unasked": ""}
    if proxy.lower().startswith("socks"):
        return told | {"unasked": "the agent asks through a SOCKS proxy, which this look cannot"}
    named = [environment.get(name, "").strip() for name in variables]
    files = [name for name in (more[0] if more else "", *named) if name and Path(name).is_file()]
    try:
        opener = way(proxy, files[0] if files else "")
    except (OSError, ssl.SSLError, ValueError) as error:
        return told | {"keyed_text": f"{files[0] if files else proxy.split('@')[-1]}: {error}"[:SHORT]}

    def hidden(text: str) -> str:
        return text.replace(key or "\0", "***")[:SHORT]

    keyed, text = ask(base + "/models", key, opener=opener)
    entries = within(parsed(text), "data") if keyed == 200 else None
    names = [words(within(entry, "id")) for entry in entries] if isinstance(entries, list) else []
    if keyed and model not in names:
        body = json.dumps({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "Say ok."}]})
        asked, said = ask(base + "/chat/completions", key, body.encode(), 30, opener)
        told |= {"asked": asked, "asked_text": "" if asked == 200 else hidden(said)}
    return told | {
        "keyed": keyed,
        "keyed_text": "" if keyed == 200 else hidden(text),
        "count": len(names),
        "names": nearest(names, model),
        "bare": ask(base + "/models", opener=opener)[0] if keyed else 0,
    }


def reading(version: str, rows: str) -> tuple[bool, list[str]]:
    """Whether this Hermes reads ranges in NO_PROXY, and which variables name a file of authorities.

    rows: [[VERSION, RANGES, [VARIABLE...]]...] as JSON; the last one holds where its version is not known.
    """
    found: tuple[bool, list[str]] = (True, [])
    mine = [int(part) for part in re.findall(r"\d+", version)[:3]]
    for since, ranges, variables in json.loads(rows):
        if not mine or [int(part) for part in since.split(".")] <= mine:
            found = ranges, variables
    return found


def proxy_for(url: str, environment: dict[str, str], ranges: bool) -> str:
    """The proxy through which the agent asks `url`; empty for none. As proxhermes/inventory/proxies.py has it."""
    proxy = next((found for name in PROXIES if (found := environment.get(name, "").strip())), "")
    host, port = host_and_port(url)
    if not ranges:
        value = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        plain = [name.strip().lstrip(".").lower() for name in value.split(",")]
        passed = value.strip() == "*" or any(name and (host == name or host.endswith(f".{name}")) for name in plain)
    else:
        both = ",".join(environment.get(name, "") for name in ("NO_PROXY", "no_proxy"))
        passed = any(entry_has(entry.lower(), host, port) for entry in re.split(r"[\s,]+", both) if entry)
    return "" if passed else re.sub(r"(?i)^socks:", "socks5:", proxy)


def entry_has(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    name, only = host_and_port(entry)
    if not name or (only is not None and only != port):
        return False
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        suffix = name.removeprefix("*").removeprefix(".")
        return host == suffix or host.endswith(f".{suffix}")
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False


def host_and_port(text: str) -> tuple[str, int | None]:
    if "://" in text or text.startswith("//"):
        try:
            url = urllib.parse.urlsplit(text)
        except ValueError:  # a bracket that nothing closes
            return "", None
        try:
            return (url.hostname or "").lower().rstrip("."), url.port
        except ValueError:
            return (url.hostname or "").lower().rstrip("."), None
    found = re.fullmatch(r"\[([^\]]*)\](?::([0-9]+))?.*", text) or re.fullmatch(r"([^:]*):([0-9]+)", text)
    if found:
        return found[1].lower().rstrip("."), int(found[2]) if found[2] else None
    return text.strip("[]").lower().rstrip("."), None


def nearest(names: list[str], model: str) -> list[str]:
    """Those that may be told: the model's own, patterns that it fits, and then such as are like it."""
    own = [name for name in names if name == model or ("*" in name and name.split("*")[0] == model[: name.index("*")])]
    short = [name for name in names[:COMPARED] if len(name) <= 100]
    like = get_close_matches(model[:100], short, n=NAMES, cutoff=0.4)
    return list(dict.fromkeys([*own[:NAMES], *like, *names[:NAMES]]))[:NAMES]


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
        running = gateway(port)
        # What Hermes reads of its .env goes before what it was started with (hermes_cli/env_loader.py).
        told = {"gateway": running, "litellm": litellm({**os.environ, **keys}, running["version"], *more)}
    print(json.dumps(told))
    return 0 if told.get("answered", True) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
