"""What the node has to know to run one of its services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Service:
    """A program in the foreground: files to write first, the command, and the address that answers once it is ready.

    `ready_url` answers any HTTP status below 500 when the service is up.
    """

    name: str
    argv: tuple[str, ...]
    ready_url: str
    files: Mapping[Path, str] = field(default_factory=dict)
