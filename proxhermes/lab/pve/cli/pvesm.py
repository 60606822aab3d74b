"""`pvesm`: storages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxhermes.lab.pve.cli.api import ask, parameters
from proxhermes.lab.pve.cli.getopt import Kind
from proxhermes.lab.pve.cli.tool import Call, Command, Tool, Values, main, say
from proxhermes.lab.pve.node import Node
from proxhermes.lab.pve.schema import Param, check
from proxhermes.lab.pve.storage import Storages

_STORAGE = "/nodes/{node}/storage"


def status(call: Call) -> int:
    """`pvesm status`: sizes in KiB."""
    found = sorted(ask(call, "GET", _STORAGE, call.values), key=lambda item: str(item["storage"]))
    width = max((len(item["storage"]) for item in found), default=0) + 1
    form = f"{{:<{width}}} {{:>10}} {{:>10}} {{:>15}} {{:>15}} {{:>15}} {{:>8}}\n"
    say(form.format("Name", "Type", "Status", "Total", "Used", "Available", "%"))
    for item in found:
        sizes = [int(item.get(key, 0)) // 1024 for key in ("total", "used", "avail")]
        say(form.format(item["storage"], item["type"], _state(item), *sizes, _share(item)))
    return 0


def _state(item: Mapping[str, Any]) -> str:
    if not item.get("enabled", 1):
        return "disabled"
    return "active" if item.get("active") else "inactive"


def _share(item: Mapping[str, Any]) -> str:
    if not item.get("enabled", 1):
        return "N/A"
    total = item.get("total", 0)
    return f"{100 * item.get('used', 0) / total if total else 0:.2f}%"


def list_content(call: Call) -> int:
    """`pvesm list`: the volumes of a storage, sizes in bytes."""
    params = {name: value for name, value in call.values.items() if name != "storage"}
    path = f"{_STORAGE}/{call.values['storage']}/content"
    found = sorted(ask(call, "GET", path, params), key=lambda item: str(item["volid"]))
    width = max((len(item["volid"]) for item in found), default=len("Volid"))
    digits = max((len(str(item["size"])) for item in found), default=len("Size"))
    form = f"{{:<{width}}} {{:<7}} {{:<9}} {{:>{digits}}} {{}}"
    say(form.format("Volid", "Format", "Type", "Size", "VMID") + "\n")
    for item in found:
        line = form.format(item["volid"], item["format"], item["content"], item["size"], item.get("vmid", ""))
        say(line.rstrip(" ") + "\n")
    return 0


def path_of(call: Call) -> int:
    """`pvesm path`: where a volume lies, whether it exists or not."""
    volume = check(call.values, {"volume": Param(optional=False, format="pve-volume-id")})["volume"]
    storages = Storages(call.node.site)
    say(f"{storages.path(storages.parse(volume))}\n")
    return 0


def _list_options(_node: Node, _values: Values) -> Mapping[str, Kind]:
    return {"content": Kind.VALUE, "vmid": Kind.VALUE}


def _none(_node: Node, _values: Values) -> Mapping[str, Kind]:
    return {}


TOOL = Tool(
    "pvesm",
    (
        (
            Command("alloc", None, ("storage", "vmid", "filename", "size"), _none),
            Command("free", None, ("volume",), _none),
            Command("list", list_content, ("storage",), _list_options),
            Command("path", path_of, ("volume",)),
            Command("status", status, (), parameters("GET", _STORAGE)),
        ),
    ),
)

if __name__ == "__main__":
    main(TOOL)
