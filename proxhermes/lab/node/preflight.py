"""What the machine must be and have before a lab can stand on it; missing Debian packages are installed by name."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from proxhermes.lab.node.locks import locked
from proxhermes.lab.node.paths import RUN_ROOT
from proxhermes.lab.node.process import LabError, run

PACKAGES = (
    "lxc", "uidmap", "debootstrap", "openssh-server", "iproute2", "iptables", "dnsmasq-base", "docker-registry",
    "skopeo", "zstd", "patchelf", "e2fsprogs", "util-linux", "openssl", "ca-certificates",
    "age", "curl", "git",  # what the stories' operators use: on the workstation, and on the node to see who answers
)  # fmt: skip
KERNEL_NEEDS = ("overlay", "ext4")
_POLICY = Path("/usr/sbin/policy-rc.d")
# Debian's own switch (invoke-rc.d(8)): the lab runs these programs itself, the machine need not.
_POLICY_TEXT = "#!/bin/sh\n# Written by `proxhermes lab up` for one apt-get call.\nexit 101\n"


def check(say: Callable[[str], None]) -> None:
    """Install what is missing, saying so. LabError listing all that stands in the way of a lab."""
    problems = []
    if platform.system() != "Linux" or not Path("/etc/debian_version").exists():
        problems.append(
            "a Debian machine (12 or later): its packages, its LXC and its kernel are what the node is made of"
        )
    if os.geteuid() != 0:
        problems.append("root: namespaces, mounts and containers are the kernel's to give (sudo proxhermes lab up)")
    if problems:
        raise LabError("the lab needs " + "; and ".join(problems))
    install_missing(say)
    for name in KERNEL_NEEDS:
        require_file_system(name)
    if not Path("/dev/loop-control").exists():
        run(["modprobe", "loop"])


def missing_packages() -> list[str]:
    """Those of PACKAGES that are not installed."""
    said = run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES], check=False).stdout
    installed = {line.split()[0] for line in said.splitlines() if line.endswith(" installed")}
    return [name for name in PACKAGES if name not in installed]


def install_missing(say: Callable[[str], None]) -> None:
    """apt-get what is missing, without starting its services on the machine."""
    remove_stale_policy()
    if not missing_packages():
        return
    with _installing():
        if missing := missing_packages():  # another command may have had the same in mind
            _install(missing, say)


def remove_stale_policy() -> None:
    """Remove the switch below when an installation that was killed has left it: it would stop other services too."""
    if _POLICY.exists() and _POLICY.read_text() == _POLICY_TEXT:
        with _installing():
            _POLICY.unlink(missing_ok=True)


def _installing() -> AbstractContextManager[None]:
    """One installation at a time."""
    return locked(RUN_ROOT / "packages.lock")


def _install(missing: Sequence[str], say: Callable[[str], None]) -> None:
    say(f"installing Debian packages: {' '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    mine = not _POLICY.exists()
    if mine:
        _POLICY.write_text(_POLICY_TEXT)
        _POLICY.chmod(0o755)
    try:
        run(["apt-get", "update", "-q"], env=environment, timeout=300)
        run(["apt-get", "install", "-qy", "--no-install-recommends", *missing], env=environment, timeout=900)
    finally:
        if mine:
            _POLICY.unlink(missing_ok=True)


def require_file_system(name: str) -> None:
    """LabError when the kernel neither has the file system nor can load it."""

    def known() -> bool:
        return name in Path("/proc/filesystems").read_text().split()

    if not known() and shutil.which("modprobe"):
        run(["modprobe", name], check=False)
    if not known():
        raise LabError(f"the lab needs a kernel with {name}; /proc/filesystems does not have it")
