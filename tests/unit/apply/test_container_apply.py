"""The order in which plans are carried out, against a node that only remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from proxhermes.apply import waiting
from proxhermes.apply.container import apply_container, bring_up, download_progress, note_version
from proxhermes.apply.destroy import apply_destroy
from proxhermes.apply.host import apply_host
from proxhermes.errors import ApiError, CommandFailed, DeadlineExceeded, ProxhermesError, Refused, TaskFailed
from proxhermes.events import Event, Events, Kind
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes
from proxhermes.plan.container import ContainerPlan
from proxhermes.plan.destroy import DestroyPlan
from proxhermes.plan.host import HostPlan
from proxhermes.plan.model import Change, Door, Layer
from proxhermes.plan.template import Template
from proxhermes.transport.command import Command, CommandResult

MakeAgent = Callable[..., Agent]
BASE = "/nodes/gihyeon/lxc/118"
MAC = "BC:24:11:AE:B0:13"
UP = [{"hardware-address": MAC.lower(), "ip-addresses": [{"ip-address": "10.1.10.50"}]}]
BLOCK = "<!-- proxhermes agent 118 -->\nx\n<!-- /proxhermes -->\n"
NO_HOST = HostPlan("gihyeon", 118)
NEW = ContainerPlan(
    "gihyeon",
    118,
    create={"vmid": 118},
    template=Template("local:vztmpl/t.tar.zst"),
    update={"tags": "proxhermes"},
    block=BLOCK,
    start=True,
)


class TaskEnd:
    def __init__(self, log: tuple[str, ...] = ()) -> None:
        self.log = log
        self.warnings: tuple[str, ...] = ()


class Node:
    """Both doors of a node: every call is remembered, answers come from `says` (a list: one a call)."""

    def __init__(self, **says: Any) -> None:
        self.says: dict[str, Any] = {
            f"GET {BASE}/status/current": {"status": "running", "pid": 7},
            f"GET {BASE}/config": {"net0": f"name=eth0,hwaddr={MAC}", "digest": "d2"},
            f"GET {BASE}/interfaces": UP,
            f"GET {BASE}/pending": [],
        } | says
        self.asked: list[str] = []
        self.pve = self
        self.ssh = self
        self.log: tuple[str, ...] = ()

    def _answer(self, line: str, key: str) -> Any:
        self.asked.append(line)
        answer = self.says.get(key, "UPID" if not line.startswith("GET") else None)
        if isinstance(answer, Iterator):
            answer = next(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _call(self, method: str, path: str, params: dict[str, Any]) -> Any:
        shown = "".join(f" {key}={value}" for key, value in params.items())
        return self._answer(f"{method} {path}{shown}", f"{method} {path}")

    def get(self, path: str, **params: Any) -> Any:
        return self._call("GET", path, params)

    def post(self, path: str, **params: Any) -> Any:
        return self._call("POST", path, params)

    def put(self, path: str, **params: Any) -> Any:
        return self._call("PUT", path, params)

    def delete(self, path: str, **params: Any) -> Any:
        return self._call("DELETE", path, params)

    def task(self, upid: str, *, doing: str, timeout: float, on_line: Any = None) -> TaskEnd:
        self._answer(f"TASK {doing}", f"TASK {doing}")
        for line in self.log:
            on_line(line)
        return TaskEnd(self.log)

    def run(self, command: Command, *, on_line: Any = None, check: bool = True, **_rest: Any) -> CommandResult:
        answer = self._answer(command.line(), "RUN")
        result: CommandResult = answer if isinstance(answer, CommandResult) else CommandResult(0, "", "")
        for line in result.stdout.splitlines():
            on_line(line)
        if check and not result.ok:
            raise CommandFailed("failed", command=command.shown(), rc=result.rc, stderr=result.stderr)
        return result

    @property
    def written(self) -> list[str]:
        return [line for line in self.asked if not line.startswith(("GET", "TASK"))]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))


def texts(heard: list[Event], kind: Kind) -> list[str]:
    return [event.text for event in heard if event.kind is kind]


def test_a_new_container(make_agent: MakeAgent, events: Events, heard: list[Event]) -> None:
    node = Node()
    agent = make_agent()
    host = HostPlan("gihyeon", 118, options={"mp0": "/a,mp=/b"})
    apply_container(agent, NEW, node, events)
    apply_host(agent, host, node, events)
    bring_up(agent, NEW, host, node, events)
    assert node.written == [
        "POST /nodes/gihyeon/lxc ostemplate=local:vztmpl/t.tar.zst vmid=118",
        f"PUT {BASE}/config tags=proxhermes",
        "sh -s -- run pct set 118 --mp0 /a,mp=/b --digest d2",
        f"PUT {BASE}/config digest=d2 description={BLOCK}",
        f"POST {BASE}/status/start",
    ]
    assert texts(heard, Kind.NOTE) == ["CT 118 is up at 10.1.10.50"]
    assert [text.split()[0] for text in texts(heard, Kind.CHANGE)] == ["created", "tags", "wrote", "started"]


def test_an_unchanged_container_costs_nothing(make_agent: MakeAgent, events: Events, heard: list[Event]) -> None:
    node = Node()
    plan = ContainerPlan("gihyeon", 118, addresses=("10.1.10.50",))
    apply_container(make_agent(), plan, node, events)
    apply_host(make_agent(), NO_HOST, node, events)
    bring_up(make_agent(), plan, NO_HOST, node, events)
    assert node.asked == [] and heard == []


def test_a_template_is_fetched_once_with_its_progress(
    make_agent: MakeAgent, events: Events, heard: list[Event]
) -> None:
    plan = replace(NEW, template=Template("local:vztmpl/t.tar.zst", "t.tar.zst"))
    node = Node()
    node.log = ("downloading", "    32768K ........ ........ 26% 25.9M 3s")
    apply_container(make_agent(), plan, node, events)
    assert node.written[0] == "POST /nodes/gihyeon/aplinfo storage=local template=t.tar.zst"
    progress = next(event for event in heard if event.kind is Kind.PROGRESS)
    assert (progress.data["done"], progress.data["total"]) == (26.0, 100.0)
    there = Node(**{"GET /nodes/gihyeon/storage/local/content": [{"volid": "local:vztmpl/t.tar.zst"}]})
    apply_container(make_agent(), plan, there, events)
    assert there.written[0].startswith("POST /nodes/gihyeon/lxc")


def test_a_vmid_taken_meanwhile_is_refused(make_agent: MakeAgent, events: Events) -> None:
    node = Node(**{"POST /nodes/gihyeon/lxc": ApiError("CT 118 already exists on node 'gihyeon'", status=500)})
    with pytest.raises(Refused, match="taken while"):
        apply_container(make_agent(), NEW, node, events)


def test_what_breaks_off_says_where_it_stands(make_agent: MakeAgent, events: Events, heard: list[Event]) -> None:
    node = Node(**{f"PUT {BASE}/config": ApiError("no", status=500)})
    with pytest.raises(ApiError):
        apply_container(make_agent(), NEW, node, events)
    assert texts(heard, Kind.NOTE) == ["CT 118 exists, stopped, without its tag; the same command goes on from there"]
    assert texts(heard, Kind.CHANGE) == ["created CT 118 (hermes) from local:vztmpl/t.tar.zst"]


def test_an_update_holds_the_digest(make_agent: MakeAgent, events: Events, heard: list[Event]) -> None:
    node = Node()
    node.log = ("Image resized.", "Failed to update the container's filesystem: no")
    change = Change(Layer.CONTAINER, Door.TOKEN, "cores", "2", "4")
    plan = ContainerPlan(
        "gihyeon", 118, update={"cores": "4"}, delete=("startup",), digest="d1", grow="32G", changes=(change,)
    )
    apply_container(make_agent(), plan, node, events)
    assert node.written == [
        f"PUT {BASE}/config digest=d1 cores=4 delete=startup",
        f"PUT {BASE}/resize disk=rootfs size=32G",
    ]
    assert texts(heard, Kind.CHANGE) == ["cores: 2 -> 4", "grew the root disk to 32G"]
    assert "Failed to update" in texts(heard, Kind.WARNING)[0]


CHANGED = ContainerPlan("gihyeon", 118, update={"cores": "4"}, addresses=("10.1.10.50",))


@pytest.mark.parametrize(
    ("pending", "rebooted"),
    [
        ([], False),
        ([{"key": "cores", "value": "4"}], False),
        ([{"key": "tty", "value": 2, "pending": 4}], False),
        ([{"key": "features", "value": "nesting=1", "pending": "nesting=1,keyctl=1"}], True),
        ([{"key": "mp1", "value": "/a,mp=/b", "delete": 1}], True),
    ],
)
def test_it_reboots_only_for_what_is_really_pending(
    make_agent: MakeAgent, events: Events, heard: list[Event], pending: list[dict[str, Any]], rebooted: bool
) -> None:
    status = iter(
        [{"status": "running", "pid": 7}, {"status": "running", "pid": 7}, *[{"status": "running", "pid": 8}] * 9]
    )
    node = Node(**{f"GET {BASE}/pending": pending, f"GET {BASE}/status/current": status})
    bring_up(make_agent(), CHANGED, NO_HOST, node, events)
    assert [line for line in node.written if "reboot" in line] == [f"POST {BASE}/status/reboot timeout=100"] * rebooted
    assert texts(heard, Kind.CHANGE) == ["rebooted CT 118"] * rebooted


def test_the_same_boot_is_no_reboot(make_agent: MakeAgent, events: Events) -> None:
    pending = [{"key": "features", "pending": "nesting=1"}]
    node = Node(**{f"GET {BASE}/pending": pending})
    with pytest.raises(DeadlineExceeded, match="another boot of CT 118"):
        bring_up(make_agent(), CHANGED, NO_HOST, node, events)


def test_a_start_that_fails_is_told(make_agent: MakeAgent, events: Events, heard: list[Event]) -> None:
    why = TaskFailed("bridge 'vmbr9' does not exist", upid="U", exitstatus="x", log=[])
    node = Node(**{"TASK starting CT 118": why})
    with pytest.raises(TaskFailed):
        bring_up(make_agent(), NEW, NO_HOST, node, events)
    assert "not started" in texts(heard, Kind.NOTE)[0]


def test_one_that_somebody_started_meanwhile_is_up(make_agent: MakeAgent, events: Events, heard: list[Event]) -> None:
    node = Node(**{f"POST {BASE}/status/start": ApiError("CT 118 already running", status=500)})
    bring_up(make_agent(), NEW, NO_HOST, node, events)
    assert texts(heard, Kind.NOTE) == ["CT 118 is up at 10.1.10.50"]


def test_no_address_has_a_deadline_and_says_what_it_waited_for(make_agent: MakeAgent, events: Events) -> None:
    node = Node(**{f"GET {BASE}/interfaces": []})
    with pytest.raises(DeadlineExceeded, match=f"IPv4 by dhcp on eth0 of CT 118 .{MAC}") as caught:
        bring_up(make_agent(), NEW, NO_HOST, node, events)
    assert "intra01" in (caught.value.hint or "")


def test_another_family_than_the_one_that_was_asked_for_is_not_enough(make_agent: MakeAgent, events: Events) -> None:
    agent = make_agent(network={"bridge": "b", "ip": "manual", "ip6": "auto"})
    both = [{"hardware-address": MAC, "ip-addresses": [{"ip-address": "10.1.10.50"}, {"ip-address": "2001:db8::5"}]}]
    node = Node(**{f"GET {BASE}/interfaces": iter([UP, both])})
    bring_up(agent, NEW, NO_HOST, node, events)
    assert node.asked.count(f"GET {BASE}/interfaces") == 2
    with pytest.raises(DeadlineExceeded, match="IPv6 by auto") as caught:
        bring_up(agent, NEW, NO_HOST, Node(), events)
    assert "announce a prefix" in (caught.value.hint or "")


def test_addresses_that_proxmox_gives_none_of_are_not_waited_for(
    make_agent: MakeAgent, events: Events, heard: list[Event]
) -> None:
    node = Node(**{f"GET {BASE}/interfaces": []})
    bring_up(make_agent(network={"bridge": "b", "ip": "manual"}), NEW, NO_HOST, node, events)
    assert "its own matter" in texts(heard, Kind.NOTE)[0]


def test_a_container_that_dies_while_booting_is_not_waited_for(make_agent: MakeAgent, events: Events) -> None:
    status = iter([{"status": "running", "pid": 7}, {"status": "stopped"}])
    node = Node(**{f"GET {BASE}/interfaces": [], f"GET {BASE}/status/current": status})
    with pytest.raises(ProxhermesError, match="stopped while it was booting"):
        bring_up(make_agent(), NEW, NO_HOST, node, events)


def test_protection_stands_aside_and_comes_back(make_agent: MakeAgent, events: Events) -> None:
    host = HostPlan("gihyeon", 118, options={"mp0": "/a,mp=/b"}, unprotect=True)
    plan = ContainerPlan("gihyeon", 118, addresses=("10.1.10.50",))
    agent = make_agent(protection=True)
    node = Node()
    apply_host(agent, host, node, events)
    bring_up(agent, plan, host, node, events)
    assert [line.rpartition(" ")[2] for line in node.written if "PUT" in line] == ["protection=0", "protection=1"]


def test_notes_that_were_edited_meanwhile_are_kept(make_agent: MakeAgent, events: Events) -> None:
    old = "<!-- proxhermes agent 118 creating -->\n<!-- /proxhermes -->"
    node = Node(**{f"GET {BASE}/config": {"description": f"typed just now\n{old}\n", "digest": "d9"}})
    plan = ContainerPlan("gihyeon", 118, block=BLOCK, protect=True, addresses=("10.1.10.50",))
    bring_up(make_agent(protection=True), plan, NO_HOST, node, events)
    assert node.written == [f"PUT {BASE}/config digest=d9 protection=1 description=typed just now\n{BLOCK}"]


def test_the_notes_name_the_version_of_hermes(make_agent: MakeAgent, events: Events, heard: list[Event]) -> None:
    agent = make_agent()
    text = notes.render(agent)
    node: Any = Node(**{f"GET {BASE}/config": {"description": text, "digest": "d9"}})
    note_version(agent, "0.22.2", node, events)
    assert node.written == [f"PUT {BASE}/config digest=d9 description={notes.naming(text, '0.22.2')}"]
    named: Any = Node(**{f"GET {BASE}/config": {"description": notes.naming(text, "0.22.2"), "digest": "d9"}})
    note_version(agent, "0.22.2", named, events)
    assert named.written == []


def test_a_token_that_may_not_write_notes_stops_nobody(
    make_agent: MakeAgent, events: Events, heard: list[Event]
) -> None:
    agent = make_agent()
    config = {"description": notes.render(agent), "digest": "d9"}
    refused = ProxhermesError("403: Permission check failed")
    node: Any = Node(**{f"GET {BASE}/config": config, f"PUT {BASE}/config": refused})
    note_version(agent, "0.22.2", node, events)
    (warning,) = [event.text for event in heard if event.kind is Kind.WARNING]
    assert "Permission check failed" in warning


def test_the_root_shell_s_changes_are_told_as_they_happen(
    make_agent: MakeAgent, events: Events, heard: list[Event]
) -> None:
    said = CommandResult(2, "changed: made /a\n", "can't set\n")
    host = HostPlan("gihyeon", 118, options={"mp0": "/a,mp=/b"})
    with pytest.raises(CommandFailed):
        apply_host(make_agent(), host, Node(RUN=said), events)
    assert texts(heard, Kind.CHANGE) == ["made /a"]


def test_percentages_are_progress_and_the_rest_is_shown(events: Events, heard: list[Event]) -> None:
    line = download_progress(events, "t")
    for text in ("starting", "100%", "done"):
        line(text)
    assert [event.kind for event in heard] == [Kind.LINE, Kind.PROGRESS, Kind.LINE]


DESTROY = DestroyPlan("gihyeon", 118, "hermes", True, True, True, ("/a", "/b"), ((100000, 165535),), 100)


def test_destroy(events: Events, heard: list[Event]) -> None:
    node = Node()
    apply_destroy(DESTROY, node, events)
    assert node.written == [
        f"PUT {BASE}/config protection=0",
        f"POST {BASE}/status/shutdown timeout=100 forceStop=1",
        f"DELETE {BASE} purge=1",
    ]
    assert [text.split()[0] for text in texts(heard, Kind.NOTE)] == ["/a", "/b"]


def test_destroy_of_one_that_stopped_meanwhile(events: Events) -> None:
    node = Node(**{f"POST {BASE}/status/shutdown": ApiError("CT 118 not running", status=500)})
    apply_destroy(DESTROY, node, events)
    assert node.written[-1] == f"DELETE {BASE} purge=1"


def test_destroy_waits_for_the_ha_manager(events: Events) -> None:
    states = iter([{"status": "running"}, {"status": "stopped"}])
    shutdown = f"POST {BASE}/status/shutdown"
    node = Node(**{shutdown: "UPID:gihyeon:1:2:3:hastop:118:a@pve!b:", f"GET {BASE}/status/current": states})
    apply_destroy(DESTROY, node, events)
    assert node.asked[-4:-2] == [f"GET {BASE}/status/current"] * 2
    assert node.asked[-2] == f"DELETE {BASE} purge=1"


def test_purge_goes_through_the_root_shell_after_the_container(events: Events) -> None:
    node = Node()
    apply_destroy(DESTROY, node, events, purge_data=True)
    assert node.written[-2:] == [f"DELETE {BASE} purge=1", "sh -s -- 100000-165535 /a /b"]


def test_a_folder_that_was_left_is_an_error(events: Events) -> None:
    said = CommandResult(1, "changed: removed /a\nleft: /b: container 115 uses it\n", "")
    gone = replace(DESTROY, exists=False)
    with pytest.raises(Refused) as caught:
        apply_destroy(gone, Node(RUN=said), events, purge_data=True)
    assert caught.value.log == ("/b: container 115 uses it",)
