"""`proxhermes mcp`: what an agent's MCP servers need from a person."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import TYPE_CHECKING

import click

from proxhermes.cli.context import VMID, Command, Context, common_options, pass_context

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent


@click.group(params=list(common_options()))
def mcp() -> None:
    """Log an agent in to an MCP server, with your browser."""


@mcp.command(cls=Command)
@click.argument("agent", type=VMID, metavar="AGENT")
@click.argument("name", metavar="NAME")
@click.option("--force", is_flag=True, help="Ask for a new consent though the agent is logged in.")
@click.option("--no-browser", is_flag=True, help="Only print the address, open no browser.")
@click.option(
    "--timeout",
    type=click.IntRange(10, 300),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the consent.",
)
@pass_context
def login(context: Context, agent: int, name: str, force: bool, no_browser: bool, timeout: int) -> None:
    """Log AGENT in to an MCP server: you consent in your browser.

    NAME stands under `hermes.mcp_servers`, with `auth: oauth`. The address to open is printed; what your browser then
    sends back to 127.0.0.1 is taken here and handed to the agent, which gets the tokens. No port is opened to the
    network. Then the gateway is restarted. If anything goes wrong, or at Ctrl-C, the agent is logged in or out as
    before.

    \b
    Examples:
      proxhermes mcp login 118 linear            changes nothing if the agent is logged in
      proxhermes mcp login 118 linear --force    for another account, or other rights
    """
    from proxhermes.apply.login import login as log_in
    from proxhermes.facts.container import read_container
    from proxhermes.plan.container import refuse_foreign

    (wanted,) = context.agents((agent,))
    _require_oauth(wanted, name)
    with context.doors(wanted, locked=True) as doors:
        with doors.events.step(f"look at CT {wanted.vmid} on {wanted.node}"):
            refuse_foreign(read_container(doors.pve, wanted.node, wanted.vmid, doors.events))

        def show(url: str) -> None:
            context.quiet_display()
            click.echo("Open this address, and consent there (Ctrl-C to leave it):", err=True)
            click.echo(url)  # whole, whatever the terminal's width, for whoever copies it
            sys.stdout.flush()
            if not no_browser and _has_screen():
                webbrowser.open(url)

        done = log_in(wanted, name, doors, doors.events, show=show, seconds=timeout, force=force)
        told = "is logged in already" if done.known else "is logged in now, and the gateway uses it"
        doors.events.note(f"{name}: {told} ({done.why})")


def _require_oauth(agent: Agent, name: str) -> None:
    """Raises UsageError unless the inventory has such a server with OAuth."""
    from proxhermes.errors import UsageError

    servers = agent.hermes.mcp_servers
    with_oauth = ", ".join(sorted(key for key, server in servers.items() if server.auth == "oauth")) or "none"
    if name not in servers:
        raise UsageError(f"agent {agent.vmid} has no MCP server {name!r}; those with OAuth: {with_oauth}")
    if servers[name].auth != "oauth":
        raise UsageError(f"MCP server {name!r} has no `auth: oauth`; those that have: {with_oauth}")
    if not servers[name].enabled:
        raise UsageError(f"MCP server {name!r} is not enabled")


def _has_screen() -> bool:
    """Whether a browser that is opened from here can be seen; a text browser would take the terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
