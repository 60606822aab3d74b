"""Two MCP servers over HTTP (streamable): one behind a fixed token, one behind OAuth with a consent page.

Run, by a Python that has `mcp`, 1 or 2:
`python service.py --host HOST --token-file FILE --port N --oauth-port M --oauth-url URL`.
Both serve `/mcp`, and each tells its own record under `/record`: the calls, and of OAuth what was decided.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
from pathlib import Path
from typing import Any

import uvicorn
from consent import SCOPE, Consent
from mcp.server.auth import routes
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from tools import MCPServer, add_tools

# The SDK wants HTTPS for an issuer that is not localhost. The lab's net is its own, and carries no certificates.
routes.validate_issuer_url = lambda url: None


class Bearer:
    """Refuses every request without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._wanted):
                await Response("unauthorized", 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def application(name: str, host: str, calls: list[dict[str, Any]], **options: Any) -> Starlette:
    """A server with the tools. It is told its host when it is made by mcp 1, and when it is served by mcp 2."""
    made, served = ({}, {"host": host}) if MCPServer.__name__ == "MCPServer" else ({"host": host}, {})
    app: Starlette = add_tools(MCPServer(name, **options, **made), calls.append).streamable_http_app(**served)
    return app


def guarded(host: str, token: str) -> Starlette:
    """The server behind a token."""
    calls: list[dict[str, Any]] = []
    inner = application("guarded", host, calls)
    for route in inner.routes:
        if isinstance(route, Route):
            route.app = Bearer(route.app, token)
    inner.routes.append(_told(lambda: {"calls": calls}))
    return inner


def with_oauth(host: str, url: str) -> Starlette:
    """The server behind OAuth. url: its address as its clients have it, without a path."""
    calls: list[dict[str, Any]] = []
    owner = Consent(f"{url}/consent")
    app = application(
        "consented",
        host,
        calls,
        auth_server_provider=owner,
        auth=AuthSettings(
            issuer_url=url,
            resource_server_url=f"{url}/mcp",
            required_scopes=[SCOPE],
            client_registration_options=ClientRegistrationOptions(
                enabled=True, valid_scopes=[SCOPE], default_scopes=[SCOPE]
            ),
        ),
    )
    app.routes.append(Route("/consent", owner.decide, methods=["GET", "POST"]))
    app.routes.append(_told(lambda: {"calls": calls, "oauth": owner.told}))
    return app


def _told(read: Any) -> Route:
    async def answer(_: Request) -> Response:
        return JSONResponse(read())

    return Route("/record", answer)


async def serve(host: str, apps: dict[int, Starlette]) -> None:
    """Serve each application on its port until the process is ended."""
    # What they log would hold codes: a consent ends in a request line.
    settings = {"host": host, "log_level": "warning", "access_log": False, "timeout_graceful_shutdown": 1}
    await asyncio.gather(
        *(uvicorn.Server(uvicorn.Config(app, port=port, **settings)).serve() for port, app in apps.items())
    )


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description="MCP servers over HTTP")
    parser.add_argument("--host", required=True)
    parser.add_argument("--token-file", type=Path, required=True, metavar="FILE")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--oauth-port", type=int, required=True)
    parser.add_argument("--oauth-url", required=True, metavar="URL", help="the OAuth server as its clients reach it")
    options = parser.parse_args()
    token = options.token_file.read_text().strip()
    apps = {options.port: guarded(options.host, token), options.oauth_port: with_oauth(options.host, options.oauth_url)}
    asyncio.run(serve(options.host, apps))


if __name__ == "__main__":
    main()
