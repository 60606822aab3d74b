"""Skills from git as the guest has fetched them (`host_scripts/guest-skills.sh`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SIGN: Final = "skill."
"""What every line of it begins with, and none of another fact."""
_FILE: Final = re.compile(r"([0-7]{3,4}) (\d{1,9}) ([0-9a-f]{64})")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that was fetched: its mode, its size in bytes, its sha256."""

    mode: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A skill. commit: the one that is there, from the repository and folder that the inventory names; meant: what its
    `ref` stands for now, where the repository had to be asked; error: why that is not known. files: by path."""

    commit: str | None = None
    meant: str | None = None
    error: str = ""
    files: Mapping[str, Blob] = field(default_factory=dict)


def parse(output: str) -> dict[str, Fetched]:
    """What the script printed, by the skills' names; lines of other facts are passed over."""
    told: dict[str, dict[str, str]] = {}
    files: dict[str, dict[str, Blob]] = {}
    for line in output.split("\n"):  # and at nothing else that ends a line: a path may hold that
        if not line.startswith(SIGN):
            continue
        name, _, rest = line.removeprefix(SIGN).partition(".")
        key, _, value = rest.rpartition("=") if rest.startswith("file/") else rest.partition("=")
        if not key.startswith("file/"):
            told.setdefault(name, {})[key] = value
        elif found := _FILE.fullmatch(value):
            files.setdefault(name, {})[key.removeprefix("file/")] = Blob(int(found[1], 8), int(found[2]), found[3])
    return {name: _fetched(said, files.get(name, {})) for name, said in told.items()}


def _fetched(said: Mapping[str, str], files: Mapping[str, Blob]) -> Fetched:
    commit, meant = (
        value if _COMMIT.fullmatch(value) else None for value in map(said.get, ("commit", "meant"), ("", ""))
    )
    return Fetched(commit, meant, " ".join(said.get("error", "").split()), files if commit else {})
