"""What both mocks share: a threaded HTTP server that speaks JSON and logs nothing on its own."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


class JsonHandler(BaseHTTPRequestHandler):
    """Request bodies as dictionaries (JSON or a form), answers as JSON, connections kept open."""

    protocol_version = "HTTP/1.1"

    def read_body(self) -> dict[str, Any]:
        """The request's body; empty when there is none or it is neither JSON nor a form."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get_content_type() == "application/x-www-form-urlencoded":
            return dict(parse_qsl(raw.decode()))
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def send_json(self, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: request lines of Telegram's API hold the bot's token."""


class Server(ThreadingHTTPServer):
    """A server whose threads do not outlive it; asked for many connections at once, it does not refuse."""

    daemon_threads = True
    request_queue_size = 64


def address(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`. Raises ValueError."""
    host, _, port = text.rpartition(":")
    return host, int(port)
