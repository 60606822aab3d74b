"""`pct`: containers on this node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from proxhermes.lab.pve.change import MOUNTED, check_unlocked
from proxhermes.lab.pve.cli import guest
from proxhermes.lab.pve.cli.api import ask, method_options, parameters, vmid_of
from proxhermes.lab.pve.cli.getopt import Kind
from proxhermes.lab.pve.cli.tool import Call, Command, Options, Tool, Values, flag, main, notice, say
from proxhermes.lab.pve.config import encode_text
from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.node import Node

_LXC = "/nodes/{node}/lxc"
_KEYS = "ssh-public-keys"


def create(call: Call) -> int:
    """`pct create`: the keys' file is read here, the rest is the API's."""
    params: dict[str, Any] = {**call.values, "vmid": vmid_of(call)}
    if _KEYS in params:
        params[_KEYS] = _read_keys(call, call.values[_KEYS])
    ask(call, "POST", _LXC, params)
    return 0


def _read_keys(call: Call, file: str) -> str:
    try:
        return Path(file).read_text()
    except OSError as error:
        raise PveError(f"can't open '{file}' - {error.strerror}", errno=error.errno or 255) from error


def on_container(method: str, tail: str) -> Callable[[Call], int]:
    """A command that is one API call on a container, and says nothing but its task's log."""

    def command(call: Call) -> int:
        params = {name: value for name, value in call.values.items() if name != "vmid"}
        ask(call, method, f"{_LXC}/{vmid_of(call)}{tail}", params)
        return 0

    return command


def config(call: Call) -> int:
    """`pct config`: the configuration, raw `lxc.*` lines last."""
    params = {name: value for name, value in call.values.items() if name != "vmid"}
    found = ask(call, "GET", f"{_LXC}/{vmid_of(call)}/config", params)
    raw = found.pop("lxc", [])
    found.pop("digest", None)
    lines = [f"{key}: {_line(key, value)}\n" for key, value in sorted(found.items())]
    say("".join(lines + [f"{key}: {value}\n" for key, value in raw]))
    return 0


def pending(call: Call) -> int:
    """`pct pending`: every key with what it is (`cur`), will be (`new`), or that it goes (`del`)."""
    for item in sorted(ask(call, "GET", f"{_LXC}/{vmid_of(call)}/pending"), key=lambda item: str(item["key"])):
        key = item["key"]
        if key == "digest":
            continue
        if "delete" in item:
            say(f"del {key}: {_line(key, item.get('value', ''))}\n")
            continue
        if "value" in item:
            say(f"cur {key}: {_line(key, item['value'])}\n")
        if "pending" in item:
            say(f"new {key}: {_line(key, item['pending'])}\n")
    return 0


def _line(key: str, value: object) -> str:
    return encode_text(str(value)) if key == "description" else str(value)


def status(call: Call) -> int:
    """`pct status`, and with `--verbose` all that is known of its use."""
    found = ask(call, "GET", f"{_LXC}/{vmid_of(call)}/status/current")
    if not flag(call.values.get("verbose", "0")):
        say(f"status: {found['status']}\n")
        return 0
    shown = sorted((key, value) for key, value in found.items() if key not in ("cpu", "ha") and value is not None)
    say("".join(f"{key}: {value}\n" for key, value in shown))
    return 0


def list_containers(call: Call) -> int:
    """`pct list`: nothing at all when there is none."""
    found = sorted(ask(call, "GET", _LXC), key=lambda item: int(item["vmid"]))
    rows = [("VMID", "Status", "Lock", "Name")] if found else []
    rows += [(str(item["vmid"]), item["status"], item.get("lock", ""), item.get("name", "")) for item in found]
    say("".join(f"{vmid:<10} {state:<10} {lock:<12} {name:<20}\n" for vmid, state, lock, name in rows))
    return 0


def unlock(call: Call) -> int:
    """`pct unlock`: the one way to be rid of a lock."""
    vmid, containers = vmid_of(call), call.node.containers
    with containers.locked(vmid, notice):
        found = containers.load(vmid)
        if found.get("lock") is None:
            raise PveError("no lock found trying to remove any lock")
        containers.save(vmid, found.without("lock"))
    return 0


def mount(call: Call) -> int:
    """`pct mount`: the root file system for looking into, and a lock that says so."""
    vmid, node = vmid_of(call), call.node
    with node.containers.locked(vmid, notice):
        found = node.containers.load(vmid)
        check_unlocked(found)
        place = node.runtime.mount(node.containers.spec(vmid, found))
        node.containers.save(vmid, found.changed({**found.options, "lock": MOUNTED}))
    say(f"mounted CT {vmid} in '{place}'\n")
    return 0


def unmount(call: Call) -> int:
    """`pct unmount`: undoes `pct mount`; of a container that was started meanwhile only the lock goes."""
    vmid, node = vmid_of(call), call.node
    with node.containers.locked(vmid, notice):
        found = node.containers.load(vmid)
        if found.get("lock") != MOUNTED:
            raise PveError(f"no lock found trying to remove '{MOUNTED}'  lock")
        if not node.runtime.is_running(vmid):
            node.runtime.unmount(vmid)
        node.containers.save(vmid, found.without("lock"))
    return 0


def _verbose(_node: Node, _values: Values) -> Mapping[str, Kind]:
    return {"verbose": Kind.BOOLEAN}


def _none(_node: Node, _values: Values) -> Mapping[str, Kind]:
    return {}


def _create_options(node: Node, _values: Values) -> Mapping[str, Kind]:
    return {**method_options(node, "POST", _LXC), _KEYS: Kind.VALUE}


def _container(method: str, tail: str) -> Options:
    return parameters(method, f"{_LXC}/{{vmid}}{tail}")


_ID = ("vmid",)
_SNAPSHOT = ("vmid", "snapname")

TOOL = Tool(
    "pct",
    (
        (
            Command("clone", None, ("vmid", "newid"), _none),
            Command("create", create, ("vmid", "ostemplate"), _create_options),
            Command("destroy", on_container("DELETE", ""), _ID, _container("DELETE", "")),
            Command("list", list_containers),
            Command("migrate", None, ("vmid", "target"), _none),
            Command("move-volume", None, ("vmid", "volume", "storage?", "target-vmid?", "target-volume?"), _none),
            Command("pending", pending, _ID),
            Command("resize", on_container("PUT", "/resize"), ("vmid", "disk", "size"), _container("PUT", "/resize")),
            Command("restore", None, ("vmid", "ostemplate"), _none),
            Command("template", None, _ID),
        ),
        (
            Command("config", config, _ID, _container("GET", "/config")),
            Command("set", on_container("PUT", "/config"), _ID, _container("PUT", "/config")),
        ),
        (
            Command("delsnapshot", None, ("vmid", "snapname"), _none),
            Command("listsnapshot", None, _ID),
            Command("rollback", None, ("vmid", "snapname"), _none),
            Command("snapshot", on_container("POST", "/snapshot"), _SNAPSHOT, _container("POST", "/snapshot")),
        ),
        (
            Command("reboot", on_container("POST", "/status/reboot"), _ID, _container("POST", "/status/reboot")),
            Command("resume", None, _ID),
            Command("shutdown", on_container("POST", "/status/shutdown"), _ID, _container("POST", "/status/shutdown")),
            Command("start", on_container("POST", "/status/start"), _ID, _container("POST", "/status/start")),
            Command("stop", on_container("POST", "/status/stop"), _ID, _container("POST", "/status/stop")),
            Command("suspend", on_container("POST", "/status/suspend"), _ID),
        ),
        (
            Command("console", None, _ID, _none),
            Command("cpusets"),
            Command("df", None, _ID),
            Command("enter", guest.enter, _ID, guest.exec_options),
            Command("exec", guest.execute, _ID, guest.exec_options, extra_arguments=True),
            Command("fsck", None, _ID, _none),
            Command("fstrim", None, _ID, _none),
            Command("mount", mount, _ID),
            Command("pull", guest.pull, ("vmid", "path", "destination"), guest.file_options),
            Command("push", guest.push, ("vmid", "file", "destination"), guest.file_options),
            Command(
                "remote-migrate",
                None,
                ("vmid", "target-vmid?", "target-endpoint"),
                _none,
                required="--target-bridge <string> --target-storage <string>",
            ),
            Command("rescan", None, (), _none),
            Command("status", status, _ID, _verbose),
            Command("unlock", unlock, _ID),
            Command("unmount", unmount, _ID),
        ),
    ),
)

if __name__ == "__main__":
    main(TOOL)
