"""What download.proxmox.com is to a real node: the index of the templates that the node's appliance server has."""

from __future__ import annotations

import hashlib
from pathlib import Path

from proxhermes.lab.images import template
from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources
from proxhermes.lab.pve.download import INDEX_FILE


def build_index(cache: Cache, progress: Progress) -> Path:
    """The index beside the templates, for exactly the template that lies there."""
    archive = cache.templates / template.NAME
    stat = archive.stat()

    def make(bench: Workbench) -> Path:
        made = bench.scratch / INDEX_FILE
        made.write_text(entry(archive))
        return made

    recipe = [sources(__file__), archive.name, stat.st_size, stat.st_mtime_ns]
    return cache.ensure("appliance-index", cache.templates / INDEX_FILE, recipe, make, progress)


def entry(archive: Path) -> str:
    """What the index says of one template."""
    package, version, _ = archive.name.split("_")
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha512").hexdigest()
    return (
        f"Package: {package}\nVersion: {version}\nType: lxc\nOS: debian-13\nSection: system\nArchitecture: amd64\n"
        f"Maintainer: proxhermes lab\nLocation: {archive.name}\nsha512sum: {digest}\n"
        "Infopage: https://pve.proxmox.com/wiki/Linux_Container#pct_supported_distributions\n"
        "Description: Debian 13 Trixie (standard)\n A small Debian Trixie system including all standard packages.\n"
    )
