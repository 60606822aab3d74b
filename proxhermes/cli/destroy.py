"""`proxhermes destroy`: removes what proxhermes made, after asking."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from proxhermes.cli.context import VMID, Command, Context, ctrl_c_answers, pass_context

if TYPE_CHECKING:
    from proxhermes.plan.destroy import DestroyPlan


@click.command(cls=Command)
@click.argument("agents", nargs=-1, required=True, type=VMID, metavar="AGENT...")
@click.option("--yes", is_flag=True, help="Do not ask for the VMID.")
@click.option("--purge-data", is_flag=True, help="Also remove the host folders, after a second question.")
@click.option("--yes-purge-data", is_flag=True, help="Do not ask the second question either.")
@pass_context
def destroy(context: Context, agents: tuple[int, ...], yes: bool, purge_data: bool, yes_purge_data: bool) -> None:
    """Stop and remove AGENT's container, with its disk. Its host folders stay, and are named.

    Only a container that proxhermes made is removed. Asks for the VMID first; without a terminal it needs --yes.
    Ctrl-C at a question changes nothing.

    \b
    Examples:
      proxhermes destroy 118                 its folders stay, for the next `up`
      proxhermes destroy 118 --purge-data    its folders go, too
    """
    from proxhermes.apply.destroy import apply_destroy
    from proxhermes.facts.container import read_container
    from proxhermes.plan.destroy import plan_destroy

    for agent in context.agents(agents):
        with context.doors(agent, locked=True) as doors:
            events = doors.events
            with events.step(f"look at CT {agent.vmid} on {agent.node}"):
                plan = plan_destroy(agent, read_container(doors.pve, agent.node, agent.vmid, events))
            context.quiet_display()
            if plan.exists and not yes:
                _ask(_about(plan), str(plan.vmid), "--yes")
            if purge_data and plan.folders and not yes_purge_data:
                folders = ", ".join(plan.folders)
                _ask(f"Everything in {folders} on {plan.node} will be lost.", f"purge {plan.vmid}", "--yes-purge-data")
            apply_destroy(plan, doors, events, purge_data=purge_data)


def _about(plan: DestroyPlan) -> str:
    state = ", which is running" if plan.running else ""
    guarded = " Its protection is taken off." if plan.protected else ""
    return f"CT {plan.vmid} ({plan.hostname}) on {plan.node}{state}, and its disk will be removed.{guarded}"


def _ask(about: str, word: str, option: str) -> None:
    """Have the operator type `word`. Raises UsageError where nobody can, or does."""
    from proxhermes.errors import Interrupted, UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"nobody is here to confirm: {about}", hint=f"add {option} to run this unattended")
    click.echo(about, err=True)
    try:
        with ctrl_c_answers():
            typed = click.prompt(f"Type “{word}” to go on", default="", show_default=False, err=True)
    except click.Abort:
        raise Interrupted("not confirmed; nothing was changed") from None
    if typed.strip() != word:
        raise UsageError("not confirmed; nothing was changed")
