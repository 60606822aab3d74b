"""What is to be done about the engine in the guest, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from proxhermes.facts.guest import Docker
from proxhermes.plan.model import Change, Door, Effect, Layer, pending


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """What is to be done. files: name in the bundle -> new content; notes: what is left alone, and traps ahead."""

    changes: tuple[Change, ...] = ()
    source: Literal["none", "distro", "docker-ce"] = "none"
    packages: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def needed(self) -> bool:
        return bool(pending(self.changes))


def change(subject: str, before: str | None, after: str | None, effect: Effect, blocked: str | None = None) -> Change:
    """A change of the engine's layer."""
    return Change(Layer.ENGINE, Door.GUEST, subject, before, after, effect, blocked=blocked)


def silent(engine: Docker) -> str:
    """That it does not answer, and what it or its client said instead."""
    return f"does not answer: {engine.error}" if engine.error else "does not answer"


def newer_than(version: str, first: float) -> bool:
    """Whether a distribution's release is `first` or later. Testing and unstable have no number, and are newer."""
    try:
        return float(version) >= first
    except ValueError:
        return True
