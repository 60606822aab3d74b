"""An MCP server with four tools, and a record of who called which. Alone it speaks over stdio.

Run: `python tools.py [--record FILE]`, by any Python that has the `mcp` package, 1 or 2; the file needs nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcp.types import SamplingMessage, TextContent

try:
    from mcp.server.mcpserver import Context, MCPServer
except ModuleNotFoundError:  # mcp 1 has it by another name
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer

Record = Callable[[dict[str, Any]], None]
"""Takes a call: the tool's name, its arguments, what it answered."""


def add_tools(server: MCPServer, record: Record) -> MCPServer:
    """Give `server` its tools; returns it."""

    def add(a: int, b: int) -> str:
        """Add two whole numbers."""
        answer = str(a + b)
        record({"tool": "add", "arguments": {"a": a, "b": b}, "answer": answer})
        return answer

    def environment(name: str) -> str:
        """Tell the value of one of the server's own environment variables."""
        answer = os.environ.get(name, "")
        record({"tool": "environment", "arguments": {"name": name}, "answer": answer})
        return answer

    def erase() -> str:
        """Erase everything. A tool that nobody should be offered."""
        record({"tool": "erase", "arguments": {}, "answer": "erased"})
        return "erased"

    async def ask(question: str, context: Context) -> str:
        """Put a question to the agent's own model (sampling)."""
        message = SamplingMessage(role="user", content=TextContent(type="text", text=question))
        result = await context.session.create_message([message], max_tokens=200)
        answer = result.content.text if isinstance(result.content, TextContent) else repr(result.content)
        record({"tool": "ask", "arguments": {"question": question}, "answer": answer, "model": result.model})
        return answer

    for function in (add, environment, erase, ask):
        server.add_tool(function)
    return server


def to_file(path: Path) -> Record:
    """A record of JSON lines."""

    def record(call: dict[str, Any]) -> None:
        with path.open("a") as file:
            file.write(json.dumps(call) + "\n")

    return record


def main() -> None:
    """Serve standard input and output until they are closed."""
    parser = argparse.ArgumentParser(description="MCP server over stdio")
    parser.add_argument("--record", type=Path, default=Path(os.devnull), metavar="FILE", help="append each call")
    options = parser.parse_args()
    add_tools(MCPServer("lab"), to_file(options.record)).run("stdio")


if __name__ == "__main__":
    main()
