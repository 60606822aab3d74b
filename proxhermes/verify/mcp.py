"""Does the agent reach its MCP servers, and does it know who manages it?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxhermes.hermes import managed
from proxhermes.hermes.mcp import token_file
from proxhermes.plan.model import Layer
from proxhermes.verify.model import Check, Finding, Verdict, failed, passed, skipped, warned

if TYPE_CHECKING:
    from proxhermes.inventory.mcp import McpServer
    from proxhermes.inventory.models import Agent
    from proxhermes.verify.scene import Answer, Scene

_CONNECT_S: Final = 30
"""How long `hermes mcp test` waits for a server without a `connect_timeout` (Hermes 0.19: hermes_cli/mcp_config.py)."""
_START_S: Final = 45
_COLOR: Final = re.compile(r"\x1b\[[0-9;]*m")
_TOOL: Final = re.compile(r" {4}([\w./-]+)(?: {2,}|$)| {4}([\w./-]{36,}) ")
"""A tool's name, filled up to 36 characters, before its description, which may go on in further lines."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What `hermes mcp test` said of a server: the tools that it has, or why it was not reached."""

    tools: tuple[str, ...]
    trouble: str | None


def seconds(agent: Agent) -> int:
    """How long all trials may take, one after the other."""
    return sum(_limit(server) for server in _enabled(agent).values())


def bundle(agent: Agent) -> dict[str, bytes]:
    """What guest-verify.sh needs for it: the servers (name, seconds, with OAuth the file of their tokens), a line each,
    and the folders of a managed home if the agent is managed."""
    rows = (
        f"{name} {_limit(server)} {token_file(name) if server.auth == 'oauth' else ''}\n"
        for name, server in _enabled(agent).items()
    )
    folders = {"managed": " ".join(managed.FOLDERS).encode()} if agent.hermes.managed else {}
    return {"mcp.list": "".join(rows).encode(), **folders}


def read(answer: Answer) -> Trial:
    """What `hermes mcp test` printed, read; its code tells nothing before Hermes 0.22."""
    lines = _COLOR.sub("", answer.out).splitlines()
    if not any("✓ Connected" in line for line in lines):
        said = next((line.strip(" ✗") for line in lines if "✗" in line), answer.last_words)
        return Trial((), "no answer in time" if answer.rc == 124 else said)
    return Trial(tuple(found[1] or found[2] for line in lines if (found := _TOOL.match(line))), None)


def _enabled(agent: Agent) -> dict[str, McpServer]:
    return {name: server for name, server in agent.hermes.mcp_servers.items() if server.enabled}


def _limit(server: McpServer) -> int:
    return (server.connect_timeout or _CONNECT_S) + _START_S


def _servers(scene: Scene) -> Finding:
    servers = _enabled(scene.agent)
    if not servers:
        return skipped("the inventory has no MCP servers")
    findings = [_server(scene, name, server) for name, server in servers.items()]
    evidence = "; ".join(finding.evidence for finding in findings)
    for verdict, finding in ((Verdict.FAIL, failed), (Verdict.WARN, warned)):
        if bad := [each for each in findings if each.verdict is verdict]:
            return finding(evidence, bad[0].hint)
    return passed(evidence)


def _server(scene: Scene, name: str, server: McpServer) -> Finding:
    if scene.guest.text(f"mcp.{name}.tokens") == "none":
        return warned(f"{name}: nobody has consented yet", f"proxhermes mcp login {scene.agent.vmid} {name}")
    trial = read(scene.guest.answer(f"mcp.{name}"))
    if trial.trouble is not None:
        return failed(f"{name}: {trial.trouble}", _way_out(scene.agent, name, server))
    include, exclude = (server.tools.include, server.tools.exclude) if server.tools else ((), ())
    if absent := [tool for tool in (*include, *exclude) if tool not in trial.tools]:
        return warned(f"{name}: it has no tool {', '.join(absent)}", f"it has: {', '.join(trial.tools) or 'none'}")
    return passed(f"{name}: {_count(trial.tools, include, exclude)}")


def _count(tools: Sequence[str], include: Sequence[str], exclude: Sequence[str]) -> str:
    offered = [tool for tool in tools if (tool in include if include else tool not in exclude)]
    whole = f"{len(tools)} tool{'' if len(tools) == 1 else 's'}"
    return whole if len(offered) == len(tools) else f"{len(offered)} of {whole}"


def _way_out(agent: Agent, name: str, server: McpServer) -> str:
    if server.auth == "oauth":
        return f"if the tokens are void: proxhermes mcp login {agent.vmid} {name}"
    return "look at logs/mcp-stderr.log in the agent's home" if server.command else "is it up, and its token right?"


def _managed(scene: Scene) -> Finding:
    if not scene.agent.hermes.managed:
        return skipped("hermes.managed is false: the agent may change its own configuration")
    answer = scene.guest.answer("managed")
    said = " ".join((answer.err or answer.out).split())
    if managed.manager(scene.agent) not in said:
        return failed(
            f"`hermes config set` was not refused in our words: {said or answer.last_words}",
            f"proxhermes bootstrap {scene.agent.vmid}",
        )
    return passed(f"`hermes config set` says: {said}")


CHECKS = (
    Check("hermes.managed", Layer.HERMES, "Does Hermes refuse to be configured past the inventory?", _managed),
    Check("hermes.mcp", Layer.HERMES, "Does the agent reach its MCP servers?", _servers),
)
