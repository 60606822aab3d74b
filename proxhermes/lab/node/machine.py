"""What kind of machine the node stands on, and what kind of guest lies in a root file system."""

from __future__ import annotations

import os
import re
from pathlib import Path

from proxhermes.lab.node.cgroups import CGROUPS
from proxhermes.lab.node.guest_files import GuestFiles
from proxhermes.lab.node.lxc_config import Machine

_ELF_MACHINES = {0x3E: "amd64", 0xB7: "arm64", 0x03: "i386"}


def look(cgroup_parent: str) -> Machine:
    """Read what matters from /sys."""
    pure = (CGROUPS / "cgroup.controllers").exists()
    return Machine(
        cgroup_parent=cgroup_parent,
        pure_cgroup2=pure,
        processors=os.cpu_count() or 1,
        swap_accounting=pure or (CGROUPS / "memory/memory.memsw.limit_in_bytes").exists(),
    )


def guest_ostype(files: GuestFiles) -> str:
    """What Proxmox calls the system that lies there (`debian`, `alpine`…); `unmanaged` when it does not say."""
    words = dict(line.split("=", 1) for line in files.read("/etc/os-release").splitlines() if "=" in line)
    return words.get("ID", "unmanaged").strip('"')


def guest_architecture(files: GuestFiles) -> str:
    """`amd64`, `arm64` or `i386`, read from the header of the guest's shell (ELF, e_machine)."""
    header = files.resolve("/bin/sh").read_bytes()[:20]
    return _ELF_MACHINES.get(int.from_bytes(header[18:20], "little"), "amd64")


def guest_systemd_version(rootfs: Path) -> int | None:
    """The major version of the systemd in a guest's files, from the name of its shared library; None without one."""
    for pattern in ("usr/lib/*/systemd/libsystemd-shared-*.so", "usr/lib/systemd/libsystemd-shared-*.so"):
        for file in rootfs.glob(pattern):
            found = re.match(r"libsystemd-shared-(\d+)", file.name)
            if found:
                return int(found.group(1))
    return None
