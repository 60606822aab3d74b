"""Rules for folders: mounts and volumes lie apart from each other and from the agent's own folders, on every side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from proxhermes.inventory.hermes import DATA_DIR
from proxhermes.inventory.hermes_rules import runtime_type
from proxhermes.inventory.mounts import GUEST_SHARED, GUEST_SYSTEM, IMAGE_CODE, IMAGE_HOME, inside
from proxhermes.inventory.runtime import STATE_DIR
from proxhermes.inventory.tree import Report, Tree


@dataclass(frozen=True, slots=True)
class _Place:
    """A path that one agent's mount names, with the tree that it stands in."""

    vmid: str
    path: str
    tree: Tree


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All rules for `mounts`, `runtime.extra_volumes` and `hermes.working_directory` of all agents."""
    for vmid, agent in agents.items():
        _mounts_of_one(vmid, agent, report)
        _volumes(vmid, agent, report)
        _working_directory(vmid, agent, report)
    _folders_of_their_own(agents, report)


def _places(vmid: str, agent: Tree, side: str) -> list[_Place]:
    mounts = agent.at("mounts")
    found = []
    for mount in mounts.items if mounts else []:
        tree, text = mount.at(side), mount.text(side)
        if tree is not None and text is not None and text.startswith("/"):
            found.append(_Place(vmid, _plain(text), tree))
    return found


def _plain(path: str) -> str:
    """The path without doubled or trailing slashes."""
    return "/" + "/".join(part for part in path.split("/") if part)


def _own(agent: Tree) -> tuple[str, str | None]:
    """`data_dir` and, where there is one, `state_dir`."""
    data = _plain(agent.text("hermes", "data_dir") or DATA_DIR)
    if runtime_type(agent) == "docker":
        return data, None
    return data, _plain(agent.text("runtime", "state_dir") or STATE_DIR)


def _mounts_of_one(vmid: str, agent: Tree, report: Report) -> None:
    for first, second in combinations(_places(vmid, agent, "guest"), 2):
        if first.path == second.path:
            report.add(second.tree.spot, f"{second.path!r} is mounted twice", "each guest path once")
        elif inside(first.path, second.path):
            # Proxmox mounts in the order of the list: the outer one would cover the inner one.
            report.add(
                second.tree.spot, f"{second.path!r} would cover the mount on {first.path!r}", "the outer folder first"
            )
    for one, other in combinations(_places(vmid, agent, "host"), 2):
        if one.path == other.path:
            report.add(other.tree.spot, f"{other.path!r} is mounted twice", "each host folder once")
    _own_folders(vmid, agent, report)
    _documents_can_be_written(agent, report)
    _documents_are_read(agent, report)


def _own_folders(vmid: str, agent: Tree, report: Report) -> None:
    """Hermes' own folders lie apart from the mounts, and from each other."""
    data, state = _own(agent)
    for place in _places(vmid, agent, "guest"):
        for own, what in ((data, "data"), (state, "state")):
            near = own is not None and (inside(place.path, own) or inside(own, place.path))
            if place.path not in GUEST_SHARED and near:
                report.add(
                    place.tree.spot,
                    f"{place.path!r} collides with the folder of Hermes' own {what}, {own!r}",
                    "a path apart from it; that data belongs on the container's own disk",
                )
    if state is not None and (inside(state, data) or inside(data, state)):
        tree = agent.at("runtime", "state_dir") or agent.at("hermes", "data_dir") or agent
        report.add(
            tree.spot, f"`runtime.state_dir` {state!r} and `hermes.data_dir` {data!r} overlap", "two folders apart"
        )


def _documents_are_read(agent: Tree, report: Report) -> None:
    """SOUL.md is who the agent is; Hermes looks for it in HERMES_HOME alone (0.19, 0.22: agent/prompt_builder.py)."""
    documents = agent.at("hermes", "documents")
    for path, tree in documents.children.items() if documents else ():
        if path.rpartition("/")[2] == "SOUL.md":
            where = "the agent reads it from HERMES_HOME alone, and never from its working directory"
            report.warn(tree.key, where, "`hermes.home_files: {SOUL.md: …}`")


def _documents_can_be_written(agent: Tree, report: Report) -> None:
    """The documents go into the working directory, which therefore is no read-only mount."""
    documents, folder = agent.at("hermes", "documents"), agent.text("hermes", "working_directory")
    tree = agent.at("hermes", "working_directory")
    if not documents or not documents.children or folder is None or tree is None:
        return
    mounts = agent.at("mounts")
    for mount in mounts.items if mounts else []:
        read_only, guest = mount.at("read_only"), mount.text("guest")
        if guest and read_only and read_only.value is True and inside(folder, guest):
            report.add(tree.spot, f"{folder!r} is read-only, and `hermes.documents` go there", "a folder to write to")


def _volumes(vmid: str, agent: Tree, report: Report) -> None:
    """No two folders at one path, and none over the agent's own: one of them would not be seen."""
    taken = {place.path: "a mount" for place in _places(vmid, agent, "guest")}
    for volume, _, target in _volumes_of(agent):
        if (covered := _covered(agent, target)) is not None:
            report.add(volume.spot, f"{target} collides with the agent's own {covered}", "another path for the agent")
        elif target in taken:
            report.add(volume.spot, f"{target} is the path of {taken[target]} already", "another path for the agent")
        taken[target] = "another volume"


def _volumes_of(agent: Tree) -> Iterator[tuple[Tree, str, str]]:
    """The extra volumes with their sources and paths; what is none is told by its own type."""
    volumes = agent.at("runtime", "extra_volumes")
    for volume in volumes.items if volumes else ():
        if isinstance(volume.value, str) and volume.value.count(":") >= 1:
            source, target, *_ = volume.value.split(":")
            yield volume, source, _plain(target)


def _covered(agent: Tree, path: str) -> str | None:
    """The agent's own folder that a volume at `path` would cover, or lie in where the agent keeps what is its own."""
    data, state = _own(agent)
    whole = (IMAGE_HOME, IMAGE_CODE) if state is None else (data, state)
    # A folder of the workspace or of its HOME may lie elsewhere; of the rest, proxhermes and Hermes know each file.
    free = [f"{state or IMAGE_HOME}/{name}" for name in ("home", "workspace")]
    if any(inside(path, folder) and path != folder for folder in free):
        return None
    closed = (IMAGE_HOME,) if state is None else whole  # the official image's code may be patched
    return next((each for each in whole if inside(each, path) or (each in closed and inside(path, each))), None)


def _working_directory(vmid: str, agent: Tree, report: Report) -> None:
    """It is made the agent's own: no folder of the system, nor one with the code or the agent's state in it."""
    tree, written = agent.at("hermes", "working_directory"), agent.text("hermes", "working_directory")
    if tree is None or written is None or not written.strip("/") or not written.startswith("/"):
        return  # told by its own type
    folder = _in_guest(vmid, agent, _plain(written))
    data, state = _own(agent)
    if folder is None or (state is not None and inside(folder, state)):
        return
    said = "" if folder == _plain(written) else f", in the container {folder!r},"
    allowed = "a folder of its own: below a mount, or as in `/srv/work`"
    if folder in GUEST_SHARED or any(inside(folder, system) for system in GUEST_SYSTEM):
        report.add(tree.spot, f"{written!r}{said} belongs to the container's own system", allowed)
    elif inside(folder, data) or inside(data, folder):
        report.add(tree.spot, f"{written!r}{said} overlaps with `hermes.data_dir` {data!r}", allowed)
    elif state is not None and inside(state, folder):
        report.add(tree.spot, f"{written!r} holds `runtime.state_dir` {state!r}", allowed)


def _in_guest(vmid: str, agent: Tree, path: str) -> str | None:
    """The guest's own folder that is at `path` for the agent; None for one of a mount, or of the image."""
    if any(inside(path, place.path) for place in _places(vmid, agent, "guest")):
        return None
    for _, source, target in _volumes_of(agent):
        if inside(path, target):
            return _plain(source + path[len(target) :]) if source.startswith("/") else None
    return None if runtime_type(agent) == "docker" else path


def _folders_of_their_own(agents: Mapping[str, Tree], report: Report) -> None:
    nodes = {agent.text("node") for agent in agents.values()}
    for node in nodes:
        # What `defaults` or an anchor shares stands in one place for several agents: one group, one mistake.
        groups: dict[tuple[int, int], list[_Place]] = {}
        for vmid, agent in agents.items():
            if agent.text("node") == node:
                for place in _places(vmid, agent, "host"):
                    groups.setdefault((place.tree.spot.line, place.tree.spot.column), []).append(place)
        for group in groups.values():
            if len({place.vmid for place in group}) > 1:
                users = ", ".join(dict.fromkeys(place.vmid for place in group))
                report.add(group[0].tree.spot, f"{group[0].path!r} would be one folder of the agents {users}", _APART)
        for one, other in combinations(groups.values(), 2):
            pairs = ((a, b) for a in one for b in other if a.vmid != b.vmid)
            if (pair := next(pairs, None)) and not len(one) == len(other) > 1:
                _apart(*pair, report)


_APART: Final = "a folder for each agent: they would write into each other's files"


def _apart(one: _Place, other: _Place, report: Report) -> None:
    where = f"agent {one.vmid} (line {one.tree.spot.line})"
    if one.path == other.path:
        report.add(other.tree.spot, f"{other.path!r} is already a folder of {where}", _APART)
    elif inside(other.path, one.path):
        report.add(other.tree.spot, f"{other.path!r} lies inside {one.path!r} of {where}", _APART)
    elif inside(one.path, other.path):
        report.add(other.tree.spot, f"{other.path!r} holds {one.path!r} of {where}", _APART)
