"""How long the gateway may need to end by what config.yaml and .env say, beside what it is given. Pure.

The times of the engine and of Proxmox follow from the inventory alone: some are set before the guest can be asked, and
what the agent writes must not have its container made again, nor a node wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxhermes import upstream
from proxhermes.hermes import config, env, labels, layout
from proxhermes.hermes.files import UnusableFile
from proxhermes.inventory import stopping

if TYPE_CHECKING:
    from proxhermes.facts.guest import GuestFacts
    from proxhermes.inventory.models import Agent
    from proxhermes.plan.entries import Entry


def hurried(agent: Agent, facts: GuestFacts, entries: Sequence[Entry], code: upstream.Code | None) -> tuple[str, ...]:
    """A note, where it may need more than it is given. entries: what the plan writes; code: what reads it."""
    given = stopping.gateway(agent)
    try:
        settings = config.parse(_left(agent, facts, entries, "config", config.NAME), reader=upstream.reader(code))
        needed = stopping.declared(settings, env.values(_left(agent, facts, entries, "env", ".env")))
    except UnusableFile:  # told by whoever plans that file, where it matters
        return ()
    if needed <= given:
        return ()
    why = "by drain times of config.yaml or .env that the inventory does not have"
    what = "they belong in hermes.settings, below `agent`"
    return (f"the gateway may need {needed} s to end, {why}, and is killed after {given} s: {what}",)


def _left(agent: Agent, facts: GuestFacts, entries: Sequence[Entry], fact: str, name: str) -> str:
    """The text of a file as the plan leaves it."""
    path = labels.path(layout.of(agent), labels.HOME + name)
    found = next((entry.content for entry in entries if entry.path == path and entry.kind == "file"), None)
    return (facts.content(fact) or b"" if found is None else found).decode("utf-8", "replace")
