"""The agent's shell (`hermes.terminal`), with the names that Hermes' config.yaml has for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from proxhermes.inventory.fields import Model, VariableName

Names = Annotated[tuple[VariableName, ...], Field(strict=False)]
Files = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


class Terminal(Model):
    """What people set of `terminal` in config.yaml (Hermes 0.19: DEFAULT_CONFIG); the rest goes into `settings`.

    Its folder is `hermes.working_directory`.
    """

    ELSEWHERE: ClassVar[Mapping[str, str]] = {"cwd": "hermes.working_directory"}
    """Keys of config.yaml's `terminal` that have another place here."""

    backend: Literal["local", "docker", "ssh", "singularity", "modal", "daytona"] | None = Field(
        default=None, description="Where commands run; Hermes' own default is `local`: beside the agent."
    )
    timeout: int | None = Field(default=None, ge=1, description="Seconds that a command may take; Hermes' own: 180.")
    env_passthrough: Names = Field(default=(), description="Variables of .env that commands see.")
    home_mode: Literal["auto", "real", "profile"] | None = Field(
        default=None, description="HOME of commands; Hermes' own default is `auto`."
    )
    persistent_shell: bool | None = Field(default=None, description="Keep one shell from command to command.")
    auto_source_bashrc: bool | None = Field(default=None, description="Read the user's .profile and .bashrc at first.")
    shell_init_files: Files = Field(default=(), description="Further files that the shell reads at first.")
