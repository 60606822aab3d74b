"""The agent's working directory, and where the guest sees it."""

from __future__ import annotations

from collections.abc import Iterator

from proxhermes.errors import UsageError
from proxhermes.hermes import layout
from proxhermes.inventory.models import Agent
from proxhermes.inventory.mounts import inside
from proxhermes.inventory.runtime import NativeRuntime

Place = tuple[str, str, bool]
"""A folder: its path for the agent, its path in the guest, whether the agent may write to it."""


def find(agent: Agent) -> str:
    """The working directory's path in the guest.

    Raises UsageError for one that lies within the Docker container alone, or that the agent may not write to.
    """
    inner = layout.working_directory(agent)
    place = _place(agent, inner)
    option = f"{agent.option}.documents"
    if place is None:
        raise UsageError(
            f"{option}: the working directory {inner} lies within the Docker container alone",
            hint="hermes.working_directory: a folder below one of `mounts`; by default the first writable one",
        )
    near, outside, writable = place
    if not writable:
        raise UsageError(
            f"{option}: the working directory {inner} is mounted read-only",
            hint="hermes.working_directory: a folder that the agent may write to",
        )
    return outside.rstrip("/") + inner[len(near.rstrip("/")) :]


def own(agent: Agent) -> str | None:
    """The same where the folder is for proxhermes to make: declared, to be reached, and not a mount itself."""
    inner = agent.hermes.working_directory
    if inner is None or inner in {near for near, _, _ in _mounted(agent)}:
        return None
    place = _place(agent, inner)
    return find(agent) if place and place[2] else None


def writable(agent: Agent) -> tuple[str, ...]:
    """Folders of the guest, outside of the agent's own, in which it has made files: mounts, and the declared one."""
    folders = [outside for _, outside, writable in _mounted(agent) if writable]
    declared = own(agent)
    return tuple(dict.fromkeys([*folders, *([declared] if declared else [])]))


def _place(agent: Agent, path: str) -> Place | None:
    """The innermost folder that both sides have in which `path` lies."""
    around = [place for place in (*_own(agent), *_mounted(agent)) if inside(path, place[0])]
    return max(around, key=lambda place: len(place[0]), default=None)


def _own(agent: Agent) -> Iterator[Place]:
    place = layout.of(agent)
    yield place.inner_home, place.home, True
    yield place.inner_user_home, place.user_home, True
    yield place.inner_workspace, place.workspace, True
    if isinstance(agent.runtime, NativeRuntime):
        yield "/", "/", True


def _mounted(agent: Agent) -> Iterator[Place]:
    for mount in agent.mounts:
        yield mount.guest, mount.guest, not mount.read_only
    if not isinstance(agent.runtime, NativeRuntime):
        for volume in agent.runtime.extra_volumes:
            source, target, *rest = volume.split(":")
            if source.startswith("/"):
                yield target, source, rest != ["ro"]
