"""Does the gateway have the declared jobs, and will it do them?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from proxhermes.hermes import crons
from proxhermes.plan.model import Layer
from proxhermes.verify import gateway
from proxhermes.verify.model import Check, Finding, failed, passed, skipped, warned

if TYPE_CHECKING:
    from proxhermes.verify.scene import Scene


def _crons(scene: Scene) -> Finding:
    wanted = crons.declared(scene.agent)
    if not wanted:
        return skipped("the inventory has no cron jobs")
    said = gateway.said(scene)
    if "error" in said:
        return failed(f"the gateway does not tell its jobs: {said['error']}", "look at hermes.gateway above")
    memory = crons.read_memory(scene.guest.text("crons").encode())
    known = {job.id: job for job in crons.jobs(said.get("jobs"))}
    wrong: list[str] = []
    ailing: list[str] = []
    told: list[str] = []
    for name, definition in wanted.items():
        given = memory.get(name)
        job = known.get(given.id) if given else None
        if job is None:
            wrong.append(f"{name}: the gateway does not have it")
        elif fields := crons.differing(definition, job, given):
            wrong.append(f"{name}: not as declared: {', '.join(fields)}")
        elif definition["enabled"] and not job.record.get("next_run_at"):
            wrong.append(f"{name}: the gateway does not know when it is next")
        elif trouble := _trouble(job.record):
            ailing.append(f"{name}: {trouble}")
        else:
            told.append(f"{name}: {definition['schedule']}, {_next(definition, job)}")
    if wrong:
        return failed("; ".join(wrong), f"proxhermes up {scene.agent.vmid}")
    evidence = "; ".join((*ailing, *told))
    return warned(evidence, "look into cron/output in the agent's home") if ailing else passed(evidence)


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
