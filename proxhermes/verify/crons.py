"""Does the gateway have the declared jobs, and will it do them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxhermes.hermes import crons
from proxhermes.plan.model import Layer
from proxhermes.verify import homes
from proxhermes.verify.model import Check, Finding, failed, passed, skipped, warned

if TYPE_CHECKING:
    from proxhermes.verify.homes import Home
    from proxhermes.verify.scene import Scene


def _crons(scene: Scene) -> Finding:
    jobs = Jobs([], [], [])
    for home in homes.of(scene):
        if wanted := crons.declared(home.agent):
            _compare(home, wanted, jobs)
    evidence = "; ".join((*jobs.wrong, *jobs.ailing, *jobs.told))
    if jobs.wrong:
        return failed("; ".join(jobs.wrong), f"proxhermes up {scene.agent.vmid}")
    if jobs.ailing:
        return warned(evidence, "look into cron/output in the agent's home")
    return passed(evidence) if jobs.told else skipped("the inventory has no cron jobs")


@dataclass(frozen=True, slots=True)
class Jobs:
    """A sentence for each job: those that are not as they should be, whose last run failed, and the others."""

    wrong: list[str]
    ailing: list[str]
    told: list[str]


def _compare(home: Home, wanted: Mapping[str, crons.Definition], jobs: Jobs) -> None:
    if isinstance(home.jobs, str):
        jobs.wrong.append(home.named(f"the gateway does not tell its jobs: {home.jobs}"))
        return
    memory, known = crons.read_memory(home.crons), {job.id: job for job in crons.jobs(home.jobs)}
    for name, definition in wanted.items():
        given = memory.get(name)
        job = known.get(given.id) if given else None
        if job is None:
            jobs.wrong.append(home.named(f"{name}: the gateway does not have it"))
        elif fields := crons.differing(definition, job, given):
            jobs.wrong.append(home.named(f"{name}: not as declared: {', '.join(fields)}"))
        elif definition["enabled"] and not job.record.get("next_run_at"):
            jobs.wrong.append(home.named(f"{name}: the gateway does not know when it is next"))
        elif trouble := _trouble(job.record):
            jobs.ailing.append(home.named(f"{name}: {trouble}"))
        else:
            jobs.told.append(home.named(f"{name}: {definition['schedule']}, {_next(definition, job)}"))


def _next(definition: crons.Definition, job: crons.Job) -> str:
    return f"next {_line(job.record.get('next_run_at'))}" if definition["enabled"] else "paused"


def _trouble(record: Mapping[str, Any]) -> str | None:
    """What went wrong the last time; None where nothing did, or it has not run yet."""
    error = record.get("last_error") or record.get("last_delivery_error")
    if record.get("last_status") in (None, "ok") and not error:
        return None
    return f"its last run failed: {_line(error or record.get('last_status'))}"


def _line(value: object) -> str:
    return " ".join(str(value).split())[:200]


CHECKS = (Check("hermes.crons", Layer.HERMES, "Does the gateway have the declared jobs?", _crons),)
