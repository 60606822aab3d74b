"""Removes a container that proxhermes made, and on request its host folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxhermes.apply.telling import standing, tell
from proxhermes.apply.waiting import wait_for
from proxhermes.errors import ApiError, Refused
from proxhermes.events import Events
from proxhermes.facts.container import api_path
from proxhermes.plan.destroy import DestroyPlan
from proxhermes.plan.model import Door
from proxhermes.transport.command import Command
from proxhermes.transport.scripts import script

if TYPE_CHECKING:
    from proxhermes.transport.doors import Doors
    from proxhermes.transport.pve import Pve

HA_S: Final = 60.0
"""More than the shutdown takes: the HA manager looks every ten seconds, and so does the one of the node."""
DESTROY_S: Final = 600.0
PURGE_S: Final = 3600.0


def purge_command(plan: DestroyPlan) -> Command:
    """The command that removes the host folders; the script decides on the spot which ones are safe to remove."""
    owners = ",".join(f"{first}-{last}" for first, last in plan.owners)
    return Command(("sh", "-s", "--", owners, *plan.folders), stdin=script("host-purge.sh"))


def apply_destroy(plan: DestroyPlan, doors: Doors, events: Events, *, purge_data: bool = False) -> None:
    """Shut the container down, destroy it and wait for that; with purge_data remove its host folders afterwards.

    Without purge_data the folders are named and stay. Raises what the doors raise, and Refused if a folder was left.
    """
    if plan.exists:
        with standing(events, f"CT {plan.vmid} is not removed yet"):
            _remove(plan, doors.pve, events)
    else:
        events.note(f"there is no CT {plan.vmid} on {plan.node}")
    if purge_data and plan.folders:
        with standing(events, f"CT {plan.vmid} is gone, its folders on {plan.node} are not"):
            _purge(plan, doors, events)
    else:
        for folder in plan.folders:
            events.note(f"{folder} stays on {plan.node} with what is in it")


def _remove(plan: DestroyPlan, pve: Pve, events: Events) -> None:
    base = api_path(plan.node, plan.vmid)
    if plan.protected:
        pve.put(f"{base}/config", protection=0)
        events.change(f"took the protection off CT {plan.vmid}", subject="protection")
    if plan.running:
        with events.step(f"shut CT {plan.vmid} down"):
            try:
                # The agent gets the time to close its databases; what does not end is stopped.
                upid = pve.post(f"{base}/status/shutdown", timeout=plan.seconds, forceStop=1)
            except ApiError as error:
                if "not running" not in error.message:  # it stopped by itself meanwhile
                    raise
            else:
                doing = f"shutting CT {plan.vmid} down"
                pve.task(upid, doing=doing, timeout=plan.seconds * 2, on_line=events.line)
                if ":hastop:" in upid:
                    _stopped_by_ha(plan, pve, doing)
        events.change(f"stopped CT {plan.vmid}", subject="status")
    with events.step(f"destroy CT {plan.vmid}"):
        upid = pve.delete(base, purge=1)
        pve.task(upid, doing=f"destroying CT {plan.vmid}", timeout=DESTROY_S, on_line=events.line)
    events.change(f"destroyed CT {plan.vmid} ({plan.hostname})", subject="container")


def _stopped_by_ha(plan: DestroyPlan, pve: Pve, doing: str) -> None:
    """Of a container that the HA manager minds, the shutdown's task only passes the wish on (PVE: LXC/Status.pm)."""

    def stopped() -> bool | None:
        state = pve.get(f"{api_path(plan.node, plan.vmid)}/status/current").get("status")
        return True if state == "stopped" else None

    hint = "see `ha-manager status` on the node"
    wait_for(stopped, f"the HA manager to stop CT {plan.vmid}", timeout=plan.seconds + HA_S, doing=doing, hint=hint)


def _purge(plan: DestroyPlan, doors: Doors, events: Events) -> None:
    left: list[str] = []

    def line(text: str) -> None:
        kind, _, told = text.partition(": ")
        if kind == "absent":
            events.note(f"{told} is not there (is everything mounted that should be?)")
        elif kind == "left":
            left.append(told)
            events.warning(told)
        else:
            tell(text, Door.ROOT, events)

    doing = f"removing the host folders of CT {plan.vmid} on {plan.node}"
    with events.step(doing):
        # The code is not 0 as well when folders were left, so the lines tell which it was.
        result = doors.ssh.run(purge_command(plan), timeout=PURGE_S, check=False, doing=doing, on_line=line)
        if left:
            raise Refused("not every folder was removed", doing=doing, log=left)
        if not result.ok:
            raise Refused("the folders could not be removed", doing=doing, log=result.stderr.splitlines()[-10:])
