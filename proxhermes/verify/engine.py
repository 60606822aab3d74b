"""Does the container engine work in the guest?"""

from __future__ import annotations

from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime
from proxhermes.plan.model import Layer
from proxhermes.verify.model import Check, Finding, failed, passed, skipped, warned
from proxhermes.verify.scene import Scene


def _engine(agent: Agent) -> str | None:
    return None if isinstance(agent.runtime, NativeRuntime) else agent.runtime.engine


def _up(scene: Scene) -> Finding:
    engine = _engine(scene.agent)
    if engine is None:
        return skipped("the native runtime has none")
    answer = scene.guest.answer("engine")
    version = answer.out.split("|")[0]
    if not answer.ok or not version:
        log = "journalctl -u docker" if engine == "docker" else "podman info"
        return failed(
            f"{engine} does not answer: {answer.last_words}",
            f"proxhermes bootstrap {scene.agent.vmid}; in the guest: {log}",
        )
    compose = scene.guest.answer("compose")
    if not compose.ok:
        return failed(
            f"{engine.capitalize()} {version}, but no compose: {compose.last_words}",
            "proxhermes bootstrap installs it",
        )
    return passed(f"{engine.capitalize()} {version}, compose {compose.out}")


def _driver(scene: Scene) -> Finding:
    engine = _engine(scene.agent)
    if engine is None:
        return skipped("the native runtime has no engine")
    answer = scene.guest.answer("engine")
    _, driver, cgroup = [*answer.out.split("|"), "", "", ""][:3]
    if not answer.ok or not driver:
        return failed(f"{engine} does not answer: {answer.last_words}")
    if driver == "vfs":
        return failed(
            "storage driver vfs: every layer is a full copy, the disk will fill",
            "the root disk's file system has no overlay for unprivileged containers: "
            "ZFS needs 2.2 or newer, or use a root disk on LVM-thin or a directory",
        )
    # Docker's names, and Podman's, which calls its own `overlay`.
    if driver not in ("overlay2", "overlayfs", "overlay", "btrfs", "zfs", "fuse-overlayfs"):
        return warned(f"unusual storage driver {driver}")
    return passed(f"storage driver {driver}, cgroup v{cgroup}")


CHECKS = (
    Check("engine.docker", Layer.ENGINE, "Do Docker (or Podman) and compose answer?", _up),
    Check("engine.storage-driver", Layer.ENGINE, "Is the storage driver a good one?", _driver),
)
