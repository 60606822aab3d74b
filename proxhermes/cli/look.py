"""`proxhermes status` and `list`: what is there, through the token alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from proxhermes.cli.context import Command, Context, agents_argument, json_option, pass_context

if TYPE_CHECKING:
    from proxhermes.status import AgentStatus, AgentSummary


@click.command(cls=Command)
@agents_argument
@json_option
@pass_context
def status(context: Context, agents: tuple[int, ...]) -> None:
    """Show how AGENT's container stands: state, address, mounts, and what waits for a boot.

    Asks only the API and changes nothing; `verify` looks inside.
    """
    from proxhermes.status import status as look

    found = []
    for agent in context.agents(agents):
        with context.doors(agent) as doors:
            found.append(look(agent, doors))
    if context.json:
        context.print_json({"agents": [_as_json(each) for each in found]})
        return
    context.quiet_display()
    for each in found:
        click.echo("\n".join(_lines(each)))


def _as_json(agent: AgentStatus) -> dict[str, Any]:
    return asdict(agent) | {"mounts": [{"host": host, "guest": guest} for host, guest in agent.mounts]}


def _lines(agent: AgentStatus) -> list[str]:
    up = f" for {_duration(agent.uptime)}" if agent.uptime else ""
    lines = [f"{agent.vmid} {agent.hostname} on {agent.node}: {agent.state}{up}"]
    if agent.addresses:
        lines.append(f"  address   {', '.join(agent.addresses)}")
    lines += [f"  mount     {host} → {guest}" for host, guest in agent.mounts]
    if agent.hermes_version:
        lines.append(f"  hermes    {agent.hermes_version} (when it was last set up)")
    if agent.pending:
        lines.append(f"  pending   {', '.join(agent.pending)} (until the next boot)")
    if agent.current is not None:
        lines.append("  set up    " + ("as the inventory says" if agent.current else "from another inventory than now"))
    if agent.identity:
        lines.append(f"  identity  {agent.identity[:12]} (of the layer; another one is another container)")
    if agent.remark:
        lines.append(f"  note      {agent.remark}")
    return lines


@click.command(cls=Command, name="list")
@json_option
@pass_context
def list_(context: Context) -> None:
    """List the inventory's agents, and containers of proxhermes' that the inventory does not know.

    Asks only the API and changes nothing. STATE is running, stopped, unfinished (`up` goes on),
    absent, or foreign (not made by proxhermes).
    """
    from proxhermes.status import overview
    from proxhermes.transport.doors import Doors

    inventory = context.inventory
    rows: list[AgentSummary] = []
    for name in dict.fromkeys(agent.node for agent in inventory.agents.values()):
        with Doors(inventory.nodes[name], context.events, name) as doors:
            rows += overview(tuple(inventory.agents.values()), name, doors.pve)
    if context.json:
        context.print_json({"agents": [asdict(row) for row in rows]})
        return
    context.quiet_display()
    table = [("VMID", "HOSTNAME", "NODE", "STATE", "UP", "")]
    table += [(str(r.vmid), r.hostname, r.node, str(r.state), _duration(r.uptime), _remark(r)) for r in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _remark(row: AgentSummary) -> str:
    return "" if row.in_inventory else "not in inventory"


def _duration(seconds: int) -> str:
    """`3d 4h`, `2h 5m`, `40s`: the two largest units."""
    if not seconds:
        return ""
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    told = [f"{value}{unit}" for value, unit in parts if value]
    return " ".join(told[:2])
