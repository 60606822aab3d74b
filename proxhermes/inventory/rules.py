"""Rules that span several entries. They read trees, not models: one agent's mistake does not hide another's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from typing import Final

from proxhermes.inventory import hermes_rules, mcp_rules, runtime_rules
from proxhermes.inventory.fields import LABEL
from proxhermes.inventory.models import HIGHEST_VMID, LOWEST_VMID
from proxhermes.inventory.mounts import GUEST_SHARED, inside
from proxhermes.inventory.tree import Report, Tree

Agents = Mapping[str, Tree]
"""The agents by VMID as written, with the defaults merged beneath."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A path that one agent's mount names, with the tree that it stands in."""

    vmid: str
    path: str
    tree: Tree


def check(nodes: Tree, agents: Agents, report: Report) -> None:
    """All rules that need more than one entry."""
    _nodes_known(nodes, agents, report)
    for vmid, agent in agents.items():
        _mounts_of_one(vmid, agent, report)
    _folders_of_their_own(agents, report)
    _addresses_of_their_own(agents, report)
    hermes_rules.check(agents, report)
    mcp_rules.check(agents, report)
    runtime_rules.check(agents, report)
    _warn(nodes, agents, report)


def check_vmid(written: str, tree: Tree, report: Report) -> int | None:
    """The VMID that a key under `agents` is."""
    if re.fullmatch(r"[1-9][0-9]{2,8}", written):
        return int(written)
    report.add(
        tree.key, f"`{written}` is not a VMID", f"a whole number from {LOWEST_VMID} to {HIGHEST_VMID}, as in `118:`"
    )
    return None


def check_node_name(written: str, tree: Tree, report: Report) -> None:
    """A key under `nodes` is the node's name in Proxmox, which is a host name without dots."""
    if not re.fullmatch(LABEL, written):
        report.add(tree.key, f"`{written}` is not the name of a node", "the name that Proxmox shows, as in `pve1`")


def _nodes_known(nodes: Tree, agents: Agents, report: Report) -> None:
    known = list(nodes.children)
    for agent in agents.values():
        node, name = agent.at("node"), agent.text("node")
        if node is None or name is None or name in known:
            continue
        near = get_close_matches(name, known, n=1)
        listed = ", ".join(known) or "none, they go under `nodes`"
        report.add(
            node.spot, f"no node is called {name!r}", f"did you mean {near[0]!r}?" if near else f"known: {listed}"
        )


def _places(vmid: str, agent: Tree, side: str) -> list[_Place]:
    mounts = agent.at("mounts")
    found = []
    for mount in mounts.items if mounts else []:
        tree, text = mount.at(side), mount.text(side)
        if tree is not None and text is not None and text.startswith("/"):
            found.append(_Place(vmid, "/" + "/".join(part for part in text.split("/") if part), tree))
    return found


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
    _documents_can_be_written(vmid, agent, report)


def _own_folders(vmid: str, agent: Tree, report: Report) -> None:
    """Hermes' own folders lie apart from the mounts, and from each other."""
    data = agent.text("hermes", "data_dir") or "/opt/hermes"
    kind = agent.text("runtime", "type") or "docker"
    state = None if kind == "docker" else agent.text("runtime", "state_dir") or "/var/lib/hermes"
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


def _documents_can_be_written(vmid: str, agent: Tree, report: Report) -> None:
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


def _folders_of_their_own(agents: Agents, report: Report) -> None:
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


def _addresses_of_their_own(agents: Agents, report: Report) -> None:
    for key, what in (("ip", "address"), ("hwaddr", "hardware address")):
        seen: dict[tuple[str | None, str], str] = {}
        for vmid, agent in agents.items():
            tree, text = agent.at("network", key), agent.text("network", key)
            if tree is None or text is None or text == "dhcp":
                continue
            network = agent.text("network", "bridge")
            owner = seen.setdefault((network, text.partition("/")[0].upper()), vmid)
            if owner != vmid:
                report.add(tree.spot, f"agent {owner} has the same {what}", f"its own {what} for each agent")


def _warn(nodes: Tree, agents: Agents, report: Report) -> None:
    for node in nodes.children.values():
        insecure = node.at("tls", "insecure")
        if insecure is not None and insecure.value is True:
            report.warn(
                insecure.spot, "anyone between here and the node can read the token", "`fingerprint` or `ca_file`"
            )
    for agent in agents.values():
        network, ip = agent.at("network"), agent.text("network", "ip")
        if network is not None and ip not in (None, "dhcp") and "gateway" not in network.children:
            report.warn(
                network.spot, "a fixed address without a gateway reaches its own network only", "`gateway: ADDRESS`"
            )
    _warn_of_twins(agents, report)


def _warn_of_twins(agents: Agents, report: Report) -> None:
    names: dict[tuple[str | None, str], str] = {}
    bots: dict[str, str] = {}
    for vmid, agent in agents.items():
        hostname, name = agent.at("hostname"), agent.text("hostname")
        if hostname is not None and name is not None:
            owner = names.setdefault((agent.text("network", "bridge"), name.lower()), vmid)
            if owner != vmid:
                report.warn(
                    hostname.spot, f"agent {owner} has the same host name", "another name: DNS has one of them only"
                )
        for bot, token in _bot_tokens(agent):
            owner = bots.setdefault(bot, vmid)
            if owner != vmid:
                report.warn(
                    token.spot, f"agent {owner} is the same bot", "a bot for each: they take each other's messages"
                )


def _bot_tokens(agent: Tree) -> Iterator[tuple[str, Tree]]:
    for platform, key in (("telegram", "token"), ("discord", "token"), ("slack", "app_token")):
        token = agent.at("messaging", platform, key)
        if token is not None and token.children:
            yield f"{platform} {token.plain()}", token
