"""Chooses the checks, asks each one, tells what it found as it finds it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from difflib import get_close_matches

from proxhermes.errors import Interrupted, ProxhermesError, UsageError
from proxhermes.events import Events, Kind
from proxhermes.verify.model import Check, Finding, Report, Result, Verdict, failed, skipped
from proxhermes.verify.scene import Scene


def select(checks: Sequence[Check], only: Sequence[str], skip: Sequence[str]) -> tuple[Check, ...]:
    """The checks that are asked for. An id or a layer names them; an unknown one raises UsageError."""
    known = {check.id for check in checks} | {check.layer.value for check in checks}
    for name in (*only, *skip):
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise UsageError(
                f"no check {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
                hint="the ids are: " + ", ".join(check.id for check in checks),
            )

    def named(check: Check, names: Sequence[str]) -> bool:
        return check.id in names or check.layer.value in names

    return tuple(check for check in checks if (not only or named(check, only)) and not named(check, skip))


def run_checks(scene: Scene, checks: Sequence[Check], events: Events) -> Report:
    """Ask every check in order; a check that cannot look has failed, and the next one is still asked.

    What hinders several checks at once (no token, no container) is the first one's failure; the others are skipped.
    """
    results = []
    told: dict[str, str] = {}
    for check in checks:
        began = time.monotonic()
        finding = _look(check, scene, told)
        result = Result(check, finding, time.monotonic() - began)
        results.append(result)
        events.emit(
            Kind.CHECK,
            f"{check.id}: {finding.evidence}" + _advice(finding),
            verdict=finding.verdict.value,
            id=check.id,
            seconds=result.seconds,
        )
    return Report(scene.agent.vmid, scene.agent.hostname, tuple(results), scene.hermes_version)


def _look(check: Check, scene: Scene, told: dict[str, str]) -> Finding:
    """The check's finding. `told`: what has hindered a check already, and which one."""
    try:
        return check.look(scene)
    except (Interrupted, UsageError):
        raise  # it was not asked, which is no answer; a secret that is missing here says nothing of the agent
    except ProxhermesError as error:
        if error.message in told:
            return skipped(f"could not be asked, for the same reason as {told[error.message]}")
        told[error.message] = check.id
        tail = f" | {error.log[-1]}" if error.log else ""
        return failed(f"could not be asked: {error.message}{tail}", error.hint)


def _advice(finding: Finding) -> str:
    bad = finding.verdict in (Verdict.FAIL, Verdict.WARN)
    return f"\n      → {finding.hint}" if bad and finding.hint else ""
