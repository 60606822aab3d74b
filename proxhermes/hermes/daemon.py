"""Docker's daemon.json: what the inventory says, merged into what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxhermes.hermes.files import UnusableFile, decoded
from proxhermes.hermes.merge import Difference, differences, merged
from proxhermes.inventory.guest import Guest, variables
from proxhermes.inventory.models import Engine

NAME: Final = "/etc/docker/daemon.json"
UNIT: Final = "/etc/systemd/system/docker.service.d/50-proxhermes.conf"
_HEADER: Final = "# Written by proxhermes: changes here are lost. Yours go into a file with a higher number.\n"


@dataclass(frozen=True, slots=True)
class DaemonUpdate:
    """The file's new text, and what differs from the old one."""

    text: str
    differences: tuple[Difference, ...]


def wanted(engine: Engine, guest: Guest) -> dict[str, Any]:
    """The keys of daemon.json that the inventory decides."""
    settings: dict[str, Any] = {"log-driver": engine.log_driver}
    if engine.registry_mirrors:
        settings["registry-mirrors"] = list(engine.registry_mirrors)
    if proxy := variables(guest):
        settings["proxies"] = {
            "http-proxy": proxy["HTTP_PROXY"],
            "https-proxy": proxy["HTTPS_PROXY"],
            "no-proxy": proxy["NO_PROXY"],
        }
    return settings


def unit(seconds: int) -> str:
    """The text of UNIT. seconds: that systemd waits for Docker when the guest shuts down.

    Docker itself waits for its containers as long as they may take (`stop_grace_period`), without a `shutdown-timeout`.
    """
    return f"{_HEADER}[Service]\nTimeoutStopSec={seconds}\n"


def parse(text: str) -> dict[str, Any]:
    """The settings in the file; an empty file has none. Raises UnusableFile with the line that cannot be read."""
    if not text.strip():
        return {}
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnusableFile(NAME, f"this is not JSON: {error.msg}", error.lineno) from None
    if not isinstance(settings, dict):
        raise UnusableFile(NAME, "this is not a JSON object", 1)
    return settings


def plain_registries(content: bytes | None) -> tuple[str, ...]:
    """The registries that the file names as to be asked without TLS, too, if that is read. Raises UnusableFile."""
    listed = parse(decoded(content or b"", NAME)).get("insecure-registries")
    return tuple(each for each in listed if isinstance(each, str)) if isinstance(listed, list) else ()


def update(text: str | None, settings: Mapping[str, Any]) -> DaemonUpdate:
    """Merge `settings` into the file's `text` (None: no file). Raises UnusableFile."""
    existing = parse(text or "")
    found = tuple(differences(existing, settings))
    if not found:
        return DaemonUpdate(text or "", ())
    return DaemonUpdate(json.dumps(merged(existing, settings), indent=2, ensure_ascii=False) + "\n", found)
