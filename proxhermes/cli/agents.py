"""`create`, `bootstrap`, `up`, `plan`: what brings agents to what the inventory says."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from proxhermes.cli.context import Command, Context, agents_argument, ctrl_c_answers, json_option, pass_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from proxhermes.errors import ProxhermesError
    from proxhermes.events import Events
    from proxhermes.inventory.models import Agent
    from proxhermes.plan.model import Change
    from proxhermes.transport.doors import Doors

PENDING = 3
"""Exit code of `plan` when something would change."""

take_ownership_option = click.option(
    "--take-ownership", is_flag=True, help="Use a host folder although it holds data of a stranger (its owner changes)."
)
force_documents_option = click.option(
    "--force-documents", is_flag=True, help="Replace documents that the agent changed, or that were there before."
)
recreate_option = click.option(
    "--recreate",
    is_flag=True,
    help="Make the agent's own container from scratch; what was changed in it is lost (with `docker`, `persistent`).",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask before --recreate.")


@click.command(cls=Command)
@agents_argument
@take_ownership_option
@json_option
@pass_context
def create(context: Context, agents: tuple[int, ...], take_ownership: bool) -> None:
    """Create AGENT's container, or bring an existing one of its own to what the inventory says.

    Through the API token: the container, its options, its start. Through the root shell, and listed before it happens:
    host folders and their owner, features, bind mounts. A container that proxhermes did not make is never touched, and
    what Proxmox cannot change in place (a smaller disk, another storage) is named and left alone.

    \b
    Examples:
      proxhermes create          all agents of the inventory
      proxhermes create 118 -v   one, with every command and API call
    """

    def work(agent: Agent, doors: Doors, events: Events) -> tuple[Change, ...]:
        from proxhermes.run import create as stage

        return stage(agent, doors, events, take_ownership=take_ownership).changes

    _report(context, *_each(context, agents, work))


@click.command(cls=Command)
@agents_argument
@force_documents_option
@recreate_option
@yes_option
@json_option
@pass_context
def bootstrap(context: Context, agents: tuple[int, ...], force_documents: bool, recreate: bool, yes: bool) -> None:
    """Install Hermes in AGENT's container, and the engine that its runtime needs; start the gateway.

    Changes nothing outside the container, which must run (`create` sees to that). Restarts or recreates only what a
    change asks for; keys in Hermes' files that the inventory never mentioned stay, and so do documents that the agent
    has changed since.

    \b
    Examples:
      proxhermes bootstrap 118              after a change of `hermes:`, `runtime:`, `litellm:`, `messaging:`
      proxhermes bootstrap 118 --recreate   its container from scratch, after asking
    """
    if recreate:
        _confirm_recreation(context, agents, yes=yes)

    def work(agent: Agent, doors: Doors, events: Events) -> tuple[Change, ...]:
        from proxhermes.run import bootstrap as stage

        return stage(agent, doors, events, force_documents=force_documents, recreate=recreate).changes

    _report(context, *_each(context, agents, work))


@click.command(cls=Command)
@agents_argument
@take_ownership_option
@force_documents_option
@recreate_option
@yes_option
@click.option("--no-verify", is_flag=True, help="Leave the verification out.")
@json_option
@pass_context
def up(
    context: Context,
    agents: tuple[int, ...],
    take_ownership: bool,
    force_documents: bool,
    recreate: bool,
    yes: bool,
    no_verify: bool,
) -> None:
    """create, bootstrap and verify in one: AGENT as the inventory says, proved.

    Run it again at any time: what is as it should be is left alone, and a run that was cut off is finished.

    \b
    Examples:
      proxhermes up                   all agents of the inventory
      proxhermes up 118 --no-verify   one, without asking the model
      proxhermes up 118 --recreate    its container from scratch, after asking
    """
    if recreate:
        _confirm_recreation(context, agents, yes=yes)

    def work(agent: Agent, doors: Doors, events: Events) -> tuple[Change, ...]:
        from proxhermes.run import up as stages

        return stages(
            agent, doors, events, take_ownership=take_ownership, force_documents=force_documents, recreate=recreate
        )

    results, failed = _each(context, agents, work)
    if no_verify:
        _report(context, results, failed, "up")
        return
    from proxhermes.cli.verify import verify_agents
    from proxhermes.errors import AgentsFailed, VerificationFailed

    made = [agent for agent in context.agents(agents) if agent.vmid not in failed]
    try:
        verify_agents(context, made, before={"up": results})
    except VerificationFailed:
        if not failed:
            raise
    if failed:
        raise AgentsFailed(failed, len(results))


@click.command(cls=Command)
@agents_argument
@take_ownership_option
@force_documents_option
@recreate_option
@json_option
@pass_context
def plan(context: Context, agents: tuple[int, ...], take_ownership: bool, force_documents: bool, recreate: bool) -> int:
    """Show what `up` would change for AGENT, door by door, and change nothing.

    The doors are the API token, root's shell on the node, and the inside of the container: [token], [root], [guest].
    What goes through root's shell is shown as the command that it is. Exit code 3 if anything would change.

    \b
    Examples:
      proxhermes plan                     all agents of the inventory
      proxhermes plan 118 > plan.txt      the plan alone; progress is on stderr
      proxhermes plan --json | jq '.agents[].changes[].subject'
    """

    def work(agent: Agent, doors: Doors, events: Events) -> tuple[Change, ...]:
        from proxhermes.run import plan_all

        planned[agent.vmid] = plan_all(
            agent, doors, events, take_ownership=take_ownership, force_documents=force_documents, recreate=recreate
        )
        return planned[agent.vmid]

    planned: dict[int, tuple[Change, ...]] = {}
    results, failed = _each(context, agents, work, applied=False)
    if not context.json:
        _print_plan(context, planned)
    _report(context, results, failed)
    count = sum(len(result.get("changes", ())) for result in results)
    if count:
        what = "1 change; `proxhermes up` makes it" if count == 1 else f"{count} changes; `proxhermes up` makes them"
        context.events.note(what)
    return PENDING if count else 0


def _print_plan(context: Context, planned: Mapping[int, tuple[Change, ...]]) -> None:
    """The plan is this command's data, so it goes to stdout, a line a change."""
    from proxhermes.plan.model import pending
    from proxhermes.redaction import redact

    context.quiet_display()
    for vmid, changes in planned.items():
        for change in pending(changes):
            click.echo(redact(f"{vmid} + {change}"))


def _confirm_recreation(context: Context, wanted: tuple[int, ...], *, yes: bool) -> None:
    """Say what is lost, and ask. Raises UsageError for an agent without a container, or where nobody can answer."""
    from proxhermes.errors import Interrupted, UsageError
    from proxhermes.hermes import compose
    from proxhermes.inventory.runtime import NativeRuntime

    agents = context.agents(wanted)
    if native := [str(agent.vmid) for agent in agents if isinstance(agent.runtime, NativeRuntime)]:
        raise UsageError(f"--recreate: the runtime of {', '.join(native)} is native, which has no container of its own")
    if yes:
        return
    about = "; ".join(compose.lost(agent) for agent in agents)
    if not sys.stdin.isatty():
        raise UsageError(
            f"confirmation needed, but there is no terminal: {about}", hint="add --yes to run this unattended"
        )
    context.quiet_display()
    click.echo(about, err=True)
    try:
        with ctrl_c_answers():
            agreed = click.confirm("Go on?", default=False, err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        raise Interrupted("not confirmed; nothing was changed")


def _each(
    context: Context,
    wanted: tuple[int, ...],
    work: Callable[[Agent, Doors, Events], tuple[Change, ...]],
    *,
    applied: bool = True,
) -> tuple[list[dict[str, Any]], dict[int, ProxhermesError]]:
    """Do `work` for every agent in turn, holding its lock if it is to be changed.

    Returns what `--json` prints, and what went wrong by VMID: of several agents one may fail, and the next ones still
    have their turn. The only one's error is raised as it is, and so is Interrupted.
    """
    from proxhermes.cli.failure import describe
    from proxhermes.errors import Interrupted, ProxhermesError

    results, failed = [], {}
    agents = context.agents(wanted)
    for agent in agents:
        try:
            with context.doors(agent, locked=applied) as doors:
                result = _result(agent, work(agent, doors, doors.events), doors)
            if not result["changes"]:
                doors.events.note("nothing to change" if applied else "nothing would change")
        except ProxhermesError as error:
            if len(agents) == 1 or isinstance(error, Interrupted):
                raise
            context.events.for_agent(agent.vmid).failure("\n      ".join(describe(error)))
            failed[agent.vmid] = error
            result = {"vmid": agent.vmid, "hostname": agent.hostname, "error": error.message}
        results.append(result)
    return results, failed


def _result(agent: Agent, changes: Iterable[Change], doors: Doors) -> dict[str, Any]:
    listed = [_as_dict(change) for change in changes]
    return {
        "vmid": agent.vmid,
        "hostname": agent.hostname,
        "error": None,
        "changes": [change for change in listed if not change["blocked"]],
        "left_alone": [change for change in listed if change["blocked"]],
        "api_calls": doors.calls,
        "ssh_commands": doors.commands,
    }


def _as_dict(change: Change) -> dict[str, Any]:
    return asdict(change) | {
        "layer": change.layer.value,
        "door": change.door.value,
        "effect": change.effect.name.lower(),
    }


def _report(
    context: Context, results: list[dict[str, Any]], failed: Mapping[int, ProxhermesError], key: str = "agents"
) -> None:
    """Print the results as JSON if that was asked for. What `up` did stands under `up`, verified or not.

    Raises AgentsFailed if any of them did.
    """
    from proxhermes.errors import AgentsFailed

    if context.json:
        context.print_json({key: results})
    if failed:
        raise AgentsFailed(failed, len(results))
