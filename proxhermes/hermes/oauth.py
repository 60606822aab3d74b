"""The address to which an MCP server sends the browser for the owner's consent, taken apart (RFC 6749, 4.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_PORTS: Final = range(1024, 65536)
_LONGEST: Final = 8192


@dataclass(frozen=True, slots=True)
class Authorization:
    """For the browser, and where it comes back with a code."""

    url: str
    port: int | None
    """Of the loopback address, which the browser takes for its own; None for an address that reaches the agent by
    itself (`oauth.redirect_uri` in Hermes' config.yaml)."""
    path: str
    state: str
    """What it brings back along with the code."""

    def answers(self, target: str) -> bool:
        """Whether a request for `target` (path and query) is the browser coming back from just this consent.

        Hermes takes the first request for the consent's answer, whatever it is: a browser asks for a favicon, too.
        """
        came = urlsplit(target)
        query = parse_qs(came.query)
        return (
            came.path == self.path and query.get("state", [""]) == [self.state] and bool({"code", "error"} & {*query})
        )


def refusal(target: str) -> str | None:
    """What the browser brought back in the place of a code: the error's name, and its description if there is one."""
    query = parse_qs(urlsplit(target).query)
    words = [query[name][0] for name in ("error", "error_description") if name in query]
    return ": ".join(words) if "error" in query else None


def read(url: str) -> Authorization:
    """What Hermes' authorization address says of the way back.

    Whoever gave it may be the agent itself: raises ValueError, which does not repeat it, unless it is an address for a
    browser, all of it visible, with a way back to no port below 1024 of this machine.
    """
    if len(url) > _LONGEST or not re.fullmatch(r"[!-~]+", url):
        raise ValueError("it is too long, or not all of it can be seen")
    whole = urlsplit(url)
    if whole.scheme not in ("http", "https") or not whole.hostname or "@" in whole.netloc:
        raise ValueError("it is not of the web")
    query = parse_qs(whole.query)
    back = urlsplit(query.get("redirect_uri", [""])[0])
    if not back.hostname:
        raise ValueError("it names no place to come back to")
    local = back.scheme == "http" and back.hostname in _LOOPBACK
    port = (back.port or 80) if local else None
    if port is not None and port not in _PORTS:
        raise ValueError(f"it comes back to port {port} of this machine")
    return Authorization(url, port, back.path or "/", query.get("state", [""])[0])
