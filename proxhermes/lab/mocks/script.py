"""What the mock model answers: pure, from the conversation it is shown. It knows seven moves and no more.

- "Reply with exactly: WORD"  ->  WORD, so that an answer proves which prompt it belongs to
- "Write TEXT to (the file) /PATH"  ->  a call of one of the tools it was offered; once that tool answered, a sentence
- "Run this command: COMMAND" (a sentence ends it: " . Then")  ->  a call of the terminal it was offered, likewise
- "Call the tool NAME with {JSON}"  ->  that call, or one of the tool that calls what is not listed, likewise
- "Quote the line with WORD"  ->  the first line of its instructions (the system's messages) that has the word
- "Recall the word that begins with START"  ->  that word, from an earlier turn of the conversation
- anything else  ->  pong

"Take N seconds" beside any of them delays its first answer.
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
_RUN = re.compile(
    r"\b(?:run|execute)\s+(?:exactly\s+)?(?:(?:this|the(?:\s+following)?)\s+)?(?:shell\s+)?(?:command)?:?\s*"
    r"(?:`([^`]+)`|(?<=command: )(.+?)(?:\s\.\s|\s*\n|\s*$))",
    re.IGNORECASE,
)
_CALL = re.compile(r"\bcall\s+the\s+tool\s+[\"'`]?(?P<name>[A-Za-z0-9_.\-]+)[\"'`]?\s+with\s+(?=\{)", re.IGNORECASE)
_QUOTE = re.compile(r"\bquote\s+the\s+line\s+with\s+[\"'`]?(?P<word>[A-Za-z0-9_-]+)", re.IGNORECASE)
_RECALL = re.compile(r"\brecall\s+the\s+word\s+that\s+begins\s+with\s+[\"'`]?(?P<start>[A-Za-z0-9_-]+)", re.IGNORECASE)
_TAKE = re.compile(r"\btake\s+(\d{1,3})\s+seconds?\b", re.IGNORECASE)
#: The agent's own tool that calls those which its request does not list (Hermes 0.22: tools/tool_search.py).
CALLS_OTHERS = "tool_call"


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
    exactly = _EXACTLY.search(prompt)
    word = exactly[1].rstrip(".") if exactly else ""
    call = _wanted_call(prompt, {name(tool) for tool in tools})
    if call is None:
        return Reply(_remembered(prompt, messages) or word or "pong")
    results = _results(later)
    if not results:
        return Reply(tool=call) if call.name else Reply("I was offered no tool for that.")
    if failed(results[-1]):
        return Reply(f"The tool failed: {results[-1][:300]}")
    return Reply(word or f"Done. The tool said: {results[-1][:2000]}")


def seconds_to_take(messages: Sequence[Mapping[str, Any]]) -> int:
    """How long the model is to think about the last prompt; once a tool has answered, not at all."""
    prompt, later = _last_prompt(messages)
    wanted = None if _results(later) else _TAKE.search(prompt)
    return int(wanted[1]) if wanted else 0


def _results(later: Sequence[Mapping[str, Any]]) -> list[str]:
    return [content(message) for message in later if message.get("role") == "tool"]


def _remembered(prompt: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """What a prompt asks of the conversation so far; empty if it asks for nothing."""
    if wanted := _QUOTE.search(prompt):
        instructions = "\n".join(content(message) for message in messages if message.get("role") == "system")
        found = (line.strip() for line in instructions.splitlines() if wanted["word"] in line)
        return next(found, "No line that I was given has that.")
    if wanted := _RECALL.search(prompt):
        said = " ".join(content(message) for message in messages if content(message) != prompt)
        word = re.search(rf"\b{re.escape(wanted['start'])}[A-Za-z0-9_-]+", said)
        return word[0] if word else "I remember no such word."
    return ""


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
        return _call(call["name"], arguments, offered)
    if command := _RUN.search(prompt):
        words = next(group for group in command.groups() if group)
        return ToolCall("terminal" if "terminal" in offered else "", json.dumps({"command": words}))
    if wanted := _WRITE.search(prompt):
        return _writing_tool(offered, wanted["path"].rstrip("."), wanted["text"])
    return None


def _call(name: str, arguments: object, offered: set[str]) -> ToolCall:
    if name not in offered and CALLS_OTHERS in offered:
        return ToolCall(CALLS_OTHERS, json.dumps({"calls": [{"name": name, "arguments": arguments}]}))
    return ToolCall(name if name in offered else "", json.dumps(arguments))


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
