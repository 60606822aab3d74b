"""From a container's description to LXC's configuration: maps, limits, cgroups, features."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxhermes.lab.node.lxc_config import Machine, guest_root_ids, idmap_of, limits, render, seccomp_rules
from proxhermes.lab.pve.runtime import ContainerSpec, IdMap, Net

HYBRID = Machine("phlab/t", pure_cgroup2=False, processors=4, swap_accounting=True)
PURE = Machine("phlab/t", pure_cgroup2=True, processors=4, swap_accounting=True)
MIB = 1024 * 1024


def values(text: str, key: str) -> list[str]:
    pairs = (line.split(" = ", 1) if " = " in line else (line.removesuffix(" ="), "") for line in text.splitlines())
    return [value for name, value in pairs if name == key]


def test_unprivileged_without_a_map_has_proxmox_fixed_one(spec: ContainerSpec) -> None:
    assert values(render(spec, HYBRID, 257), "lxc.idmap") == ["u 0 100000 65536", "g 0 100000 65536"]
    assert guest_root_ids(spec) == (100000, 100000)


def test_own_idmap_lines_replace_it_wholly(spec: ContainerSpec) -> None:
    own = (IdMap("u", 0, 200000, 1000), IdMap("g", 0, 300000, 1000), IdMap("u", 1000, 1000, 1))
    changed = replace(spec, idmap=own, raw=(("lxc.idmap", "u 0 200000 1000"), ("lxc.prlimit.nofile", "4096")))
    text = render(changed, HYBRID, 257)
    assert values(text, "lxc.idmap") == ["u 0 200000 1000", "g 0 300000 1000", "u 1000 1000 1"]
    assert values(text, "lxc.prlimit.nofile") == ["4096"]
    assert guest_root_ids(changed) == (200000, 300000)


def test_privileged_has_no_map_and_no_user_namespace(spec: ContainerSpec) -> None:
    privileged = replace(spec, unprivileged=False)
    assert idmap_of(privileged) == ()
    assert guest_root_ids(privileged) == (0, 0)
    assert not any("userns.conf" in value for value in values(render(privileged, HYBRID, 257), "lxc.include"))


@pytest.mark.parametrize(
    ("machine", "systemd", "expected"),
    [
        (HYBRID, 257, (["", "proc:rw sys:rw"], True)),
        (HYBRID, 252, (["", "proc:rw sys:rw cgroup:rw"], False)),
        (HYBRID, None, (["", "proc:rw sys:rw cgroup:rw"], False)),
        (PURE, 257, (["", "proc:rw sys:rw cgroup:rw"], False)),
        (PURE, 252, (["", "proc:rw sys:rw cgroup:rw"], False)),
    ],
)
def test_a_guest_gets_the_cgroups_that_its_systemd_can_use(
    spec: ContainerSpec, machine: Machine, systemd: int | None, expected: tuple[list[str], bool]
) -> None:
    text = render(spec, machine, systemd)
    alone = any(value.startswith("cgroup2 sys/fs/cgroup cgroup2") for value in values(text, "lxc.mount.entry"))
    assert (values(text, "lxc.mount.auto"), alone) == expected


def test_instances_keep_their_cgroups_apart(spec: ContainerSpec) -> None:
    assert values(render(spec, HYBRID, 257), "lxc.cgroup.dir.container") == ["phlab/t/lxc/118"]


def test_limits_follow_the_machines_cgroup_version(spec: ContainerSpec) -> None:
    one = dict(limits(spec, HYBRID))
    two = dict(limits(spec, PURE))
    assert one["memory.limit_in_bytes"] == str(4096 * MIB)
    assert one["memory.memsw.limit_in_bytes"] == str(4608 * MIB)
    assert one["cpuset.cpus"] == "0-1"
    assert two == {
        "memory.max": str(4096 * MIB), "memory.swap.max": str(512 * MIB), "cpuset.cpus": "0-1", "cpu.max": "max 100000"
    }  # fmt: skip


def test_cores_are_at_most_the_machines_and_none_means_all(spec: ContainerSpec) -> None:
    assert dict(limits(replace(spec, cores=16), HYBRID))["cpuset.cpus"] == "0-3"
    assert dict(limits(replace(spec, cores=0), HYBRID))["cpuset.cpus"] == "0-3"
    assert dict(limits(replace(spec, cores=1), HYBRID))["cpuset.cpus"] == "0"


def test_cpulimit_is_a_quota(spec: ContainerSpec) -> None:
    assert dict(limits(replace(spec, cpulimit=1.5), HYBRID))["cpu.cfs_quota_us"] == "150000"
    assert dict(limits(replace(spec, cpulimit=1.5), PURE))["cpu.max"] == "150000 100000"


def test_nesting_includes_its_rules_and_keyctl_opens_the_call(spec: ContainerSpec) -> None:
    assert any("nesting.conf" in value for value in values(render(spec, HYBRID, 257), "lxc.include"))
    plain = replace(spec, features={})
    assert not any("nesting.conf" in value for value in values(render(plain, HYBRID, 257), "lxc.include"))
    assert seccomp_rules("2\n", plain).endswith("keyctl errno 38\n")
    assert seccomp_rules("2\n", replace(spec, features={"keyctl": "1"})) == "2\n"


def test_a_vlan_is_a_bridge_of_its_own(spec: ContainerSpec) -> None:
    tagged = replace(spec, nets=(Net(0, {**spec.nets[0].options, "tag": "5"}),))
    assert values(render(tagged, HYBRID, 257), "lxc.net.0.link") == ["intra01v5"]


def test_network_card(spec: ContainerSpec) -> None:
    text = render(spec, HYBRID, 257)
    assert values(text, "lxc.net.0.link") == ["intra01"]
    assert values(text, "lxc.net.0.veth.pair") == ["veth118i0"]
    assert values(text, "lxc.net.0.hwaddr") == ["BC:24:11:00:00:18"]
    assert values(render(replace(spec, nets=()), HYBRID, 257), "lxc.net.0.type") == ["empty"]
