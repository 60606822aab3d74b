"""Carries out, in one command through the root shell, what no token may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxhermes.apply.telling import standing, tell
from proxhermes.events import Events
from proxhermes.facts.container import api_path
from proxhermes.inventory.models import Agent
from proxhermes.plan.host import HostPlan
from proxhermes.plan.model import Door
from proxhermes.transport import pct
from proxhermes.transport.command import Command
from proxhermes.transport.scripts import script

if TYPE_CHECKING:
    from proxhermes.transport.doors import Doors

DEADLINE_S: Final = 120.0


def apply_command(plan: HostPlan, digest: str | None) -> Command:
    """The one command: the folders, then `pct set`, which refuses if the configuration is not `digest` any more."""
    words: list[str] = []
    for folder in plan.folders:
        mode = "-" if folder.mode is None else f"{folder.mode:o}"
        words += ["folder", folder.path, str(folder.uid), str(folder.gid), mode]
    if plan.options or plan.delete:
        setting = pct.set_config(plan.vmid, plan.options, plan.delete)
        words += ["run", *setting.argv, *(("--digest", digest) if digest else ())]
    return Command(("sh", "-s", "--", *words), stdin=script("host-apply.sh"))


def apply_host(agent: Agent, plan: HostPlan, doors: Doors, events: Events) -> None:
    """Make the host folders and set features and bind mounts, if there is anything to do.

    Raises CommandFailed with what the node said, ConnectError, DeadlineExceeded.
    """
    if not plan.needed:
        return
    base = api_path(plan.node, plan.vmid)
    if plan.unprotect:
        doors.pve.put(f"{base}/config", protection=0)
        events.change(f"took the protection off CT {plan.vmid} for the change of its mounts", subject="protection")
    settings = plan.options or plan.delete
    digest = doors.pve.get(f"{base}/config", current=1).get("digest") if settings else None
    doing = f"preparing the folders and mounts of CT {plan.vmid} on {plan.node}"

    def line(text: str) -> None:
        tell(text.partition(" --digest ")[0], Door.ROOT, events)

    with events.step(doing), standing(events, f"CT {agent.vmid} does not have all of its folders and mounts yet"):
        doors.ssh.run(apply_command(plan, digest), timeout=DEADLINE_S, doing=doing, on_line=line)
