"""A mock model provider: OpenAI's chat completions, whole or streamed, with tool calls, from a fixed script.

Run: `python -m proxhermes.lab.mocks.upstream --listen HOST:PORT [--log FILE]`.
`GET /requests` tells what was asked so far, newest last, answered or not. No key is checked and none is recorded.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Any

from proxhermes.lab.mocks.http import JsonHandler, Server, address
from proxhermes.lab.mocks.script import Reply, content, name, reply_to, seconds_to_take

MODELS = ("mock-sonnet", "mock-mini")
_REMEMBERED = 200


class Journal:
    """The requests so far: in memory for whoever asks, and a JSON line each in a file."""

    def __init__(self, file: Path | None) -> None:
        """Append to `file`, if given."""
        self._file = file
        self._lock = threading.Lock()
        self._entries: deque[dict[str, object]] = deque(maxlen=_REMEMBERED)

    def add(self, request: dict[str, Any], reply: Reply) -> None:
        """Record one request, without its headers, and what was answered."""
        messages = request.get("messages") or []
        entry: dict[str, object] = {
            "time": time.time(),
            "model": request.get("model"),
            "stream": bool(request.get("stream")),
            "tools": [name(tool) for tool in request.get("tools") or []],
            "messages": len(messages),
            "last": {"role": messages[-1].get("role"), "text": content(messages[-1])[:2000]} if messages else None,
            "reply": reply.text,
            "tool_call": {"name": reply.tool.name, "arguments": reply.tool.arguments} if reply.tool else None,
        }
        with self._lock:
            self._entries.append(entry)
            if self._file:
                with self._file.open("a") as out:
                    out.write(json.dumps(entry) + "\n")

    def entries(self) -> list[dict[str, object]]:
        """What is remembered, oldest first."""
        with self._lock:
            return list(self._entries)


def message_of(reply: Reply) -> dict[str, Any]:
    """The assistant's message, as in a completion that is not streamed."""
    if reply.tool is None:
        return {"role": "assistant", "content": reply.text}
    function = {"name": reply.tool.name, "arguments": reply.tool.arguments}
    call = {"id": f"call_{uuid.uuid4().hex[:16]}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def usage_of(request: dict[str, Any], reply: Reply) -> dict[str, int]:
    """Token counts: a word of four letters is a token here."""
    prompt = len(json.dumps(request.get("messages") or [])) // 4 + 1
    answer = len(reply.tool.arguments if reply.tool else reply.text) // 4 + 1
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def completion(request: dict[str, Any], reply: Reply) -> dict[str, Any]:
    """A whole completion."""
    choice = {"index": 0, "message": message_of(reply), "finish_reason": "tool_calls" if reply.tool else "stop"}
    return {**_head(request, "chat.completion"), "choices": [choice], "usage": usage_of(request, reply)}


def chunks(request: dict[str, Any], reply: Reply) -> list[dict[str, Any]]:
    """The same as the chunks of a stream, the last one with the usage if it was asked for."""
    head = _head(request, "chat.completion.chunk")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if reply.tool:
        [call] = message_of(reply)["tool_calls"]
        opening = {**call, "index": 0, "function": {"name": reply.tool.name, "arguments": ""}}
        rest = {"index": 0, "function": {"arguments": reply.tool.arguments}}
        deltas += [{"tool_calls": [opening]}, {"tool_calls": [rest]}]
    else:
        middle = len(reply.text) // 2
        deltas += [{"content": part} for part in (reply.text[:middle], reply.text[middle:]) if part]
    stream = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    reason = "tool_calls" if reply.tool else "stop"
    stream.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    if (request.get("stream_options") or {}).get("include_usage"):
        stream.append({**head, "choices": [], "usage": usage_of(request, reply)})
    return stream


def _head(request: dict[str, Any], kind: str) -> dict[str, Any]:
    identity = f"chatcmpl-{uuid.uuid4().hex[:20]}"
    return {"id": identity, "object": kind, "created": int(time.time()), "model": request.get("model", MODELS[0])}


class Upstream(Server):
    """The server; `journal` tells what it was asked."""

    def __init__(self, listen: tuple[str, int], journal: Journal) -> None:
        """Bind to `listen`; port 0 takes a free one."""
        super().__init__(listen, _Handler)
        self.journal = journal


class _Handler(JsonHandler):
    server: Upstream

    def do_GET(self) -> None:
        if self.path in ("/v1/models", "/models"):
            models = [{"id": model, "object": "model", "created": 0, "owned_by": "mock"} for model in MODELS]
            self.send_json({"object": "list", "data": models})
        elif self.path == "/requests":
            self.send_json(self.server.journal.entries())
        else:
            self._not_found()

    def do_POST(self) -> None:
        request = self.read_body()
        if self.path not in ("/v1/chat/completions", "/chat/completions"):
            self._not_found()
            return
        messages = request.get("messages") or []
        reply = reply_to(messages, request.get("tools") or [])
        self.server.journal.add(request, reply)
        time.sleep(seconds_to_take(messages))
        if request.get("stream"):
            self._stream(chunks(request, reply))
        else:
            self.send_json(completion(request, reply))

    def _stream(self, events: list[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in (*(json.dumps(event) for event in events), "[DONE]"):
            self.wfile.write(f"data: {event}\n\n".encode())
            self.wfile.flush()

    def _not_found(self) -> None:
        message = f"the mock knows no {self.command} {self.path}"
        self.send_json({"error": {"message": message, "type": "invalid_request_error", "code": "not_found"}}, 404)


def main(arguments: list[str] | None = None) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="mock model provider")
    parser.add_argument("--listen", type=address, required=True, metavar="HOST:PORT")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append a JSON line for each request")
    options = parser.parse_args(arguments)
    with Upstream(options.listen, Journal(options.log)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
