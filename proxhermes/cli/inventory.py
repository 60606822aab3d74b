"""`proxhermes inventory`: is it right, and what may stand in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxhermes.cli.context import Command, Context, common_options, json_option, pass_context

if TYPE_CHECKING:
    from proxhermes.inventory import Inventory
    from proxhermes.inventory.models import Agent, Node


@click.group(params=list(common_options()))
def inventory() -> None:
    """Check the inventory; print its JSON Schema."""


@inventory.command(cls=Command)
@json_option
@pass_context
@click.pass_context
def check(click_context: click.Context, context: Context) -> None:
    """Read the inventory and tell what it says, or every mistake in it.

    Nothing is contacted, and no secret is looked up; files that it names by their path are looked at. Exit code 0, or 2
    if there is a mistake.
    """
    from proxhermes.cli.display import label
    from proxhermes.hermes import local_files
    from proxhermes.inventory import load
    from proxhermes.inventory.problems import InventoryError

    path = context.inventory_path
    try:
        read = load(path, os.environ, files=local_files.check)
    except InventoryError as error:
        if not context.json:
            raise
        context.print_json(_as_json(path, None, error))
        click_context.exit(error.exit_code)
    if context.json:
        context.print_json(_as_json(path, read, None))
        return
    for line in _summary(read):
        click.echo(line)
    for warning in read.warnings:
        click.echo(label("Warning: ", "yellow") + str(warning), err=True)


@inventory.command(cls=Command)
@pass_context
def schema(context: Context) -> None:
    """Print the JSON Schema of the inventory, for editors.

    \b
    proxhermes inventory schema > inventory.schema.json
    and as the inventory's first line:
    # yaml-language-server: $schema=inventory.schema.json
    """
    from proxhermes.inventory.schema import json_schema

    context.print_json(json_schema())


def _summary(read: Inventory) -> list[str]:
    lines = [f"{read.path}: {_count(len(read.nodes), 'node')}, {_count(len(read.agents), 'agent')}, no mistake"]
    for name, node in read.nodes.items():
        lines.append(f"node {name}: {node.api} as {node.token}; root shell {_shell(node)}")
    for agent in read.agents.values():
        lines.append(f"agent {agent.vmid} {agent.hostname} on {agent.node}: {_container(agent)}; {_service(agent)}")
        for mount in agent.mounts:
            mode = ", read-only" if mount.read_only else ""
            lines.append(f"  {mount.host} -> {mount.guest} (owner {mount.owner}{mode})")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _shell(node: Node) -> str:
    via = f" via {node.ssh.jump}" if node.ssh.jump else ""
    port = f":{node.ssh.port}" if node.ssh.port != 22 else ""
    return f"{node.ssh.user}@{node.ssh.host}{port}{via}"


def _container(agent: Agent) -> str:
    network = agent.network
    return (
        f"{agent.template}, {_count(agent.cores, 'core')}, {agent.memory} MiB, "
        f"{agent.disk.size} GiB on {agent.disk.storage}, {network.bridge} {network.ip}"
    )


def _service(agent: Agent) -> str:
    from proxhermes.hermes.messaging import enabled

    model = f"{agent.litellm.model} at {agent.litellm.base_url}"
    runs = f"{agent.runtime.type}: {getattr(agent.runtime, 'image', '')}".rstrip(": ")
    return f"{runs}, {model}, {'+'.join(enabled(agent.messaging)) or 'no messaging'}"


def _as_json(path: Path, read: Inventory | None, error: Any) -> dict[str, Any]:
    """The result for a program; secrets stand in it as their references."""
    return {
        "inventory": str(path),
        "ok": error is None,
        "nodes": {name: node.model_dump(mode="json") for name, node in read.nodes.items()} if read else {},
        "agents": {str(vmid): agent.model_dump(mode="json") for vmid, agent in read.agents.items()} if read else {},
        "warnings": [warning.as_json() for warning in read.warnings] if read else [],
        "problems": [problem.as_json() for problem in error.problems] if error else [],
    }
