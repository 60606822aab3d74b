"""MCP servers that the agent uses (`hermes.mcp_servers.NAME`), with the names that Hermes' config.yaml has for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from proxhermes.inventory.fields import EnvValue, Matching, Model, VariableName, mistake


def _url(value: str) -> str:
    """An address as Hermes takes it, unchanged: a slash at its end, a query may matter to the server."""
    allowed = "http://HOST[:PORT]/PATH or https://…"
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise mistake("this is not a URL", allowed) from None
    if url.username is not None or url.password is not None:
        raise mistake("a URL here carries no user and password", 'headers: {Authorization: "Basic ${NAME}"}')
    if url.scheme not in ("http", "https") or not url.hostname or re.search(r"\s", value):
        raise mistake("this is not a URL of the kind http or https", allowed)  # not repeated: it may hold a token
    return value


def _header(value: str) -> str:
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) or value != value.strip():
        raise mistake("a header's value is one line, without blanks around it", 'as in "Bearer ${NAME}"')
    return value


Url = Annotated[str, AfterValidator(_url)]
HeaderName = Annotated[str, Matching(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", "the name of a header", "as in `X-Api-Key`")]
HeaderValue = Annotated[str, AfterValidator(_header)]

Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]
PositiveSeconds = Annotated[int, Field(ge=1)]


class Tools(Model):
    """Which of the server's tools the agent sees."""

    include: Texts = Field(default=(), description="These tools alone.")
    exclude: Texts = Field(default=(), description="All tools but these.")

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if self.include and self.exclude:  # Hermes 0.19 would look at `include` alone, and hide nothing
            raise mistake("`exclude` means nothing beside `include`", "one of the two")
        return self


class Sampling(Model):
    """Requests for completions that the server makes to the agent's model."""

    enabled: bool = Field(default=True, description="Answer such requests.")
    model: str | None = Field(default=None, min_length=1, description="Model for them in place of the agent's own.")
    max_tokens_cap: int | None = Field(default=None, ge=1, description="Most tokens of an answer.")
    timeout: PositiveSeconds | None = Field(default=None, description="Seconds that an answer may take.")
    max_rpm: int | None = Field(default=None, ge=1, description="Most requests in a minute.")
    max_tool_rounds: int | None = Field(default=None, ge=0, description="Most rounds of tool calls in a request.")
    allowed_models: Texts = Field(default=(), description="Models that the server may ask for.")
    log_level: Literal["debug", "info", "warning"] | None = Field(default=None, description="Level of the audit log.")


class McpServer(Model):
    """One server: a program that the agent starts (`command`), or an address that it calls (`url`)."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("transport", "ssl_verify", "client_cert", "client_key", "oauth", "keepalive_interval", "elicitation"),
        "hermes.settings.mcp_servers.NAME",
    )
    """What Hermes knows beyond this, and where it is said."""

    command: str | None = Field(default=None, min_length=1, description="Program of a server over stdio.")
    args: Annotated[tuple[str, ...], Field(strict=False)] = Field(default=(), description="Its arguments.")
    env: Mapping[VariableName, EnvValue] = Field(
        default_factory=dict, description="Its environment; `${NAME}` stands for a line of .env."
    )
    url: Url | None = Field(default=None, description="Address of a server over HTTP.")
    headers: Mapping[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Headers of each request; `${NAME}` stands for a line of .env."
    )
    auth: Literal["oauth"] | None = Field(
        default=None, description="`oauth`: OAuth 2.1 with PKCE; `proxhermes mcp login` runs the consent."
    )
    enabled: bool = Field(default=True, description="Whether the agent uses it.")
    timeout: PositiveSeconds | None = Field(default=None, description="Seconds that a tool call may take.")
    connect_timeout: PositiveSeconds | None = Field(default=None, description="Seconds until it must be connected.")
    tools: Tools | None = Field(default=None, description="Which of its tools the agent sees.")
    sampling: Sampling | None = Field(default=None, description="What it may ask of the agent's model.")

    @field_validator("command", mode="before")
    @classmethod
    def _no_list(cls, value: object) -> object:
        if isinstance(value, list) and value and isinstance(value[0], str):
            # What follows the program is not repeated: it may be a secret.
            raise mistake(
                "a list stands here instead of a program",
                f"`command: {value[0].partition(' ')[0]}`, and the rest in `args: […]`",
            )
        return value

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise mistake("a server has exactly one transport", "`command` (stdio) or `url` (HTTP)")
        over_http = {"headers": self.headers, "auth": self.auth}
        over_stdio = {"args": self.args, "env": self.env}
        other, own = (over_http, "command") if self.command else (over_stdio, "url")
        if odd := next((name for name, value in other.items() if value), None):
            raise mistake(f"`{odd}` means nothing beside `{own}`", f"`{own}` without `{odd}`")
        return self
