"""Hermes' own block: its image, its data, its environment, and settings that pass through to its config.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, JsonValue, ValidationInfo, field_validator

from proxhermes.inventory.fields import EnvValue, Model, VariableName, mistake
from proxhermes.inventory.mounts import GUEST_SHARED, GUEST_SYSTEM, inside
from proxhermes.inventory.secrets import SecretRef

HERMES_UID: Final = 10000
"""The user of the official image (Hermes' Dockerfile)."""

# What proxhermes writes itself, and from where.
_OURS: Final = {
    "LITELLM_API_KEY": "litellm.api_key",
    "HERMES_UID": "hermes.uid",
    "HERMES_GID": "hermes.gid",
    "PUID": "hermes.uid",
    "PGID": "hermes.gid",
    "HERMES_HOME": "hermes.data_dir",
    "TELEGRAM_BOT_TOKEN": "messaging.telegram.token",
    "DISCORD_BOT_TOKEN": "messaging.discord.token",
    "SLACK_BOT_TOKEN": "messaging.slack.bot_token",
    "SLACK_APP_TOKEN": "messaging.slack.app_token",
}
_MODEL_KEYS: Final = {
    "default": "litellm.model", "model": "litellm.model", "provider": "litellm", "base_url": "litellm.base_url",
    "api_key": "litellm.api_key", "context_length": "litellm.context_length",
}  # fmt: skip
_SECRET_NAME: Final = re.compile(
    r"(?:^|[_-])(?:token|secret|password|passwd|passphrase|credentials?|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key"
    r"|auth[_-]?key)$",
    re.IGNORECASE,
)


def names_a_secret(name: str) -> bool:
    """Whether a value under this name is a secret by the usual conventions (…_TOKEN, …_API_KEY, password, …)."""
    return _SECRET_NAME.search(name) is not None


def _image(value: str) -> str:
    name = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
    pattern = rf"(?:[A-Za-z0-9.-]+(?::\d+)?/)?{name}(?:/{name})*(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
    if not re.fullmatch(pattern, value, re.ASCII):
        raise mistake(f"{value!r} is not the name of an image", "[REGISTRY/]NAME[:TAG][@sha256:DIGEST]")
    return value


def _port(value: str) -> str:
    found = re.fullmatch(r"(?:(\d{1,3}(?:\.\d{1,3}){3}):)?(\d{1,5}):(\d{1,5})(?:/(?:tcp|udp))?", value)
    if not found or not all(0 < int(port) <= 65535 for port in found.group(2, 3)):
        raise mistake(f"{value!r} is not a published port", '"[ADDRESS:]PORT:PORT[/udp]", as in "127.0.0.1:8642:8642"')
    return value


def _data_dir(value: str) -> str:
    path = "/" + "/".join(part for part in value.split("/") if part)
    if (
        not re.fullmatch(r"(?:/[A-Za-z0-9._-]+)+", path)
        or {".", ".."} & set(PurePosixPath(path).parts)
        or value[:1] != "/"
    ):
        raise mistake(
            f"{value!r} is not a plain absolute path", "a folder of its own in the container, as in `/opt/hermes`"
        )
    if path in GUEST_SHARED or any(inside(path, folder) for folder in GUEST_SYSTEM):
        raise mistake(f"{path!r} belongs to the container's own system", "a folder of its own, as in `/opt/hermes`")
    return path


class Hermes(Model):
    """The agent: a Docker image, its data folder, and what its .env and config.yaml say beyond the rest."""

    image: Annotated[str, AfterValidator(_image)] = Field(
        default="nousresearch/hermes-agent", description="Docker image."
    )
    restart: Literal["unless-stopped", "always", "on-failure", "no"] = Field(
        default="unless-stopped", description="Restart policy."
    )
    shm_size: str = Field(
        default="1g", pattern=r"^[1-9][0-9]*[kmg]b?$", description="Size of /dev/shm; the browser tools want 1g."
    )
    ports: Annotated[tuple[Annotated[str, AfterValidator(_port)], ...], Field(strict=False)] = Field(
        default=(), description="Ports published in the container's network. Messaging needs none."
    )
    data_dir: Annotated[str, AfterValidator(_data_dir)] = Field(
        default="/opt/hermes", description="Folder in the container for compose.yaml and, below it, Hermes' home."
    )
    uid: int = Field(default=HERMES_UID, ge=1, le=65534, description="uid that the agent runs as.")
    gid: int = Field(default=HERMES_UID, ge=1, le=65534, description="gid that the agent runs as.")
    environment: Mapping[VariableName, EnvValue] = Field(
        default_factory=dict, description="Lines of .env without secrets."
    )
    secrets: Mapping[VariableName, SecretRef] = Field(
        default_factory=dict, description="Lines of .env that are secrets."
    )
    settings: Mapping[str, JsonValue] = Field(
        default_factory=dict,
        description="Keys of Hermes' config.yaml, as they are; `${NAME}` stands for a line of .env.",
    )

    @field_validator("environment", "secrets")
    @classmethod
    def _not_ours(cls, value: Mapping[str, object]) -> Mapping[str, object]:
        for name in value:
            if name in _OURS:
                raise mistake(f"{name} is written by proxhermes", f"`{_OURS[name]}` in its place")
        return value

    @field_validator("environment")
    @classmethod
    def _no_literal_secret(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name, text in value.items():
            if names_a_secret(name) and text:
                raise mistake(
                    f"{name} looks like a secret and is written as it is",
                    f"hermes.secrets: {{{name}: {{env: {name}}}}}",
                )
        return value

    @field_validator("secrets")
    @classmethod
    def _named_once(cls, value: Mapping[str, SecretRef], info: ValidationInfo) -> Mapping[str, SecretRef]:
        for name in value.keys() & info.data.get("environment", {}).keys():
            raise mistake(f"{name} stands in `environment` and in `secrets`", "one of them")
        return value

    @field_validator("settings")
    @classmethod
    def _settings(cls, value: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        model = value.get("model")
        for key in model if isinstance(model, dict) else ():
            if key in _MODEL_KEYS:
                raise mistake(f"settings.model.{key} is written by proxhermes", f"`{_MODEL_KEYS[key]}` in its place")
        return value
