"""Whether the token may do what is about to be done: asked once, before anything is touched, and answered as a whole.

Proxmox itself tells one missing privilege at a time, and some only after a disk was made. The rules are those of
PVE 8.4 and 9.2 (`check_ct_modify_config_perm`, the permission blocks of `API2/LXC.pm`), tried one by one on 8.4.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxhermes import hints
from proxhermes.errors import PermissionDenied
from proxhermes.inventory.models import Agent

if TYPE_CHECKING:
    from proxhermes.transport.pve import Pve

Permissions = Mapping[str, Mapping[str, int]]
"""What `GET /access/permissions` answers: path -> privilege -> 1 if it holds below the path too."""

# A bridge of the node itself. Which zone a vnet of the SDN is in, a token cannot always see.
LOCAL_ZONE: Final = "/sdn/zones/localnetwork"

_OPTION_PRIVILEGES: Final = (
    (re.compile(r"cores|cpulimit|cpuunits"), "VM.Config.CPU"),
    (re.compile(r"memory|swap"), "VM.Config.Memory"),
    (re.compile(r"rootfs|mp\d+|unused\d+"), "VM.Config.Disk"),
    (re.compile(r"net\d+|hostname|nameserver|searchdomain"), "VM.Config.Network"),
    (re.compile(r"features|unprivileged"), "VM.Allocate"),
)
_CREATED_WITH: Final = ("cores", "memory", "rootfs", "net0", "onboot")


@dataclass(frozen=True, slots=True)
class Need:
    """A privilege that a call checks (`A|B`: either), on `path` or on one of `elsewhere`; `why`: "to …"."""

    path: str
    privilege: str
    why: str
    elsewhere: tuple[str, ...] = ()


def wanted(
    agent: Agent,
    *,
    options: Collection[str] = (),
    create: bool = False,
    download: bool = False,
    grow: bool = False,
    power: bool = False,
) -> tuple[Need, ...]:
    """What the token needs for `agent`.

    options: names of configuration options to be set or deleted. create: make the container. download: fetch its
    template. grow: enlarge its disk. power: start, stop or reboot it.
    """
    vm, pools = f"/vms/{agent.vmid}", (f"/pool/{agent.pool}",) if agent.pool else ()
    needs = [Need(vm, "VM.Audit", "to read its configuration and state", pools)]
    if create:
        needs.append(Need(vm, "VM.Allocate", "to create it", pools))
    for option in (*options, *(_CREATED_WITH if create else ()), *(("rootfs", "onboot") if grow else ())):
        needs.append(Need(vm, _privilege(option), f"to set {option}", pools))
    if power:
        needs.append(Need(vm, "VM.PowerMgmt", "to start and stop it", pools))
    if create or grow:
        needs.append(Need(f"/storage/{agent.disk.storage}", "Datastore.AllocateSpace", "for its disk"))
    # A template given as a volume names its storage itself.
    templates = agent.template.partition(":")[0] if ":" in agent.template else agent.template_storage
    if create and templates != agent.disk.storage:
        listing = "Datastore.AllocateSpace|Datastore.Audit"
        needs.append(Need(f"/storage/{templates}", listing, "to find and use its template"))
    if download:
        needs.append(Need(f"/storage/{templates}", "Datastore.AllocateTemplate", "to download its template"))
    if create or "net0" in options:
        tag = f"/{agent.network.vlan}" if agent.network.vlan else ""
        needs.append(Need(f"{LOCAL_ZONE}/{agent.network.bridge}{tag}", "SDN.Use", "to join its network"))
    unique = {(need.path, need.privilege): need for need in reversed(needs)}
    return tuple(need for need in needs if unique.get((need.path, need.privilege)) is need)


@contextmanager
def naming_all(pve: Pve, agent: Agent) -> Iterator[None]:
    """Around what only reads: where Proxmox refuses that, naming one privilege, name all that `agent` will need.

    Raises PermissionDenied as `check` does, or the refusal itself if nothing that is known is missing.
    """
    try:
        yield
    except PermissionDenied:
        check(pve, wanted(agent, options=_CREATED_WITH, create=True, power=True))
        raise


def missing(permissions: Permissions, needs: Sequence[Need]) -> tuple[Need, ...]:
    """Those of `needs` that the permissions do not cover. Pure.

    What it lets through may still be refused (a rule `NoAccess` below a path that is allowed does not show in the
    answer); what it names would surely be.
    """
    return tuple(need for need in needs if not _granted(permissions, need))


def effective(permissions: Permissions, path: str) -> frozenset[str]:
    """The privileges on `path`: its own entry, else what the nearest path above it hands down."""
    if path in permissions:
        return frozenset(permissions[path])
    above = path
    while above != "/":
        above = above.rpartition("/")[0] or "/"
        if above in permissions:
            return frozenset(name for name, below in permissions[above].items() if below)
    return frozenset()


def check(pve: Pve, needs: Sequence[Need]) -> None:
    """Ask the node once, as the token. Raises PermissionDenied that names all that is missing and how to grant it."""
    lacking = missing(pve.get("/access/permissions"), needs)
    if not lacking:
        return
    listed = "".join(f"\n  {need.privilege.replace('|', ' or ')} on {need.path} {need.why}" for need in lacking)
    by_path: dict[str, list[str]] = {}
    for need in lacking:
        by_path.setdefault(need.path, []).append(need.privilege)
    count = f"{len(lacking)} privilege{'s' if len(lacking) > 1 else ''}"
    raise PermissionDenied(
        f"the token {pve.node.token} lacks {count} on {pve.name}; nothing was changed:{listed}",
        status=403,
        hint=hints.grant(pve.node.token, by_path),
    )


def _granted(permissions: Permissions, need: Need) -> bool:
    either = need.privilege.split("|")
    return any(not effective(permissions, path).isdisjoint(either) for path in _paths(permissions, need))


def _paths(permissions: Permissions, need: Need) -> tuple[str, ...]:
    if not need.path.startswith(f"{LOCAL_ZONE}/"):
        return (need.path, *need.elsewhere)
    bridge = need.path.removeprefix(LOCAL_ZONE)
    zones = {"/".join(path.split("/")[:4]) for path in permissions if path.startswith("/sdn/zones/")}
    return (need.path, *(f"{zone}{bridge}" for zone in sorted(zones)))


def _privilege(option: str) -> str:
    return next((name for pattern, name in _OPTION_PRIVILEGES if pattern.fullmatch(option)), "VM.Config.Options")
