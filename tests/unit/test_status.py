"""What `status` and `list` make of what Proxmox says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proxhermes.facts.container import ContainerFacts
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes
from proxhermes.status import AgentSummary, State, overview, status_of

MakeAgent = Callable[..., Agent]


def facts(agent: Agent, *, creating: bool = False, tags: str = "proxhermes", **fields: Any) -> ContainerFacts:
    config = {
        "hostname": "hermes",
        "tags": tags,
        "description": notes.render(agent, creating=creating),
        "mp0": "/mnt/pve/hdd/hermes,mp=/data",
        "mp1": "local:vm-118-disk-1,mp=/x",
    }
    return ContainerFacts(**({"node": "gihyeon", "vmid": 118, "exists": True, "config": config} | fields))


def test_a_running_agent(make_agent: MakeAgent) -> None:
    agent = make_agent()
    status = status_of(agent, facts(agent, running=True, uptime=9, addresses=("10.1.10.5",), pending={"tty": "4"}))
    assert (status.state, status.uptime, status.addresses, status.pending) == (
        State.RUNNING,
        9,
        ("10.1.10.5",),
        ("tty",),
    )
    assert status.current is True and status.mounts == (("/mnt/pve/hdd/hermes", "/data"),) and status.version


def test_the_version_is_the_one_that_was_noted(make_agent: MakeAgent) -> None:
    agent = make_agent()
    noted = facts(agent)
    assert status_of(agent, noted).hermes_version is None
    config = {**noted.config, "description": notes.naming(noted.config["description"], "0.22.2")}
    assert status_of(agent, facts(agent, config=config)).hermes_version == "0.22.2"


def test_a_persistent_agent_has_an_identity_which_its_image_makes_another(make_agent: MakeAgent) -> None:
    one, other = (make_agent(runtime={"type": "persistent", "image": image}) for image in ("debian:13", "debian:12"))
    found = [status_of(agent, facts(agent)).identity for agent in (one, other, make_agent())]
    assert found[0] and found[1] and found[0] != found[1] and found[2] is None


def test_an_inventory_that_moved_on(make_agent: MakeAgent) -> None:
    assert status_of(make_agent(cores=8), facts(make_agent())).current is False


@pytest.mark.parametrize(
    ("given", "state", "remark"),
    [
        ({}, State.STOPPED, None),
        ({"creating": True, "tags": ""}, State.UNFINISHED, "cut off"),
        ({"tags": "mine"}, State.FOREIGN, "not the tag"),
        ({"exists": False}, State.ABSENT, None),
        ({"exists": False, "held_by": "a virtual machine"}, State.FOREIGN, "a virtual machine"),
    ],
)
def test_states(make_agent: MakeAgent, given: dict[str, Any], state: State, remark: str | None) -> None:
    status = status_of(make_agent(), facts(make_agent(), **given))
    assert status.state is state
    assert (remark is None and status.remark is None) or (remark and remark in str(status.remark))


class Containers:
    def __init__(self, *guests: dict[str, Any]) -> None:
        self.guests = [{"status": "running", "uptime": 5} | each for each in guests]
        self.calls = 0

    def get(self, path: str, **params: Any) -> Any:
        self.calls += 1
        assert (path, params) == ("/nodes/gihyeon/lxc", {})
        return self.guests


def test_the_list_knows_the_inventory_s_and_the_forgotten(make_agent: MakeAgent) -> None:
    agents = [make_agent(vmid=vmid, hostname=f"h{vmid}") for vmid in (118, 119, 120, 121, 122)]
    node = Containers(
        {"vmid": 118, "tags": "ai;proxhermes"},
        {"vmid": 119, "tags": "proxhermes", "status": "stopped", "uptime": 0},
        {"vmid": 120, "tags": "other"},
        {"vmid": 121, "lock": "create"},
        {"vmid": 200, "name": "forgotten", "tags": "proxhermes"},
        {"vmid": 201, "tags": "mine"},
    )
    lines = overview([*agents, make_agent(vmid=130, node="other")], "gihyeon", node)
    assert node.calls == 1
    assert lines == (
        AgentSummary(118, "gihyeon", "h118", State.RUNNING, 5, True),
        AgentSummary(119, "gihyeon", "h119", State.STOPPED, 0, True),
        AgentSummary(120, "gihyeon", "h120", State.FOREIGN, 5, True),
        AgentSummary(121, "gihyeon", "h121", State.UNFINISHED, 5, True),
        AgentSummary(122, "gihyeon", "h122", State.ABSENT, 0, True),
        AgentSummary(200, "gihyeon", "forgotten", State.RUNNING, 5, False),
    )
