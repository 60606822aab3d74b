"""The node answers the API as a real one did: `pve-recordings.json`, replayed in order over HTTP.

Compared are status, reason phrase, body, the end of each task with the lines of its log that are Proxmox' own, the
configuration afterwards and what is pending. `LEFT_OUT` names every exchange that is not replayed, and why.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from api_compare import comparable, exit_status, own_lines
from api_world import PASSWORD, Answer, World, guest_cards
from recorded_node import recorded_node

from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.identity import ROOT
from proxhermes.lab.pve.server import Server
from proxhermes.lab.pve.tasks import parse_upid

RECORDINGS = Path(__file__).parents[3] / "data" / "pve-recordings.json"
BACKUP = "backup and restore: nothing that proxhermes uses"
CLONE = "clone, template, move and migration: nothing that proxhermes uses"
UPLOAD = "upload of a file: nothing that proxhermes uses"
HISTORY = "lists tasks that the recording machine had run before"
CHECKPOINT = "resuming from a checkpoint: nothing that proxhermes uses"
TOOL = "the end is the message of tar or mount on the recording machine"

WHOLE = {"vzdump": BACKUP, "restore-as-token": BACKUP, "clone-template-move": CLONE}
LEFT_OUT: dict[tuple[str, int], str] = {
    ("unknown-ct", 16): CLONE,
    ("unknown-ct", 17): CLONE,
    ("unknown-ct", 18): CLONE,
    ("unknown-ct", 24): BACKUP,
    ("storage-write", 11): UPLOAD,
    ("storage-write", 12): UPLOAD,
    ("storage-write", 13): "looking at a URL before a download: nothing that proxhermes uses",
    ("empty-lists", 5): HISTORY,
    ("empty-lists", 19): HISTORY,
    ("create-full", 38): HISTORY,
    ("task-polling", 14): HISTORY,
    ("task-polling", 16): HISTORY,
    ("wrong-state", 4): CHECKPOINT,
    ("create-errors", 29): TOOL,
    ("root-only", 42): TOOL,
    ("lock-option", 10): CLONE,
    ("lock-option", 11): CLONE,
    ("lock-option", 16): BACKUP,
    ("privileges-storage", 6): BACKUP,
    ("privileges-storage", 13): BACKUP,
    ("privileges-storage", 20): BACKUP,
    ("privileges-storage", 27): BACKUP,
}
STATIC_HEADERS = ("Cache-Control", "Connection", "Pragma", "Server", "Content-Type")


# What the recorder did between exchanges


def _reset_310(world: World) -> None:
    options = {"features": "nesting=1", "dev0": None, "mp0": None, "lock": "backup"}
    world.edit(310, options)


def _start_301(world: World) -> None:
    world.runtime.gate.release()
    world.wait_all()
    world.root("POST", "/nodes/vm/lxc/301/status/start")


def _without_mounts(world: World) -> None:
    world.wait_all()
    if world.runtime.is_running(301):
        world.root("POST", "/nodes/vm/lxc/301/status/stop")
    world.edit(301, {"mp0": None, "mp1": None})


def _finish_301(world: World) -> None:
    world.runtime.gate.release()
    world.wait_all()


def _held_at(point: str) -> Callable[[World], None]:
    return lambda world: world.runtime.gate.go_to(point)


def _released_while_asking(world: World) -> None:
    world.runtime.gate.reached("extract")
    world.released_once_waited_for()


def _hold(*points: str) -> Callable[[World], None]:
    return lambda world: world.runtime.gate.hold(*points)


BEFORE: dict[tuple[str, int], Callable[[World], None]] = {
    ("create-full", 9): _hold("mkfs", "mkfs done", "extract", "prepared"),
    ("create-full", 10): _held_at("mkfs"),
    ("create-full", 17): _held_at("mkfs done"),
    ("create-full", 21): _held_at("extract"),
    ("create-full", 34): _held_at("prepared"),
    ("task-polling", 0): _finish_301,
    ("while-creating", 0): _hold("extract"),
    ("while-creating", 2): _released_while_asking,
    ("while-creating", 4): lambda world: (world.remove(306), world.runtime.gate.hold("extract"))[0],
    ("while-creating", 7): _released_while_asking,
    ("read-stopped", 0): lambda world: world.remove(306),
    ("put-rootfs-new", 0): lambda world: world.edit(301, {"lock": None}),
    ("hotplug-pending", 23): lambda world: world.hot_plug_that_failed(),
    ("reboot-shutdown", 7): _hold("stop"),
    ("reboot-shutdown", 8): _held_at("stop"),
    ("reboot-shutdown", 9): _start_301,
    ("delete", 0): _without_mounts,
    ("lock-option", 0): _reset_310,
    ("lock-file", 0): lambda world: world.edit(310, {"lock": None}),
    ("privileges-storage", 0): lambda world: world.make_320(),
    ("access-setup", 0): lambda world: world.root("DELETE", "/access/users/rec@nosuch"),
    ("privileges-scoped", 0): lambda world: world.make_320(),
    ("privileges-pool", 0): lambda world: world.make_pool_user(),
    ("access-cleanup", 0): lambda world: world.drop_pool_user(),
}
INTERFACES = {1: "bare", 3: "link-local", 10: "docker"}


def _before(world: World, scenario: str, index: int, step: dict[str, Any], stack: ExitStack) -> None:
    if index == 0 and scenario.startswith("privileges-without-"):
        world.make_320()
    if (scenario, index) in BEFORE:
        BEFORE[scenario, index](world)
    if scenario not in ("access-setup", "access-cleanup") and step["as"].startswith("role:"):
        world.take_role(step["as"])
    if scenario == "lock-file" and 2 <= index <= 6:
        stack.enter_context(world.lock_held(310, None))
    elif scenario == "lock-file" and index == 7:
        stack.enter_context(world.lock_held(310, 0.05))
    if scenario == "start-interfaces" and index in INTERFACES:
        hwaddr = world.node.containers.load(301).options["net0"].split("hwaddr=")[1].split(",")[0]
        world.runtime.cards = guest_cards(INTERFACES[index], hwaddr, "10.1.10.194/24")
    elif scenario == "create-full" and index == 5:
        world.runtime.cards = guest_cards("addressed", "02:11:22:33:44:66", "10.1.10.233/24")
    path = step["request"]["path"]
    listed = json.dumps(step["response"]["body"])
    if path.startswith(("/cluster/resources", "/pools")) and '"lxc/' in listed and '"unknown"' not in listed:
        world.node.observe()


# Sending and comparing


def _filled(world: World, request: dict[str, Any], scenario: str, index: int) -> dict[str, Any]:
    """The request with this node's UPIDs, digests and secrets instead of the recording's placeholders."""
    text = json.dumps(request)
    if scenario == "task-polling" and index in (22, 23, 26, 27):
        # Tasks that nobody ever started.
        text = re.sub(r"<UPID:(vzcreate:301:[^>]*)>", r"UPID:vm:000065D0:0009D56E:6B00F2BD:\1:", text)
    for name, upid in world.upids.items():
        text = text.replace(name, upid)
    digest = world.node.containers.load(301).digest if world.node.containers.exists(301) else ""
    if (scenario, index) == ("put-stopped", 2):
        digest = digest.upper()
    text = text.replace("<digest>", digest).replace("<secret>", PASSWORD)
    return json.loads(text.replace("<8193 times x>", 8193 * "x"))


def _differences(world: World, step: dict[str, Any], answer: Answer) -> list[str]:
    wanted = step["response"]
    found = []
    for name, theirs, ours in (
        ("status", wanted["status"], answer.status),
        ("reason", comparable(wanted["reason"]), comparable(answer.reason)),
        ("body", comparable(wanted["body"]), comparable(answer.body)),
    ):
        if isinstance(theirs, str) and isinstance(ours, str) and "\n" in theirs:
            theirs, ours = own_lines(theirs.splitlines()), own_lines(ours.splitlines())
        if theirs != ours:
            found.append(f"{name}: recorded {theirs!r}, answered {ours!r}")
    for name in STATIC_HEADERS:
        if name in wanted.get("headers", {}) and wanted["headers"][name] != answer.headers.get(name):
            found.append(f"{name}: recorded {wanted['headers'][name]!r}, answered {answer.headers.get(name)!r}")
    return found


def _task_differences(world: World, step: dict[str, Any], upid: str) -> list[str]:
    if "task" not in step:
        return []
    status = world.wait(upid)
    lines = world.node.tasks.log_lines(parse_upid(upid)) or []
    wanted = step["task"]
    pairs = (
        ("task's status", comparable(wanted["status"]), comparable(status)),
        ("task's end", exit_status(wanted["status"]["exitstatus"]), exit_status(status["exitstatus"])),
        ("task's log", own_lines(wanted["log"]), own_lines(lines)),
    )
    return [f"{name}: recorded {theirs!r}, ours {ours!r}" for name, theirs, ours in pairs if theirs != ours]


def _aftermath(world: World, step: dict[str, Any], vmid: int) -> list[str]:
    found = []
    if "config-after" in step:
        wanted = step["config-after"]
        config = world.root("GET", f"/nodes/vm/lxc/{vmid}/config")
        if isinstance(wanted, list):
            ours: Any = sorted(config)
        elif "digest" in wanted:
            ours = config
        else:
            ours = {name: config.get(name) for name in wanted}
        if comparable(ours) != comparable(wanted):
            found.append(f"config afterwards: recorded {comparable(wanted)!r}, ours {comparable(ours)!r}")
    if "after" in step:
        entries = world.root("GET", f"/nodes/vm/lxc/{vmid}/pending")
        ours = comparable([entry for entry in entries if "pending" in entry or "delete" in entry])
        if ours != comparable(step["after"]["pending"]):
            found.append(f"pending: recorded {comparable(step['after']['pending'])!r}, ours {ours!r}")
    return found


def _play(world: World, scenario: str, index: int, step: dict[str, Any]) -> list[str]:
    with ExitStack() as stack:
        _before(world, scenario, index, step, stack)
        request = _filled(world, step["request"], scenario, index)
        # Which secret a header holds is its own matter, not the password's.
        headers = world.credentials(step["as"], step["request"].get("headers", {}))
        answer = world.ask(request, headers)
        found = _differences(world, step, answer)
        data = answer.body.get("data") if isinstance(answer.body, dict) else None
        if isinstance(data, str) and data.startswith("UPID:"):
            world.upids[comparable(data)] = data
            found += _task_differences(world, step, data)
        elif isinstance(data, dict) and "full-tokenid" in data:
            world.secrets[data["full-tokenid"]] = data["value"]
        elif isinstance(data, dict) and "CSRFPreventionToken" in data:
            world.ticket = f"{data['ticket']}|{data['CSRFPreventionToken']}"
    params = request.get("params") or {}
    named = [str(params.get("vmid", ""))] if request["path"] == "/nodes/vm/lxc" else request["path"].split("/")
    vmid = next((int(part) for part in named if part.isdigit()), 0)
    try:
        found += _aftermath(world, step, vmid)
    except PveError as error:
        found.append(f"afterwards: {error}")
    if request["method"] == "POST" and request["path"] == "/nodes/vm/lxc" and vmid in (311, 321):
        world.remove(vmid)
    return found


@pytest.fixture(scope="module")
def tiny() -> Iterator[tuple[str, str]]:
    """A web server with `tiny.tar.zst`: its address, and the file's checksum."""
    content = b"x" * 110

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/tiny.tar.zst":
                self.send_error(404, "File not found")
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/zstd")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}", hashlib.sha256(content).hexdigest()
    server.shutdown()


@pytest.fixture(scope="module")
def scenarios(tiny: tuple[str, str]) -> list[dict[str, Any]]:
    """The recordings, with this machine's web server in the place of the recorded one."""
    recorded_sum = "77b7e10835a75981a5794956168ce2dbdb710fc323b3d252617d4c049d1a1264"
    text = RECORDINGS.read_text(encoding="utf-8").replace("10.1.10.1:8099", tiny[0]).replace(recorded_sum, tiny[1])
    return json.loads(text)["scenarios"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, monkeypatch_module: pytest.MonkeyPatch) -> Iterator[World]:
    """The recorded node, served over HTTP."""
    monkeypatch_module.setattr("os.cpu_count", lambda: 2)
    node = recorded_node(tmp_path_factory.mktemp("vm"))
    server = Server(("127.0.0.1", 0), node, None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = server.server_address
    world = World(node, node.runtime, HTTPConnection("127.0.0.1", int(address[1]), timeout=20))
    world.found_users()
    world.remove(306)
    node.observe()
    # Root's failed start of a container that does not exist: other scenarios look at it.
    world.upids["<UPID:vzstart:999:root@pam>"] = node.tasks.run(
        ROOT, "vzstart", "999", lambda log: node.lifecycle.start(999, log)
    )
    yield world
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def replayed(world: World, scenarios: list[dict[str, Any]]) -> dict[str, list[tuple[int, list[str]]]]:
    """Every scenario in order: what was compared, and the differences."""
    results: dict[str, list[tuple[int, list[str]]]] = {}
    for scenario in scenarios:
        name = scenario["name"]
        results[name] = []
        for index, step in enumerate(scenario["steps"]):
            if name in WHOLE or (name, index) in LEFT_OUT:
                continue
            results[name].append((index, _play(world, name, index, step)))
    return results


def _names() -> list[str]:
    return [scenario["name"] for scenario in json.loads(RECORDINGS.read_text(encoding="utf-8"))["scenarios"]]


@pytest.mark.parametrize("name", [name for name in _names() if name not in WHOLE])
def test_answers_as_recorded(
    name: str, replayed: dict[str, list[tuple[int, list[str]]]], scenarios: list[dict[str, Any]]
) -> None:
    steps = next(scenario["steps"] for scenario in scenarios if scenario["name"] == name)
    wrong = []
    for index, found in replayed[name]:
        step = steps[index]
        asked = step["request"]
        line = f"[{index}] {step['as']} {asked['method']} {asked['path']} {asked.get('params')}"
        wrong += [f"{line}\n    {difference}" for difference in found]
    assert not wrong, "\n".join(["", *wrong])


def test_count(
    replayed: dict[str, list[tuple[int, list[str]]]],
    scenarios: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    compared = [found for steps in replayed.values() for _index, found in steps]
    good = sum(not found for found in compared)
    left_out: dict[str, int] = {}
    for scenario in scenarios:
        for index in range(len(scenario["steps"])):
            reason = WHOLE.get(scenario["name"]) or LEFT_OUT.get((scenario["name"], index))
            if reason:
                left_out[reason] = left_out.get(reason, 0) + 1
    total = sum(len(scenario["steps"]) for scenario in scenarios)
    with capsys.disabled():
        omitted = sum(left_out.values())
        print(f"\nAPI recordings: {good} of {len(compared)} as recorded; of {total}, {omitted} left out:")
        for reason, count in sorted(left_out.items()):
            print(f"  {count:3d}  {reason}")
    assert good == len(compared) and len(compared) + sum(left_out.values()) == total
