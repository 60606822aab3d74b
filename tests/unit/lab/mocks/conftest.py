from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from socketserver import BaseServer

import pytest


@pytest.fixture
def serve() -> Iterator[Callable[[BaseServer], str]]:
    """Runs a server for the test's time and gives its URL."""
    running: list[BaseServer] = []

    def start(server: BaseServer) -> str:
        running.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        host, port = server.server_address[:2]  # type: ignore[misc]
        return f"http://{host}:{port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
