"""Mistakes in the inventory: where each stands, what is wrong, and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from proxhermes.errors import UsageError


def render_path(path: Sequence[str | int]) -> str:
    """`("agents", "118", "mounts", 0, "guest")` as `agents.118.mounts[0].guest`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. `line` and `column` count from 1; both are 0 where no place in the file can be named."""

    file: str
    line: int
    column: int
    path: str
    message: str
    allowed: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        path = f"{self.path}: " if self.path else ""
        allowed = f"\n    allowed: {self.allowed}" if self.allowed else ""
        return f"{place}: {path}{self.message}{allowed}"

    def as_json(self) -> dict[str, Any]:
        """The mistake for a program to read."""
        return asdict(self)


class InventoryError(UsageError):
    """An inventory that cannot be used, with all its mistakes. Exit code 2."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        count = f"{len(self.problems)} mistakes" if len(self.problems) > 1 else "a mistake"
        super().__init__("\n".join([f"the inventory {path} has {count}:", *map(str, self.problems)]))
