"""What guests download from elsewhere in real life, for the node's server of downloads: a Python for any Linux.

A guest has it at `http://10.1.10.1:8083/cpython-3.14-x86_64-unknown-linux-gnu-install_only.tar.gz`; a story takes its
hash from the file in the cache (`downloads.python(Cache())`).
"""

from __future__ import annotations

from pathlib import Path

from proxhermes.lab.images import standalone
from proxhermes.lab.images.cache import Cache, Progress, Workbench


def folder(cache: Cache) -> Path:
    """What is served."""
    return cache.root / "downloads"


def python(cache: Cache) -> Path:
    """The archive."""
    return folder(cache) / standalone.NAME


def build(cache: Cache, progress: Progress) -> None:
    """Put the archive there, built if needed."""
    archive = standalone.build(cache, progress)

    def make(bench: Workbench) -> Path:
        made = bench.scratch / archive.name
        made.hardlink_to(archive)
        return made

    cache.ensure("downloads", python(cache), standalone.recipe(), make, progress)
