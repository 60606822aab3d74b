"""The guest template `debian-13-docker`: Docker is there already, as on a container that was set up before.

For the stories whose subject is what comes after Docker's installation, which costs each container half a minute of
a processor. Docker's data is empty; images come from the registry as everywhere.
"""

from __future__ import annotations

from pathlib import Path

from proxhermes.lab.images import rootfs, template
from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources

NAME = f"debian-13-docker_{template.NAME.partition('_')[2]}"

PACKAGES = ("docker.io", "docker-cli", "docker-compose", "apparmor", "ca-certificates", "curl")

_POLICY = "usr/sbin/policy-rc.d"


def recipe() -> list[object]:
    """What the template depends on."""
    return [template.recipe(), sources(__file__)]


def build(cache: Cache, progress: Progress) -> Path:
    """The template's path, built if needed (about half a minute on top of the guest template)."""

    def make(bench: Workbench) -> Path:
        root = rootfs.unpack(bench, template.build(cache, progress), bench.scratch / "root")
        progress("Docker template: packages")
        # Debian's own switch (invoke-rc.d(8)): a service that is installed here must not start on this machine.
        rootfs.write(root, _POLICY, "#!/bin/sh\nexit 101\n", mode=0o755)
        rootfs.apt_install(bench, root, PACKAGES)
        (root / _POLICY).unlink()
        progress("Docker template: packing")
        return rootfs.pack(bench, root, bench.scratch / NAME)

    return cache.ensure("docker", cache.templates / NAME, recipe(), make, progress)
