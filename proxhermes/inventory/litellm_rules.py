"""What is odd about the way to LiteLLM: its address, the proxy in between, who signed its certificate."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

from proxhermes import upstream
from proxhermes.inventory.guest import Guest, agents_lines
from proxhermes.inventory.proxies import host_and_port, passes, proxy_for
from proxhermes.inventory.tree import Report, Spot, Tree

_CALLS: Final = ("/chat/completions", "/completions", "/models", "/responses", "/embeddings")
"""Ends of addresses that are calls of OpenAI's API, below its base."""

_RANGES_SINCE: Final = next(".".join(map(str, row.since)) for row in upstream.RELEASES if row.reading.ranges)


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All of it, for every agent; of the common `litellm`, what is odd is told once."""
    told: set[Spot] = set()
    for agent in agents.values():
        url = agent.at("litellm", "base_url")
        if url is None or not isinstance(url.value, str):
            continue
        if url.spot not in told:
            told.add(url.spot)
            _address(url, agent.at("litellm", "ca_file"), report)
        _proxy(agent, url.value, report)


def _address(url: Tree, certificates: Tree | None, report: Report) -> None:
    text = str(url.value).rstrip("/")
    call = next((end for end in _CALLS if text.endswith(end)), None)
    if call is not None:
        base = text.removesuffix(call)
        report.warn(url.spot, f"this ends in {call}, which Hermes adds by itself", f"`base_url: {base}`")
    if certificates is not None and certificates.value is not None and not text.startswith("https:"):
        report.warn(certificates.spot, "certificates are for https, and `base_url` is http", "an https address")


def _proxy(agent: Tree, url: str, report: Report) -> None:
    environment = agent.at("hermes", "environment")
    lines = {name: str(each.value) for name, each in environment.children.items()} if environment else {}
    block = agent.at("guest")
    if block is not None and "http_proxy" in block.children:
        try:
            lines = {**agents_lines(Guest.model_validate(block.plain()), lines), **lines}
        except ValueError:  # told where it is validated
            return
        environment = environment if environment and "NO_PROXY" in lines.keys() & environment.children.keys() else block
    old, new = (proxy_for(url, lines, ranges=ranges) for ranges in (False, True))
    if environment is None or old is None:
        return
    names = ("NO_PROXY", "no_proxy")
    where = next((environment.children[name] for name in names if name in environment.children), environment)
    host, _ = host_and_port(url)
    if new is None and passes(url, lines, ranges=True):
        report.warn(
            where.spot,
            f"LiteLLM's host {host} is in a range or with a port here, which Hermes reads from {_RANGES_SINCE} on: "
            "before, it asks through the proxy",
            f"{host} beside it",
        )
    elif new is not None and _at_home(host):
        report.warn(where.spot, f"the agent would ask LiteLLM at {host} through the proxy", f"`NO_PROXY: …,{host}`")


def _at_home(host: str) -> bool:
    """Whether it is in a private network: a proxy for the way out seldom leads there."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host
