"""A Python with the real MCP SDK for the node's MCP servers, apart from the product's own, which has no need of it."""

from __future__ import annotations

import sys
from pathlib import Path

from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources

NAME = "mcp"
REQUIREMENTS = ("mcp==1.26.0",)
"""The version that Hermes 0.19 has on the other side."""
SERVERS = Path(__file__).parent.parent / "mocks" / "mcp"


def python(cache: Cache) -> Path:
    """Its interpreter."""
    return cache.root / NAME / "bin" / "python"


def recipe() -> list[object]:
    """What it depends on."""
    return [sources(__file__), sys.version]


def build(cache: Cache, progress: Progress) -> Path:
    """The environment's folder, made if needed (ten seconds)."""

    def make(bench: Workbench) -> Path:
        progress("MCP servers: installing the SDK")
        made = bench.scratch / NAME
        bench.run([sys.executable, "-m", "venv", made])
        bench.run([made / "bin/python", "-m", "pip", "install", "-q", *REQUIREMENTS])
        return made

    return cache.ensure(NAME, cache.root / NAME, recipe(), make, progress)
