"""What the inventory wants of Hermes, in Hermes' own terms: the lines of .env and the keys of config.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from proxhermes.errors import UsageError
from proxhermes.hermes import compose, messaging
from proxhermes.hermes.merge import merged
from proxhermes.inventory.models import Agent
from proxhermes.inventory.secrets import Secret, SecretRef

KEY_VARIABLE: Final = "LITELLM_API_KEY"
API_KEY: Final = "API_SERVER_KEY"
"""Key of the gateway's own API; made once, on the guest, and never known to the inventory."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The lines of .env that come from the inventory. `secret`: the names of those that nobody may see."""

    lines: Mapping[str, str] = field(repr=False)
    secret: frozenset[str]


def litellm_key(agent: Agent) -> Secret:
    """LiteLLM's key. Raises SecretError."""
    return agent.litellm.api_key.resolve()


def environment(agent: Agent) -> Environment:
    """The lines of .env, secrets looked up. Raises SecretError, and UsageError for one that Hermes cannot run with."""
    references: dict[str, SecretRef] = {
        KEY_VARIABLE: agent.litellm.api_key,
        **messaging.secrets(agent.messaging),
        **agent.hermes.secrets,
    }
    lines = {
        # Only within the Docker container: tells whether the gateway is up. Nothing is published for it.
        "API_SERVER_ENABLED": "true",
        **messaging.environment(agent.messaging),
        **agent.hermes.environment,
    }
    if lines["API_SERVER_ENABLED"].lower() not in ("true", "1", "yes", "on"):
        raise UsageError(
            f"agents.{agent.vmid}.hermes.environment.API_SERVER_ENABLED: the gateway's API cannot be switched off",
            hint="proxhermes asks it whether the gateway is up; it listens within the Docker container alone",
        )
    values = {name: reference.resolve().reveal() for name, reference in references.items()}
    return Environment({**lines, **values}, frozenset(values))


def api_port(agent: Agent) -> int:
    """The port of the gateway's own API. Raises UsageError for something that is no port."""
    written = agent.hermes.environment.get("API_SERVER_PORT", str(compose.API_PORT))
    if not written.isdigit() or not 0 < int(written) < 65536:
        raise UsageError(f"agents.{agent.vmid}.hermes.environment.API_SERVER_PORT: {written!r} is not a port")
    return int(written)


def settings(agent: Agent, context_length: int | None) -> dict[str, Any]:
    """The keys of config.yaml. context_length: in tokens, what LiteLLM told; the inventory's word goes before it.

    Hermes sends a key to a host of one's own only if config.yaml names it (0.19: hermes_cli/runtime_provider.py);
    `provider: custom` with OPENAI_API_KEY in .env alone does not authenticate.
    """
    model: dict[str, Any] = {
        "default": agent.litellm.model,
        "provider": "custom",
        "base_url": agent.litellm.base_url,
        "api_key": f"${{{KEY_VARIABLE}}}",
    }
    if length := agent.litellm.context_length or context_length:
        model["context_length"] = length
    return merged(merged({"model": model}, messaging.settings(agent.messaging)), agent.hermes.settings)


def defaults(agent: Agent, *, new: bool) -> dict[str, Any]:
    """Keys that are set only where config.yaml says nothing. new: there is no config.yaml yet.

    What the agent makes without being told where belongs on the host's disks, not on the container's small root disk.
    """
    found: dict[str, Any] = {"_config_version": agent.hermes.config_version} if new else {}
    writable = [mount.guest for mount in agent.mounts if not mount.read_only]
    return {**found, "terminal": {"cwd": writable[0]}} if writable else found
