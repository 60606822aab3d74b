"""Logins at image registries, as Docker, Podman and skopeo read them: a file that is never on a disk.

It is a part of the bundle for the guest's script, which lies in memory there and goes with it.
"""

from __future__ import annotations

import base64
import json
from typing import Final

from proxhermes.hermes import curl
from proxhermes.inventory.models import Agent
from proxhermes.inventory.secrets import mask_everywhere

NAME: Final = "registry-auth.json"
"""In the bundle. Its form: containers-auth.json(5), which is that of Docker's config.json."""
_HUB: Final = ("docker.io", "https://index.docker.io/v1/")
"""How Podman and skopeo call Docker Hub, and how Docker does."""
_CALLED_HUB: Final = ("docker.io", "index.docker.io")
HUB: Final = "registry-1.docker.io"
"""The host that has the images of Docker Hub."""


def bundle(agent: Agent) -> dict[str, tuple[bytes, int]]:
    """The file with its mode; nothing where the inventory has no login. Raises SecretError."""
    if not agent.runtime.registry_auth:
        return {}
    logins: dict[str, dict[str, str]] = {}
    for registry, login in agent.runtime.registry_auth.items():
        text = f"{login.username}:{login.password.resolve().reveal()}"
        encoded = base64.b64encode(text.encode()).decode()
        mask_everywhere(encoded)
        for name in _HUB if registry in _CALLED_HUB else (registry,):
            logins[name] = {"auth": encoded}
    return {NAME: (json.dumps({"auths": logins}).encode(), 0o600)}


def curl_logins(agent: Agent) -> dict[str, tuple[bytes, int]]:
    """The same for curl, a file `login.HOST` a registry, each with its mode. Raises SecretError."""
    return {
        f"login.{HUB if registry in _CALLED_HUB else registry}": (
            curl.option("user", f"{login.username}:{login.password.resolve().reveal()}"),
            0o600,
        )
        for registry, login in agent.runtime.registry_auth.items()
    }
