"""A tool's command that is an API call: its options are the call's parameters, its answer is printed in a form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from proxhermes.lab.pve.cli import output
from proxhermes.lab.pve.cli.getopt import Kind
from proxhermes.lab.pve.cli.tool import Call, Options, Values, log_line, say
from proxhermes.lab.pve.errors import bad_parameters
from proxhermes.lab.pve.identity import ROOT

if TYPE_CHECKING:
    from proxhermes.lab.pve.node import Node


def parameters(method: str, path: str) -> Options:
    """The options of an API method; `{node}` and the other names in `path` are no options."""

    def options(node: Node, _values: Values) -> Mapping[str, Kind]:
        return method_options(node, method, path)

    return options


def method_options(node: Node, method: str, path: str) -> dict[str, Kind]:
    """Option names of an API method and how each takes its value; indexed ones (`net[n]`) one by one."""
    named = set(re.findall(r"\{([^}]+)\}", path))
    return {name: kind for name, kind in node.options(method, path).items() if name not in named}


def ask(call: Call, method: str, path: str, params: Mapping[str, Any] | None = None) -> Any:
    """One API call as root@pam; `{node}` in `path` is this node. A task runs here, its log on standard output."""
    where = path.replace("{node}", call.node.site.name)
    return call.node.call(ROOT, method, where, params or {}, console=log_line)


def show(
    method: str,
    path: str,
    columns: tuple[str, ...] | None = None,
    *,
    right: frozenset[str] | None = None,
    quiet: bool = False,
) -> Callable[[Call], int]:
    """A command that makes the call, with the values named in `path` put in, and prints the answer (unless `quiet`)."""

    def command(call: Call) -> int:
        named = re.findall(r"\{([^}]+)\}", path)
        where = path
        for name in named:
            where = where.replace(f"{{{name}}}", call.values[name]) if name != "node" else where
        params = {name: value for name, value in call.values.items() if name not in named}
        answer = ask(call, method, where, params)
        if not quiet and call.output_format != "quiet":
            say(output.render(answer, call.output_format, columns, right))
        return 0

    return command


def vmid_of(call: Call) -> int:
    """The command's VMID. Raises PveError (400) as Proxmox' parameter check does."""
    value = call.values["vmid"]
    if not re.fullmatch(r"[+-]?\d+", value):
        raise bad_parameters({"vmid": f"type check ('integer') failed - got '{value}'"})
    if not re.fullmatch(r"[1-9][0-9]{2,8}", value):
        raise bad_parameters({"vmid": "invalid format - value does not look like a valid VM ID\n"})
    return int(value)
