"""Does Docker work in the guest?"""

from __future__ import annotations

from proxhermes.plan.model import Layer
from proxhermes.verify.model import Check, Finding, failed, passed, warned
from proxhermes.verify.scene import Scene


def _up(scene: Scene) -> Finding:
    answer = scene.guest.answer("docker")
    version = answer.out.split("|")[0]
    if not answer.ok or not version:
        return failed(
            f"docker does not answer: {answer.last_words}",
            f"proxhermes bootstrap {scene.agent.vmid}; in the guest: journalctl -u docker",
        )
    compose = scene.guest.answer("compose")
    if not compose.ok:
        return failed(f"Docker {version}, but no compose: {compose.last_words}", "proxhermes bootstrap installs it")
    return passed(f"Docker {version}, compose {compose.out}")


def _driver(scene: Scene) -> Finding:
    answer = scene.guest.answer("docker")
    _, driver, cgroup = [*answer.out.split("|"), "", "", ""][:3]
    if not answer.ok or not driver:
        return failed(f"docker does not answer: {answer.last_words}")
    if driver == "vfs":
        return failed(
            "storage driver vfs: every layer is a full copy, the disk will fill",
            "the root disk's file system has no overlay for unprivileged containers: "
            "ZFS needs 2.2 or newer, or use a root disk on LVM-thin or a directory",
        )
    if driver not in ("overlay2", "overlayfs", "btrfs", "zfs", "fuse-overlayfs"):
        return warned(f"unusual storage driver {driver}")
    return passed(f"storage driver {driver}, cgroup v{cgroup}")


CHECKS = (
    Check("engine.docker", Layer.ENGINE, "Do Docker and compose answer?", _up),
    Check("engine.storage-driver", Layer.ENGINE, "Is the storage driver a good one?", _driver),
)
