"""What the node knows of the folders that a container is to use: one script, one round trip through the root door."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from proxhermes.errors import ProxhermesError, Refused
from proxhermes.transport.command import Command, Shell
from proxhermes.transport.scripts import script

DEADLINE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Folder:
    """A host folder as it is. link: the first symbolic link on the way to it, None if there is none.

    uid, gid: of the node; mode: permission bits; empty: nothing in it. Those are None where there is no directory.
    """

    path: str
    state: Literal["missing", "directory", "other"]
    link: str | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    empty: bool | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """A container of the cluster that has a host folder bound."""

    node: str
    vmid: int
    path: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The node as one container's host folders need it.

    node: the name of the machine that answered. mounted: where a file system is. expected: path -> what says that
    something ought to be mounted there. storages: id -> its words in storage.cfg, with `type`.
    """

    node: str = ""
    folders: Mapping[str, Folder] = field(default_factory=lambda: MappingProxyType({}))
    mounted: frozenset[str] = frozenset()
    expected: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    storages: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    bound: tuple[Bound, ...] = ()


def facts_command(folders: Sequence[str]) -> Command:
    """The command that reads the facts; the script travels on standard input."""
    return Command(("sh", "-s", "--", *folders), stdin=script("host-facts.sh"))


def read_host(shell: Shell, folders: Sequence[str], node: str) -> HostFacts:
    """The facts about `folders` on the node behind `shell`. Raises what the shell raises, and Refused if it is another.

    In a cluster any node's API serves all of them, while folders are made on the machine that the shell leads to.
    """
    doing = f"reading the host folders of {node}"
    facts = parse(shell.run(facts_command(folders), timeout=DEADLINE_S, doing=doing).stdout)
    if facts.node.casefold() != node.casefold():
        raise Refused(
            f"the root shell of node {node} leads to the machine {facts.node}; nothing was changed",
            doing=doing,
            hint=f"set `ssh: {{host: …}}` at the node {node} in the inventory to that node's own address",
        )
    return facts


def parse(text: str) -> HostFacts:
    """The facts out of what host-facts.sh printed. Raises ProxhermesError if it did not get to its end."""
    rows = [line.split("\t") for line in text.splitlines() if line]
    if not rows or rows[-1] != ["end"]:
        raise ProxhermesError("the node's answer about its folders broke off", log=text.splitlines()[-5:])
    folders: dict[str, Folder] = {}
    expected: dict[str, str] = {}
    storages: dict[str, dict[str, str]] = {}
    mounted: set[str] = set()
    bound: list[Bound] = []
    machine = ""
    for row in rows:
        match row:
            case ["node", machine]:
                pass
            case ["folder", path, *rest]:
                folders[path] = _folder(path, rest)
            case ["mounted", path]:
                mounted.add(_decoded(path))
            case ["expected", path, why]:
                expected.setdefault(_decoded(path).rstrip("/"), why)
            case ["storage", name, key, value]:
                storages.setdefault(name, {})[key] = value
            case ["bound", node, vmid, path]:
                bound.append(Bound(node, int(vmid), path.rstrip("/")))
    return HostFacts(
        node=machine,
        folders=MappingProxyType(folders),
        mounted=frozenset(mounted),
        expected=MappingProxyType(expected),
        storages=MappingProxyType({name: MappingProxyType(words) for name, words in storages.items()}),
        bound=tuple(bound),
    )


def _folder(path: str, fields: list[str]) -> Folder:
    state, link, uid, gid, mode, empty = fields
    at = None if link == "-" else link
    if state != "directory":
        return Folder(path, "missing" if state == "missing" else "other", at)
    return Folder(path, "directory", at, int(uid), int(gid), int(mode, 8), empty == "yes")


def _decoded(path: str) -> str:
    """A path as /proc/mounts and fstab write it, its octal escapes undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
