"""The API over HTTPS, as pveproxy answers: `python -m proxhermes.lab.pve.server` on a lab's node.

Errors are `{"data": null, "message": …}` with the message in the reason phrase too; a failed authentication is answered
after three seconds and ends the connection.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
import threading
import time
import traceback
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from proxhermes.lab.pve import auth
from proxhermes.lab.pve.access import UserConfig
from proxhermes.lab.pve.api import Listing, Text
from proxhermes.lab.pve.cli.here import open_node
from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.identity import Identity
from proxhermes.lab.pve.node import Node
from proxhermes.lab.pve.site import Site

PREFIX = "/api2/json"
_KNOWN_VERBS = ("GET", "POST", "PUT", "DELETE")
_WORLD = {("GET", "/access/domains"), ("GET", "/access/ticket"), ("POST", "/access/ticket")}
_FORM = "application/x-www-form-urlencoded"
_LONGEST_BODY = 2**20


class _Refused(Exception):
    """An answer without the usual body: an HTTP status, its reason, a text."""

    def __init__(self, status: int, reason: str, body: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.body = status, reason, body


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def parse_request(self) -> bool:
        """Every method goes to the same place, known to HTTP or not."""
        if not super().parse_request():
            return False
        if not hasattr(self, f"do_{self.command}"):
            setattr(self, f"do_{self.command}", self.do_any)
        return True

    def do_any(self) -> None:
        """Answer one request."""
        try:
            self._answer()
        except _Refused as refused:
            self._send(refused.status, refused.reason, refused.body, "text/html", close=refused.status == 401)
        except PveError as error:
            self._send_error(error)
        except Exception:  # noqa: BLE001 - a mistake in the node must not take the connection with it
            traceback.print_exc()
            self._send_error(PveError("internal error of the lab's node"))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_any

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self._read_body()
        if self.command not in _KNOWN_VERBS:
            raise _Refused(501, f"method '{self.command}' not available")
        if not (url.path + "/").startswith(PREFIX + "/"):
            raise _Refused(404, "no such file")
        path = "/" + unquote(url.path).removeprefix(PREFIX).strip("/")
        users = self.server.node.users()
        who = self._identify(path, users)
        if body and self.command in ("GET", "DELETE"):
            text = f"Unexpected content for method '{self.command}'"
            raise _Refused(501, text, text)
        params = dict(parse_qsl(url.query, keep_blank_values=True)) | self._parse_body(body)
        try:
            answer = self.server.node.answer(who, self.command, path, params)
        except PveError as error:
            if error.status == 401:
                time.sleep(self.server.node.site.limits.auth_delay)
            raise
        if isinstance(answer, Text):
            self._send(200, "OK", answer.text, "text/plain")
        elif isinstance(answer, Listing):
            self._send_json(200, "OK", {"data": answer.data, "total": answer.total})
        else:
            self._send_json(200, "OK", {"data": answer})

    def _read_body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LONGEST_BODY:
            self.close_connection = True
            raise _Refused(501, "for data too large")
        return self.rfile.read(length) if length else b""

    def _parse_body(self, body: bytes) -> dict[str, Any]:
        kind = self.headers.get_content_type() if "Content-Type" in self.headers else _FORM
        if not body:
            return {}
        if kind == "application/json":
            try:
                parsed = json.loads(body)
            except ValueError:
                raise _Refused(400, "unable to parse JSON body") from None
            if not isinstance(parsed, dict):
                raise _Refused(400, "unable to parse JSON body")
            return parsed
        if kind != _FORM:
            raise _Refused(501, "upload 'Content-Type' not implemented")
        return dict(parse_qsl(body.decode(), keep_blank_values=True))

    def _identify(self, path: str, users: UserConfig) -> Identity:
        if (self.command, path) in _WORLD:
            return Identity("nobody")
        writes = self.command != "GET"
        try:
            return auth.identify(self.server.node.vault, users, dict(self.headers.items()), writes=writes)
        except PveError as error:
            time.sleep(self.server.node.site.limits.auth_delay)
            raise _Refused(401, error.message) from None

    def _send_error(self, error: PveError) -> None:
        # Perl's messages end with a line feed; that of an unknown method does not.
        end = "" if error.status == 501 else "\n"
        body: dict[str, Any] = {"data": None, "message": error.message + end}
        if error.errors:
            body["errors"] = error.errors
        self._send_json(error.status, error.message.split("\n")[0], body)

    def _send_json(self, status: int, reason: str, body: dict[str, Any]) -> None:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        self._send(status, reason, text, "application/json;charset=UTF-8")

    def _send(self, status: int, reason: str, body: str, kind: str, *, close: bool = False) -> None:
        data = body.encode()
        self.close_connection = self.close_connection or close
        # http.server writes reason phrases in Latin-1; beyond that they go out as UTF-8 bytes, as Perl sends them.
        self.send_response_only(status, reason.encode().decode("latin-1"))
        now = formatdate(usegmt=True)
        headers = {"Cache-Control": "max-age=0", "Connection": "close" if self.close_connection else "Keep-Alive"}
        headers |= {"Date": now, "Pragma": "no-cache", "Server": "pve-api-daemon/3.0"}
        headers |= {"Content-Length": str(len(data)), "Expires": now}
        if data:
            headers["Content-Type"] = kind
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        """One line for each request, without parameters: they may hold secrets."""
        path = urlsplit(self.path).path if hasattr(self, "path") else "?"
        print(f"{self.address_string()} {getattr(self, 'command', '?')} {path}", file=sys.stderr)  # noqa: T201


class Server(ThreadingHTTPServer):
    """The API of one node; TLS is spoken in each connection's own thread."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], node: Node, tls: ssl.SSLContext | None) -> None:
        super().__init__(address, Handler)
        self.node = node
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands here and not in the accepting thread, which a slow client would hold up."""
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        try:
            request.settimeout(60)
            with self._tls.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)
        except (OSError, TimeoutError):
            return  # the client went away, or does not trust the certificate

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is no event; anything else is."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def tls_context(site: Site) -> ssl.SSLContext:
    """The node's certificate and key (`pve-ssl.pem`, `pve-ssl.key` beside it)."""
    certificate = site.real(site.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def take_stock_forever(node: Node) -> None:
    """pvestatd: what `/cluster/resources` knows is as old as the last round."""
    while True:
        try:
            node.observe()
        except Exception:  # noqa: BLE001 - one bad round must not be the last
            traceback.print_exc()
        time.sleep(node.site.limits.statistics)


def main(argv: list[str] | None = None) -> None:
    """Serve the node of this machine (`/etc/pve-lab.json`)."""
    parser = argparse.ArgumentParser(prog="pve-api-daemon", description="The HTTPS API of a lab's node.")
    parser.add_argument("--address", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8006)
    said = parser.parse_args(argv)
    node = open_node()
    server = Server((said.address, said.port), node, tls_context(node.site))
    threading.Thread(target=take_stock_forever, args=(node,), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
