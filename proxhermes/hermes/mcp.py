"""MCP servers as Hermes' config.yaml has them (`mcp_servers`), and where it keeps their OAuth tokens.

Keys and their defaults: Hermes 0.19, tools/mcp_tool.py; names of the token files: tools/mcp_oauth.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from proxhermes.inventory.mcp import McpServer, Sampling, Tools

TOKENS: Final = "mcp-tokens"
"""Folder of the tokens, in HERMES_HOME."""


def render(servers: Mapping[str, McpServer]) -> dict[str, Any]:
    """The value of `mcp_servers`: for each server what was declared, and `enabled` in any case.

    `${NAME}` is left as it is: Hermes puts a line of its .env there when it connects.
    """
    return {name: _server(server) for name, server in servers.items()}


def token_name(server: str) -> str:
    """The name that Hermes gives the files of a server's login: no dot in it, and at most 128 characters."""
    return re.sub(r"[^\w-]", "_", server).strip("_")[:128] or "default"


def token_file(name: str) -> str:
    """Path in HERMES_HOME of the tokens of server `name`; `.client.json` in its place is the client's registration."""
    return f"{TOKENS}/{token_name(name)}.json"


def _server(server: McpServer) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if server.command is not None:
        entry |= {"command": server.command, "args": list(server.args)}
    if server.url is not None:
        entry["url"] = server.url
    # What is empty means the same as what is not there.
    for key, value in (("env", dict(server.env)), ("headers", dict(server.headers))):
        if value:
            entry[key] = value
    if server.auth is not None:
        entry["auth"] = server.auth
    entry["enabled"] = server.enabled
    for key, seconds in (("timeout", server.timeout), ("connect_timeout", server.connect_timeout)):
        if seconds is not None:
            entry[key] = seconds
    for name, block in (("tools", server.tools), ("sampling", server.sampling)):
        if block is not None:
            entry[name] = _declared(block)
    return entry


def _declared(block: Tools | Sampling) -> dict[str, Any]:
    """A block without what says nothing: no value, an empty list. Lists as YAML has them."""
    values = ((name, list(value) if isinstance(value, tuple) else value) for name, value in block)
    return {name: value for name, value in values if value is not None and value != []}
