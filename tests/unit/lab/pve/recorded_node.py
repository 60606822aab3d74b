"""A node in a folder with what stood on the recorded one before the first recorded command."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
from pathlib import Path

from fake_runtime import FakeRuntime

from proxhermes.lab.pve.cli import pct, pveum
from proxhermes.lab.pve.cli.tool import Tool, run
from proxhermes.lab.pve.node import Node
from proxhermes.lab.pve.site import Limits, Site

TEMPLATE = "debian-12-docker_12.11-1_amd64.tar.gz"
TEMPLATE_SIZE = 222597271
STORAGE = """\
dir: local
	path /var/lib/vz
	content rootdir,iso,backup,snippets,images,vztmpl
"""
INTERFACES = """\
auto lo
iface lo inet loopback

auto intra01
iface intra01 inet static
	address 10.1.10.1/24
	bridge-ports none
	bridge-stp off
	bridge-fd 0
"""
CARDS = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier
    lo:       0       0    0    0    0     0          0         0       0       0    0    0    0     0       0      0
  eth0:       0       0    0    0    0     0          0         0       0       0    0    0    0     0       0      0
intra01:       0       0    0    0    0     0          0         0       0       0    0    0    0     0       0      0
"""


def recorded_node(folder: Path) -> Node:
    """The node `vm` with storage `local`, bridge `intra01`, CT 306, user hermes@pve and its rules, pool recpool."""
    site = Site(folder / "node", "vm", Limits(auth_delay=0, config_lock=0.2))
    for name, text in {
        "/etc/pve/storage.cfg": STORAGE,
        "/etc/network/interfaces": INTERFACES,
        "/proc/net/dev": CARDS,
    }.items():
        site.real(name).parent.mkdir(parents=True, exist_ok=True)
        site.real(name).write_text(text)
    site.real("/srv/pve-share").mkdir(parents=True)
    os.chown(site.real("/srv/pve-share"), *([100000, 100000] if os.geteuid() == 0 else [-1, -1]))
    template = site.real(f"/var/lib/vz/template/cache/{TEMPLATE}")
    template.parent.mkdir(parents=True)
    template.touch()
    os.truncate(template, TEMPLATE_SIZE)
    node = Node(site, FakeRuntime())
    for tool, line in BEFORE:
        _run(tool, line, node)
    return node


BEFORE: tuple[tuple[Tool, str], ...] = (
    (pct.TOOL, f"create 306 local:vztmpl/{TEMPLATE} --hostname rec-306 --unprivileged 1 --cores 1 --swap 0"),
    (pveum.TOOL, "user add hermes@pve --comment 'provisioning test' --email ''"),
    (pveum.TOOL, "acl modify /vms --roles PVEVMAdmin --users hermes@pve"),
    (pveum.TOOL, "acl modify /storage/local --roles PVEDatastoreUser --users hermes@pve"),
    (pveum.TOOL, "acl modify /sdn/zones/localnetwork --roles PVESDNUser --users hermes@pve"),
    (pveum.TOOL, "pool add recpool --comment 'lab ü'"),
)


def _run(tool: Tool, line: str, node: Node) -> None:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        rc = run(tool, shlex.split(line), lambda: node)
    assert rc == 0, (tool.name, line, err.getvalue())
