"""Logins that the agent is given to begin with (`hermes.mcp_tokens.NAME`), as Hermes keeps them in its mcp-tokens."""

from __future__ import annotations

from pydantic import Field

from proxhermes.inventory.fields import Model
from proxhermes.inventory.secrets import SecretFile


class McpToken(Model):
    """The login at one MCP server."""

    token: SecretFile = Field(description="JSON with access_token, refresh_token, …: Hermes' mcp-tokens/NAME.json.")
    client: SecretFile | None = Field(
        default=None,
        description="JSON with client_id, redirect_uris, …: Hermes' mcp-tokens/NAME.client.json. A token can be "
        "refreshed only by the client that it was given to.",
    )
