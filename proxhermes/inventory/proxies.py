"""Through which proxy an address is asked, as Hermes reads the variables for it. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from proxhermes import upstream


def proxy_for(url: str, variables: Mapping[str, str], *, ranges: bool) -> str | None:
    """The proxy through which `url` is asked. ranges: NO_PROXY may hold ranges, ports and `*.`."""
    proxy = next((value for name in upstream.PROXIES if (value := variables.get(name, "").strip())), None)
    return None if proxy is None or passes(url, variables, ranges=ranges) else re.sub(r"(?i)^socks:", "socks5:", proxy)


def passes(url: str, variables: Mapping[str, str], *, ranges: bool) -> bool:
    """Whether NO_PROXY has the host of `url`: as urllib reads it, or with `ranges` as Hermes 0.22 does."""
    host, port = host_and_port(url)
    if not ranges:  # urllib's: a lower-case name goes before, and names stand for what is below them
        value = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
        names = [name.strip().lstrip(".").lower() for name in value.split(",")]
        return value.strip() == "*" or any(name and (host == name or host.endswith(f".{name}")) for name in names)
    both = ",".join(variables.get(name, "") for name in ("NO_PROXY", "no_proxy"))
    return any(_entry_has(entry.lower(), host, port) for entry in re.split(r"[\s,]+", both) if entry)


def _entry_has(entry: str, host: str, port: int | None) -> bool:
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
    """Of a URL, `[v6]:port`, `host:port` or a host (0.22: agent/proxy_bypass.py, split_host_port)."""
    if "://" in text or text.startswith("//"):
        try:
            url = urlsplit(text)
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
