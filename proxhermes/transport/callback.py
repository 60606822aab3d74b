"""A door on the operator's own machine, for as long as a browser needs it to bring an answer back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from proxhermes.errors import ConnectError, ProxhermesError

ADDRESS: Final = "127.0.0.1"


class Callback:
    """Listens on the loopback address at `port`; nothing outside this machine reaches it.

    wanted: whether a request's target (path and query) is for us, others get a 404; deliver: passes it on and gives the
    page that the browser shows (HTML). Targets hold codes: nothing is logged. As a context manager it stops listening.
    """

    def __init__(self, port: int, wanted: Callable[[str], bool], deliver: Callable[[str], str]) -> None:
        try:
            self._server = _Server((ADDRESS, port), _Handler)
        except OSError as error:
            raise ConnectError(
                f"nothing can listen at {ADDRESS} port {port} of this machine: {error.strerror or error}"
            ) from error
        self._server.wanted, self._server.deliver = wanted, deliver
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def failure(self) -> ProxhermesError | None:
        """Why the answer could not be passed on, if it could not."""
        return self._server.failure

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    wanted: Callable[[str], bool]
    deliver: Callable[[str], str]
    failure: ProxhermesError | None = None


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if not self.server.wanted(self.path):
            self.send_error(404, "this is not what is waited for")
            return
        try:
            page = self.server.deliver(self.path)
        except ProxhermesError as error:
            self.server.failure = error
            self.send_error(502, "the agent was not reached")
            return
        body = page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a request line holds the code."""
