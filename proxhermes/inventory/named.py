"""The addresses that the inventory names for an agent, which no network of the agent's own may cover."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent

_IPV4: Final = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?:/(\d{1,2}))?(?![\w.])")
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_OURS: Final = frozenset({"address_pools", "ports", "documents", "home_files", "crons", "skills", "plugins"})
"""Keys below which no address is one to reach: our own networks, and texts."""
MOST: Final = 64


@dataclass(frozen=True, slots=True)
class Named:
    """networks: addresses, and the card's own network; ranges: others, as NO_PROXY may have all private ones.

    hosts: names, which the guest may resolve.
    """

    networks: tuple[ipaddress.IPv4Network, ...]
    ranges: tuple[ipaddress.IPv4Network, ...]
    hosts: tuple[str, ...]


def of(agent: Agent) -> Named:
    """All of them, each once."""
    words = list(_words(agent.model_dump(mode="python")))
    found = list(dict.fromkeys(network for word in words for network in _networks(word)))
    own = [network for word in _words(agent.network.model_dump()) for network in _networks(word)]
    hosts = dict.fromkeys(host for word in words if (host := _host(word)))
    networks = [network for network in found if network.prefixlen == network.max_prefixlen or network in own]
    ranges = [network for network in found if network not in networks]
    return Named(tuple(networks), tuple(ranges), tuple(hosts)[:MOST])


def _words(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if key not in _OURS:
                yield from _words(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _words(each)
    elif isinstance(value, str) and not re.search(r"\s", value):
        yield value


def _networks(word: str) -> Iterator[ipaddress.IPv4Network]:
    for address, prefix in _IPV4.findall(word):
        try:
            network = ipaddress.IPv4Network(f"{address}/{prefix or 32}", strict=False)
        except ValueError:
            continue
        if not network.is_loopback and network.prefixlen:
            yield network


def _host(word: str) -> str:
    """The host of a URL, if it is a name."""
    if "://" not in word:
        return ""
    try:
        host = urlsplit(word).hostname or ""
    except ValueError:
        return ""
    return host if _NAME.fullmatch(host) and not _IPV4.fullmatch(host) else ""
