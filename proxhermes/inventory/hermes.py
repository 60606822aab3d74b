"""Hermes' own block: its identity, environment, secrets, documents, and settings for its config.yaml.

The same in every runtime; what depends on how the agent runs is in `runtime`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field, JsonValue, PrivateAttr

from proxhermes.inventory.crons import Cron
from proxhermes.inventory.documents import Documents, HomeFiles, Plugins
from proxhermes.inventory.fields import EnvValue, Model, ModelName, Name, ProfileName, VariableName
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.mcp import McpServer
from proxhermes.inventory.messaging import Messaging
from proxhermes.inventory.paths import GuestFolder, GuestPath
from proxhermes.inventory.secrets import SecretFile, SecretRef
from proxhermes.inventory.skills import Skills
from proxhermes.inventory.terminal import Terminal
from proxhermes.inventory.tokens import McpToken

HERMES_UID: Final = 10000
"""The user of the official image (Hermes' Dockerfile)."""
OLDEST_CONFIG_VERSION: Final = 12
"""The first version of config.yaml's schema that newer images still migrate (0.22: hermes_cli/config_migrations.py)."""
DATA_DIR: Final = "/opt/hermes"


class Home(Model):
    """What one HERMES_HOME is given: what its .env, config.yaml and documents say, its skills, its jobs."""

    working_directory: GuestPath | None = Field(
        default=None,
        description="Folder that the agent works in and reads its documents from, as it sees it; by default the first "
        "writable mount, else its workspace.",
    )
    settings: Mapping[str, JsonValue] = Field(
        default_factory=dict,
        description="Keys of Hermes' config.yaml, as they are; `${NAME}` stands for a line of .env.",
    )
    settings_files: Annotated[tuple[LocalPath, ...], Field(strict=False)] = Field(
        default=(), description="YAML files with such keys, merged in this order beneath `settings`."
    )
    config_file: LocalPath | None = Field(
        default=None, description="A config.yaml that is put in place as it is: nothing is merged."
    )
    terminal: Terminal = Field(default_factory=Terminal, description="The agent's shell.", examples=[{"timeout": 180}])
    environment: Mapping[VariableName, EnvValue] = Field(
        default_factory=dict, description="Lines of .env without secrets.", examples=[{"HERMES_LANGUAGE": "en"}]
    )
    environment_files: Annotated[tuple[LocalPath, ...], Field(strict=False)] = Field(
        default=(), description="Files of KEY=VALUE lines for .env; they win over `environment`, and a later one wins."
    )
    secrets: Mapping[VariableName, SecretRef] = Field(
        default_factory=dict,
        description="Lines of .env that are secrets; they win over all others.",
        examples=[{"EXA_API_KEY": {"env": "EXA_API_KEY"}}],
    )
    auth_file: SecretFile | None = Field(
        default=None, description="An auth.json to begin with (a path, or a reference); one that is there is kept."
    )
    auth_file_force_overwrite: bool = Field(
        default=False,
        description="Replace an auth.json that is there once for each change of `auth_file`; what the agent refreshes "
        "in between stays.",
    )
    mcp_tokens: Mapping[Name, McpToken] = Field(
        default_factory=dict,
        description="Logins at MCP servers to begin with, by name; those that are there are kept.",
        examples=[{"wiki": {"token": "secrets/wiki.json"}}],
    )
    mcp_servers: Mapping[Name, McpServer] = Field(
        default_factory=dict, description="MCP servers, by name.", examples=[{"wiki": {"url": "https://wiki.lan/mcp"}}]
    )
    documents: Documents = Field(
        default_factory=dict,
        description="Files in the working directory.",
        examples=[{"A.md": {"file": "A.md"}}],
    )
    home_files: HomeFiles = Field(
        default_factory=dict,
        description="Files in HERMES_HOME, as SOUL.md.",
        examples=[{"SOUL.md": {"file": "SOUL.md"}}],
    )
    plugins: Plugins = Field(
        default_factory=dict,
        description="Plugins of one's own, by name.",
        examples=[{"mine": {"path": "plugins/mine"}}],
    )

    skills: Skills = Field(
        default_factory=dict,
        description="Skills, by name: folders of one's own, of a git repository, or of Hermes' hub.",
        examples=[{"house-style": {"path": "skills/house-style"}, "dice": {"hub": "official/games/dice"}}],
    )
    crons: Mapping[Name, Cron] = Field(
        default_factory=dict,
        description="Jobs that the agent does by the clock, by name; those that it made itself stay.",
        examples=[{"morning": {"schedule": "0 7 * * 1-5", "prompt": "What is new?", "deliver": "telegram"}}],
    )

    _places: Mapping[tuple[str, ...], str] = PrivateAttr(default_factory=dict)
    _whole: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    def place_settings(self, places: Mapping[tuple[str, ...], str], whole: Mapping[str, Any] | None = None) -> None:
        """Remember where the values for config.yaml are written: FILE:LINE, by their paths in config.yaml.

        whole: what `config_file` says, where that is given.
        """
        self._places, self._whole = places, whole or {}

    @property
    def keys(self) -> Mapping[str, Any]:
        """The keys of config.yaml that the inventory declares itself: `settings`, or those of `config_file`."""
        return self.settings if self.config_file is None else self._whole

    @property
    def places(self) -> Mapping[tuple[str, ...], str]:
        """What `place_settings` was told."""
        return self._places

    def place(self, path: Sequence[str]) -> str | None:
        """FILE:LINE of the value at `path` in config.yaml, or of the nearest block around it that is written."""
        parts = tuple(path)
        return next(
            (self._places[parts[:end]] for end in range(len(parts), 0, -1) if parts[:end] in self._places), None
        )


class ProfileGateway(Model):
    """The gateway's part for a profile."""

    enable: bool = Field(default=True, description="The agent's gateway serves the profile, too.")


class Profile(Home):
    """Another agent with the same code and gateway: a home, a soul, platforms and jobs of its own."""

    model: ModelName | None = Field(default=None, description="Model as LiteLLM exposes it; the agent's by default.")
    messaging: Messaging = Field(
        default_factory=Messaging,
        description="Its messaging platforms, with bots of its own.",
        examples=[{"telegram": {"token": {"env": "WORK_BOT"}, "allowed_users": [1]}}],
    )
    gateway: ProfileGateway = Field(default_factory=ProfileGateway, description="The gateway's part.")


class Hermes(Home):
    """The agent itself: who it is on the system, and what its home is given."""

    data_dir: GuestFolder = Field(
        default=DATA_DIR,
        description="Folder in the container for compose.yaml and the code; with Docker, the data.",
    )
    uid: int = Field(default=HERMES_UID, ge=1, le=65534, description="uid that the agent runs as.")
    gid: int = Field(default=HERMES_UID, ge=1, le=65534, description="gid that the agent runs as.")
    managed: bool = Field(
        default=True, description="Hermes refuses `config set`, `setup` and the like, and names the inventory."
    )
    config_version: int | None = Field(
        default=None,
        ge=OLDEST_CONFIG_VERSION,
        description="Version of config.yaml's schema that a new file is written in, and a `config_file` at least has; "
        "null: the one of the installed Hermes.",
    )
    profiles: Mapping[ProfileName, Profile] = Field(
        default_factory=dict,
        description="More agents in the same place, by name; from Hermes 0.22 on.",
        examples=[{"work": {"home_files": {"SOUL.md": {"file": "work.md"}}}}],
    )
