"""MCP servers in config.yaml: (what is declared) -> (what Hermes reads)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.hermes import config
from proxhermes.hermes.mcp import render, token_file
from proxhermes.inventory.mcp import McpServer

EVERY_OPTION = {
    "command": "npx",
    "args": ["-y", "server"],
    "env": {"TOKEN": "${TOKEN}"},
    "enabled": True,
    "timeout": 180,
    "connect_timeout": 60,
    "tools": {"include": ["add"]},
    "sampling": {
        "enabled": False,
        "model": "gpt-mini",
        "max_tokens_cap": 4096,
        "timeout": 30,
        "max_rpm": 10,
        "max_tool_rounds": 0,
        "allowed_models": ["gpt-mini"],
        "log_level": "debug",
    },
}


def rendered(**declared: Any) -> dict[str, Any]:
    entry = render({"lab": McpServer.model_validate(declared)})["lab"]
    assert isinstance(entry, dict)
    return entry


@pytest.mark.parametrize(
    ("declared", "wanted"),
    [
        ({"command": "x"}, {"command": "x", "args": [], "enabled": True}),
        ({"url": "https://a/mcp"}, {"url": "https://a/mcp", "enabled": True}),
        ({"url": "https://a/mcp/?x=1", "headers": {"A": "${B}"}, "auth": "oauth", "enabled": False},
         {"url": "https://a/mcp/?x=1", "headers": {"A": "${B}"}, "auth": "oauth", "enabled": False}),
        (EVERY_OPTION, EVERY_OPTION),
        ({"command": "x", "tools": {"exclude": ["rm"]}, "sampling": {"model": None}},
         {"command": "x", "args": [], "enabled": True, "tools": {"exclude": ["rm"]}, "sampling": {"enabled": True}}),
        ({"command": "x", "tools": {}}, {"command": "x", "args": [], "enabled": True, "tools": {}}),
    ],
)  # fmt: skip
def test_what_is_declared_is_what_hermes_reads(declared: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert rendered(**declared) == wanted


@given(
    names=st.lists(
        st.sampled_from(
            ["on", "off", "yes", "No", "y", "n", "true", "null", "~1", "1", "1e3", "0x1", "12:30:45", "1_0"]
        )
        | st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,8}\Z"),
        unique=True,
        min_size=1,
    ),
    existing=st.sampled_from([None, "", "# mine\nmcp_servers:\n  other: {command: x}\n", "mcp_servers: {}\n"]),
)
def test_names_that_yaml_takes_for_something_else_are_names_to_hermes(names: list[str], existing: str | None) -> None:
    """Hermes reads YAML 1.1: an unquoted `on` would be a boolean, and breaks `hermes mcp test`."""
    servers = {"mcp_servers": render({name: McpServer(command=name, args=(name,)) for name in names})}
    read = yaml.safe_load(config.update(existing, servers).text)["mcp_servers"]
    assert {name: read[name] for name in names} == servers["mcp_servers"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("linear", "linear.json"),
        ("my.server-1", "my_server-1.json"),
        ("a.", "a.json"),
        ("x" * 130, "x" * 128 + ".json"),
    ],
)
def test_tokens_are_where_hermes_has_them(name: str, file: str) -> None:
    assert token_file(name) == f"mcp-tokens/{file}"
