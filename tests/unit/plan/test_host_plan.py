"""(wanted, facts) -> what goes through the root shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.container import ContainerFacts
from proxhermes.facts.host import Bound, Folder, HostFacts
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes
from proxhermes.plan.host import FolderAction, plan_host, same_mount
from proxhermes.plan.model import Door, Effect

MakeAgent = Callable[..., Agent]
HDD, FAST = "/mnt/pve/hdd/hermes", "/media/2tb/hermes"
ABSENT = ContainerFacts("gihyeon", 118, exists=False)
CONFIG = {"features": "nesting=1,keyctl=1", "mp0": f"{HDD},mp=/data", "mp1": f"{FAST},mp=/fast"}
STORAGES = {
    "local": {"type": "dir", "path": "/var/lib/vz"},
    "hdd": {"type": "dir", "path": "/mnt/pve/hdd", "is_mountpoint": "1"},
    "media": {"type": "dir", "path": "/media/2tb", "is_mountpoint": "yes"},
}
MOUNTED = frozenset({"/", "/mnt/pve/hdd", "/media/2tb"})


def running(**config: str) -> ContainerFacts:
    return ContainerFacts("gihyeon", 118, True, config=CONFIG | config, running=True)


def good(path: str, **fields: Any) -> Folder:
    return replace(Folder(path, "directory", None, 110000, 110000, 0o755, False), **fields)


def node(*folders: Folder, **fields: Any) -> HostFacts:
    by_path = {HDD: good(HDD), FAST: good(FAST)} | {folder.path: folder for folder in folders}
    return HostFacts(**({"folders": by_path, "mounted": MOUNTED, "storages": STORAGES} | fields))


def test_a_new_container_gets_everything_in_one_go(make_agent: MakeAgent) -> None:
    plan = plan_host(make_agent(), ABSENT, node(Folder(HDD, "missing"), Folder(FAST, "missing")))
    assert plan.folders == (FolderAction(HDD, 110000, 110000, 0o755), FolderAction(FAST, 110000, 110000, 0o755))
    assert plan.options == {"features": "nesting=1,keyctl=1", "mp0": f"{HDD},mp=/data", "mp1": f"{FAST},mp=/fast"}
    assert not plan.delete and not plan.unprotect and not plan.reboot
    assert all(change.door is Door.ROOT and change.command for change in plan.changes)
    assert all(change.effect is Effect.NONE for change in plan.changes)


def test_nothing_to_do(make_agent: MakeAgent) -> None:
    plan = plan_host(make_agent(), running(), node())
    assert not plan.needed and plan.changes == () and plan.notes == ()


@pytest.mark.parametrize(
    ("wanted", "config", "options", "delete", "effect"),
    [
        ({}, {"features": "keyctl=1,nesting=1"}, {}, (), Effect.NONE),
        ({}, {"features": "nesting=1"}, {"features": "nesting=1,keyctl=1"}, (), Effect.REBOOT_CONTAINER),
        ({}, {"features": "fuse=1,nesting=1"}, {"features": "nesting=1,keyctl=1,fuse=1"}, (), Effect.REBOOT_CONTAINER),
        (
            {"features": {"nesting": False, "keyctl": False}},
            {},
            {"features": "nesting=0"},
            (),
            Effect.REBOOT_CONTAINER,
        ),
        ({}, {"mp0": f"{HDD}/,mp=/data/,size=0T"}, {}, (), Effect.NONE),
        ({}, {"mp0": f"{HDD},mp=/data,backup=1,shared=1"}, {}, (), Effect.NONE),
        (
            {},
            {"mp0": "/mnt/pve/hdd/old,mp=/data,mountoptions=noatime"},
            {"mp0": f"{HDD},mp=/data,mountoptions=noatime"},
            (),
            Effect.REBOOT_CONTAINER,
        ),
        ({}, {"mp0": f"{HDD},mp=/data,ro=1"}, {"mp0": f"{HDD},mp=/data"}, (), Effect.REBOOT_CONTAINER),
        ({}, {"mp1": "/srv/x,mp=/mine"}, {"mp2": f"{FAST},mp=/fast"}, (), Effect.NONE),
        ({}, {"mp1": "local:vm-118-disk-1,mp=/var/x"}, {"mp2": f"{FAST},mp=/fast"}, (), Effect.NONE),
    ],
)
def test_settings(
    make_agent: MakeAgent,
    wanted: dict[str, Any],
    config: dict[str, str],
    options: Mapping[str, str],
    delete: tuple[str, ...],
    effect: Effect,
) -> None:
    plan = plan_host(make_agent(**wanted), running(**config), node())
    assert (plan.options, plan.delete) == (options, delete)
    assert max((change.effect for change in plan.changes), default=Effect.NONE) is effect
    assert plan.reboot is (effect is Effect.REBOOT_CONTAINER)


def test_what_is_pending_already_is_not_set_again(make_agent: MakeAgent) -> None:
    facts = replace(running(features="nesting=1"), pending={"features": "nesting=1,keyctl=1"})
    assert not plan_host(make_agent(), facts, node()).needed


def test_a_mount_of_ours_that_the_inventory_dropped_goes_and_its_folder_stays(make_agent: MakeAgent) -> None:
    facts = running(description=notes.render(make_agent()), mp2="/srv/x,mp=/mine")
    plan = plan_host(make_agent(mounts=[{"host": HDD, "guest": "/data"}]), facts, node())
    assert plan.delete == ("mp1",) and not plan.options
    assert any("the folder stays on the node" in note and FAST in note for note in plan.notes)
    assert any("/srv/x on /mine" in note and "stays" in note for note in plan.notes)


def test_protection_stands_aside_for_mounts_only(make_agent: MakeAgent) -> None:
    assert plan_host(make_agent(), running(protection="1", mp1="/srv/x,mp=/fast"), node()).unprotect
    assert not plan_host(make_agent(), running(protection="1", features="nesting=1"), node()).unprotect


def test_a_volume_is_never_replaced_by_a_folder(make_agent: MakeAgent) -> None:
    with pytest.raises(Refused, match="is a volume"):
        plan_host(make_agent(), running(mp0="local:vm-118-disk-1,mp=/data,size=8G"), node())


@pytest.mark.parametrize(("owner", "uid"), [("agent", 110000), ("root", 100000), (1000, 101000), ("1000:2000", 101000)])
def test_the_owner_on_the_node_is_the_map_s_base_and_the_guest_s_id(
    make_agent: MakeAgent, owner: object, uid: int
) -> None:
    agent = make_agent(mounts=[{"host": HDD, "guest": "/data", "owner": owner}])
    plan = plan_host(agent, ABSENT, node(Folder(HDD, "missing")))
    assert plan.folders[0].uid == uid
    assert plan.folders[0].gid == (102000 if owner == "1000:2000" else uid)


def test_the_container_s_own_map_counts(make_agent: MakeAgent) -> None:
    facts = replace(running(), lxc=(("lxc.idmap", "u 0 300000 65536"), ("lxc.idmap", "g 0 400000 65536")))
    plan = plan_host(make_agent(mounts=[{"host": HDD, "guest": "/data"}]), facts, node(Folder(HDD, "missing")))
    assert plan.folders == (FolderAction(HDD, 310000, 410000, 0o755),)


@pytest.mark.parametrize(
    ("folder", "action"),
    [
        (good(HDD), None),
        (good(HDD, mode=0o2770), None),
        (good(HDD, mode=0o555), FolderAction(HDD, 110000, 110000, 0o755)),
        (good(HDD, uid=0, gid=0, empty=True), FolderAction(HDD, 110000, 110000, None)),
        (good(HDD, uid=100000, gid=100000), FolderAction(HDD, 110000, 110000, None)),
        (good(HDD, gid=0), FolderAction(HDD, 110000, 110000, None)),
    ],
)
def test_a_folder_that_is_there(make_agent: MakeAgent, folder: Folder, action: FolderAction | None) -> None:
    plan = plan_host(make_agent(), running(), node(folder))
    assert plan.folders == ((action,) if action else ())


def test_a_stranger_s_data_is_taken_on_demand_only(make_agent: MakeAgent) -> None:
    stranger = node(good(HDD, uid=1000, gid=1000))
    with pytest.raises(Refused, match="holds data and belongs to 1000:1000"):
        plan_host(make_agent(), ABSENT, stranger)
    plan = plan_host(make_agent(), ABSENT, stranger, take_ownership=True)
    assert plan.folders == (FolderAction(HDD, 110000, 110000, None),)


def test_a_folder_that_is_only_read_keeps_its_owner(make_agent: MakeAgent) -> None:
    agent = make_agent(mounts=[{"host": HDD, "guest": "/data", "read_only": True}])
    plan = plan_host(agent, ABSENT, node(good(HDD, uid=1000, gid=1000)))
    assert plan.folders == () and plan.options["mp0"] == f"{HDD},mp=/data,ro=1"


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        (good(HDD, link=HDD), "is a symbolic link"),
        (Folder(HDD, "missing", "/mnt/pve/hdd"), "lies behind the symbolic link /mnt/pve/hdd"),
        (Folder(HDD, "other"), "is not a folder"),
    ],
)
def test_a_path_that_is_no_plain_folder_is_refused(make_agent: MakeAgent, folder: Folder, says: str) -> None:
    with pytest.raises(Refused, match=says):
        plan_host(make_agent(), ABSENT, node(folder))


ROOT_ONLY = frozenset({"/"})


@pytest.mark.parametrize(
    ("host", "facts", "why"),
    [
        (HDD, {"mounted": ROOT_ONLY}, "storage hdd"),
        ("/media/2tb/a/b", {"mounted": ROOT_ONLY}, "storage media"),
        ("/srv/nas/hermes", {"expected": {"/srv/nas": "/etc/fstab"}}, "/etc/fstab"),
        ("/mnt/pve/nas/hermes", {"storages": {"nas": {"type": "nfs"}}}, "storage nas"),
        ("/smb/hermes", {"storages": {"s": {"type": "cifs", "path": "/smb"}}}, "storage s"),
        ("/tank/vm/hermes", {"storages": {"z": {"type": "zfspool", "pool": "tank/vm"}}}, "storage z"),
        ("/b/x/hermes", {"storages": {"b": {"type": "btrfs", "path": "/b/x", "is_mountpoint": "/b"}}}, "storage b"),
        ("/mnt/pve/gone/hermes", {}, "none of that name"),
    ],
)
def test_where_nothing_is_mounted_the_root_disk_would_fill(
    make_agent: MakeAgent, host: str, facts: dict[str, Any], why: str
) -> None:
    agent = make_agent(mounts=[{"host": host, "guest": "/data"}])
    with pytest.raises(Refused, match="nothing is mounted") as caught:
        plan_host(agent, ABSENT, node(Folder(host, "missing"), **facts))
    assert why in caught.value.message


@pytest.mark.parametrize(
    ("host", "facts"),
    [
        (HDD, {}),
        ("/srv/agents/hermes", {}),
        ("/srv/nas-other/hermes", {"expected": {"/srv/nas": "/etc/fstab"}}),
        ("/var/lib/vz/hermes", {}),
        ("/mnt/pve/plain/x", {"storages": {"p": {"type": "dir", "path": "/mnt/pve/plain"}}}),
        (HDD, {"expected": {"/mnt/pve/hdd": "mnt-pve-hdd.mount"}}),
    ],
)
def test_where_all_is_mounted_or_nothing_has_to_be(make_agent: MakeAgent, host: str, facts: dict[str, Any]) -> None:
    agent = make_agent(mounts=[{"host": host, "guest": "/data"}])
    assert plan_host(agent, ABSENT, node(Folder(host, "missing"), **facts)).folders


def test_another_container_with_the_same_folder_is_told(make_agent: MakeAgent) -> None:
    bound = (Bound("gihyeon", 118, HDD), Bound("gihyeon", 115, HDD), Bound("other", 9, "/srv"))
    plan = plan_host(make_agent(), ABSENT, node(bound=bound))
    assert plan.notes == (f"{HDD} is also mounted in CT 115 on gihyeon",)
    assert plan_host(make_agent(), running(), node(bound=bound)).notes == ()  # told when it is mounted, not every time


def test_mounts_are_compared_by_meaning() -> None:
    assert same_mount("/a,mp=/b,ro=0", "/a/,size=0T,mp=/b")
    assert not same_mount("/a,mp=/b,ro=1", "/a,mp=/b")
