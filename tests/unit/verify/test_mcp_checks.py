"""What `hermes mcp test` says, and what the check makes of it."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest

from proxhermes.inventory.mcp import McpServer
from proxhermes.verify import mcp
from proxhermes.verify.model import Finding, Verdict
from proxhermes.verify.scene import Answers

LOOK = {check.id: check.look for check in mcp.CHECKS}["hermes.mcp"]
# As Hermes 0.19 prints it on a terminal that has colours.
FINE = """
  \x1b[36mTesting 'lab'...\x1b[0m
\x1b[2m  Transport: HTTP → http://10.1.10.1:9101/mcp\x1b[0m
    Authorization: Bear***e2Vr
\x1b[32m  ✓ Connected (310ms)\x1b[0m
\x1b[32m  ✓ Tools discovered: 3\x1b[0m

    \x1b[32madd\x1b[0m                                  Add two whole numbers.
    \x1b[32ma_tool_with_a_very_long_name_in_the_list\x1b[0m  Something
    \x1b[32mbare\x1b[0m
"""
BROKEN = "  Testing 'lab'...\n  Transport: stdio → nope\n  ✗ Connection failed (12ms): [Errno 2] No such file\n"
TOOLS = ("add", "a_tool_with_a_very_long_name_in_the_list", "bare")


def answers(**values: str) -> Answers:
    return Answers("".join(f"{k} {base64.b64encode(v.encode()).decode()}\n" for k, v in values.items()))


def look(said: dict[str, str], **servers: dict[str, Any]) -> Finding:
    models = {name: McpServer.model_validate(server) for name, server in servers.items()}
    agent = SimpleNamespace(vmid=118, hermes=SimpleNamespace(mcp_servers=models, managed=False))
    return LOOK(SimpleNamespace(agent=agent, guest=answers(**said)))  # type: ignore[arg-type]


def test_what_it_prints_is_read() -> None:
    assert mcp.read(answers(x=FINE, **{"x.rc": "0"}).answer("x")) == mcp.Trial(TOOLS, None)
    assert mcp.read(answers(x=BROKEN).answer("x")).trouble == "Connection failed (12ms): [Errno 2] No such file"
    assert mcp.read(answers(**{"x.rc": "124"}).answer("x")).trouble == "no answer in time"


def test_all_tools_or_those_that_are_declared() -> None:
    good = {"mcp.lab": FINE}
    url = {"url": "http://10.1.10.1:9101/mcp"}
    assert look(good, lab=url) == Finding(Verdict.PASS, "lab: 3 tools")
    assert look(good, lab=url | {"tools": {"include": ["add"]}}).evidence == "lab: 1 of 3 tools"
    assert look(good, lab=url | {"tools": {"exclude": ["add"]}}).evidence == "lab: 2 of 3 tools"
    gone = look(good, lab=url | {"tools": {"include": ["ad"]}})
    assert (gone.verdict, gone.evidence) == (Verdict.WARN, "lab: it has no tool ad")


def test_one_bad_server_is_a_failure_and_all_are_told() -> None:
    found = look({"mcp.a": FINE, "mcp.b": BROKEN}, a={"command": "x"}, b={"command": "nope"})
    assert found.verdict is Verdict.FAIL
    assert found.evidence == "a: 3 tools; b: Connection failed (12ms): [Errno 2] No such file"
    assert "mcp-stderr.log" in str(found.hint)


def test_without_consent_it_says_how() -> None:
    found = look({"mcp.c.tokens": "none"}, c={"url": "https://example.com/mcp", "auth": "oauth"})
    assert (found.verdict, found.hint) == (Verdict.WARN, "proxhermes mcp login 118 c")


@pytest.mark.parametrize("servers", [{}, {"off": {"command": "x", "enabled": False}}])
def test_no_servers_nothing_to_ask(servers: dict[str, Any]) -> None:
    assert look({}, **servers).verdict is Verdict.SKIP


def test_what_the_guest_is_given_to_try() -> None:
    servers = {
        "lab": McpServer(command="x", connect_timeout=5),
        "my.sso": McpServer(url="https://example.com/mcp", auth="oauth"),
        "off": McpServer(command="x", enabled=False),
    }
    agent: Any = SimpleNamespace(hermes=SimpleNamespace(mcp_servers=servers, managed=True))
    assert mcp.bundle(agent) == {
        "mcp.list": b"lab 50 \nmy.sso 75 mcp-tokens/my_sso.json\n",
        "managed": b"cron sessions logs memories",
    }
    assert mcp.seconds(agent) == 125
    agent.hermes.managed = False
    assert "managed" not in mcp.bundle(agent)
