"""Creates and changes a container through the token, and brings it up."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from proxhermes.apply.telling import standing
from proxhermes.apply.waiting import wait_for
from proxhermes.errors import ApiError, ProxhermesError, Refused
from proxhermes.events import Events
from proxhermes.facts.container import addresses_of, api_path, pending_of
from proxhermes.facts.properties import parse
from proxhermes.inventory import stopping
from proxhermes.inventory.models import Agent
from proxhermes.inventory.network import AUTO, DHCP
from proxhermes.plan import notes
from proxhermes.plan.container import MANAGED, ContainerPlan
from proxhermes.plan.host import HostPlan

if TYPE_CHECKING:
    from proxhermes.transport.doors import Doors
    from proxhermes.transport.pve import Pve

DOWNLOAD_S: Final = 1800.0
CREATE_S: Final = 900.0
RESIZE_S: Final = 600.0
START_S: Final = 180.0
ADDRESS_S: Final = 120.0

_downloading = threading.Lock()
"""Agents are made side by side; two downloads of one template would spoil each other's file."""


def apply_container(agent: Agent, plan: ContainerPlan, doors: Doors, events: Events) -> None:
    """Create the container, stopped, or change what is not as wanted; bring_up seals it with notes and protection.

    Raises what the token's door raises: ApiError, PermissionDenied, TaskFailed, DeadlineExceeded.
    """
    if plan.create is not None:
        _create(agent, plan, doors.pve, events)
    else:
        _update(plan, doors.pve, events)


def _create(agent: Agent, plan: ContainerPlan, pve: Pve, events: Events) -> None:
    if plan.template is None or plan.create is None:
        raise ValueError("a new container needs its template")
    if plan.template.download:
        _download(plan, plan.template.storage, plan.template.download, pve, events)
    doing = f"creating CT {plan.vmid} on {plan.node}"
    with events.step(f"create CT {plan.vmid} from {plan.template.volume}"):
        try:
            upid = pve.post(f"/nodes/{plan.node}/lxc", ostemplate=plan.template.volume, **plan.create)
        except ApiError as error:
            if "already exists" in error.message:
                raise Refused(
                    f"VMID {plan.vmid} was taken while the plan was made", doing=doing, answer=error.message
                ) from None
            raise
        with standing(events, f"Proxmox may still be creating CT {plan.vmid}"):
            _task(pve, upid, doing, CREATE_S, events)
    events.change(f"created CT {plan.vmid} ({agent.hostname}) from {plan.template.volume}", subject="container")
    with standing(events, f"CT {plan.vmid} exists, stopped, without its tag"):
        # Not in the POST: there a token whose rights come from a pool is refused tags (PVE: assert_tag_permissions).
        pve.put(f"{plan.base}/config", **plan.update)
    events.change(f"tags of CT {plan.vmid}: {plan.update['tags']}", subject="tags")


def _download(plan: ContainerPlan, storage: str, name: str, pve: Pve, events: Events) -> None:
    """Fetch a template into the storage, unless somebody did meanwhile."""
    doing = f"downloading the template {name} to {storage} on {plan.node}"
    with _downloading:
        content = pve.get(f"/nodes/{plan.node}/storage/{storage}/content", content="vztmpl") or ()
        if any(str(each.get("volid")) == f"{storage}:vztmpl/{name}" for each in content):
            return
        with events.step(f"download {name} to {storage}"):
            upid = pve.post(f"/nodes/{plan.node}/aplinfo", storage=storage, template=name)
            _task(pve, upid, doing, DOWNLOAD_S, events, download_progress(events, name))
    events.change(f"downloaded {name} to {storage}", subject="template")


def download_progress(events: Events, name: str) -> Callable[[str], None]:
    """Takes a download task's log lines: those with a percentage become progress, the others are shown."""

    def line(text: str) -> None:
        match = re.search(r"(\d{1,3})\s?%", text)
        if match:
            events.progress(f"download {name}", float(match[1]), 100.0)
        else:
            events.line(text)

    return line


def _update(plan: ContainerPlan, pve: Pve, events: Events) -> None:
    if plan.update or plan.delete:
        params: dict[str, Any] = dict(plan.update)
        if plan.delete:
            params["delete"] = ",".join(plan.delete)
        # The digest makes Proxmox refuse if somebody changed the container since it was read.
        pve.put(f"{plan.base}/config", digest=plan.digest, **params)
        for change in plan.changes:
            if change.subject in plan.update or change.subject in plan.delete:
                events.change(
                    f"{change.subject}: {change.before or '-'} -> {change.after or '-'}", subject=change.subject
                )
    if plan.grow:
        doing = f"growing the root disk of CT {plan.vmid} to {plan.grow}"
        upid = pve.put(f"{plan.base}/resize", disk="rootfs", size=plan.grow)
        if upid:
            for told in _task(pve, upid, doing, RESIZE_S, events):
                if told.startswith("Failed to"):  # Proxmox grows the volume, and ends well if the file system stays
                    events.warning(f"CT {plan.vmid}: {told}")
        events.change(f"grew the root disk to {plan.grow}", subject="rootfs: size")


def bring_up(agent: Agent, plan: ContainerPlan, host: HostPlan, doors: Doors, events: Events) -> None:
    """Seal what was done, start the container or reboot it if something waits for a boot, and wait for its address.

    Nothing is asked and nothing is done if both plans were empty and it runs.
    Raises TaskFailed if it does not start, DeadlineExceeded if it gets no address.
    """
    pve = doors.pve
    _seal(agent, plan, host, pve, events)
    changed = bool(plan.update or plan.delete or plan.grow or host.options or host.delete)
    if plan.start:
        with events.step(f"start CT {plan.vmid}"), standing(events, f"CT {plan.vmid} is set up, but not started"):
            _start(plan, pve, events)
        _reach(agent, plan, pve, events)
        return
    waiting = pending_of(pve.get(f"{plan.base}/pending")) if changed or plan.reboot else {}
    if due := sorted(key for key in waiting if MANAGED.fullmatch(key)):
        _reboot(agent, plan, due, pve, events)
    elif agent.network.lacking(plan.addresses):
        _reach(agent, plan, pve, events)


def _start(plan: ContainerPlan, pve: Pve, events: Events) -> None:
    try:
        upid = pve.post(f"{plan.base}/status/start")
    except ApiError as error:
        if "already running" not in error.message:  # somebody else started it meanwhile
            raise
        return
    _task(pve, upid, f"starting CT {plan.vmid}", START_S, events)
    events.change(f"started CT {plan.vmid}", subject="status")


def _task(
    pve: Pve, upid: str, doing: str, timeout: float, events: Events, on_line: Callable[[str], None] | None = None
) -> tuple[str, ...]:
    """Wait for a task, showing its log and its warnings; returns the log."""
    end = pve.task(upid, doing=doing, timeout=timeout, on_line=on_line or events.line)
    for warning in end.warnings:
        events.warning(warning)
    return end.log


def _seal(agent: Agent, plan: ContainerPlan, host: HostPlan, pve: Pve, events: Events) -> None:
    """Last of the changes: our block of the notes, now that it is true, and the protection, which forbids mounts."""
    protect = plan.protect or (host.unprotect and agent.protection)
    if plan.block is None and not protect:
        return
    now = pve.get(f"{plan.base}/config", current=1)
    params: dict[str, Any] = {"protection": 1} if protect else {}
    if plan.block is not None:
        params["description"] = notes.merge(str(now.get("description", "")), plan.block)
    pve.put(f"{plan.base}/config", digest=now.get("digest"), **params)
    if plan.block is not None:
        events.change(f"wrote the notes of CT {plan.vmid}", subject="notes")
    if protect:
        events.change(f"protected CT {plan.vmid}", subject="protection")


def note_version(agent: Agent, version: str, pve: Pve, events: Events) -> None:
    """Have the container's notes name the version of Hermes. What hinders that is a warning: the agent is up."""
    config = f"{api_path(agent.node, agent.vmid)}/config"
    try:
        now = pve.get(config, current=1)
        before = str(now.get("description", ""))
        if (named := notes.naming(before, version)) != before:
            pve.put(config, digest=now.get("digest"), description=named)
            events.change(f"noted Hermes {version}", subject="notes")
    except ProxhermesError as error:
        events.warning(f"the notes of CT {agent.vmid} do not name Hermes {version}: {error.message}")


def _reboot(agent: Agent, plan: ContainerPlan, due: list[str], pve: Pve, events: Events) -> None:
    before = pve.get(f"{plan.base}/status/current").get("pid")
    why = ", ".join(due)
    with (
        events.step(f"reboot CT {plan.vmid} for {why}"),
        standing(events, f"CT {plan.vmid} still has to be rebooted for {why}"),
    ):
        seconds = stopping.guest(stopping.gateway(agent))
        upid = pve.post(f"{plan.base}/status/reboot", timeout=seconds)
        _task(pve, upid, f"rebooting CT {plan.vmid}", seconds + START_S, events)
        _reach(agent, plan, pve, events, other_than=int(before) if before else None)
    events.change(f"rebooted CT {plan.vmid}", subject="status")


def _reach(agent: Agent, plan: ContainerPlan, pve: Pve, events: Events, *, other_than: int | None = None) -> None:
    """Wait until the container runs, with an init other than `other_than`, and has the addresses that it is to have."""
    doing = f"waiting for CT {plan.vmid} to come up"

    def booted() -> Literal[True] | None:
        status = pve.get(f"{plan.base}/status/current")
        pid = int(status.get("pid") or 0)
        another = other_than is None or pid not in (0, other_than)
        return True if status.get("status") == "running" and another else None

    what = f"CT {plan.vmid} to run" if other_than is None else f"another boot of CT {plan.vmid}"
    wait_for(booted, what, timeout=START_S, doing=doing, hint=f"look at it on the node: pct status {plan.vmid}")
    hwaddr = parse(str(pve.get(f"{plan.base}/config", current=1)["net0"])).get("hwaddr")

    def addressed() -> tuple[str, ...] | None:
        found = addresses_of(pve.get(f"{plan.base}/interfaces"), hwaddr)
        if not agent.network.lacking(found):
            return found
        if pve.get(f"{plan.base}/status/current").get("status") != "running":
            raise ProxhermesError(
                f"CT {plan.vmid} stopped while it was booting",
                doing=doing,
                hint=f"see what it says on its console: pct start {plan.vmid} --debug",
            )
        return None

    if not agent.network.families:
        events.note(f"CT {plan.vmid} is up; its addresses are its own matter (`ip: {agent.network.ip}`)")
        return
    with events.step(f"wait for the address of CT {plan.vmid}"):
        addresses = wait_for(
            addressed,
            f"{' and '.join(agent.network.lacking(()))} on eth0 of CT {plan.vmid} ({hwaddr})",
            timeout=ADDRESS_S,
            doing=doing,
            hint=_no_address(agent),
        )
    events.note(f"CT {plan.vmid} is up at {', '.join(addresses)}")


def _no_address(agent: Agent) -> str:
    """Who would have to answer for the container to get its addresses."""
    network = agent.network
    hints = (
        (network.ip == DHCP, f"does a DHCP server answer on {network.bridge}? `network.ip` takes a fixed address, too"),
        (network.ip6 == DHCP, f"does a DHCPv6 server answer on {network.bridge}?"),
        (network.ip6 == AUTO, f"does a router announce a prefix on {network.bridge}?"),
    )
    asked = " ".join(hint for holds, hint in hints if holds)
    return asked or f"look inside: pct exec {agent.vmid} -- ip addr"
