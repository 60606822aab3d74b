"""Rules for MCP servers: no secret as it is, one transport each, and two servers are two for Hermes, too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from proxhermes.inventory.hermes_rules import names_a_secret
from proxhermes.inventory.secrets import HOW_TO_REFERENCE
from proxhermes.inventory.tree import Report, Tree, merge

_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
"""Headers that are secrets, beside those whose name says so."""
_HEADER: Final = re.compile(r"([A-Za-z-]+)\s*[:=]\s*\S")


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All of them, for every agent's `hermes.mcp_servers`, and one transport for what `hermes.settings` adds, too."""
    for agent in agents.values():
        block, more = agent.at("hermes", "mcp_servers"), agent.at("hermes", "settings", "mcp_servers")
        servers = block.children if block else {}
        for server in servers.values():
            for tree, what in literal_secrets(server):
                report.add(
                    tree.spot,
                    f"{what} is a secret, and is written as it is",
                    f'"${{NAME}}" in its place, and hermes.secrets: {{NAME: …}} with {HOW_TO_REFERENCE}',
                )
        _names_of_their_own(servers, report)
        for name, server in more.children.items() if more else ():
            _one_transport(servers.get(name), server, report)


def _one_transport(own: Tree | None, more: Tree, report: Report) -> None:
    """A server that the settings make, or add to: its address and its program are not both said, in whatever place."""
    merged = merge(own, more, references=False) if own else more
    command, url = merged.at("command"), merged.at("url")
    if not command or not url or command.value is None or url.value is None:
        return
    here, there = (url, command) if "url" in more.children else (command, url)
    if here in more.children.values():  # both in the server's own section: told by the model
        report.add(
            here.key,
            f"a server has exactly one transport, and `{there.key.path[-1]}` stands in {report.place(there.key)}",
            "`command` (stdio) or `url` (HTTP)",
        )


def literal_secrets(server: Tree) -> Iterator[tuple[Tree, str]]:
    """Values that are secrets by where they stand, without a variable in them, and what they are."""
    for name, tree in _entries(server, "headers"):
        if _secret_header(name) and _literal(tree.value):
            yield tree, f"the header {name}"
    for name, tree in _entries(server, "env"):
        if names_a_secret(name) and _literal(tree.value):
            yield tree, name
    url = server.at("url")
    if url is not None and isinstance(url.value, str):
        for name, value in parse_qsl(_query(url.value)):
            if (names_a_secret(name) or name == "key") and _literal(value):
                yield url, f"`{name}` in the address"
    args = server.at("args")
    before = ""
    for tree in args.items if args else ():
        value = str(tree.value)
        option, _, given = value.partition("=")
        header = _HEADER.match(value)
        if _secret_option(option) and _literal(given):
            yield tree, f"the value of {option}"
        elif _secret_option(before) and _literal(value) and not value.startswith("-"):
            yield tree, f"the value of {before}"
        elif header and _secret_header(header[1]) and _literal(value):
            yield tree, f"the header {header[1]}"
        before = value


def _names_of_their_own(servers: Mapping[str, Tree], report: Report) -> None:
    """Hermes makes names of tools and token files of a server's name, and takes other characters for `_` there."""
    known: dict[str, str] = {}
    for name, server in servers.items():
        inner = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if inner in known:
            report.add(
                server.key,
                f"to Hermes, {name} and {known[inner]} are both called {inner}",
                "names that differ in more than `-`, `.` and `_`",
            )
        known.setdefault(inner, name)


def _entries(server: Tree, block: str) -> list[tuple[str, Tree]]:
    tree = server.at(block)
    return list(tree.children.items()) if tree else []


def _secret_header(name: str) -> bool:
    return name.lower() in _HEADERS or names_a_secret(name)


def _secret_option(option: str) -> bool:
    return option.startswith("-") and names_a_secret(option.lstrip("-"))


def _literal(value: object) -> bool:
    return isinstance(value, str) and value != "" and "${" not in value


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""  # no URL at all, which its own rule says
