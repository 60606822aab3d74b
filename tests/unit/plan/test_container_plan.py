"""(wanted, facts) -> what goes through the token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from proxhermes.errors import ProxhermesError, Refused
from proxhermes.facts import properties
from proxhermes.facts.container import ContainerFacts
from proxhermes.facts.templates import TemplateFacts
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes
from proxhermes.plan.container import ContainerPlan, alike, plan_container
from proxhermes.plan.model import Door, Effect

MakeAgent = Callable[..., Agent]
TEMPLATE = "local:vztmpl/debian-13-standard_13.6-1_amd64.tar.zst"
TEMPLATES = TemplateFacts("local", (TEMPLATE,))
ABSENT = ContainerFacts("gihyeon", 118, exists=False)


def as_proxmox_has_it(agent: Agent, **differing: str | None) -> ContainerFacts:
    """The running container that `agent` describes, in Proxmox' own way of writing."""
    config: dict[str, str | None] = {
        "arch": "amd64",
        "hostname": "hermes",
        "cores": "2",
        "memory": "4096",
        "swap": "512",
        "onboot": "1",
        "timezone": "host",
        "unprivileged": "1",
        "ostype": "debian",
        "features": "keyctl=1,nesting=1",
        "rootfs": "local-lvm:vm-118-disk-0,size=24G",
        "net0": "name=eth0,bridge=intra01,hwaddr=BC:24:11:AE:B0:13,ip=dhcp,type=veth",
        "mp0": "/mnt/pve/hdd/hermes,mp=/data",
        "mp1": "/media/2tb/hermes,mp=/fast",
        "tags": "agent;ai;proxhermes",
        "description": notes.render(agent) + "\n",
    }
    present = {key: value for key, value in (config | differing).items() if value is not None}
    return ContainerFacts("gihyeon", 118, True, config=present, digest="d1", running=True, addresses=("10.1.10.50",))


def test_a_new_container(make_agent: MakeAgent) -> None:
    agent = make_agent(
        startup="order=3", nameserver=["10.1.10.1", "1.1.1.1"], pool="agents", ssh_public_keys=["ssh-ed25519 AAAAC3 me"]
    )
    plan = plan_container(agent, ABSENT, TEMPLATES)
    assert plan.create == {
        "vmid": 118,
        "unprivileged": 1,
        "hostname": "hermes",
        "cores": "2",
        "memory": "4096",
        "swap": "512",
        "onboot": "1",
        "startup": "order=3",
        "timezone": "host",
        "nameserver": "10.1.10.1 1.1.1.1",
        "net0": "name=eth0,bridge=intra01,ip=dhcp,type=veth",
        "rootfs": "local-lvm:24",
        "features": "nesting=1",
        "pool": "agents",
        "ssh-public-keys": "ssh-ed25519 AAAAC3 me\n",
        "description": notes.render(agent, creating=True),
    }
    assert plan.template and plan.template.volume == TEMPLATE
    assert plan.update == {"tags": "agent;ai;proxhermes"} and plan.block == notes.render(agent)
    assert plan.start and not plan.reboot
    assert all(change.door is Door.TOKEN and change.before is None for change in plan.changes)


def test_what_a_token_may_not_is_not_sent(make_agent: MakeAgent) -> None:
    plan = plan_container(make_agent(), ABSENT, TEMPLATES)
    assert plan.create is not None
    assert "tags" not in plan.create  # refused to a token whose rights come from a pool
    assert "protection" not in plan.create  # would stand in the way of the mounts
    assert not any(key.startswith("mp") for key in plan.create) and "keyctl" not in str(plan.create["features"])


def test_a_template_that_has_to_be_fetched_is_told(make_agent: MakeAgent) -> None:
    index = TemplateFacts("local", (), ("debian-13-standard_13.6-1_amd64.tar.zst",))
    plan = plan_container(make_agent(), ABSENT, index)
    assert [change.subject for change in plan.changes][:2] == ["template", "container"]


def test_no_template(make_agent: MakeAgent) -> None:
    with pytest.raises(ProxhermesError, match="no template of the family debian-13"):
        plan_container(make_agent(), ABSENT, TemplateFacts("local"))


def test_nothing_to_do(make_agent: MakeAgent) -> None:
    agent = make_agent()
    plan = plan_container(agent, as_proxmox_has_it(agent))
    assert plan == ContainerPlan("gihyeon", 118, digest="d1", addresses=("10.1.10.50",))


@pytest.mark.parametrize(
    "as_written",
    [
        {"net0": "bridge=intra01,firewall=0,hwaddr=bc:24:11:ae:b0:13,ip=dhcp,name=eth0,type=veth"},
        {"net0": "name=eth0,bridge=intra01,hwaddr=BC:24:11:AE:B0:13,ip=dhcp,ip6=auto,rate=10,type=veth"},
        {"rootfs": "local-lvm:vm-118-disk-0,size=24576M"},
        {"rootfs": "local-lvm:vm-118-disk-0,mountoptions=noatime,size=24G"},
        {"tags": "Proxhermes;mine;ai;agent"},
        {"protection": "0"},
        {"cpulimit": "1", "console": "1", "tty": "4"},
        {"template": "0", "parent": "x"},
    ],
)
def test_other_ways_to_write_the_same_are_no_change(make_agent: MakeAgent, as_written: dict[str, str]) -> None:
    agent = make_agent()
    assert plan_container(agent, as_proxmox_has_it(agent, **as_written)).changes == ()


def test_notes_of_other_people_are_no_change_and_stay(make_agent: MakeAgent) -> None:
    agent = make_agent()
    mine = "traefik.enable=true\n\n" + notes.render(agent)
    assert plan_container(agent, as_proxmox_has_it(agent, description=mine)).changes == ()
    other = make_agent(cores=4)
    changed = plan_container(other, as_proxmox_has_it(agent, description=mine))
    assert changed.block == notes.render(other) and "notes" in [change.subject for change in changed.changes]
    named = notes.naming(mine, "0.22.2")
    assert plan_container(agent, as_proxmox_has_it(agent, description=named)).changes == ()
    assert plan_container(other, as_proxmox_has_it(agent, description=named)).block == notes.naming(
        notes.render(other), "0.22.2"
    )


NET = "name=eth0,bridge=intra01,hwaddr=BC:24:11:AE:B0:13,ip=dhcp,type=veth"


@pytest.mark.parametrize(
    ("wanted", "is_now", "update", "delete", "effect"),
    [
        ({"cores": 4}, {}, {"cores": "4"}, (), Effect.NONE),
        ({"memory": 8192, "swap": 0}, {}, {"memory": "8192", "swap": "0"}, (), Effect.NONE),
        ({"hostname": "agent1"}, {}, {"hostname": "agent1"}, (), Effect.NONE),
        ({"onboot": False}, {}, {"onboot": "0"}, (), Effect.NONE),
        ({}, {"onboot": None}, {"onboot": "1"}, (), Effect.NONE),
        ({"startup": "order=3,up=10"}, {"startup": "order=3"}, {"startup": "order=3,up=10"}, (), Effect.NONE),
        ({"startup": "order=3"}, {"startup": "3"}, {}, (), Effect.NONE),
        ({}, {"startup": "order=3"}, {}, ("startup",), Effect.NONE),
        ({"nameserver": ["9.9.9.9"]}, {}, {"nameserver": "9.9.9.9"}, (), Effect.REBOOT_CONTAINER),
        ({}, {"searchdomain": "old.example"}, {}, ("searchdomain",), Effect.REBOOT_CONTAINER),
        ({"tags": ["gpu"]}, {"tags": "mine;proxhermes"}, {"tags": "gpu;mine;proxhermes"}, (), Effect.NONE),
        ({"protection": False}, {"protection": "1"}, {"protection": 0}, (), Effect.NONE),
        (
            {"network": {"bridge": "vmbr0", "vlan": 20, "firewall": True}},
            {"net0": NET + ",rate=10"},
            {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AE:B0:13,ip=dhcp,tag=20,firewall=1,rate=10,type=veth"},
            (),
            Effect.NONE,
        ),
        (
            {"network": {"bridge": "intra01", "ip": "10.1.10.9/24", "gateway": "10.1.10.1"}},
            {},
            {"net0": "name=eth0,bridge=intra01,hwaddr=BC:24:11:AE:B0:13,ip=10.1.10.9/24,gw=10.1.10.1,type=veth"},
            (),
            Effect.NONE,
        ),
        (
            {},
            {"net0": NET.replace("ip=dhcp", "ip=10.1.10.9/24,gw=10.1.10.1,tag=5,mtu=1400")},
            {"net0": "name=eth0,bridge=intra01,hwaddr=BC:24:11:AE:B0:13,ip=dhcp,type=veth"},
            (),
            Effect.NONE,
        ),
    ],
)
def test_in_place(
    make_agent: MakeAgent,
    wanted: dict[str, Any],
    is_now: dict[str, str | None],
    update: Mapping[str, str | int],
    delete: tuple[str, ...],
    effect: Effect,
) -> None:
    agent = make_agent(**wanted)
    plan = plan_container(agent, as_proxmox_has_it(agent, **is_now))
    if "net0" in update:
        sent, expected = (properties.parse(str(each.pop("net0"))) for each in (dict(plan.update), dict(update)))
        assert sent == expected
    else:
        assert (plan.update, plan.delete) == (update, delete)
    assert max((change.effect for change in plan.changes), default=Effect.NONE) is effect
    assert plan.digest == "d1" and plan.create is None and not plan.start


def test_ipv6_is_the_inventorys_where_it_says_something_of_it(make_agent: MakeAgent) -> None:
    by_hand = as_proxmox_has_it(
        make_agent(), net0="name=eth0,bridge=intra01,hwaddr=BC:24:11:AE:B0:13,ip=dhcp,ip6=2001:DB8:0::5/64,gw6=fe80::1"
    )
    silent = make_agent()
    assert "net0" not in plan_container(silent, by_hand).update
    same = make_agent(network={"bridge": "intra01", "ip6": "2001:db8::5/64", "gateway6": "fe80::1"})
    assert "net0" not in plan_container(same, by_hand).update
    other = make_agent(network={"bridge": "intra01", "ip": "manual", "ip6": "auto"})
    net0 = properties.parse(str(plan_container(other, by_hand).update["net0"]))
    assert (net0["ip"], net0["ip6"], "gw6" in net0) == ("manual", "auto", False)


def test_a_hardware_address_is_never_lost(make_agent: MakeAgent) -> None:
    agent = make_agent(network={"bridge": "vmbr9"})
    plan = plan_container(agent, as_proxmox_has_it(agent))
    assert "hwaddr=BC:24:11:AE:B0:13" in str(plan.update["net0"])


def test_protection_is_set_last_and_so_not_in_the_update(make_agent: MakeAgent) -> None:
    agent = make_agent(protection=True)
    plan = plan_container(agent, as_proxmox_has_it(agent))
    assert [change.subject for change in plan.changes] == ["protection"] and not plan.update and plan.protect


@pytest.mark.parametrize(
    ("wanted", "is_now", "grow", "blocked"),
    [
        ({"disk": {"size": 32}}, {}, "32G", ()),
        ({"disk": {"size": 24}}, {"rootfs": "local-lvm:vm-118-disk-0,size=23G"}, "24G", ()),
        ({"disk": {"size": 8}}, {}, None, ("rootfs: size",)),
        ({"disk": {"storage": "hdd"}}, {}, None, ("rootfs: storage",)),
        ({"template": "ubuntu-24.04"}, {}, None, ("template",)),
        ({"template": TEMPLATE}, {}, None, ()),
        ({}, {"unprivileged": None}, None, ("unprivileged",)),
    ],
)
def test_what_cannot_be_changed_in_place_is_named_and_left_alone(
    make_agent: MakeAgent,
    wanted: dict[str, Any],
    is_now: dict[str, str | None],
    grow: str | None,
    blocked: tuple[str, ...],
) -> None:
    agent = make_agent(**wanted)
    plan = plan_container(agent, as_proxmox_has_it(agent, **is_now))
    assert plan.grow == grow and not plan.update
    assert tuple(change.subject for change in plan.changes if change.blocked) == blocked


def test_a_stopped_container_is_started(make_agent: MakeAgent) -> None:
    agent = make_agent()
    plan = plan_container(agent, replace(as_proxmox_has_it(agent), running=False, addresses=()))
    assert plan.start and [(change.subject, change.after) for change in plan.changes] == [("status", "running")]


def test_what_was_set_before_a_run_was_cut_off_still_waits_for_its_boot(make_agent: MakeAgent) -> None:
    agent = make_agent()
    facts = replace(
        as_proxmox_has_it(agent, features="nesting=1"), pending={"features": "nesting=1,keyctl=1", "tty": "4"}
    )
    plan = plan_container(agent, facts)
    assert plan.reboot and not plan.update
    assert [(change.subject, change.effect) for change in plan.changes] == [
        ("features (waits for a boot)", Effect.REBOOT_CONTAINER)
    ]
    assert "tty" in plan.notes[0]


def test_what_somebody_else_left_pending_is_no_reason_to_reboot(make_agent: MakeAgent) -> None:
    agent = make_agent()
    plan = plan_container(agent, replace(as_proxmox_has_it(agent), pending={"tty": "4"}))
    assert not plan.reboot and not plan.changes and plan.notes


def test_an_unfinished_container_is_finished(make_agent: MakeAgent) -> None:
    agent = make_agent()
    facts = as_proxmox_has_it(agent, tags=None, description=notes.render(agent, creating=True))
    assert notes.ownership(facts) is notes.Ownership.UNFINISHED
    plan = plan_container(agent, facts)
    assert set(plan.update) == {"tags"} and plan.block == notes.render(agent)


CLONE = "<!-- proxhermes agent 117 -->\n<!-- /proxhermes -->"


@pytest.mark.parametrize(
    ("description", "tags", "hint"),
    [
        ("somebody's", "proxhermes", "<!-- proxhermes agent 118 -->"),
        ("<!-- proxhermes agent 118 -->\n<!-- /proxhermes -->", "ai", "give it the tag proxhermes"),
        (None, None, "another VMID"),
        (CLONE, "proxhermes", "another VMID"),
    ],
)
def test_a_container_of_somebody_else_is_refused(make_agent: MakeAgent, description: str, tags: str, hint: str) -> None:
    agent = make_agent()
    with pytest.raises(Refused, match="leaves it alone") as caught:
        plan_container(agent, as_proxmox_has_it(agent, description=description, tags=tags))
    assert hint in (caught.value.hint or "")


def test_a_vmid_that_is_taken_elsewhere_is_refused(make_agent: MakeAgent) -> None:
    with pytest.raises(Refused, match="belongs to a virtual machine"):
        plan_container(make_agent(), replace(ABSENT, held_by="a virtual machine"), TEMPLATES)


def test_a_second_plan_after_the_first_finds_nothing(make_agent: MakeAgent) -> None:
    """Whatever differs: what the first plan sends, stored by Proxmox, leaves the second nothing to do."""
    before = as_proxmox_has_it(make_agent())
    agent = make_agent(
        cores=8,
        hostname="other",
        startup="4",
        nameserver=["1.1.1.1"],
        timezone="UTC",
        tags=["z", "a"],
        network={"bridge": "b", "ip": "10.0.0.2/24", "gateway": "10.0.0.1", "vlan": 3, "mtu": 1400},
    )
    first = plan_container(agent, before)
    stored = {key: str(value) for key, value in first.update.items()} | {"description": str(first.block)}
    after = replace(before, config=dict(before.config) | stored)
    assert plan_container(agent, after).changes == ()


@pytest.mark.parametrize(
    ("option", "one", "other", "same"),
    [
        ("tags", "b;a", "A B", True),
        ("onboot", None, "0", True),
        ("onboot", None, "1", False),
        ("nameserver", "1.1.1.1, 9.9.9.9", "1.1.1.1 9.9.9.9", True),
        ("nameserver", "1.1.1.1 9.9.9.9", "9.9.9.9 1.1.1.1", False),
        ("net0", "name=eth0,bridge=a", "bridge=a,name=eth0,type=veth,firewall=0", True),
        ("startup", "order=3,up=1", "3,up=1", True),
        ("searchdomain", None, " ", True),
    ],
)
def test_alike(option: str, one: str | None, other: str | None, same: bool) -> None:
    assert alike(option, one, other) is same


@pytest.mark.parametrize(
    ("startup", "drain", "wanted"),
    [
        (None, 30, None),
        ("order=3,up=10", 30, "order=3,up=10"),
        (None, 600, "down=670"),
        ("order=3,up=10", 600, "order=3,up=10,down=670"),
        ("3", 600, "3,down=670"),
        ("order=3,down=200", 600, "order=3,down=200"),
    ],
)
def test_the_node_waits_for_an_agent_that_takes_long_to_end(
    make_agent: MakeAgent, startup: str | None, drain: int, wanted: str | None
) -> None:
    agent = make_agent(startup=startup, hermes={"settings": {"agent": {"cron_drain_timeout": drain}}})
    assert plan_container(agent, ABSENT, TEMPLATES).create.get("startup") == wanted
    found = plan_container(agent, as_proxmox_has_it(agent))
    assert found.update.get("startup") == wanted
    assert not plan_container(agent, as_proxmox_has_it(agent, startup=wanted)).update
