"""What the container's own system needs to get out: a proxy, and a mirror of its packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, model_validator

from proxhermes.inventory.fields import HttpUrl, Matching, Model, mistake, one_or_many

_ITSELF: Final = ("localhost", "127.0.0.1", "::1")


def _entries(value: Any) -> Any:
    """Text as in NO_PROXY, or a list."""
    return [entry.strip() for entry in value.split(",")] if isinstance(value, str) else value


NoProxy = Annotated[
    tuple[
        Annotated[
            str,
            Matching(
                r"\*|[A-Za-z0-9*.\[][A-Za-z0-9*._:/\[\]-]*",
                "a host that is asked directly",
                "a name, a domain, an address or a range, as in NO_PROXY",
            ),
        ],
        ...,
    ],
    Field(strict=False),
    BeforeValidator(_entries),
    one_or_many({"type": "string"}),
]
Mirror = Annotated[
    HttpUrl,
    Matching(r"https?://[A-Za-z0-9.:\[\]/_~%+-]+", "a mirror's address", "as in http://mirror.lan/debian"),
]


class Guest(Model):
    """How the container's own system, its engine and the agent get out."""

    http_proxy: HttpUrl | None = Field(
        default=None,
        description="Proxy for all that leaves the container: apt, the engine, downloads, the agent.",
        examples=["http://10.1.10.1:3128"],
    )
    no_proxy: NoProxy = Field(
        default=(), description="Hosts that are asked directly, as in NO_PROXY.", examples=[["10.1.10.22", ".lan"]]
    )
    apt_mirror: Mirror | None = Field(
        default=None,
        description="Mirror in the place of deb.debian.org and security.debian.org, or of Ubuntu's.",
        examples=["http://mirror.lan/debian"],
    )

    @model_validator(mode="after")
    def _together(self) -> Guest:
        if self.no_proxy and self.http_proxy is None:
            raise mistake("`no_proxy` does nothing without a proxy", "`http_proxy: URL` beside it")
        return self


def variables(guest: Guest) -> dict[str, str]:
    """The variables that programs look for; the ones that curl and apt read are in small letters."""
    if guest.http_proxy is None:
        return {}
    direct = ",".join(dict.fromkeys((*_ITSELF, *guest.no_proxy)))
    found = {"HTTP_PROXY": guest.http_proxy, "HTTPS_PROXY": guest.http_proxy, "NO_PROXY": direct}
    return found | {name.lower(): value for name, value in found.items()}


def service_variables(guest: Guest, declared: Mapping[str, str]) -> dict[str, str]:
    """What a service that installs something is started with, unless the agent has a proxy or hosts of its own."""
    found = variables(guest)
    return {} if {name.upper() for name in declared} & {*found, "ALL_PROXY"} else found


def agents_lines(guest: Guest, declared: Mapping[str, str]) -> dict[str, str]:
    """The lines of .env for the agent, unless it has a proxy or hosts of its own."""
    names = {name.upper() for name in declared}
    if names & {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}:
        return {}
    return {name: value for name, value in variables(guest).items() if name.isupper() and name not in names}
