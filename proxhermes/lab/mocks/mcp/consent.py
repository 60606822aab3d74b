"""Who may use the OAuth server: clients that register themselves, one owner who consents on a page, tokens that end.

The SDK does the protocol (discovery, registration, PKCE, the endpoints); here is what it asks for: memory and consent.
"""

from __future__ import annotations

import html
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

SCOPE = "tools"
_CODE_SECONDS = 300
_TOKEN_SECONDS = 3600

_PAGE = """\
<!doctype html><title>Consent</title>
<h1>{client} wants to use the lab's tools</h1>
<form method="post">
<input type="hidden" name="request" value="{request}">
<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button>
</form>
"""


@dataclass(slots=True)
class Consent:
    """The authorization server's memory; the SDK's OAuthAuthorizationServerProvider."""

    page: str
    """URL of the consent page."""
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    requests: dict[str, tuple[OAuthClientInformationFull, AuthorizationParams]] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    tokens: dict[str, AccessToken] = field(default_factory=dict)
    refreshes: dict[str, RefreshToken] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    """What happened, without any secret: registrations, decisions, tokens."""

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id, "the SDK has made one up"
        self.clients[client_info.client_id] = client_info
        self.told.append({"registered": str((client_info.redirect_uris or [""])[0])})

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        """Where the browser goes: to the page on which the owner decides."""
        request = secrets.token_urlsafe(16)
        self.requests[request] = (client, params)
        return f"{self.page}?request={request}"

    async def decide(self, http: Request) -> Response:
        """The page: shown on GET; on POST the browser goes back to the client, with a code or a refusal."""
        form = await http.form() if http.method == "POST" else http.query_params
        request, decision = str(form.get("request", "")), str(form.get("decision", ""))
        if request not in self.requests:
            return HTMLResponse("<h1>nobody asked for this</h1>", 404)
        client, params = self.requests[request]
        if http.method == "GET":
            return HTMLResponse(_PAGE.format(client=html.escape(client.client_name or "Somebody"), request=request))
        del self.requests[request]
        self.told.append({"decision": decision})
        back = str(params.redirect_uri)
        if decision != "allow":
            refusal = construct_redirect_uri(back, error="access_denied", state=params.state)
            return RedirectResponse(refusal, 302)
        return RedirectResponse(construct_redirect_uri(back, code=self._code(client, params), state=params.state), 302)

    def _code(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        code = f"code-{secrets.token_urlsafe(32)}"
        self.codes[code] = AuthorizationCode(
            code=code,
            client_id=client.client_id,
            scopes=params.scopes or [SCOPE],
            expires_at=time.time() + _CODE_SECONDS,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        return code

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._token(client, authorization_code.scopes, "code")

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self.refreshes.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self.refreshes[refresh_token.token]
        return self._token(client, scopes or refresh_token.scopes, "refresh")

    def _token(self, client: OAuthClientInformationFull, scopes: list[str], grant: str) -> OAuthToken:
        access, refresh = f"access-{secrets.token_urlsafe(32)}", f"refresh-{secrets.token_urlsafe(32)}"
        expires = int(time.time()) + _TOKEN_SECONDS
        self.tokens[access] = AccessToken(token=access, client_id=client.client_id, scopes=scopes, expires_at=expires)
        self.refreshes[refresh] = RefreshToken(token=refresh, client_id=client.client_id, scopes=scopes)
        self.told.append({"token": grant})
        return OAuthToken(access_token=access, expires_in=_TOKEN_SECONDS, scope=" ".join(scopes), refresh_token=refresh)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.tokens.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.tokens.pop(token.token, None)
        self.refreshes.pop(token.token, None)
