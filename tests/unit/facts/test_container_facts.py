"""What is made of Proxmox' answers about one container."""

from __future__ import annotations

from typing import Any

import pytest

from proxhermes.errors import ApiError, DeadlineExceeded, PermissionDenied, Refused
from proxhermes.events import Event, Events, Kind
from proxhermes.facts import container
from proxhermes.facts.container import addresses_of, pending_of, read_container

BASE = "/nodes/gihyeon/lxc/118"
NO_SUCH = ApiError("Configuration file 'nodes/gihyeon/lxc/118.conf' does not exist", status=500)

CONFIG = {
    "hostname": "hermes",
    "unprivileged": 1,
    "digest": "abc",
    "net0": "name=eth0,bridge=intra01,hwaddr=BC:24:11:AE:B0:13,ip=dhcp,type=veth",
    "lxc": [["lxc.idmap", "u 0 200000 65536"]],
}
# As a node answers while docker0 is up (recorded on Proxmox VE 8.4).
INTERFACES = [
    {
        "name": "lo",
        "hardware-address": "00:00:00:00:00:00",
        "ip-addresses": [{"ip-address": "127.0.0.1", "prefix": "8"}],
    },
    {
        "name": "eth0",
        "hwaddr": "bc:24:11:ae:b0:13",
        "hardware-address": "bc:24:11:ae:b0:13",
        "inet": "10.1.10.194/24",
        "inet6": "fe80::be24:11ff:feae:b013/64",
        "ip-addresses": [
            {"ip-address": "fe80::be24:11ff:feae:b013", "prefix": "64", "ip-address-type": "inet6"},
            {"ip-address": "10.1.10.194", "prefix": "24", "ip-address-type": "inet"},
        ],
    },
    {"name": "docker0", "hardware-address": "02:42:f3:73:c1:86", "ip-addresses": [{"ip-address": "172.17.0.1"}]},
]


class FakePve:
    """Answers from a table; a list gives one answer a call, the last one for ever."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.calls: list[str] = []

    def get(self, path: str, **_params: Any) -> Any:
        self.calls.append(path)
        answer = self.answers[path]
        if isinstance(answer, list) and answer and isinstance(answer[0], (dict, ApiError)) and path.endswith("config"):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only waiting moves."""
    now = [0.0]
    monkeypatch.setattr(container.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(container.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def read(answers: dict[str, Any], events: Events | None = None) -> tuple[container.ContainerFacts, FakePve]:
    pve = FakePve(answers)
    return read_container(pve, "gihyeon", 118, events or Events()), pve


def test_a_running_container_takes_four_reads() -> None:
    facts, pve = read(
        {
            f"{BASE}/config": CONFIG,
            f"{BASE}/pending": [{"key": "hostname", "value": "hermes"}],
            f"{BASE}/status/current": {"status": "running", "pid": 4711, "uptime": 60},
            f"{BASE}/interfaces": INTERFACES,
        }
    )
    assert len(pve.calls) == 4
    assert (facts.exists, facts.running, facts.uptime) == (True, True, 60)
    assert facts.addresses == ("10.1.10.194",)
    assert facts.hwaddr == "BC:24:11:AE:B0:13"
    assert facts.lxc == (("lxc.idmap", "u 0 200000 65536"),)
    assert facts.config["unprivileged"] == "1"
    assert "digest" not in facts.config and facts.digest == "abc"


def test_a_stopped_container_is_not_asked_for_addresses() -> None:
    facts, pve = read(
        {f"{BASE}/config": CONFIG, f"{BASE}/pending": [], f"{BASE}/status/current": {"status": "stopped"}}
    )
    assert len(pve.calls) == 3
    assert not facts.running and facts.addresses == ()


def test_a_missing_container_whose_vmid_is_free() -> None:
    facts, _ = read({f"{BASE}/config": NO_SUCH, "/cluster/nextid": "118"})
    assert not facts.exists and facts.held_by is None


def test_a_missing_container_whose_vmid_is_taken_elsewhere() -> None:
    facts, _ = read({f"{BASE}/config": NO_SUCH, "/cluster/nextid": ApiError("VM 118 already exists", status=400)})
    assert not facts.exists and facts.held_by


def test_a_token_of_a_pool_may_not_look_at_a_vmid_that_is_free() -> None:
    denied = PermissionDenied("Permission check failed (/vms/118, VM.Audit)", status=403)
    facts, _ = read({f"{BASE}/config": denied, "/cluster/nextid": "118"})
    assert not facts.exists and facts.held_by is None
    with pytest.raises(PermissionDenied):
        read({f"{BASE}/config": denied, "/cluster/nextid": ApiError("VM 118 already exists", status=400)})


def test_another_failure_is_not_taken_for_a_missing_container() -> None:
    with pytest.raises(ApiError, match="hostname lookup"):
        read({f"{BASE}/config": ApiError("hostname lookup 'pve' failed", status=500)})


def test_a_create_that_is_going_on_is_waited_for(clock: list[float]) -> None:
    seen: list[Event] = []
    creating = {"lock": "create", "digest": "x"}
    facts, _ = read(
        {
            f"{BASE}/config": [creating, creating, creating, CONFIG],
            f"{BASE}/pending": [],
            f"{BASE}/status/current": {"status": "stopped"},
        },
        Events([seen.append]),
    )
    assert facts.exists and clock[0] == pytest.approx(3 * container.POLL_S)
    assert [event.kind for event in seen] == [Kind.NOTE]


def test_a_create_that_failed_meanwhile_leaves_nothing() -> None:
    facts, _ = read({f"{BASE}/config": [{"lock": "create"}, NO_SUCH], "/cluster/nextid": "118"})
    assert not facts.exists


def test_a_create_that_nobody_carries_out_is_refused(clock: list[float]) -> None:
    with pytest.raises(Refused, match="nobody carries out"):
        read({f"{BASE}/config": {"lock": "create"}, "/nodes/gihyeon/tasks": []})
    assert clock[0] > container.TASK_LIST_LAG_S


def test_a_create_that_does_not_end_is_given_up() -> None:
    task = {"type": "vzcreate", "id": "118", "status": "RUNNING"}
    with pytest.raises(DeadlineExceeded, match="still being created"):
        read({f"{BASE}/config": {"lock": "create"}, "/nodes/gihyeon/tasks": [task]})


def test_pending_values() -> None:
    entries = [
        {"key": "cores", "value": 2},
        {"key": "features", "value": "nesting=1", "pending": "nesting=1,keyctl=1"},
        {"key": "mp1", "value": "/a,mp=/b", "delete": 1},
        {"key": "mp0", "value": "/a,mp=/b", "pending": "/a,mp=/c", "delete": 1},
        {"key": "nameserver", "pending": "10.1.10.1"},
    ]
    assert pending_of(entries) == {
        "features": "nesting=1,keyctl=1",
        "mp1": None,
        "mp0": "/a,mp=/c",
        "nameserver": "10.1.10.1",
    }


def test_the_effective_configuration_is_the_one_after_the_next_boot() -> None:
    facts = container.ContainerFacts(
        "gihyeon", 118, True, config={"a": "1", "b": "2"}, pending={"a": None, "b": "3", "c": "4"}
    )
    assert facts.effective == {"b": "3", "c": "4"}


@pytest.mark.parametrize(
    ("interfaces", "addresses"),
    [
        (INTERFACES, ("10.1.10.194",)),
        (None, ()),
        ([{"name": "eth0", "hardware-address": "bc:24:11:ae:b0:13", "ip-addresses": []}], ()),
        ([{"name": "eth0", "hwaddr": "bc:24:11:ae:b0:13", "inet6": "fe80::1/64"}], ()),
        ([{"name": "eth0", "hwaddr": "bc:24:11:ae:b0:13", "inet": "10.0.0.5/24"}], ("10.0.0.5",)),
        (
            [
                {
                    "hardware-address": "bc:24:11:ae:b0:13",
                    "ip-addresses": [{"ip-address": "2001:db8::5"}, {"ip-address": "10.0.0.5"}],
                }
            ],
            ("10.0.0.5", "2001:db8::5"),
        ),
    ],
)
def test_addresses(interfaces: Any, addresses: tuple[str, ...]) -> None:
    assert addresses_of(interfaces, "BC:24:11:AE:B0:13") == addresses
