"""How the agent runs in its container: the official image, a plain image that it may change, or a service without one.

`type` says which; each type has the options that mean something for it, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, JsonValue, Tag, WithJsonSchema, model_validator

from proxhermes.inventory.fields import Matching, Model, UnixUser, mistake
from proxhermes.inventory.package import (
    NEWEST_ON_PYPI,
    OFFICIAL_IMAGE,
    DownloadUrl,
    Image,
    Package,
    Python,
    PythonArchive,
    Requirement,
)
from proxhermes.inventory.paths import GuestFolder
from proxhermes.inventory.pythons import SOURCE
from proxhermes.inventory.secrets import SecretRef

STATE_DIR: Final = "/var/lib/hermes"
EXTRAS: Final = ("cron", "cli", "pty", "mcp", "messaging", "web")


def _port(value: str) -> str:
    found = re.fullmatch(r"(?:(\d{1,3}(?:\.\d{1,3}){3}):)?(\d{1,5}):(\d{1,5})(?:/(?:tcp|udp))?", value)
    if not found or not all(0 < int(port) <= 65535 for port in found.group(2, 3)):
        raise mistake(f"{value!r} is not a published port", '"[ADDRESS:]PORT:PORT[/udp]", as in "127.0.0.1:8642:8642"')
    return value


def _volume(value: str) -> str:
    if not re.fullmatch(r"(?:/[^:,\x00-\x1f]+|[A-Za-z0-9][A-Za-z0-9_.-]*):/[^:,\x00-\x1f]+(?::(?:ro|rw))?", value):
        raise mistake(f"{value!r} is not a volume", '"FOLDER:PATH[:ro|rw]", as in "/srv/models:/models:ro"')
    return value


def _argument(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise mistake("an argument holds a line break or a control character", "one line of text")
    return value


def _apt_package(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+(?:=[A-Za-z0-9.+:~-]+)?", value):
        raise mistake(f"{value!r} is not the name of a Debian package", "as in `pandoc` or `pandoc=3.1.11-1`")
    return value


Arguments = Annotated[tuple[Annotated[str, AfterValidator(_argument)], ...], Field(strict=False)]
AptPackages = Annotated[tuple[Annotated[str, AfterValidator(_apt_package)], ...], Field(strict=False)]
Requirements = Annotated[tuple[Requirement, ...], Field(strict=False)]
Volumes = Annotated[tuple[Annotated[str, AfterValidator(_volume)], ...], Field(strict=False)]
Ports = Annotated[tuple[Annotated[str, AfterValidator(_port)], ...], Field(strict=False)]
Extra = Annotated[str, Matching(r"[a-z0-9][a-z0-9_-]*", "the name of an extra", "small letters and digits: `web`")]
Extras = Annotated[tuple[Extra, ...], Field(strict=False)]
Registry = Annotated[
    str,
    Matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?",
        "the name of a registry",
        "a host, with its port where it has one: `docker.io`, `ghcr.io`, `registry.lan:5000`",
    ),
]
EngineName = Annotated[
    Literal["docker", "podman"],
    WithJsonSchema({"anyOf": [{"enum": ["docker", "podman"]}, {"type": "object"}]}, mode="validation"),
]
Interpreter = Annotated[
    str,
    Matching(
        r"python[0-9.]*|(?:/[A-Za-z0-9._+-]+)+",
        "a Python",
        "its name, as in `python3.12`, or its path in the container",
    ),
]
Size = Annotated[str, Matching(r"[1-9][0-9]*[kmg]b?", "a size", "as in `1g` or `512m`")]
Seconds = Annotated[int, Field(ge=1, le=3600)]


class Healthcheck(Model):
    """How often the container engine asks the gateway whether it is well."""

    enabled: bool = Field(default=True, description="Ask the gateway's own API.")
    interval: Seconds = Field(default=30, description="Seconds between two questions.")
    timeout: Seconds = Field(default=10, description="Seconds that an answer may take.")
    retries: int = Field(default=3, ge=1, le=100, description="Failures in a row until it is called unhealthy.")
    start_period: Seconds = Field(default=180, description="Seconds after a start in which failures do not count.")


class RegistryLogin(Model):
    """A login at an image registry."""

    username: Annotated[
        str, Matching(r"[^\s:\x00-\x1f\x7f]+", "the name of a user", "one word without a colon, as in `joe`")
    ] = Field(description="Name of the user.")
    password: SecretRef = Field(description="Password or token.")


class _Runtime(Model):
    """What all types have in common."""

    type: str
    extra_args: Arguments = Field(default=(), description="Arguments for `hermes gateway run`.")
    add_to_path: bool = Field(
        default=True,
        description="Put `hermes`, `hermes-agent` and `hermes-acp` on the Proxmox container's PATH, run as the agent.",
    )
    registry_auth: Mapping[Registry, RegistryLogin] = Field(
        default_factory=dict,
        description="Logins at image registries, by their host: `docker.io`, `ghcr.io`, `registry.lan:5000`.",
        examples=[{"ghcr.io": {"username": "joe", "password": {"env": "GHCR_TOKEN"}}}],
    )


class _Contained(_Runtime):
    """The options of the types that run in a Docker or Podman container."""

    engine: EngineName = Field(
        default="docker",
        description="Container engine in the Proxmox container; or a block with its `name` and the keys of `engine`.",
    )
    extra_volumes: Volumes = Field(
        default=(),
        description="Volumes beside the mounts: FOLDER:PATH[:ro|rw], or a volume's name for FOLDER.",
        examples=[["/srv/models:/models:ro"]],
    )
    compose_override: Mapping[str, JsonValue] = Field(
        default_factory=dict,
        description="Keys of the compose service for the rest, as `cap_add`, `devices`, `gpus`.",
        examples=[{"gpus": "all"}],
    )
    restart: Literal["unless-stopped", "always", "on-failure", "no"] = Field(
        default="unless-stopped", description="Restart policy."
    )
    network: Literal["bridge", "host"] = Field(
        default="bridge", description="`bridge`: a network of its own; `host`: the Proxmox container's."
    )
    ports: Ports = Field(
        default=(),
        description="Ports published in the container's network. Messaging needs none.",
        examples=[["8642:8642"]],
    )
    shm_size: Size = Field(default="1g", description="Size of /dev/shm; the browser tools want 1g.")
    healthcheck: Healthcheck = Field(
        default_factory=Healthcheck,
        description="How the engine asks the gateway whether it is well.",
        examples=[{"enabled": False}],
    )

    @model_validator(mode="after")
    def _ports_of_its_own(self) -> Self:
        if self.network == "host" and self.ports:
            raise mistake("`network: host` publishes nothing: every port is the host's already", "no `ports`")
        return self


class _Installed(_Runtime):
    """The options of the types whose code proxhermes installs itself."""

    package: Package = Field(
        default_factory=lambda: Package(pypi=NEWEST_ON_PYPI),
        description="Where the agent's code comes from.",
        examples=[{"pypi": NEWEST_ON_PYPI}],
    )
    python: Python = Field(
        default="auto",
        description="Python that runs it. `auto`: the system's where it fits, else a download; a version; or a path.",
        examples=["3.14"],
    )
    python_mirror: DownloadUrl = Field(
        default=SOURCE, description="Where Pythons are downloaded from, as uv's UV_PYTHON_INSTALL_MIRROR."
    )
    python_archive: PythonArchive | None = Field(default=None, description="A Python of your own in the place of both.")
    extras: Extras = Field(
        default=EXTRAS, description="Extras of the package (optional dependency groups); an image has its own."
    )
    tools: Literal["full", "minimal"] = Field(
        default="full",
        description="On the agent's PATH: git and ripgrep, and with `full` ffmpeg, Node.js and an SSH client, too.",
    )
    extra_packages: AptPackages = Field(default=(), description="Debian packages for the agent's PATH.")
    extra_python_packages: Requirements = Field(
        default=(), description="Python packages installed beside the agent's own code."
    )
    state_dir: GuestFolder = Field(
        default=STATE_DIR, description="Folder of the agent's state: `.hermes`, `home` and `workspace`."
    )


class DockerRuntime(_Contained):
    """The official image, or one like it: updated as a whole, nothing installed into it survives."""

    type: Literal["docker"] = Field(default="docker", description="The official image under Docker or Podman.")
    image: Image = Field(default=OFFICIAL_IMAGE, description="Image of the agent.")


class PersistentRuntime(_Contained, _Installed):
    """A plain Debian or Ubuntu image that the agent may change: what it installs survives restarts and updates."""

    type: Literal["persistent"] = Field(description="A plain image with a layer that the agent may change.")
    image: Image = Field(default="debian:13", description="Plain image; the agent's code is mounted beside it.")
    venv_python: Interpreter = Field(
        default="python3",
        description="Python of the image, or of `extra_packages`, that the agent's own `~/.venv` is made from.",
        examples=["python3.12", "/opt/python/bin/python3"],
    )
    allow_root: bool = Field(
        default=False, description="Run as root in an image that has neither setpriv nor su to drop the privileges."
    )


class NativeRuntime(_Installed):
    """A hardened systemd service in the Proxmox container itself, without Docker."""

    type: Literal["native"] = Field(description="A systemd service without Docker.")
    user: UnixUser = Field(default="hermes", description="User of the service; its number is `hermes.uid`.")
    group: UnixUser = Field(default="hermes", description="Group of the service; its number is `hermes.gid`.")
    create_user: bool = Field(default=True, description="Make the user and the group.")
    restart: Literal["always", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "no"] = Field(
        default="always", description="systemd's Restart=."
    )
    restart_sec: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=5, description="systemd's RestartSec=, in seconds."
    )


def _type_of(value: Any) -> str:
    kind = value.get("type", "docker") if isinstance(value, dict) else getattr(value, "type", "docker")
    return kind if isinstance(kind, str) else "docker"


Runtime = Annotated[
    Annotated[DockerRuntime, Tag("docker")]
    | Annotated[PersistentRuntime, Tag("persistent")]
    | Annotated[NativeRuntime, Tag("native")],
    Discriminator(
        _type_of,
        custom_error_type="runtime_type",
        custom_error_message="this is no type of runtime",
    ),
]
TYPES: Final[Mapping[str, type[_Runtime]]] = {
    "docker": DockerRuntime,
    "persistent": PersistentRuntime,
    "native": NativeRuntime,
}
ContainedRuntime = DockerRuntime | PersistentRuntime
InstalledRuntime = PersistentRuntime | NativeRuntime
