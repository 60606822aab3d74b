"""The agent's commands on the guest's PATH: what is written, taken away, or left alone as somebody else's. Pure."""

from __future__ import annotations

from proxhermes.facts.guest import File, GuestFacts
from proxhermes.hermes import commands, unit
from proxhermes.inventory.models import Agent
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, pending

_FOREIGN = "proxhermes did not write it; move it away, or set runtime.add_to_path: false"


def plan_commands(agent: Agent, facts: GuestFacts) -> tuple[list[Change], dict[str, bytes]]:
    """The changes, and the script for the bundle if one of them has to be written."""
    text = commands.render(agent) if agent.runtime.add_to_path else None
    changes: list[Change] = []
    for name in commands.NAMES:
        path, file = f"{commands.FOLDER}/{name}", facts.files.get(f"command-{name}")
        if file is not None and not _ours(file):
            changes += [] if text is None else [change(path, "somebody else's", "written", blocked=_FOREIGN)]
        elif file is not None and text is None:
            changes.append(change(path, "there", None))
        elif text is not None and (file is None or file.content != text.encode()):
            changes.append(change(path, None if file is None else "another one", "written"))
    return changes, {commands.NAME: text.encode()} if text is not None and pending(changes) else {}


def _ours(file: File) -> bool:
    return file.content is not None and unit.MARK.encode() in file.content
