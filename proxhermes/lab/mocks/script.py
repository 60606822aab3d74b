"""What the mock model answers: pure, from the conversation it is shown. It knows three moves and no more.

- "Reply with exactly: WORD"  ->  WORD, so that an answer proves which prompt it belongs to
- "Write TEXT to (the file) /PATH"  ->  a call of one of the tools it was offered; once that tool answered, a sentence
- anything else  ->  pong
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_EXACTLY = re.compile(r"(?:reply|answer|respond)\s+with\s+exactly\W+([A-Za-z0-9_.\-]+)", re.IGNORECASE)
_WRITE = re.compile(
    r"\b(?:write|put|save)\s+(?:the\s+(?:text|word|line)\s+)?[\"'`]?(?P<text>[^\s\"'`]+)[\"'`]?\s+"
    r"(?:in)?to\s+(?:the\s+|a\s+)?(?:new\s+)?(?:file\s+)?[\"'`]?(?P<path>/[^\s\"'`,;:]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants run, with its arguments as JSON."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says: words, or a tool call."""

    text: str = ""
    tool: ToolCall | None = None


def reply_to(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Reply:
    """The next turn of the conversation.

    :param messages: OpenAI chat messages; the last user message is what is answered
    :param tools: OpenAI tool definitions that the caller offers
    """
    prompt, later = _last_prompt(messages)
    wanted = _WRITE.search(prompt)
    if wanted:
        path, text = wanted["path"].rstrip("."), wanted["text"]
        results = [message for message in later if message.get("role") == "tool"]
        if results:
            return Reply(f"Done: {path}\n{_finish(prompt, content(results[-1]))}".rstrip())
        call = _writing_tool({name(tool) for tool in tools}, path, text)
        return Reply(tool=call) if call else Reply("I was offered no tool that writes a file.")
    return Reply(_finish(prompt, "") or "pong")


def _finish(prompt: str, tool_output: str) -> str:
    exactly = _EXACTLY.search(prompt)
    if exactly and not re.search(r'"error"\s*:\s*"', tool_output):
        return exactly[1].rstrip(".")
    return "" if not tool_output else f"The tool said: {tool_output[:300]}"


def _last_prompt(messages: Sequence[Mapping[str, Any]]) -> tuple[str, Sequence[Mapping[str, Any]]]:
    for position in range(len(messages) - 1, -1, -1):
        if messages[position].get("role") == "user":
            return content(messages[position]), messages[position + 1 :]
    return "", ()


def _writing_tool(offered: set[str], path: str, text: str) -> ToolCall | None:
    """The agent's own tool for files, else its terminal."""
    if "write_file" in offered:
        return ToolCall("write_file", json.dumps({"path": path, "content": f"{text}\n"}))
    if "terminal" in offered:
        command = f"printf '%s\\n' {shlex.quote(text)} > {shlex.quote(path)}"
        return ToolCall("terminal", json.dumps({"command": command}))
    return None


def content(message: Mapping[str, Any]) -> str:
    """A message's text, also when it comes in parts."""
    value = message.get("content") or ""
    if isinstance(value, str):
        return value
    return "\n".join(str(part.get("text", "")) for part in value if isinstance(part, Mapping))


def name(tool: Mapping[str, Any]) -> str:
    """A tool definition's name."""
    function = tool.get("function") or {}
    return str(function.get("name", ""))
