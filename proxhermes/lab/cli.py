"""`proxhermes lab`: a Proxmox-compatible node on this machine, for the demo and the tests.

Also runnable as `python -m proxhermes.lab`. What the lab is made of is in `proxhermes.lab.node`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from proxhermes.lab.node.process import LabError


def _instance(command: Callable[..., Any]) -> Callable[..., Any]:
    text = "Which lab: several may run at once, each with its own node and network."
    return click.option("--instance", default="default", show_default=True, metavar="NAME", help=text)(command)


def _errors_shown(command: Callable[..., None]) -> Callable[..., None]:
    """A LabError, or a bad instance name, is one message and exit code 1."""

    @wraps(command)
    def shown(*args: Any, **values: Any) -> None:
        try:
            command(*args, **values)
        except (LabError, ValueError) as error:
            raise click.ClickException(str(error)) from error

    return shown


@click.group(epilog="A first look: proxhermes lab up && proxhermes lab shell -- pct list")
def lab() -> None:
    """A Proxmox-compatible node on this machine, with real containers, sshd and API.

    \b
    up      bring it up (some minutes the first time, then seconds), or check it
    status  what runs, and where
    shell   look around on the node
    down    end it and leave nothing behind
    demo    an agent provisioned on it, verified, and spoken to

    Needs Debian 12 or later and root.
    """


@lab.command()
@_instance
@_errors_shown
def up(instance: str) -> None:
    """Bring the lab up, or check one that runs and restart what died.

    Missing Debian packages are installed, by name. What was built is kept in /var/cache/proxhermes-lab.
    """
    from proxhermes.lab.node import lifecycle

    began = time.monotonic()
    running = lifecycle.up(instance, _teller(began))
    click.echo(f"lab {instance} is up after {time.monotonic() - began:.1f} s: node {running.address}", err=True)
    click.echo(running.inventory)


@lab.command()
@_instance
@click.option("--purge-cache", is_flag=True, help="Remove /var/cache/proxhermes-lab as well: the next `up` builds it.")
@_errors_shown
def down(instance: str, purge_cache: bool) -> None:
    """End the lab and remove all that it made, also after a crash. The cache stays."""
    from proxhermes.lab.node import lifecycle

    began = time.monotonic()
    lifecycle.down(instance, _teller(began), purge_cache=purge_cache)
    click.echo(f"lab {instance} is down", err=True)


@lab.command()
@_instance
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@_errors_shown
def status(instance: str, as_json: bool) -> None:
    """Show services, containers, addresses, and what a crash has left. Exit code 1 unless the lab is up."""
    from proxhermes.lab.node import lifecycle

    found = lifecycle.status(instance)
    click.echo(json.dumps(found, indent=2) if as_json else _as_text(found))
    if found["state"] != "up":
        sys.exit(1)


@lab.command()
@_errors_shown
def packages() -> None:
    """Install the Debian packages that the lab needs, and nothing else."""
    from proxhermes.lab.node import preflight

    preflight.check(_teller(time.monotonic()))


@lab.command()
@_instance
@_errors_shown
def demo(instance: str) -> None:
    """Provision an agent on the lab, verify it, chat with it: the tour that `make demo` gives."""
    from proxhermes.lab import demo as tour

    tour.run(instance, lambda text: click.echo(text, err=True))


@lab.command(context_settings={"ignore_unknown_options": True})
@_instance
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@_errors_shown
def shell(instance: str, command: tuple[str, ...]) -> None:
    """A root shell on the node, or COMMAND there: `proxhermes lab shell -- pct list`."""
    from proxhermes.lab.node.lab import Lab

    running = Lab.find(instance)
    if running is None:
        raise LabError(f"lab {instance} is not up (proxhermes lab up)")
    terminal = [f"TERM={os.environ['TERM']}"] if "TERM" in os.environ else []
    argv = running.enter(["env", *terminal, *(command or ("bash", "-l"))])
    os.execvp(argv[0], argv)  # noqa: S606 - no shell between, on purpose


def _teller(began: float) -> Callable[[str], None]:
    return lambda text: click.echo(f"[{time.monotonic() - began:6.1f} s] {text}", err=True)


def _as_text(found: dict[str, Any]) -> str:
    lines = [f"lab {found['instance']}: {found['state']}"]
    if found["state"] != "down":
        lines += [f"  node {found['node']}  ssh root@{found['address']}  {found['api']}", f"  client {found['client']}"]
        for service in found["services"]:
            lines.append(f"  {'up  ' if service['up'] else 'DOWN'} {service['name']:<10} {service['at']}")
        for guest in found["containers"]:
            where = " ".join(guest["addresses"])
            lines.append(f"  CT {guest['vmid']} {guest['name']} {guest['status']} {where}".rstrip())
    if found["leftovers"]:
        lines += ["  left over (proxhermes lab down clears it):", *(f"    {item}" for item in found["leftovers"])]
    return "\n".join(lines)
