"""Which node this machine is: `/etc/pve-lab.json`, written when the node is built.

    {"name": "gihyeon", "root": "/", "runtime": "proxhermes.lab.node.lxc:LxcRuntime",
     "arguments": {"cgroup_parent": "phlab/default"}, "appliances": "http://10.1.10.1:8082"}

`runtime` names what makes the `Runtime`, as module:callable, and `arguments` what it is called with.
`appliances` is where `pveam update` looks.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path

from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.node import Node
from proxhermes.lab.pve.site import Site

FILE = "/etc/pve-lab.json"
VARIABLE = "PVE_LAB_FILE"
"""Environment variable with another place for that file."""


def open_node() -> Node:
    """The node of this machine. PveError when the file is missing: then this is none."""
    file = Path(os.environ.get(VARIABLE, FILE))
    try:
        said = json.loads(file.read_text())
    except OSError as error:
        raise PveError(f"this machine is no node of the lab: {file}: {error.strerror}") from error
    module, _, name = said["runtime"].partition(":")
    make = getattr(importlib.import_module(module), name)
    site = Site(root=Path(said["root"]), name=said["name"], appliances=said.get("appliances", ""))
    return Node(site, make(**said["arguments"]))
