"""What the mock model answers: pure, from the conversation it is shown. It knows seven moves and no more.

- "Reply with exactly: WORD"  ->  WORD, so that an answer proves which prompt it belongs to
- "Write TEXT to (the file) /PATH"  ->  a call of one of the tools it was offered; once that tool answered, a sentence
- "Run this command: COMMAND" (a sentence ends it: " . Then")  ->  a call of the terminal it was offered, likewise
- "Call the tool NAME with {JSON}"  ->  that call, if the tool was offered, likewise
- "Take N seconds."  ->  its answer comes that much later, whatever it is
- "Quote the line with WORD"  ->  the first line of its instructions (the system's messages) that has the word
- anything else  ->  pong
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

_EXACTLY = re.compile(r"(?:reply|answer|respond)\s+with\s+exactly\W+([A-Za-z0-9_.\-]+)", re.IGNORECASE)
_WRITE = re.compile(
    r"\b(?:write|put|save)\s+(?:the\s+(?:text|word|line)\s+)?[\"'`]?(?P<text>[^\s\"'`]+)[\"'`]?\s+"
    r"(?:in)?to\s+(?:the\s+|a\s+)?(?:new\s+)?(?:file\s+)?[\"'`]?(?P<path>/[^\s\"'`,;:]+)",
    re.IGNORECASE,
)
_RUN = re.compile(
    r"\b(?:run|execute)\s+(?:exactly\s+)?(?:(?:this|the(?:\s+following)?)\s+)?(?:shell\s+)?(?:command)?:?\s*"
    r"(?:`([^`]+)`|(?<=command: )(.+?)(?:\s\.\s|\s*\n|\s*$))",
    re.IGNORECASE,
)
_CALL = re.compile(r"\bcall\s+the\s+tool\s+[\"'`]?(?P<name>[A-Za-z0-9_.\-]+)[\"'`]?\s+with\s+(?=\{)", re.IGNORECASE)
_TAKE = re.compile(r"\btake\s+(\d{1,3})\s+seconds\b", re.IGNORECASE)
_QUOTE = re.compile(r"\bquote\s+the\s+line\s+with\s+[\"'`]?(?P<word>[A-Za-z0-9_-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants run, with its arguments as JSON."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says: words, or a tool call; after so many seconds."""

    text: str = ""
    tool: ToolCall | None = None
    seconds: int = 0


def reply_to(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Reply:
    """The next turn of the conversation.

    :param messages: OpenAI chat messages; the last user message is what is answered
    :param tools: OpenAI tool definitions that the caller offers
    """
    prompt, later = _last_prompt(messages)
    take = _TAKE.search(prompt)
    return replace(_answer(messages, tools, prompt, later), seconds=int(take[1]) if take else 0)


def _answer(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    prompt: str,
    later: Sequence[Mapping[str, Any]],
) -> Reply:
    exactly = _EXACTLY.search(prompt)
    word = exactly[1].rstrip(".") if exactly else ""
    call = _wanted_call(prompt, {name(tool) for tool in tools})
    if call is None:
        wanted = _QUOTE.search(prompt)
        return Reply(_line(messages, wanted["word"]) if wanted else word or "pong")
    results = [content(message) for message in later if message.get("role") == "tool"]
    if not results:
        return Reply(tool=call) if call.name else Reply("I was offered no tool for that.")
    if failed(results[-1]):
        return Reply(f"The tool failed: {results[-1][:300]}")
    return Reply(word or f"Done. The tool said: {results[-1][:2000]}")


def _line(messages: Sequence[Mapping[str, Any]], word: str) -> str:
    """The first line of the instructions that has `word` in it."""
    instructions = "\n".join(content(message) for message in messages if message.get("role") == "system")
    found = (line.strip() for line in instructions.splitlines() if word in line)
    return next(found, "No line that I was given has that.")


def failed(result: str) -> bool:
    """Whether a tool's answer (JSON, as Hermes gives it) tells of a failure."""
    try:
        answer = json.loads(result)
    except ValueError:
        return False
    return isinstance(answer, dict) and bool(answer.get("error") or answer.get("exit_code"))


def _wanted_call(prompt: str, offered: set[str]) -> ToolCall | None:
    """The tool call that a prompt asks for: None if it asks for none, without a name if no offered tool can do it."""
    if call := _CALL.search(prompt):
        arguments, _ = json.JSONDecoder().raw_decode(prompt, call.end())
        return ToolCall(call["name"] if call["name"] in offered else "", json.dumps(arguments))
    if command := _RUN.search(prompt):
        words = next(group for group in command.groups() if group)
        return ToolCall("terminal" if "terminal" in offered else "", json.dumps({"command": words}))
    if wanted := _WRITE.search(prompt):
        return _writing_tool(offered, wanted["path"].rstrip("."), wanted["text"])
    return None


def _last_prompt(messages: Sequence[Mapping[str, Any]]) -> tuple[str, Sequence[Mapping[str, Any]]]:
    for position in range(len(messages) - 1, -1, -1):
        if messages[position].get("role") == "user":
            return content(messages[position]), messages[position + 1 :]
    return "", ()


def _writing_tool(offered: set[str], path: str, text: str) -> ToolCall:
    """The agent's own tool for files, else its terminal."""
    if "write_file" in offered:
        return ToolCall("write_file", json.dumps({"path": path, "content": f"{text}\n"}))
    command = f"printf '%s\\n' {shlex.quote(text)} > {shlex.quote(path)}"
    return ToolCall("terminal" if "terminal" in offered else "", json.dumps({"command": command}))


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
