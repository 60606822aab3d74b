"""What is done with Hermes' own command in the agent's place, as a file for `host_scripts/agent-steps.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

NEW: Final = "@"
"""Stands in a command for the id of the job that the command before it has made."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is done for one of them. id: None for what is made; declared: None for what is not ours any more.

    commands: arguments of `hermes`, one list a command; none for what is only to be remembered. replaces: the id of the
    job that it is made in the place of. undo: what puts back what was there, if a command fails after that has gone.
    """

    name: str
    id: str | None
    declared: Mapping[str, Any] | None
    commands: tuple[tuple[str, ...], ...] = ()
    replaces: str | None = None
    undo: Step | None = None


def bundle(kind: Literal["crons", "hub"], fields: Sequence[str], steps: Sequence[Step]) -> dict[str, bytes]:
    """The file with the steps; none where there is nothing to do. fields: of what Hermes has that are remembered."""
    if not steps:
        return {}
    told = {"kind": kind, "fields": fields, "steps": [asdict(step) for step in steps]}
    return {f"{kind}.json": json.dumps(told).encode()}
