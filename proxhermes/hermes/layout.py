"""Where Hermes' things are in the container, for each runtime: names that planner, scripts and checks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent

CONTAINER: Final = "hermes"
"""Name of the agent's Docker container, and of its compose project and service."""
UNIT: Final = "hermes-agent.service"
"""The native runtime's service."""
FOLDER: Final = 0o750
FILE: Final = 0o640
"""Modes of the agent's own folders and of its files that are no secrets."""
HOME_MODE: Final = f"{FOLDER:04o}"
"""HERMES_HOME_MODE: what Hermes gives its folders at each start (see `modes`)."""
PROFILES: Final = "profiles"
"""Folder of HERMES_HOME that has the homes of its profiles."""
CONTAINER_HOME: Final = "/opt/data"
"""HERMES_HOME inside the official image (its volume)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Folders of one agent. `inner_…`: as its own process sees it, which with the official image is another path."""

    project: str
    """root's: compose.yaml, the code of the types that have their own, what proxhermes remembers of the service."""
    home: str
    """HERMES_HOME, the agent's."""
    inner_home: str
    user_home: str
    """HOME of what the agent runs."""
    inner_user_home: str
    workspace: str
    inner_workspace: str

    @property
    def remembered(self) -> str:
        """Folder of what proxhermes declared last, beside the files that it is about; it moves along with them."""
        return f"{self.home}/.proxhermes"


def of(agent: Agent) -> Layout:
    """The folders of `agent` in the runtime that the inventory wants; of a profile, those below the agent's home."""
    whole = _of_agent(agent)
    if not agent.profile:
        return whole
    home, inner = (f"{folder}/{PROFILES}/{agent.profile}" for folder in (whole.home, whole.inner_home))
    return Layout(
        whole.project, home, inner, f"{home}/home", f"{inner}/home", f"{home}/workspace", f"{inner}/workspace"
    )


def _of_agent(agent: Agent) -> Layout:
    project = agent.hermes.data_dir
    if agent.runtime.type == "docker":  # the image has `home` and `workspace` in its one volume
        home = f"{project}/data"
        inner = CONTAINER_HOME
        return Layout(project, home, inner, f"{home}/home", f"{inner}/home", f"{home}/workspace", f"{inner}/workspace")
    state = agent.runtime.state_dir
    home, user_home, workspace = f"{state}/.hermes", f"{state}/home", f"{state}/workspace"
    return Layout(project, home, home, user_home, user_home, workspace, workspace)


def working_directory(agent: Agent) -> str:
    """The folder that the agent works in, as it sees it: declared, else the first writable mount, else its workspace.

    What the agent makes without being told where belongs on the host's disks, not on the container's small root disk.
    A profile has its own workspace, or it would have the documents of the others.
    """
    writable = [mount.guest for mount in agent.mounts if not mount.read_only and not agent.profile]
    return agent.hermes.working_directory or next(iter(writable), of(agent).inner_workspace)


def python(agent: Agent) -> str:
    """The Python that has Hermes' own packages, as the agent sees it."""
    if agent.runtime.type == "docker":
        return "/opt/hermes/.venv/bin/python"
    return f"{agent.hermes.data_dir}/current/bin/python"


def folder(agent: Agent) -> str:
    """The folder in the guest that holds compose.yaml."""
    return agent.hermes.data_dir


def home(agent: Agent) -> str:
    """HERMES_HOME as the guest sees it; mounted at CONTAINER_HOME."""
    return of(agent).home
