"""Hermes' own block: its image, its data, its environment, and settings that pass through to its config.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, JsonValue

from proxhermes.inventory.fields import EnvValue, Model, VariableName, mistake
from proxhermes.inventory.mounts import GUEST_SHARED, GUEST_SYSTEM, inside
from proxhermes.inventory.secrets import SecretRef

HERMES_UID: Final = 10000
"""The user of the official image (Hermes' Dockerfile)."""


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
