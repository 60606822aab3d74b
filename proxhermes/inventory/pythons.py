"""Pythons that can be downloaded for the agent's code: builds that run on any Linux, each pinned by its hash.

They are what uv calls its managed Pythons, and the official image of Hermes has one, too: github.com/astral-sh/
python-build-standalone, release 20261021, `install_only_stripped`. The hashes are those of its release page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SOURCE: Final = "https://github.com/astral-sh/python-build-standalone/releases/download"
"""What a mirror takes the place of; below it are RELEASE/FILE, as below uv's `UV_PYTHON_INSTALL_MIRROR`."""
RELEASE: Final = "20261021"
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's name of an architecture -> that of the builds."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build for one architecture. version: as in 3.14.9; path: below SOURCE or a mirror; sha256: in hex."""

    version: str
    path: str
    sha256: str

    @property
    def minor(self) -> str:
        """Its version without the last number: `3.14`."""
        return self.version.rpartition(".")[0]


def _build(version: str, architecture: str, sha256: str) -> Build:
    name = f"cpython-{version}+{RELEASE}-{_MACHINES[architecture]}-unknown-linux-gnu-install_only_stripped.tar.gz"
    return Build(version, f"{RELEASE}/{name}", sha256)


_PINNED: Final = {
    ("3.11.17", "amd64"): "224ca8be2d28841e7a382a27c51e74f4ed0aabe249a79294684e782363165948",
    ("3.11.17", "arm64"): "a2364356a17f63de74120a55d5af1f8ae56b8e700c9d43f478ba90e2f543f3a6",
    ("3.12.15", "amd64"): "6d7521138fd33afddc1ccd08abb007d9a2829e38117c2576f9efdc0ec73ce772",
    ("3.12.15", "arm64"): "b4567aa5a11f51b540c4dfd9e082ebf23e554f8ac17b85caa6cea23e83693394",
    ("3.13.17", "amd64"): "f829adc9d888e76c8801b4799ed444188d35239fcae3a9808a99ec5cb0d8d92c",
    ("3.13.17", "arm64"): "c6857c65b996701a5da104cbb49b35249c0c026dc0664239b04f7156aa88326a",
    ("3.14.9", "amd64"): "561e91c1cadf30e84aec94d1917384ae3267e5f3e6e135e51fd1578bb19f4064",
    ("3.14.9", "arm64"): "6f77731d85a14ed848dd4041478cd3ed511523caa3d896b84b436a7edf13cf62",
}
BUILDS: Final = {
    (build.minor, architecture): build
    for (version, architecture), sha256 in _PINNED.items()
    for build in (_build(version, architecture, sha256),)
}
"""By version without its last number, and Debian's name of the architecture."""
MINORS: Final = tuple(dict.fromkeys(minor for minor, _ in BUILDS))
"""Oldest first."""
