"""error -> what the operator can do about it.

Pure: a table of what Proxmox says (observed on Proxmox VE 8.4, read in 9.2) and the advice for it. Whoever raises an
error and knows better passes its own `hint`, which then wins.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from proxhermes.errors import ApiError, CommandFailed, PermissionDenied, ProxhermesError, TaskFailed

ROLE: Final = "Proxhermes"
"""The role that the advice creates and extends."""

# The least that works, found by leaving out each in turn; every name is valid on Proxmox VE 8 and 9.
GUEST_PRIVILEGES: Final = frozenset(
    {f"VM.Config.{kind}" for kind in ("CPU", "Disk", "Memory", "Network", "Options")}
    | {"VM.Allocate", "VM.Audit", "VM.PowerMgmt"}
)
STORAGE_PRIVILEGES: Final = frozenset({"Datastore.AllocateSpace"})
BRIDGE_PRIVILEGES: Final = frozenset({"SDN.Use"})

_DENIED = re.compile(r"\((?P<path>/[^,\s]*), (?P<privileges>[\w.|,\s]+)\)")


_ROOT_SHELL: Final = (
    "Proxmox lets no token do this, not even one of root@pam; proxhermes does it through the root shell, so see that\n"
    "`ssh:` of the node in the inventory is right and run the command again"
)
_LOCKS: Final = {
    "backup": "a backup of it is running",
    "create": "it is being created",
    "destroyed": "it is being destroyed",
    "disk": "one of its disks is being moved or resized",
    "fstrim": "its disks are being trimmed",
    "migrate": "it is being migrated",
    "mounted": "its disks are mounted on the node (`pct unmount {vmid}` ends that)",
    "rollback": "it is being rolled back to a snapshot",
    "snapshot": "a snapshot of it is being taken",
    "snapshot-delete": "a snapshot of it is being removed",
}


class Rule(NamedTuple):
    """What was said, as a pattern, and the advice, in which `{…}` are the pattern's groups and {vmid}."""

    pattern: str
    advice: str


# The first that fits gives the advice.
RULES: Final = (
    # What only root may
    Rule(
        r"Only root can pass arbitrary filesystem paths",
        "name the template as STORAGE:vztmpl/FILE, or its family as `debian-13`",
    ),
    Rule(r"only allowed for root@pam|Only root may use this option|is only possible for root", _ROOT_SHELL),
    Rule(
        r"[Pp]lease run as root|pct: Permission denied|must be root",
        "the user of `ssh:` in the inventory must be root: Proxmox' commands work for nobody else",
    ),
    Rule(
        r"(pct|pvesm): (command )?not found|failed to run command .pct.",
        "`ssh:` in the inventory leads to a machine without Proxmox VE: is `host` the node itself?",
    ),
    # Others at work at the same time
    Rule(
        r"can't lock file '[^']*'.* - got timeout",
        "another task is working on the container {vmid}: see the node's task list, and run again when it has ended",
    ),
    Rule(r"detected modified configuration", "somebody changed the container meanwhile; run again: it looks anew"),
    Rule(
        r"protection mode enabled",
        "the container is protected: `proxhermes destroy` lifts that, or set `protection: false`",
    ),
    Rule(
        r"(?:CT|VM) (?P<other>\d+) already exists on node '(?P<node>[^']+)'",
        "something else took the VMID {other} on {node} meanwhile: choose another one in the inventory,\n"
        "or look what it is: pct config {other}",
    ),
    Rule(r"(?:CT|VM) \d+ (?:already|not) running", "its state changed meanwhile; run the command again"),
    # Names that are not there
    Rule(
        r"hostname lookup '[^']+' failed|no such cluster node '[^']+'",
        "no node has that name: the key under `nodes:` is the name that Proxmox shows (`hostname` on the node)",
    ),
    Rule(
        r"Configuration file 'nodes/(?P<node>[^/]+)/(?:lxc|qemu-server)/(?P<other>\d+)\.conf' does not exist",
        "there is no container {other} on {node}: it was removed or moved meanwhile;\n"
        "`proxhermes list` shows what is there",
    ),
    Rule(
        r"bridge '[^']+' does not exist|no physical interface on bridge '[^']+'",
        "`network.bridge` in the inventory names a bridge that the node does not have; those that it has:\n"
        "  ip -br link show type bridge",
    ),
    Rule(
        r"pool '(?P<pool>[^']+)' does not exist",
        "`pool` in the inventory names a pool that the cluster does not have; to make it: pveum pool add {pool}",
    ),
    Rule(
        r"storage '(?P<storage>[^']+)' does not exist",
        "the node has no storage {storage}: `disk.storage` and `template_storage` name one that `pvesm status` shows",
    ),
    Rule(
        r"storage '(?P<storage>[^']+)' is (?:not (?:online|available|enabled)|disabled)",
        "the storage {storage} is off or out of reach: see `pvesm status` on the node",
    ),
    Rule(
        r"does not support (?:container directories|CT rootdirs)",
        "`disk.storage` must allow the content `Container`: see Datacenter → Storage, or `pvesm set STORAGE --content`",
    ),
    Rule(
        r"content type needs to be 'vztmpl'|does not support (?:content-type|(?:container )?templates)",
        "`template` must be a container template (STORAGE:vztmpl/FILE), on a storage that may hold such",
    ),
    Rule(
        r"(?:volume|file) '[^']*vztmpl/[^']+' does not exist",
        "the template is not on the storage (`pveam list STORAGE` shows what is); with a family as `debian-13` in the\n"
        "inventory, proxhermes finds the newest, or downloads it",
    ),
    Rule(
        r"directory '[^']+' does not exist",
        "the folder of a mount is missing on the node; `proxhermes create` makes it: run the command again",
    ),
    Rule(
        r"unable to shrink disk size",
        "Proxmox cannot shrink a disk: set `disk.size` back, or destroy and create the agent (its host folders stay)",
    ),
    # The node's health
    Rule(
        r"[Nn]o space left on device|(?:not enough|insufficient) free space|no free extents|quota exceeded",
        "a storage is full: `pvesm status` and `df -h` on the node show which",
    ),
    Rule(r"no quorum", "the cluster has no quorum, so nothing can be changed: see `pvecm status` on the node"),
    Rule(
        r"newuidmap|newgidmap|[ug]id range \[.*\] .* not allowed",
        "the container's id map is not allowed on the node: /etc/subuid and /etc/subgid need a line for root that\n"
        "covers it, as root:100000:65536",
    ),
    Rule(
        r"lxc-usernsexec .*\btar\b.*failed",
        "the template could not be unpacked, as after a download that was cut off: remove it on the node\n"
        "(pvesm free STORAGE:vztmpl/FILE) and run the command again",
    ),
    Rule(
        r"startup for container '\d+' failed|lxc-start .*failed",
        "the node says more when asked by hand: pct start {vmid} --debug\n"
        "(a mount's folder that is missing or a symbolic link has no better message)",
    ),
    Rule(
        r"checksum mismatch",
        "the file is not the one that the node's list of templates promises, which may be old: renew the list there\n"
        "(pveam update) and run the command again",
    ),
    Rule(
        r"download failed|got unexpected status",
        "the node could not download it: does it reach the internet? Try on the node: pveam update",
    ),
)


def hint_for(error: BaseException) -> str | None:
    """What to do about the error, one or more lines; None if nothing better than its own words is known."""
    if not isinstance(error, ProxhermesError):
        return None
    if error.hint:
        return error.hint
    text = "\n".join((error.message, error.answer or "", *error.log))
    if isinstance(error, PermissionDenied) and (found := _DENIED.search(text)):
        return grant(None, {found["path"]: [found["privileges"]]})
    if found := re.search(r"CT is locked \((?P<lock>[\w-]+)\)", text):
        return _locked(found["lock"], _vmid(error))
    for pattern, advice in RULES if isinstance(error, (ApiError, TaskFailed, CommandFailed)) else ():
        if found := re.search(pattern, text):
            return advice.format(vmid=_vmid(error), **found.groupdict())
    if isinstance(error, ApiError):
        return _by_status(error.status)
    return None


def refused_token(token: str, message: str) -> str:
    """What to do about a 401 for `token` (USER@REALM!NAME)."""
    user, _, name = token.partition("!")
    if "expired" in message:
        return f"let it live longer, on the node: pveum user token modify {user} {name} --expire 0"
    return (
        "its id or its secret is wrong, or the user is disabled. Look on the node:\n"
        f"  pveum user token list {user}\n"
        "a lost secret cannot be read again; make the token anew and store what it prints:\n"
        f"  pveum user token remove {user} {name}; pveum user token add {user} {name}"
    )


def denied(token: str, message: str) -> str | None:
    """What to do about a 403 for `token`: the lines that grant what was missing, if the message names it."""
    if found := _DENIED.search(message):
        return grant(token, {found["path"]: [found["privileges"]]})
    if message == "Permission check failed":  # Proxmox' only words where a new container is refused
        return f"the token {token} needs VM.Allocate for the new container: on /vms, on /vms/VMID or on its pool"
    return None


def grant(token: str | None, needs: Mapping[str, Iterable[str]]) -> str:
    """The `pveum` lines that grant `needs` (path -> privileges; `A|B` is either), to paste into the node's console.

    On a path of a guest, a storage or a bridge everything that proxhermes needs there is granted, since an access rule
    replaces what the path had inherited from the ones above it (PVE: AccessControl.pm).
    """
    wanted = {path: _full(path, privileges) for path, privileges in needs.items()}
    names = ",".join(sorted(set().union(*wanted.values())))
    who = _who(token)
    lines = [
        "grant it, on the node:",
        f"  pveum role add {ROLE} --privs {names} || pveum role modify {ROLE} --append 1 --privs {names}",
        *(f"  pveum acl modify {shlex.quote(path)} --roles {ROLE} {who}" for path in sorted(wanted)),
        "(a token with privilege separation, the default, needs its own rule and may never do more than its user)",
    ]
    if any(re.fullmatch(r"/vms/\d+", path) for path in wanted):
        lines.append("(Proxmox drops a rule on /vms/VMID together with the container; one on /vms or a pool stays)")
    return "\n".join(lines)


def _who(token: str | None) -> str:
    if token is None:
        return "--users USER@REALM --tokens 'USER@REALM!NAME'"
    user = token.partition("!")[0]
    # root@pam may do everything and takes no rules.
    users = "" if user == "root@pam" else f"--users {shlex.quote(user)} "
    return f"{users}--tokens {shlex.quote(token)}"


def _full(path: str, privileges: Iterable[str]) -> frozenset[str]:
    kinds = {"vms": GUEST_PRIVILEGES, "pool": GUEST_PRIVILEGES, "storage": STORAGE_PRIVILEGES, "sdn": BRIDGE_PRIVILEGES}
    usual = kinds.get(path.split("/")[1], frozenset())
    asked: set[str] = set()
    for each in privileges:
        either = re.split(r"\|", each.replace(" ", ""))
        if usual.isdisjoint(either):
            asked.update(either[0].split(","))
    return usual | asked


def _locked(lock: str, vmid: str) -> str:
    why = _LOCKS.get(lock, f"something of the kind {lock!r} is going on").format(vmid=vmid)
    return (
        f"{why}: wait for that task to end (the node's task list shows it), then run the command again.\n"
        f"Only if no such task runs any more, as after a crash of the node, take the lock away: pct unlock {vmid}\n"
        "Never while it runs: that breaks the task and may cost data."
    )


def _vmid(error: ProxhermesError) -> str:
    """The VMID that the error is about, as its texts have it; `VMID` if none has."""
    upid = error.upid if isinstance(error, TaskFailed) else ""
    if found := re.fullmatch(r"UPID:[^:]*:\w+:\w+:\w+:\w+:(\d+):.*", upid):
        return found.group(1)
    text = " ".join((error.message, error.doing or "", error.answer or ""))
    found = re.search(r"/lxc/(\d+)|pve-config-(\d+)|\b(?:CT|VM|container|pct \w+) '?(\d{3,9})\b", text)
    return next((group for group in found.groups() if group), "VMID") if found else "VMID"


def _by_status(status: int) -> str | None:
    if status in (595, 596):
        return (
            "the node that answered could not reach the node that the call is for (not a problem of your connection):\n"
            "is that node up? Certificates between the nodes are renewed with `pvecm updatecerts --force` on each;\n"
            "or let `api` in the inventory name the agent's own node"
        )
    if status == 501:
        return "this node's Proxmox VE does not know the call: proxhermes needs version 8 or 9"
    if status in (502, 503, 504, 597, 599):
        return "the node did not get to an answer; see `systemctl status pveproxy pvedaemon` there, and run again"
    return None
