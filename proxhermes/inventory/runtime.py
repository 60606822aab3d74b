"""How the agent runs in its container: the official image, a plain image that it may change, or a service without one.

`type` says which; each type has the options that mean something for it, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, JsonValue, Tag, model_validator

from proxhermes.inventory.fields import Matching, Model, UnixUser, mistake
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.paths import GuestFolder

NEWEST_ON_PYPI: Final = "hermes-agent==0.19.0"
"""The last release that PyPI has: later ones are published as images and in git alone."""
STATE_DIR: Final = "/var/lib/hermes"
EXTRAS: Final = ("cron", "cli", "pty", "mcp", "messaging", "web")


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


def _requirement(value: str) -> str:
    if not re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9._,-]+\])?(?:[<>=!~]=?[A-Za-z0-9.*+!,<>=~-]+)?", value
    ):
        raise mistake(
            f"{value!r} is not a Python requirement", "without blanks, as in `pandas==2.2.3` or `httpx[http2]>=0.27`"
        )
    return value


def _wheel(value: LocalPath) -> LocalPath:
    # PEP 427: pip takes name, version and what it fits from the file's name.
    if not re.fullmatch(r"[\w.]+-[\w.!+]+(?:-\d[\w.]*)?-[\w.]+-[\w.]+-[\w.]+\.whl", value.path.name, re.ASCII):
        raise mistake(
            f"{value.path.name!r} is not the name of a wheel", "as it was built: hermes_agent-0.19.0-py3-none-any.whl"
        )
    return value


def _repository(value: str) -> str:
    if not re.fullmatch(r"(?:https?|ssh|git|file)://[^\s'\"\\]+|[\w.-]+@[\w.-]+:[\w./~-]+", value, re.ASCII):
        raise mistake(f"{value!r} is not the URL of a git repository", "https://…, ssh://…, git@HOST:PATH or file:///…")
    if re.search(r"://[^/@]*:[^/@]*@", value):
        raise mistake(
            "the URL holds a password, which would show in the container's process list",
            "a URL without it, and git's own credential store or an SSH key of root in the container",
        )
    return value


Image = Annotated[str, AfterValidator(_image)]
Repository = Annotated[str, AfterValidator(_repository)]
Arguments = Annotated[tuple[Annotated[str, AfterValidator(_argument)], ...], Field(strict=False)]
AptPackages = Annotated[tuple[Annotated[str, AfterValidator(_apt_package)], ...], Field(strict=False)]
Requirements = Annotated[tuple[Annotated[str, AfterValidator(_requirement)], ...], Field(strict=False)]
Volumes = Annotated[tuple[Annotated[str, AfterValidator(_volume)], ...], Field(strict=False)]
Ports = Annotated[tuple[Annotated[str, AfterValidator(_port)], ...], Field(strict=False)]
Extra = Annotated[str, Matching(r"[a-z0-9][a-z0-9_-]*", "the name of an extra", "small letters and digits: `web`")]
Extras = Annotated[tuple[Extra, ...], Field(strict=False)]
Ref = Annotated[
    str, Matching(r"[A-Za-z0-9][A-Za-z0-9._/+-]*", "a tag, branch or commit", "as in `v0.19.0`, `main` or a commit")
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


class Package(Model):
    """Where the agent's code comes from: exactly one of PyPI, a wheel, a git repository."""

    pypi: Annotated[str, AfterValidator(_requirement)] | None = Field(
        default=None, description=f"Requirement for PyPI, as in `{NEWEST_ON_PYPI}`."
    )
    wheel: Annotated[LocalPath, AfterValidator(_wheel)] | None = Field(
        default=None, description="Wheel file, relative to the inventory."
    )
    git: Repository | None = Field(default=None, description="URL of a git repository, as the container reaches it.")
    ref: Ref | None = Field(default=None, description="Tag, branch or commit, with `git`.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.pypi, self.wheel, self.git)) != 1:
            raise mistake("a package comes from exactly one place", "{pypi: …}, {wheel: FILE} or {git: URL, ref: …}")
        if self.ref is not None and self.git is None:
            raise mistake("`ref` belongs to `git`", "{git: URL, ref: TAG}")
        if self.git is not None and self.ref is None:
            # Without one, the same inventory would be another agent tomorrow.
            raise mistake("`git` needs the `ref` that is meant", "{git: URL, ref: TAG-OR-COMMIT}")
        return self


class _Runtime(Model):
    """What all types have in common."""

    type: str
    extra_args: Arguments = Field(default=(), description="Arguments for `hermes gateway run`.")
    add_to_path: bool = Field(
        default=True,
        description="Put `hermes`, `hermes-agent` and `hermes-acp` on the Proxmox container's PATH, run as the agent.",
    )


class _Contained(_Runtime):
    """The options of the types that run in a Docker or Podman container."""

    engine: Literal["docker", "podman"] = Field(
        default="docker", description="Container engine in the Proxmox container."
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
    extras: Extras = Field(default=EXTRAS, description="Extras of the package (optional dependency groups).")
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
    image: Image = Field(default="nousresearch/hermes-agent", description="Image of the agent.")


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
