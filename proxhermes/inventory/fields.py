"""The kinds of value that the inventory knows: each a type with its rule and the words for a mistake.

Rules that are Proxmox's are taken from its API schema (`POST /nodes/{node}/lxc`) and named where they stand.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MISTAKE: Final = "inventory"


def mistake(message: str, allowed: str) -> PydanticCustomError:
    """A validation error in our own words: what is wrong, and what is allowed instead."""
    return PydanticCustomError(MISTAKE, "{text}", {"text": message, "allowed": allowed})


class Model(BaseModel):
    """What every block of the inventory is: unchangeable, without unknown keys, without silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Matching:
    """Text that matches a pattern as a whole; the pattern goes into the JSON Schema."""

    pattern: str
    what: str
    allowed: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise mistake(f"{value!r} is not {self.what}", self.allowed)
        return value


def as_list(value: object) -> object:
    """A single value stands for a list of one, where a list is expected."""
    return value if isinstance(value, (list, tuple)) or value is None else [value]


def _as_text(value: object) -> object:
    """Ids and settings that look like numbers are text for the one who reads them."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def one_or_many(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item}]}, mode="validation")


# --- Proxmox -----------------------------------------------------------------------------------------------------

LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
"""One part of a host name (RFC 1123)."""
_DNS: Final = rf"{LABEL}(?:\.{LABEL})*"
_DNS_ALLOWED: Final = (
    "letters, digits and inner hyphens, in parts of at most 63 joined by dots, as in `hermes` or `hermes.lan`"
)

NodeName = Annotated[str, Matching(LABEL, "the name of a node", "the name that Proxmox shows, as in `pve1`")]
Hostname = Annotated[str, Field(max_length=255), Matching(_DNS, "a host name", _DNS_ALLOWED)]
StorageId = Annotated[
    str,
    Matching(
        r"[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]",
        "the name of a storage",
        "a storage's name as Proxmox shows it, as in `local-lvm`",
    ),
]
PoolId = Annotated[
    str, Matching(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+){0,2}", "the name of a pool", "as in `agents` or `ai/agents`")
]
Bridge = Annotated[
    str,
    Matching(r"[-_.A-Za-z0-9]{1,15}", "the name of a bridge", "a bridge or SDN vnet of at most 15 characters: `vmbr0`"),
]
Template = Annotated[
    str,
    Matching(
        r"(?:debian|ubuntu)-[0-9]+(?:\.[0-9]+)?|[A-Za-z][A-Za-z0-9_.-]*:vztmpl/[^/\s,]+",
        "a template",
        "a family (`debian-13`, `ubuntu-24.04`) or a volume (`local:vztmpl/debian-13-standard_13.6-1_amd64.tar.zst`)",
    ),
]
Startup = Annotated[
    str,
    Matching(
        r"(?:order=)?\d+(?:,(?:up|down)=\d+){0,2}|(?:up|down)=\d+(?:,(?:up|down)=\d+)?",
        "a start-up order",
        "`order=N,up=SECONDS,down=SECONDS`, as in `order=3,up=10`",
    ),
]
Timezone = Annotated[
    str,
    Matching(
        r"host|[A-Z][A-Za-z0-9_+-]*(?:/[A-Z][A-Za-z0-9_+-]*){0,2}", "a time zone", "`host` or one as `Europe/Berlin`"
    ),
]


def _tag(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9_][a-z0-9_\-+.]*", value.lower()):  # PVE: JSONSchema.pm, pve-tag
        raise mistake(f"{value!r} is not a tag", "letters, digits and _ - + . (the first one a letter, a digit or _)")
    return value.lower()


Tag = Annotated[str, AfterValidator(_tag)]
Tags = Annotated[tuple[Tag, ...], Field(strict=False), AfterValidator(lambda tags: tuple(sorted(set(tags))))]


def _mac(value: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f][02468ACEace](?::[0-9A-Fa-f]{2}){5}", value):  # PVE: JSONSchema.pm, mac-addr
        raise mistake(
            f"{value!r} is not a hardware address for a guest", "a unicast MAC address, as in `BC:24:11:00:00:01`"
        )
    return value.upper()


Mac = Annotated[str, AfterValidator(_mac)]


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise mistake(f"{value!r} is not an IP address", "an IPv4 or IPv6 address, as in `10.1.10.1`") from None


Nameservers = Annotated[
    tuple[Annotated[str, AfterValidator(_ip_address)], ...],
    Field(strict=False),
    BeforeValidator(as_list),
    one_or_many({"type": "string"}),
]
SearchDomains = Annotated[
    tuple[Hostname, ...], Field(strict=False), BeforeValidator(as_list), one_or_many({"type": "string"})
]


def _public_key(value: str) -> str:
    allowed = "a line of an OpenSSH .pub file: `ssh-ed25519 AAAA… comment`"
    if "PRIVATE KEY" in value:
        raise mistake("this is a private key, which never belongs here", allowed)
    if not re.fullmatch(r"(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ AAAA[A-Za-z0-9+/=]+(?: [^\r\n]*)?", value.strip()):
        raise mistake("this is not a public SSH key", allowed)
    return value.strip()


PublicKeys = Annotated[tuple[Annotated[str, AfterValidator(_public_key)], ...], Field(strict=False)]

# --- addresses, names and ids ------------------------------------------------------------------------------------


def split_url(value: str, schemes: tuple[str, ...], example: str) -> str:
    """`value` without its trailing slash if it is a URL of one of `schemes` without a password in it."""
    allowed = f"a URL as {example}"
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise mistake("this is not a URL", allowed) from None
    if url.username is not None or url.password is not None:
        raise mistake("a URL here carries no user and password", allowed)  # not repeated: it holds a secret
    if url.scheme not in schemes or not url.hostname or re.search(r"[\s,]", value) or port == 0:
        # `http://user:0/1@h` has no password to a parser of URLs, and one to who wrote it.
        shown = "this" if "@" in value else repr(value)
        raise mistake(f"{shown} is not a URL of the kind {' or '.join(schemes)}", allowed)
    if url.query or url.fragment:
        raise mistake("a URL here ends with its path, without `?` or `#`", allowed)
    return value.rstrip("/")


def _api_url(value: str) -> str:
    url = split_url(value, ("https",), "https://192.168.1.10:8006").removesuffix("/api2/json").rstrip("/")
    if urlsplit(url).path:
        raise mistake("the API's URL has no path", "https://HOST:8006")
    return url


ApiUrl = Annotated[str, AfterValidator(_api_url)]
HttpUrl = Annotated[str, AfterValidator(lambda value: split_url(value, ("http", "https"), "http://10.1.10.22:4000/v1"))]


def _token_id(value: str) -> str:
    allowed = "USER@REALM!NAME, as in `hermes@pve!proxhermes`; its secret goes to `token_secret`"
    if "=" in value:  # the form with the secret, which other tools take
        raise mistake("a token's secret is never written here", allowed)
    if not re.fullmatch(r"[^\s:/!@]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+", value):
        raise mistake("this is not the id of an API token", allowed)  # not repeated: it may be the secret itself
    return value


TokenId = Annotated[str, AfterValidator(_token_id)]


def _fingerprint(value: str) -> str:
    digits = value.replace(":", "").upper()
    if not re.fullmatch(r"[0-9A-F]{64}", digits):
        raise mistake(
            "this is not a SHA-256 fingerprint",
            "32 pairs of hex digits joined by colons, as Proxmox shows under Certificates",
        )
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))


Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
Host = Annotated[str, Matching(rf"{_DNS}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+", "a host", "a name or an IP address")]
UnixUser = Annotated[str, Matching(r"[a-z_][a-z0-9_-]*[$]?", "a user's name", "a name as in `root`")]
Jump = Annotated[
    str,
    Matching(
        rf"(?:[a-z_][a-z0-9_-]*@)?(?:{_DNS})(?::[0-9]{{1,5}})?",
        "a jump host",
        "[USER@]HOST[:PORT], as in `admin@gate:22`",
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]
VariableName = Annotated[
    str,
    Matching(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable", "letters, digits and _, no digit first"),
]


Name = Annotated[
    str,
    Matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "a name", "letters, digits and . _ -, the first one no . _ -"),
]


ModelName = Annotated[
    str,
    Matching(
        r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f\u0085\u2028\u2029]*[^\s\x00-\x1f\x7f])?",
        "the name of a model",
        "one line as LiteLLM has it, without blanks around it",
    ),
]
_PROFILES_OWN: Final = "default|hermes|root|sudo|test|tmp"
"""Names that Hermes keeps for itself (0.22: hermes_cli/profiles.py)."""
ProfileName = Annotated[
    str,
    Matching(
        rf"(?!(?:{_PROFILES_OWN})$)[a-z0-9][a-z0-9_-]{{0,63}}",
        "the name of a profile",
        "small letters, digits, - and _, as in `work`; not default, hermes, root, sudo, test, tmp",
    ),
]


def _printable(value: str) -> str:
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", value):
        raise mistake("the value holds a control character", "text, of several lines if need be")
    return value


EnvValue = Annotated[
    str,
    BeforeValidator(_as_text),
    AfterValidator(_printable),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]}, mode="validation"),
]


def _id(value: str) -> str:
    if not re.fullmatch(r"[^\s,\x00-\x1f\x7f]+", value):
        raise mistake(f"{value!r} is not an id", "one id or name without blanks and commas; several make a list")
    return value


_ID_SCHEMA: Final[dict[str, Any]] = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
ChatId = Annotated[str, BeforeValidator(_as_text), AfterValidator(_id), WithJsonSchema(_ID_SCHEMA, mode="validation")]
ChatIds = Annotated[tuple[ChatId, ...], Field(strict=False), BeforeValidator(as_list), one_or_many(_ID_SCHEMA)]
