"""The console script: finds the command, runs it, turns its end into an exit code.

Nothing heavy is imported before a command needs it: `--help` and completion stay fast (`benchmarks/startup`).
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass

import click

from proxhermes.cli.context import Context, common_options


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a command lives and what `--help` says of it without importing it."""

    target: str
    help: str


_COMMANDS = {
    "create": _Entry("proxhermes.cli.agents:create", "Create the container, and mount the host folders into it."),
    "bootstrap": _Entry("proxhermes.cli.agents:bootstrap", "Install Hermes, and the engine that its runtime needs."),
    "verify": _Entry("proxhermes.cli.verify:verify", "Prove that the agent works, from the container to an answer."),
    "up": _Entry("proxhermes.cli.agents:up", "create, bootstrap and verify in one."),
    "plan": _Entry("proxhermes.cli.agents:plan", "Show what `up` would change. Exit code 3 if anything."),
    "render": _Entry("proxhermes.cli.render:render", "Print a file that `up` would write; nothing is contacted."),
    "status": _Entry("proxhermes.cli.look:status", "Show what is there, agent by agent."),
    "list": _Entry("proxhermes.cli.look:list_", "List the inventory's agents and their containers."),
    "destroy": _Entry("proxhermes.cli.destroy:destroy", "Remove a container that proxhermes made."),
    "mcp": _Entry("proxhermes.cli.mcp:mcp", "Log an agent in to an MCP server, with your browser."),
    "inventory": _Entry("proxhermes.cli.inventory:inventory", "Check the inventory; print its JSON Schema."),
    "lab": _Entry("proxhermes.lab.cli:lab", "A Proxmox-compatible node with real containers on this machine."),
}
_SECTIONS = {
    "Bring an agent up": ("create", "bootstrap", "verify", "up"),
    "Look, and change nothing": ("plan", "render", "status", "list", "inventory"),
    "More": ("mcp", "destroy", "lab"),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and lists all of them from a table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], _COMMANDS, 1)
            ctx.fail(f"No such command '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, _COMMANDS[name].help) for name in names])


_EPILOG = """\b
Exit codes: 0 ok, 1 failed, 2 usage or inventory, 3 changes pending,
4 verification failed, 130 interrupted.
\b
A first run:
  proxhermes inventory check      is the inventory right? Nothing is contacted
  proxhermes plan                 what would happen; nothing is changed
  proxhermes up                   do it, and prove it
\b
proxhermes COMMAND --help says what COMMAND changes.
"""


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=list(common_options()),
)
@click.version_option(package_name="proxhermes", prog_name="proxhermes")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Provision Hermes Agent on Proxmox VE: a container, the agent in it, and proof that it works.

    AGENT is a container's VMID as in the inventory; without any, all of the inventory's agents are meant.
    """
    ctx.ensure_object(Context).command = ctx.invoked_subcommand or "proxhermes"


def run() -> None:
    """Entry point of the console script. Never returns: exits with one of the documented codes."""
    sys.exit(run_with(sys.argv[1:]))


def run_with(argv: list[str]) -> int:
    """Run a command line in this process; returns its exit code, errors shown on stderr."""
    context = Context()
    try:
        result = main.main(args=argv, prog_name="proxhermes", standalone_mode=False, obj=context)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing to say to anybody.
        sys.stderr.close()
        return 1
    except BaseException as error:  # noqa: BLE001 - the edge: whatever it is, it is shown and has a code
        from proxhermes.cli.failure import show_failure

        return show_failure(error, context)
    finally:
        context.close()
