"""The token's door: Proxmox VE's HTTPS API, spoken by proxmoxer, with its quirks kept in here.

What proxmoxer 2.3 does that nobody wants, and what is done about it here: a time limit of 5 s (own ones), TLS
warnings switched off for the whole process (undone), an answer that is no JSON handed on as data (an error), Proxmox'
own message dropped in favour of the HTTP reason (read), Python's booleans sent as `True` (sent as 1 and 0).
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import requests
import tenacity

from proxhermes import hints
from proxhermes.errors import (
    ApiError,
    AuthError,
    ConnectError,
    DeadlineExceeded,
    PermissionDenied,
    ProxhermesError,
    TaskFailed,
)
from proxhermes.events import Events
from proxhermes.inventory.models import Node
from proxhermes.transport import tls

with warnings.catch_warnings():  # proxmoxer's import switches urllib3's warnings off for everybody
    import proxmoxer
    import proxmoxer.backends.https

Value = str | int | float | bool | None
"""A parameter; None is not sent."""

CONNECT_S: Final = 10.0
READ_S: Final = 90.0  # pveproxy gives a worker 30 s, and a lock is waited for 10 s; a dead storage makes both slower
ATTEMPTS: Final = 4
LOG_TAIL: Final = 20
_LOG_PAGE: Final = 500

# Proxmox' HTTP client between nodes (AnyEvent::HTTP) numbers its own failures 595 to 599. After 595 nothing was sent.
_NOT_SENT: Final = frozenset({595})
_PASSING: Final = frozenset({502, 503, 504, 595, 596, 597, 599})


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """A task that did not fail: its whole log, and the warnings in it."""

    log: tuple[str, ...]
    warnings: tuple[str, ...]


class _Unreachable(ConnectError):
    """The network failed, which may pass."""


class _NotProxmox(Exception):
    """A successful answer that is not Proxmox' JSON."""


class _Refusal(Exception):
    """An answer of 400 or above, with what stands in its body."""

    def __init__(self, status: int, message: str, errors: dict[str, str]) -> None:
        self.status, self.message, self.errors = status, message, errors


class _Serializer:
    """Reads answers for proxmoxer: nothing but JSON as data, and errors with Proxmox' own message."""

    def loads(self, response: requests.Response) -> Any:
        try:
            return response.json()["data"]
        except (ValueError, KeyError, TypeError):
            raise _NotProxmox from None

    def loads_errors(self, response: requests.Response) -> None:
        # Raised here, since proxmoxer's own exception stumbles over an answer without a reason phrase.
        try:
            body = response.json()
        except ValueError:
            body = None
        body = body if isinstance(body, dict) else {}
        errors = {name: clean(str(text)) for name, text in (body.get("errors") or {}).items()}
        message = clean(str(body.get("message") or response.reason or f"status {response.status_code}"))
        raise _Refusal(response.status_code, message, errors)


class Pve:
    """One node's API, opened at the first call and kept open.

    Paths are relative to `/api2/json`, parameters are keywords (`**{"ssh-public-keys": …}`). Every call raises
    ApiError with Proxmox' message, PermissionDenied for a 403, AuthError for a 401, ConnectError for network and TLS.
    What passes by itself is tried again where that is safe: reading after a failure of the network, and anything after
    Proxmox gave up waiting for a container's lock, since then it had done nothing.
    """

    def __init__(self, node: Node, events: Events, name: str = "") -> None:
        self.node = node
        self.name = name or node.api_host
        """The node's name in the inventory, for messages."""
        self.calls = 0
        """How many requests were sent, repeated ones included."""
        self._events = events
        self._api: Any = None
        self._reached = False
        self._opening = threading.Lock()

    def get(self, path: str, /, **params: Value) -> Any:
        return self._call("GET", path, params)

    def post(self, path: str, /, **params: Value) -> Any:
        return self._call("POST", path, params)

    def put(self, path: str, /, **params: Value) -> Any:
        return self._call("PUT", path, params)

    def delete(self, path: str, /, **params: Value) -> Any:
        return self._call("DELETE", path, params)

    def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        if self._api is not None:
            self._api._store["session"].close()
            self._api = None

    def task(self, upid: str, *, doing: str, timeout: float, on_line: Callable[[str], None] | None = None) -> TaskEnd:
        """Wait `timeout` seconds at most until the task ended well, handing on its log's lines as they come.

        Raises TaskFailed with the end of the log, DeadlineExceeded while it still runs.
        """
        path = f"/nodes/{upid.split(':')[1]}/tasks/{upid}"
        deadline = time.monotonic() + timeout
        pause = 0.1
        log: list[str] = []
        while True:
            status = self.get(f"{path}/status")
            # Read after the status, so that the log of a stopped task is whole.
            for line in self._log_from(path, len(log)):
                log.append(line)
                if on_line is not None:
                    on_line(line)
            if status.get("status") == "stopped":
                return _ended(str(status.get("exitstatus", "unknown")), upid, doing, log)
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeadlineExceeded(
                    f"the task did not end within {timeout:g} s",
                    doing=doing,
                    answer=upid,
                    log=log[-LOG_TAIL:],
                    hint=f"it may still be running: see the task list of {self.name}; run the command again later",
                )
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 1.0)

    def _log_from(self, path: str, start: int) -> list[str]:
        lines: list[str] = []
        while True:
            page = self.get(f"{path}/log", start=start + len(lines), limit=_LOG_PAGE)
            if page == [{"n": 1, "t": "no content"}]:  # Proxmox' words for an empty log
                return lines
            lines += [entry["t"] for entry in page]
            if len(page) < _LOG_PAGE:
                return lines

    def _call(self, method: str, path: str, params: dict[str, Value]) -> Any:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: self._may_repeat(method, error)),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=0.5, max=4),
            before_sleep=lambda state: self._events.note(f"{self.name}: {_failure(state)}; trying again"),
            reraise=True,
        )
        return retrying(self._send, method, path, params)

    def _may_repeat(self, method: str, error: BaseException) -> bool:
        if isinstance(error, ApiError):
            # The lock is taken before anything is written (PVE: AbstractConfig.pm lock_config).
            nothing_done = "can't lock file" in error.message and "got timeout" in error.message
            return nothing_done or error.status in (_PASSING if method == "GET" else _NOT_SENT)
        # A node that was never reached is more likely the wrong address than a bad moment.
        return isinstance(error, _Unreachable) and method == "GET" and self._reached

    def _send(self, method: str, path: str, params: dict[str, Value]) -> Any:
        api = self._open()
        sent = {name: int(value) if isinstance(value, bool) else value for name, value in params.items()}
        sent = {name: value for name, value in sent.items() if value is not None}
        self._events.command(_shown(method, path, sent))
        self.calls += 1
        doing = f"asking {self.node.api}: {method} {path}"
        try:
            data = getattr(api(path.lstrip("/")), method.lower())(**sent)
        except _Refusal as error:
            self._reached = True
            raise self._refusal(error, doing) from None
        except _NotProxmox:
            raise ConnectError(
                f"{self.node.api} does not answer as Proxmox VE does",
                doing=doing,
                hint=f"`api` of node {self.name} in the inventory names the node itself: https://HOST:8006",
            ) from None
        except requests.exceptions.SSLError as error:
            raise tls.untrusted(self.node, self.name, error, doing) from error
        except requests.exceptions.RequestException as error:
            raise _unreachable(self.node, self.name, error, doing) from error
        self._reached = True
        return data

    def _open(self) -> Any:
        with self._opening:
            if self._api is None:
                self._api = _connection(self.node, self.name)
                if self.node.tls.insecure:
                    self._events.warning(f"{self.name}: TLS is not verified (tls.insecure in the inventory)")
            return self._api

    def _refusal(self, refusal: _Refusal, doing: str) -> ProxhermesError:
        message, status, token = refusal.message, refusal.status, self.node.token
        if refusal.errors:
            message += " " + "; ".join(f"{name}: {text}" for name, text in refusal.errors.items())
        if status == 401:
            hint = hints.refused_token(token, message)
            return AuthError(f"{self.name} refused the token {token}: {message}", doing=doing, hint=hint)
        if status == 403:
            return PermissionDenied(message, status=status, doing=doing, hint=hints.denied(token, message))
        return ApiError(message, status=status, errors=refusal.errors, doing=doing)


def clean(message: str) -> str:
    """Proxmox' message on one line, without the place in its sources."""
    message = re.sub(r" at /usr/\S+ line \d+\.?(, <\S+> (line|chunk) \d+\.)?", "", message)
    return re.sub(r"\s*\n\s*", "; ", message.strip())


def _connection(node: Node, name: str) -> Any:
    """proxmoxer's client for the node, with our serializer, time limits and trust."""
    api = proxmoxer.ProxmoxAPI(
        f"[{node.api_host}]" if ":" in node.api_host else node.api_host,
        port=node.api_port,
        user=node.user,
        token_name=node.token_name,
        token_value=node.token_secret.resolve().reveal(),
        verify_ssl=tls.verify(node, name),
        timeout=(CONNECT_S, READ_S),
    )
    # It logs what it sends at INFO, and its logger is not to be turned up by anybody.
    logging.getLogger("proxmoxer.core").setLevel(logging.WARNING)
    session = api._store["session"]
    session.mount("https://", tls.Adapter(node.tls))
    session.max_redirects = 0
    api._store["serializer"] = _Serializer()
    if node.tls.insecure:
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    return api


def _unreachable(node: Node, name: str, error: requests.exceptions.RequestException, doing: str) -> _Unreachable:
    """What to tell about a failure of the network."""
    text = str(error)
    if isinstance(error, requests.exceptions.ProxyError):
        why, hint = "the HTTP proxy failed", f"leave the proxy out for it: export NO_PROXY={node.api_host}"
    elif isinstance(error, requests.exceptions.ConnectTimeout):
        why, hint = f"no connection within {CONNECT_S:g} s", "is the address right, the node up, no firewall between?"
    elif isinstance(error, requests.exceptions.ReadTimeout):
        why, hint = f"no answer within {READ_S:g} s", "a storage that hangs stalls the node: see `pvesm status` there"
    elif isinstance(error, requests.exceptions.TooManyRedirects):
        why, hint = "it redirects elsewhere", "`api` in the inventory must name the node itself: https://HOST:8006"
    elif "NameResolutionError" in text or "getaddrinfo" in text:
        why, hint = f"the name {node.api_host!r} does not resolve", "is `api` in the inventory right, and DNS?"
    elif "Connection refused" in text:
        why, hint = "the connection was refused", "is the port right (8006), and pveproxy running on the node?"
    elif found := re.search(r"No route to host|Network is unreachable|Host is unreachable", text):
        why, hint = found[0].lower(), "is `api` in the inventory right, the node up, no firewall between?"
    else:
        why, hint = f"the connection broke ({_innermost(error)})", "run the command again: it goes on where it stands"
    return _Unreachable(f"{name} was not reached at {node.api}: {why}", doing=doing, hint=hint)


def _innermost(error: BaseException) -> str:
    inner: BaseException = error
    while (below := inner.__cause__ or inner.__context__) is not None:
        inner = below
    return f"{type(inner).__name__}: {inner}"


def _ended(exitstatus: str, upid: str, doing: str, log: list[str]) -> TaskEnd:
    if exitstatus == "OK" or exitstatus.startswith("WARNINGS:"):
        told = tuple(line.removeprefix("WARN: ") for line in log if line.startswith("WARN: "))
        return TaskEnd(tuple(log), told)
    raise TaskFailed(
        f"the task failed: {clean(exitstatus)}", upid=upid, exitstatus=exitstatus, log=log[-LOG_TAIL:], doing=doing
    )


def _failure(state: tenacity.RetryCallState) -> str:
    error = state.outcome.exception() if state.outcome else None
    return error.message if isinstance(error, ProxhermesError) else str(error)


def _shown(method: str, path: str, params: dict[str, Any]) -> str:
    def text(value: object) -> str:
        line = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
        return line if len(line) <= 80 else line[:79] + "…"

    return " ".join([method, path, *(f"{name}={text(value)}" for name, value in params.items())])
