"""`pveam`: container templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxhermes.lab.pve import download
from proxhermes.lab.pve.cli.api import ask
from proxhermes.lab.pve.cli.getopt import Kind
from proxhermes.lab.pve.cli.tool import Call, Command, Tool, Values, complain, main, say
from proxhermes.lab.pve.errors import bad_parameters
from proxhermes.lab.pve.node import Node

_INDEX = "/nodes/{node}/aplinfo"
_SECTIONS = ("system", "mail", "turnkeylinux")


def available(call: Call) -> int:
    """`pveam available`: what the index offers."""
    section = call.values.get("section")
    if section is not None and section not in _SECTIONS:
        allowed = ", ".join(_SECTIONS)
        raise bad_parameters({"section": f"value '{section}' does not have a value in the enumeration '{allowed}'"})
    found: list[Mapping[str, Any]] = ask(call, "GET", _INDEX)
    for item in sorted(found, key=lambda item: (str(item["section"]), str(item["template"]))):
        if section in (None, item["section"]):
            say(f"{item['section']:<15} {item['template']}\n")
    return 0


def fetch(call: Call) -> int:
    """`pveam download`: a template of the index onto a storage, its task's log on standard output."""
    ask(call, "POST", _INDEX, {"storage": call.values["storage"], "template": call.values["template"]})
    return 0


def update(call: Call) -> int:
    """`pveam update`: fetch the index anew. Ends with 0 whether it could or not."""
    if download.update_index(call.node.site):
        say("update successful\n")
    else:
        complain(f"update failed - see {download.LOG} for details\n")
    return 0


def list_templates(call: Call) -> int:
    """`pveam list`: the templates of a storage, sizes in MiB."""
    path = f"/nodes/{{node}}/storage/{call.values['storage']}/content"
    found = sorted(ask(call, "GET", path, {"content": "vztmpl"}), key=lambda item: str(item["volid"]))
    rows = [("NAME", "SIZE")] + [(item["volid"], f"{item['size'] / (1 << 20):.2f}MB") for item in found]
    say("".join(f"{name:<60} {size:<6}\n" for name, size in rows))
    return 0


def _section(_node: Node, _values: Values) -> Mapping[str, Kind]:
    return {"section": Kind.VALUE}


TOOL = Tool(
    "pveam",
    (
        (Command("download", fetch, ("storage", "template")),),
        (
            Command("available", available, (), _section),
            Command("list", list_templates, ("storage",)),
            Command("remove", None, ("template_path",)),
            Command("update", update),
        ),
    ),
)

if __name__ == "__main__":
    main(TOOL)
