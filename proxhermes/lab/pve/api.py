"""The API's methods: what each is called, who may call it, what it takes; and finding one for a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proxhermes.lab.pve.errors import PveError, forbidden
from proxhermes.lab.pve.identity import Identity
from proxhermes.lab.pve.rights import Rights
from proxhermes.lab.pve.runtime import Log
from proxhermes.lab.pve.schema import Param, Table
from proxhermes.lab.pve.tasks import Work

if TYPE_CHECKING:
    from proxhermes.lab.pve.node import Node

Permission = Callable[["Request"], None]
_FORBIDDEN_TOKEN = "URI '{uri}' not available with API token, need proper ticket.\n"  # noqa: S105 - no secret


@dataclass(frozen=True, slots=True)
class Request:
    """One call on its way: who asks and with which parameters (those in the path included)."""

    node: Node
    rights: Rights
    params: Mapping[str, Any]
    console: Log | None = None

    @property
    def who(self) -> Identity:
        """Who asks."""
        return self.rights.who

    def text(self, name: str) -> str:
        """A parameter as text, empty when it is not there."""
        return str(self.params.get(name, ""))

    def vmid(self) -> int:
        """The parameter `vmid`."""
        return int(self.params["vmid"])

    def task(self, kind: str, subject: object, work: Work) -> str:
        """Start a task of the asker and return its UPID."""
        return self.node.tasks.run(self.who, kind, str(subject), work, self.console)

    def root_only(self, *names: str) -> None:
        """Refuse parameters that are for root@pam itself."""
        for name in names:
            if self.params.get(name) and not self.who.is_root:
                message = "Only root may use this option."
                raise PveError("Parameter verification failed.", status=400, errors={name: message})


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that is part of a longer one: `total` goes beside `data` in the answer."""

    data: Any
    total: int


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is plain text instead of JSON."""

    text: str


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the API. Without `allowed` only root@pam itself may call it."""

    verb: str
    path: str
    handler: Callable[[Request], Any]
    allowed: Permission | None = None
    table: Table = field(default_factory=dict)
    tokens: bool = True

    def check_allowed(self, request: Request) -> None:
        """403 when the asker may not call this at all."""
        if not self.tokens and request.who.token:
            raise forbidden(_FORBIDDEN_TOKEN.format(uri=self.path))
        if self.allowed:
            self.allowed(request)
        elif not request.who.is_root:
            raise forbidden("user != root@pam")


NODE = {"node": Param(optional=False, format="pve-node")}
VMID = {"vmid": Param("integer", optional=False, format="pve-vmid", minimum=100, maximum=999999999)}
CONTAINER: Table = {**NODE, **VMID}


def anyone(_request: Request) -> None:
    """Any authenticated user."""


def perm(path: str, *privileges: str) -> Permission:
    """All of the privileges on a path; `{name}` in it stands for a parameter."""
    return lambda request: request.rights.need(_filled(path, request), *privileges)


def perm_any(path: str, *privileges: str) -> Permission:
    """One of the privileges on a path."""
    return lambda request: request.rights.need_any(_filled(path, request), *privileges)


def both(*checks: Permission) -> Permission:
    """Every one of the checks."""

    def allowed(request: Request) -> None:
        for check in checks:
            check(request)

    return allowed


def either(*checks: Permission) -> Permission:
    """At least one of the checks; the refusal names none of them."""

    def allowed(request: Request) -> None:
        for check in checks:
            try:
                check(request)
            except PveError:
                continue
            return
        raise forbidden("")

    return allowed


def _filled(path: str, request: Request) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: request.text(found[1]), path)


@dataclass(frozen=True, slots=True)
class Router:
    """Finds the method for a request."""

    routes: tuple[tuple[re.Pattern[str], Method], ...]

    @classmethod
    def of(cls, methods: Iterable[Method]) -> Router:
        """A router for these methods; what is fixed goes before what is variable."""
        ordered = sorted(methods, key=lambda method: (method.path.count("{"), method.path))
        return cls(tuple((_pattern(method.path), method) for method in ordered))

    def find(self, verb: str, path: str) -> tuple[Method, dict[str, str]]:
        """The method and what stands in the path for its parameters; PveError 501."""
        for pattern, method in self.routes:
            if method.verb == verb and (found := pattern.fullmatch(path)):
                return method, found.groupdict()
        raise PveError(f"Method '{verb} {path}' not implemented", status=501)

    def get(self, verb: str, template: str) -> Method | None:
        """The method with exactly that path, `{node}` and the like included."""
        return next((m for _pattern, m in self.routes if (m.verb, m.path) == (verb, template)), None)


def _pattern(path: str) -> re.Pattern[str]:
    # A volume's name holds slashes; no other parameter of a path does.
    pieces = re.split(r"\{(\w+)\}", path)
    names = [f"(?P<{name}>{'.+' if name == 'volume' else '[^/]+'})" for name in pieces[1::2]]
    fixed = [re.escape(piece) for piece in pieces[::2]]
    return re.compile("".join(part for pair in zip(fixed, [*names, ""], strict=True) for part in pair))
