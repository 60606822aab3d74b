"""What a plan is made of: the differences between what is wanted and what is, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Layer(StrEnum):
    """From the outside in. `create` is the first two, `bootstrap` the last two."""

    CONTAINER = "container"
    HOST = "host"
    ENGINE = "engine"
    HERMES = "hermes"


class Door(StrEnum):
    """The way by which a difference is closed."""

    TOKEN = "token"  # noqa: S105 - a door's name, no secret
    ROOT = "root"
    GUEST = "guest"


class Effect(IntEnum):
    """What closing a difference does to something that runs; ordered by how much it disturbs."""

    NONE = 0
    RESTART_SERVICE = 1
    RECREATE_SERVICE = 2
    REBOOT_CONTAINER = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what is wanted and what is, and the door through which it is closed.

    before and after are texts for a human (a secret's value is never one of them); None: absent.
    command: the masked command or API call that closes it, where one line says it (always for Door.ROOT).
    blocked: why it is left alone ("a disk cannot shrink"), None when it is going to be closed.
    """

    layer: Layer
    door: Door
    subject: str  # "mp0", "features", "config.yaml: model.base_url"
    before: str | None
    after: str | None
    effect: Effect = Effect.NONE
    command: str | None = None
    blocked: str | None = None

    def __str__(self) -> str:
        """The change as one line, with its door, and with the command where root's shell is the door."""
        before, after = (_one_line(text) if text else "–" for text in (self.before, self.after))
        text = f"[{self.door.value}] {self.subject}: {before} → {after}"
        command = self.command if self.door is Door.ROOT else None
        return text + (f"   # {command}" if command and command not in text else "")


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def pending(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Those changes that are going to be carried out."""
    return tuple(change for change in changes if change.blocked is None)


def worst(changes: Iterable[Change]) -> Effect:
    """The strongest effect among changes that are carried out; NONE for none."""
    return max((change.effect for change in pending(changes)), default=Effect.NONE)
