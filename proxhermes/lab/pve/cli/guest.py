"""The commands of `pct` that go into a running container: exec, enter, push, pull."""

from __future__ import annotations

import os
from collections.abc import Mapping

from proxhermes.lab.pve.cli import transfer
from proxhermes.lab.pve.cli.api import vmid_of
from proxhermes.lab.pve.cli.getopt import Kind
from proxhermes.lab.pve.cli.tool import NODE_PATH, Call, Values, complain, flag
from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.node import Node

_PERL = "/usr/share/perl5/PVE/CLI/pct.pm line"
"""Where Proxmox's own messages without a line end say they come from (pve-container 5.3.5)."""


def exec_options(_node: Node, _values: Values) -> Mapping[str, Kind]:
    """`--keep-env`: whether the node's environment leaks in (default 1, as in Proxmox)."""
    return {"keep-env": Kind.BOOLEAN}


def file_options(_node: Node, _values: Values) -> Mapping[str, Kind]:
    """Who may do what with the new file."""
    return {"group": Kind.VALUE, "perms": Kind.VALUE, "user": Kind.VALUE}


def execute(call: Call) -> int:
    """`pct exec`: become the command in the guest, so that its streams, signals and exit code are its own."""
    vmid = vmid_of(call)
    if not call.extra:
        raise PveError(f"missing command at {_PERL} 239.")
    _attach(call, vmid, call.extra, keep_env=flag(call.values.get("keep-env", "1")))
    return 0


def enter(call: Call) -> int:
    """`pct enter`: the guest's root shell."""
    _attach(call, vmid_of(call), [], keep_env=flag(call.values.get("keep-env", "1")))
    return 0


def push(call: Call) -> int:
    """`pct push`: a file of the node into the guest. Ends with 0 whatever happens to the file."""
    pid = call.node.runtime.init_pid(vmid_of(call))
    if pid is None:
        raise PveError("can only push files to a running CT")
    try:
        transfer.push(pid, call.values["file"], call.values["destination"], _ownership(call))
    except transfer.TransferError as error:
        complain(f"{error}\n")
    return 0


def pull(call: Call) -> int:
    """`pct pull`: a file of the guest onto the node. Ends with 0 whatever happens to the file."""
    pid = call.node.runtime.init_pid(vmid_of(call))
    if pid is None:
        raise PveError(f"can only pull files from a running VM at {_PERL} 657.")
    try:
        transfer.pull(pid, call.values["path"], call.values["destination"], _ownership(call))
    except transfer.TransferError as error:
        complain(f"{error}\n")
    return 0


def _attach(call: Call, vmid: int, argv: list[str], *, keep_env: bool) -> None:
    call.node.spec(vmid)  # an unknown container is named before a stopped one
    if not call.node.runtime.is_running(vmid):
        raise PveError(f"container '{vmid}' not running!")
    attach = call.node.runtime.attach_argv(vmid, argv, keep_env=keep_env)
    environment = {**os.environ, "PATH": NODE_PATH}
    os.execvpe(attach[0], attach, environment)  # noqa: S606 - becoming the command is the point


def _ownership(call: Call) -> transfer.Ownership:
    return transfer.Ownership(call.values.get("perms"), call.values.get("user"), call.values.get("group"))
