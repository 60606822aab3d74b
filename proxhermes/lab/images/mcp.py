"""Pythons with the real MCP SDK for the node's MCP servers, apart from the product's own, which has no need of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources

VERSIONS: Final = {1: "1.26.0", 2: "2.2.0"}
"""By generation, what Hermes has on the other side: 0.19 the first, 0.22 the second."""
SERVERS = Path(__file__).parent.parent / "mocks" / "mcp"


def python(cache: Cache, generation: int) -> Path:
    """The interpreter that has it."""
    return _folder(cache, generation) / "bin" / "python"


def _folder(cache: Cache, generation: int) -> Path:
    return cache.root / f"mcp-{generation}"


def build(cache: Cache, progress: Progress) -> None:
    """Make the environments that are missing (ten seconds each)."""
    for generation, version in VERSIONS.items():
        _build(cache, generation, version, progress)


def _build(cache: Cache, generation: int, version: str, progress: Progress) -> None:
    def make(bench: Workbench) -> Path:
        progress(f"MCP servers: installing the SDK {version}")
        made = bench.scratch / "environment"
        bench.run([sys.executable, "-m", "venv", made])
        bench.run([made / "bin/python", "-m", "pip", "install", "-q", f"mcp=={version}"])
        return made

    recipe = [version, sources(__file__), sys.version]
    cache.ensure(f"mcp-{generation}", _folder(cache, generation), recipe, make, progress)
