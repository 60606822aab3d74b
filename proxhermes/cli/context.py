"""What every command knows: the options common to all, the inventory, and whom to tell what happens."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from proxhermes.cli.display import Display
    from proxhermes.events import Events, Listener
    from proxhermes.inventory import Inventory
    from proxhermes.inventory.models import Agent
    from proxhermes.runlog import RunLog
    from proxhermes.transport.doors import Doors


@dataclass
class Context:
    """Options that may stand before or after the command; the later one wins, `-v` adds up."""

    inventory_option: Path | None = None
    verbose: int = 0
    quiet: bool = False
    debug: bool = False
    json: bool = False
    command: str = "proxhermes"
    _display: Display | None = None
    _closers: list[Callable[[], None]] = field(default_factory=list)

    @property
    def inventory_path(self) -> Path:
        """The inventory in force: the option, else $PROXHERMES_INVENTORY, ./inventory.yaml, the user's own."""
        from proxhermes.inventory import find

        return find(self.inventory_option, os.environ)

    @cached_property
    def inventory(self) -> Inventory:
        from proxhermes.inventory import load

        return load(self.inventory_path, os.environ, ask=self.ask)

    def agents(self, wanted: tuple[int, ...]) -> list[Agent]:
        """The agents named on the command line, all of the inventory's if none was; unknown ones are an error."""
        from proxhermes.errors import UsageError

        known = self.inventory.agents
        unknown = [str(vmid) for vmid in wanted if vmid not in known]
        if unknown:
            listing = ", ".join(str(vmid) for vmid in sorted(known)) or "none"
            raise UsageError(f"no agent {', '.join(unknown)} in {self.inventory_path}; it has: {listing}")
        return [known[vmid] for vmid in dict.fromkeys(wanted or sorted(known))]

    @contextmanager
    def doors(self, agent: Agent, *, locked: bool = False) -> Iterator[Doors]:
        """The doors of the agent's node, whose `events` carry its VMID. locked: no other run may change it meanwhile.

        Raises ProxhermesError if another run holds the agent's lock.
        """
        from proxhermes.runlock import agent_lock
        from proxhermes.transport.doors import Doors

        node = self.inventory.nodes[agent.node]
        lock = agent_lock(f"{node.api_host}:{node.api_port}", agent.node, agent.vmid) if locked else nullcontext()
        with lock, Doors(node, self.events.for_agent(agent.vmid), agent.node) as doors:
            yield doors

    @cached_property
    def log(self) -> RunLog:
        from proxhermes.runlog import RunLog

        log = RunLog.open(self.command, sys.argv[1:])
        self._closers.append(log.close)
        return log

    @cached_property
    def events(self) -> Events:
        from proxhermes.cli.display import make_display
        from proxhermes.events import Events
        from proxhermes.redaction import redacting

        display = self._display = make_display(sys.stderr, verbose=self.verbose, quiet=self.quiet)
        self._closers.append(display.close)
        stop = threading.Event()
        listeners: list[Listener] = [redacting(display)]
        unlogged = None
        try:
            listeners.append(self.log)
        except OSError as error:  # a full disk or a read-only home must not stop what the operator asked for
            unlogged = error
        events = Events(listeners, stop=stop)
        self._closers.append(_stop_on_ctrl_c(stop, events))
        if unlogged is not None:
            events.warning(f"no log of this run: {unlogged}; $XDG_STATE_HOME names another folder for it")
        return events

    def quiet_display(self) -> None:
        """Let go of the terminal, so that a question can be asked there; the next event takes it again."""
        if self._display is not None:
            self._display.close()

    def ask(self, question: str) -> str:
        """Have the operator type a secret at the terminal, with nothing drawn over the question."""
        from proxhermes.inventory.lookup import from_prompt

        self.quiet_display()
        with ctrl_c_answers():
            return from_prompt(question)

    def print_json(self, data: Any) -> None:
        """Write a command's result for a program to stdout, with secrets masked; not into what the display draws."""
        from proxhermes.redaction import redacted

        self.quiet_display()
        click.echo(json.dumps(redacted(data), indent=2, ensure_ascii=False))

    def close(self) -> None:
        """Stop the display and close the log; safe to call twice."""
        while self._closers:
            self._closers.pop()()


@contextmanager
def ctrl_c_answers() -> Iterator[None]:
    """Within a question nothing runs that would need a safe point to stop at: Ctrl-C is the answer no, at once."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop_on_ctrl_c(stop: threading.Event, events: Events) -> Callable[[], None]:
    """The first Ctrl-C (or a polite kill) asks for a stop at the next safe point, the second one ends the run at once.

    Returns what puts the handlers back.
    """

    def handler(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        events.warning("stopping at the next safe point; once more to stop at once")

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, previous in before.items():
            signal.signal(number, previous)

    return restore


def _store(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        if value:
            setattr(ctx.ensure_object(Context), name, value)
        return value

    return callback


def _add_verbosity(ctx: click.Context, _param: click.Parameter, value: int) -> int:
    ctx.ensure_object(Context).verbose += value
    return value


def common_options() -> list[click.Option]:
    """The options that every command takes, before or after its name."""
    return [
        click.Option(
            ["-i", "--inventory", "inventory_option"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            expose_value=False,
            callback=_store("inventory_option"),
            help="Inventory to use (default: $PROXHERMES_INVENTORY, ./inventory.yaml, "
            "~/.config/proxhermes/inventory.yaml).",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_add_verbosity,
            help="Show commands, API calls and what they print.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_store("quiet"),
            help="Show warnings and errors only.",
        ),
        click.Option(
            ["--debug"], is_flag=True, expose_value=False, callback=_store("debug"), help="Add the traceback to errors."
        ),
    ]


class Command(click.Command):
    """A click command that also takes the common options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(common_options())


json_option = click.option(
    "--json", is_flag=True, expose_value=False, callback=_store("json"), help="Print the result as JSON on stdout."
)

pass_context = click.make_pass_decorator(Context, ensure=True)


class Vmid(click.IntRange):
    """A container's number: Proxmox counts from 100 to 999999999."""

    name = "VMID"

    def __init__(self) -> None:
        super().__init__(100, 999_999_999)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no VMID (a number from 100 on, as under `agents:` in the inventory)", param, ctx)


VMID = Vmid()
agents_argument = click.argument("agents", nargs=-1, type=VMID, metavar="[AGENT]...")
