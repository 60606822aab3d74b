"""Rules that span several entries. They read trees, not models: one agent's mistake does not hide another's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from proxhermes.inventory import (
    crons_rules,
    folder_rules,
    hermes_rules,
    litellm_rules,
    mcp_rules,
    network_rules,
    package_rules,
    profile_rules,
    profiles,
    runtime_rules,
    skills_rules,
)
from proxhermes.inventory.fields import LABEL
from proxhermes.inventory.models import HIGHEST_VMID, LOWEST_VMID
from proxhermes.inventory.tree import Report, Tree

Agents = Mapping[str, Tree]
"""The agents by VMID as written, with the defaults merged beneath."""


def check(nodes: Tree, agents: Agents, configs: Mapping[str, Tree], report: Report) -> None:
    """All rules that need more than one entry. configs: the trees of the agents' `config_file`s."""
    _nodes_known(nodes, agents, report)
    folder_rules.check(agents, report)
    network_rules.check(agents, report)
    homes = profiles.trees(agents)
    litellm_rules.check(agents, report)
    for each in (hermes_rules, mcp_rules, crons_rules, skills_rules):
        each.check(homes, report)
    profile_rules.check(agents, report)
    runtime_rules.check(agents, configs, report)
    package_rules.check(agents, report)
    _warn(nodes, agents, report)
    _warn_of_twin_bots(homes, report)


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


def _warn(nodes: Tree, agents: Agents, report: Report) -> None:
    for node in nodes.children.values():
        insecure = node.at("tls", "insecure")
        if insecure is not None and insecure.value is True:
            report.warn(
                insecure.spot, "anyone between here and the node can read the token", "`fingerprint` or `ca_file`"
            )
    _warn_of_twins(agents, report)


def _warn_of_twins(agents: Agents, report: Report) -> None:
    names: dict[tuple[str | None, str], str] = {}
    for vmid, agent in agents.items():
        hostname, name = agent.at("hostname"), agent.text("hostname")
        if hostname is not None and name is not None:
            owner = names.setdefault((agent.text("network", "bridge"), name.lower()), vmid)
            if owner != vmid:
                report.warn(
                    hostname.spot, f"agent {owner} has the same host name", "another name: DNS has one of them only"
                )


def _warn_of_twin_bots(homes: Agents, report: Report) -> None:
    bots: dict[str, str] = {}
    for vmid, agent in homes.items():
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
