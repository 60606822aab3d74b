"""Plain images, as a public registry has them: what an agent that installs its own tools starts from.

Debian and Ubuntu from their own archives, as small as the official ones: no certificates, no sudo, no Python. And one
with nothing but busybox, for what is different where no apt is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxhermes.lab.images import base, oci, rootfs
from proxhermes.lab.images.cache import BuildError, Cache, Progress, Workbench, sources
from proxhermes.lab.images.host import debian_mirror
from proxhermes.lab.images.push import push

#: Note in the registry's storage that the push is done.
PUSHED = "plain-pushed.json"
CREATED = "2026-07-20T00:00:00Z"

UBUNTU = "http://archive.ubuntu.com/ubuntu"
#: Ubuntu's keys, which this machine's Debian may not have: one package of theirs, held against its published hash.
UBUNTU_KEYS = f"{UBUNTU}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
UBUNTU_KEYS_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"
_KEYRING = "usr/share/keyrings/ubuntu-archive-keyring.gpg"

_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNWANTED = [f"./{name}/*" for name in ("dev", "proc", "run", "sys", "tmp")]
#: What a busybox of Alpine's has, and neither useradd nor a setpriv that changes the user.
APPLETS = (
    "sh", "ash", "cat", "cp", "mv", "rm", "ln", "ls", "mkdir", "chmod", "chown", "stat", "id", "env", "grep", "sed",
    "cut", "head", "tail", "tr", "sort", "find", "touch", "date", "sleep", "ps", "kill", "true", "false", "test", "[",
    "printf", "echo", "readlink", "realpath", "dirname", "basename", "adduser", "addgroup", "su", "hostname",
    "sha256sum", "mount", "wc", "xargs", "awk", "which", "whoami", "sync", "timeout", "dd", "mktemp", "setpriv",
    "wget",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plain:
    """One image: its repository and tag, and how its root file system is made."""

    repository: str
    tag: str
    make: Callable[[Workbench, Cache, Path], None]


def _debian(suite: str) -> Callable[[Workbench, Cache, Path], None]:
    def make(bench: Workbench, cache: Cache, root: Path) -> None:
        mirror = debian_mirror()
        _debootstrap(bench, cache, root, suite, mirror.main)
        keyring = "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        rootfs.write(
            root,
            "/etc/apt/sources.list.d/debian.sources",
            f"Types: deb\nURIs: {mirror.main}\nSuites: {suite} {suite}-updates\nComponents: main\n{keyring}\n\n"
            f"Types: deb\nURIs: {mirror.security}\nSuites: {suite}-security\nComponents: main\n{keyring}\n",
        )

    return make


def _ubuntu(suite: str) -> Callable[[Workbench, Cache, Path], None]:
    def make(bench: Workbench, cache: Cache, root: Path) -> None:
        # Every release of theirs is made by the same script, which this machine has for the old ones at least.
        _debootstrap(bench, cache, root, suite, UBUNTU, f"--keyring={_ubuntu_keyring(bench)}", script="gutsy")
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        rootfs.write(
            root,
            "/etc/apt/sources.list.d/ubuntu.sources",
            f"Types: deb\nURIs: {UBUNTU}\nSuites: {suite} {suite}-updates {suite}-security\n"
            f"Components: main universe\nSigned-By: /{_KEYRING}\n",
        )
        # As the official image has it: a user with the number that elsewhere is the first one's.
        rootfs.enter(bench, root, ["useradd", "--uid", "1000", "--create-home", "--shell", "/bin/bash", "ubuntu"])

    return make


def _busybox(bench: Workbench, cache: Cache, root: Path) -> None:
    package = bench.scratch / "busybox"
    package.mkdir()
    bench.run(["apt-get", "download", "-q", "busybox-static"], cwd=package)
    bench.run(["dpkg-deb", "-x", next(package.glob("*.deb")), package / "files"])
    for name in ("bin", "etc", "root", "tmp", "var", "usr/bin", "home"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy2(package / "files/bin/busybox", root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    rootfs.write(root, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    rootfs.write(root, "/etc/group", "root:x:0:\nusers:x:100:\n")
    rootfs.write(root, "/etc/shadow", "root:*::0:::::\n", mode=0o640)
    rootfs.write(root, "/etc/os-release", 'ID=busybox\nPRETTY_NAME="busybox, and nothing else"\n')


IMAGES: Final = (
    Plain("library/debian", "13", _debian("trixie")),
    Plain("library/debian", "12", _debian("bookworm")),
    Plain("library/ubuntu", "24.04", _ubuntu("noble")),
    Plain("library/busybox", "1.35", _busybox),
)


def recipe() -> list[object]:
    """What the images depend on."""
    mirror = debian_mirror()
    return [mirror.main, mirror.security, base.DPKG_CONFIG, sources(__file__, oci.__file__)]


def build(cache: Cache, progress: Progress) -> Path:
    """Build what is missing and push it into the registry's storage; returns that storage's folder (about 90 s)."""

    def make(bench: Workbench) -> Path:
        for image in IMAGES:
            progress(f"plain image {image.repository}:{image.tag}")
            _push(bench, cache, image)
        done = bench.scratch / PUSHED
        done.write_text(json.dumps([f"{image.repository}:{image.tag}" for image in IMAGES]) + "\n")
        return done

    cache.ensure("plain-images", cache.registry / PUSHED, recipe(), make, progress)
    return cache.registry


def _push(bench: Workbench, cache: Cache, image: Plain) -> None:
    folder = bench.scratch / f"{image.repository.replace('/', '-')}-{image.tag}"
    root = folder / "root"
    root.mkdir(parents=True)
    image.make(bench, cache, root)
    rootfs.tidy(root)
    layer = oci.pack_layer(bench, root, folder / "layer", ["."], _UNWANTED)
    layout = oci.Layout(folder / "layout")
    layout.add_image(image.tag, [layer], {"Env": [_PATH], "Cmd": ["/bin/sh"]}, CREATED)
    push(bench, cache.registry, folder / "layout", image.repository, [image.tag])
    shutil.rmtree(root)


def _debootstrap(
    bench: Workbench, cache: Cache, root: Path, suite: str, mirror: str, *options: str, script: str | None = None
) -> None:
    downloads = cache.root / "debs"
    downloads.mkdir(exist_ok=True)
    scripts = [f"/usr/share/debootstrap/scripts/{script}"] if script else []
    bench.run(
        ["debootstrap", "--variant=minbase", f"--cache-dir={downloads}", *options, suite, root, mirror, *scripts],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    rootfs.write(root, "/etc/dpkg/dpkg.cfg.d/lab", base.DPKG_CONFIG)
    for folder in ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale"):
        shutil.rmtree(root / folder, ignore_errors=True)


def _ubuntu_keyring(bench: Workbench) -> Path:
    with urllib.request.urlopen(UBUNTU_KEYS, timeout=60) as answer:  # noqa: S310 — a fixed address, held against a hash
        package: bytes = answer.read()
    if hashlib.sha256(package).hexdigest() != UBUNTU_KEYS_SHA256:
        raise BuildError(f"{UBUNTU_KEYS} is not the package that was meant")
    archive = bench.scratch / "ubuntu-keyring.deb"
    archive.write_bytes(package)
    bench.run(["dpkg-deb", "-x", archive, bench.scratch / "ubuntu-keyring"])
    return bench.scratch / "ubuntu-keyring" / _KEYRING
