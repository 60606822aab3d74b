"""What a check is and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from proxhermes.plan.model import Layer

if TYPE_CHECKING:
    from proxhermes.verify.scene import Scene


LONGEST: Final = 2000
"""Characters of an evidence, or a hint."""


class Verdict(StrEnum):
    """pass: as wanted; warn: works, but look at it; fail: does not; skip: could not be asked, the evidence says why."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found: the verdict, what was seen, and for a bad verdict what to do about it."""

    verdict: Verdict
    evidence: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One question about an agent.

    id: stable and unique, `LAYER.SUBJECT`, for --only and --skip; look: answers it, from what the scene observed.
    A look may raise a ProxhermesError: the check has then failed, with that message as its evidence.
    """

    id: str
    layer: Layer
    question: str
    look: Callable[[Scene], Finding]


@dataclass(frozen=True, slots=True)
class Result:
    """A check and what it found, with the time it took in seconds."""

    check: Check
    finding: Finding
    seconds: float

    @property
    def failed(self) -> bool:
        return self.finding.verdict is Verdict.FAIL


@dataclass(frozen=True, slots=True)
class Report:
    """All results for one agent, in the order in which they were found. hermes_version: None if it was not asked."""

    vmid: int
    hostname: str
    results: tuple[Result, ...]
    hermes_version: str | None = None

    @property
    def ok(self) -> bool:
        return not any(result.failed for result in self.results)

    def count(self, verdict: Verdict) -> int:
        return sum(result.finding.verdict is verdict for result in self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)


def passed(evidence: str) -> Finding:
    return Finding(Verdict.PASS, line(evidence))


def warned(evidence: str, hint: str | None = None) -> Finding:
    return Finding(Verdict.WARN, line(evidence), hint and line(hint))


def failed(evidence: str, hint: str | None = None) -> Finding:
    return Finding(Verdict.FAIL, line(evidence), hint and line(hint))


def skipped(evidence: str) -> Finding:
    return Finding(Verdict.SKIP, line(evidence))


def line(text: str) -> str:
    """One line of bounded length: much of it was said by a guest, which may want to write lines of ours."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def hindered(scene: Scene, check_id: str, why: str) -> Finding:
    """What `check_id` failed for is told there; where that one is not asked, it is told here."""
    return skipped(f"{why}: see {check_id}") if scene.wants(check_id) else failed(why)
