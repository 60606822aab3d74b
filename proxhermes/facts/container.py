"""What Proxmox knows of one container: four API reads, the last one only while it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from proxhermes.errors import ApiError, DeadlineExceeded, PermissionDenied, Refused
from proxhermes.events import Events
from proxhermes.facts import properties

if TYPE_CHECKING:
    from proxhermes.transport.pve import Pve

POLL_S: Final = 0.5
CREATE_DEADLINE_S: Final = 900.0
"""How long a create that is already going on may take; a large template on a slow disk takes minutes."""
TASK_LIST_LAG_S: Final = 10.0
"""A task that just began may not be in the node's list yet (observed on PVE 8.4)."""


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One container as it is. `config` holds the values in force, as text; what waits for a boot is in `pending`.

    held_by: what has the VMID though this node has no such container ("a guest on another node"), None if it is free.
    pending: by option, the value that the next boot brings; None where the next boot removes the option.
    uptime: seconds.
    """

    node: str
    vmid: int
    exists: bool
    held_by: str | None = None
    config: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    lxc: tuple[tuple[str, str], ...] = ()
    digest: str | None = None
    pending: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    running: bool = False
    lock: str | None = None
    uptime: int = 0
    addresses: tuple[str, ...] = ()

    @property
    def effective(self) -> dict[str, str]:
        """The configuration as it will be after the next boot."""
        merged = {key: value for key, value in self.config.items() if key not in self.pending}
        return merged | {key: value for key, value in self.pending.items() if value is not None}

    @property
    def hwaddr(self) -> str | None:
        """net0's hardware address in upper case, as the configuration has it."""
        net0 = self.config.get("net0")
        return properties.parse(net0).get("hwaddr", "").upper() or None if net0 else None


def api_path(node: str, vmid: int) -> str:
    """The container's path in the API."""
    return f"/nodes/{node}/lxc/{vmid}"


def read_container(pve: Pve, node: str, vmid: int, events: Events) -> ContainerFacts:
    """The container `vmid` on `node`. A create that is going on is waited for, since it hides everything else.

    Raises Refused if it stays locked without anyone making it, DeadlineExceeded, and whatever `pve` raises.
    """
    base = api_path(node, vmid)
    try:
        config = _settled_config(pve, node, vmid, events)
    except PermissionDenied:
        # Whose rights come from a pool may not look at what is not in it yet, though the VMID is free.
        if _holder(pve, vmid) is None:
            return ContainerFacts(node, vmid, exists=False)
        raise
    if config is None:
        return ContainerFacts(node, vmid, exists=False, held_by=_holder(pve, vmid))
    pending = pending_of(pve.get(f"{base}/pending"))
    status = pve.get(f"{base}/status/current")
    running = status.get("status") == "running"
    facts = ContainerFacts(
        node=node,
        vmid=vmid,
        exists=True,
        config=MappingProxyType(
            {key: str(value) for key, value in config.items() if key not in ("digest", "lxc", "lock")}
        ),
        lxc=tuple((str(key), str(value)) for key, value in config.get("lxc", ())),
        digest=config.get("digest"),
        pending=MappingProxyType(pending),
        running=running,
        lock=config.get("lock"),
        uptime=int(status.get("uptime") or 0),
    )
    if not running:
        return facts
    return with_addresses(facts, pve.get(f"{base}/interfaces"))


def with_addresses(facts: ContainerFacts, interfaces: Any) -> ContainerFacts:
    """`facts` with net0's addresses out of what `GET …/interfaces` said."""
    return replace(facts, addresses=addresses_of(interfaces, facts.hwaddr))


def addresses_of(interfaces: Any, hwaddr: str | None) -> tuple[str, ...]:
    """The addresses of the interface with `hwaddr`, IPv4 first, link-local ones left out.

    The list also holds lo and docker0, so the hardware address chooses. `interfaces` may be None (stopped).
    Newer nodes give `ip-addresses`, older ones only `inet` and `inet6`.
    """
    found: list[str] = []
    for each in interfaces or ():
        seen = str(each.get("hardware-address") or each.get("hwaddr") or "").upper()
        if not hwaddr or seen != hwaddr.upper():
            continue
        found += [str(entry.get("ip-address", "")) for entry in each.get("ip-addresses") or ()]
        found += [str(each[key]).partition("/")[0] for key in ("inet", "inet6") if each.get(key)]
    usable = [address for address in dict.fromkeys(found) if address and not address.lower().startswith("fe80:")]
    return tuple(sorted(usable, key=lambda address: ":" in address))


def missing(error: ApiError) -> bool:
    """Whether Proxmox says that there is no such container on the node (it answers 500, never 404)."""
    return error.status == 500 and "does not exist" in error.message and "Configuration file" in error.message


def _settled_config(pve: Pve, node: str, vmid: int, events: Events) -> dict[str, Any] | None:
    """The configuration once no create is going on; None if there is no container."""
    began = time.monotonic()
    told = False
    while True:
        try:
            config: dict[str, Any] = pve.get(f"{api_path(node, vmid)}/config", current=1)
        except ApiError as error:
            if missing(error):
                return None
            raise
        if config.get("lock") != "create":
            return config
        waited = time.monotonic() - began
        if not told:
            events.note(f"CT {vmid} is being created on {node} already; waiting for that to end")
            told = True
        if waited > TASK_LIST_LAG_S and not _being_created(pve, node, vmid):
            raise Refused(
                f"CT {vmid} is locked by a create that nobody carries out any more",
                hint=f"a create was cut off on the node itself; look at it there, then `pct unlock {vmid}` "
                f"and `pct destroy {vmid}` if nothing in it is needed",
            )
        if waited > CREATE_DEADLINE_S:
            raise DeadlineExceeded(f"CT {vmid} was still being created after {CREATE_DEADLINE_S:.0f} s")
        time.sleep(POLL_S)


def _being_created(pve: Pve, node: str, vmid: int) -> bool:
    """Whether a task of this token's (others are not shown to it) is creating the container right now."""
    tasks = pve.get(f"/nodes/{node}/tasks", source="active", vmid=vmid) or ()
    return any(task.get("type") == "vzcreate" and str(task.get("id")) == str(vmid) for task in tasks)


def _holder(pve: Pve, vmid: int) -> str | None:
    """What holds a VMID that is no container of this node; None if the cluster has it free.

    nextid answers 400 for a taken one, to any token, while /cluster/resources shows only what a token may audit.
    """
    try:
        pve.get("/cluster/nextid", vmid=vmid)
    except ApiError as error:
        if error.status != 400:
            raise
        return "a virtual machine, or a guest on another node of the cluster"
    return None


def pending_of(entries: Any) -> dict[str, str | None]:
    """What `GET …/pending` has waiting, by option. An option both deleted and set anew ends up set."""
    return {
        str(entry["key"]): str(entry["pending"]) if "pending" in entry else None
        for entry in entries or ()
        if "pending" in entry or entry.get("delete")
    }
