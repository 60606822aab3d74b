"""The common ground of every guest and image: a minimal Debian that trusts and fetches what this machine does."""

from __future__ import annotations

import os
from pathlib import Path

from proxhermes.lab.images import rootfs
from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources
from proxhermes.lab.images.host import debian_mirror, extra_authorities

PACKAGES = ("ca-certificates",)
#: debootstrap's scripts: one for every release since 2014, under the name of the one that this machine's has for sure.
SCRIPTS = Path("/usr/share/debootstrap/scripts")

# Thousands of small synced files are what makes dpkg slow on a loop-mounted disk, and nobody reads manuals in the lab.
DPKG_CONFIG = """\
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-include=/usr/share/locale/locale.alias
"""
APT_CONFIG = 'Acquire::Languages "none";\n'


def recipe(suite: str = rootfs.STABLE) -> list[object]:
    """What the base depends on."""
    mirror = debian_mirror()
    return [suite, mirror.main, mirror.security, extra_authorities(), sources(__file__, rootfs.__file__)]


def build(cache: Cache, progress: Progress, suite: str = rootfs.STABLE) -> Path:
    """The base as `.tar.zst`, built if needed (about 25 s)."""
    name = "base" if suite == rootfs.STABLE else f"base-{suite}"

    def make(bench: Workbench) -> Path:
        progress(f"Debian {suite}: debootstrap")
        mirror = debian_mirror()
        root = bench.scratch / "root"
        downloads = cache.root / "debs"
        downloads.mkdir(exist_ok=True)
        bench.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", f"--cache-dir={downloads}",
             suite, root, mirror.main, SCRIPTS / "sid"],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
        rootfs.write(root, "/etc/dpkg/dpkg.cfg.d/lab", DPKG_CONFIG)
        rootfs.write(root, "/etc/apt/apt.conf.d/90lab", APT_CONFIG)
        rootfs.add_sources(root, mirror, suite)
        rootfs.add_authorities(bench, root)
        excluded = ("usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*")
        return rootfs.pack(bench, root, bench.scratch / f"{name}.tar.zst", exclude=excluded)

    return cache.ensure(name, cache.root / f"{name}.tar.zst", recipe(suite), make, progress)
