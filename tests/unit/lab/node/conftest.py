"""A container as the node's core describes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxhermes.lab.pve.runtime import ContainerSpec, Net


@pytest.fixture
def spec() -> ContainerSpec:
    return ContainerSpec(
        vmid=118, hostname="hermes", rootfs=Path("/dev/pve/vm-118-disk-0"), rootfs_read_only=False, unprivileged=True,
        idmap=(), nets=(Net(0, {"name": "eth0", "bridge": "intra01", "hwaddr": "BC:24:11:00:00:18", "ip": "dhcp"}),),
        mounts=(), features={"nesting": "1"}, memory=4096, swap=512, cores=2, cpulimit=0, cpuunits=1024,
        ostype="debian", nameserver=None, searchdomain=None, timezone=None, tty=2, console=True, raw=(),
    )  # fmt: skip
