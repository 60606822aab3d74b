"""The agent's cron jobs: as the inventory declares them, as Hermes keeps them, as they were given last. Pure.

Hermes keeps them in `cron/jobs.json` of its home (0.19 and 0.22: cron/jobs.py), which the gateway writes to as well:
when each ran, when it is next. So proxhermes reads that file and leaves every change to `hermes cron`, which locks it
(`host_scripts/agent-steps.py`). A job is known by its id, which Hermes makes; the ids of ours are remembered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxhermes.errors import UsageError
from proxhermes.hermes import documents
from proxhermes.inventory.crons import EVERY, Cron
from proxhermes.inventory.models import Agent

Definition = Mapping[str, Any]
"""What is declared of a job, by FIELDS, each value in one form for whoever wrote it."""

FIELDS: Final = (
    *("name", "schedule", "prompt", "deliver", "skills", "script", "no_agent", "workdir", "repeat", "enabled"),
)
RECORD: Final = (*FIELDS, "skill", "state", "paused_at")
"""Keys of a job in jobs.json that its definition is read from."""
LONGEST: Final = 100_000
"""Bytes of a prompt: it is an argument of a command, and Linux takes 128 KiB for one."""
_MINUTES: Final = {"m": 1, "h": 60, "d": 1440}
_ID: Final = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Job:
    """A job of jobs.json. record: all that Hermes has of it."""

    id: str
    definition: Definition
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Given:
    """A job of ours: its id, what was declared when it was last given, and what Hermes made of that.

    replaces: the id of the job that it was made in the place of, where that one has not been seen to go.
    """

    id: str
    declared: Definition
    stored: Definition
    replaces: str | None = None


def declared(agent: Agent) -> dict[str, Definition]:
    """The jobs that the inventory has, by name. Raises UsageError for a prompt that cannot be read, or is too long."""
    at = f"{agent.option}.crons"
    return {name: _declared(name, cron, f"{at}.{name}.prompt") for name, cron in agent.hermes.crons.items()}


def _declared(name: str, cron: Cron, option: str) -> Definition:
    return {
        "name": name,
        "schedule": _parsed(cron.schedule),
        "prompt": prompt(cron, option),
        "deliver": ",".join(cron.deliver),
        "skills": list(dict.fromkeys(cron.skills)),
        "script": cron.script,
        "no_agent": cron.no_agent,
        "workdir": cron.workdir,
        "repeat": None,
        "enabled": cron.enabled,
    }


def prompt(cron: Cron, option: str) -> str:
    """The text. option: its key, for messages. Raises UsageError for what cannot be read or is no text."""
    if cron.prompt is None:
        return ""
    content = documents.content(cron.prompt, option)
    if len(content) > LONGEST:
        raise UsageError(f"{option}: {len(content)} bytes are too many: at most {LONGEST}")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise UsageError(f"{option}: this is not UTF-8 text") from None
    if "\0" in text:
        raise UsageError(f"{option}: there is a NUL character in it")
    return text


def _parsed(schedule: str) -> str:
    """A schedule in the form in which two that mean the same are the same: `every 120m`, or five fields."""
    found = EVERY.fullmatch(schedule)
    return f"every {int(found[1]) * _MINUTES[found[2][0]]}m" if found else schedule


def stored(record: Mapping[str, Any]) -> Definition:
    """What Hermes has of a job, in the form of a definition; what is of a strange kind, in words."""
    skills = record.get("skills")
    skills = skills if isinstance(skills, list) else [record["skill"]] if record.get("skill") else []
    repeat = record.get("repeat")
    return {
        "name": _text(record.get("name")) or "",
        "schedule": _schedule(record.get("schedule")),
        "prompt": (_text(record.get("prompt")) or "").strip(),
        "deliver": _deliver(record.get("deliver")),
        "skills": [_text(skill) or "" for skill in skills],
        "script": _text(record.get("script")),
        "no_agent": record.get("no_agent") is True,
        "workdir": _text(record.get("workdir")),
        "repeat": _text(repeat.get("times")) if isinstance(repeat, dict) else None,
        # As it decides itself whether to start one (0.22: cron/jobs.py, is_job_runnable).
        "enabled": bool(record.get("enabled", True))
        and record.get("state") != "paused"
        and not record.get("paused_at"),
    }


def made_under(job: Job) -> str | None:
    """The model that a job keeps to, in small letters; None where it has one of its own, or keeps to none."""
    if _text(job.record.get("model")) is not None or job.definition["no_agent"]:
        return None
    return (_text(job.record.get("model_snapshot")) or "").lower() or None


def _text(value: object) -> str | None:
    """A value that should be text; None for an empty one. The agent may write anything there."""
    if isinstance(value, str | int | float):
        return str(value) or None
    return None if value is None else "(not text)"


def _deliver(value: object) -> str:
    return ",".join(_text(each) or "" for each in value) if isinstance(value, list) else _text(value) or "local"


def _schedule(value: object) -> str:
    if not isinstance(value, dict):
        return _text(value) or "none"
    if value.get("kind") == "interval":
        return f"every {_text(value.get('minutes'))}m"
    return " ".join((_text(value.get("expr" if value.get("kind") == "cron" else "display")) or "none").split())


def read_jobs(content: bytes | None) -> tuple[Job, ...] | None:
    """The jobs in jobs.json; None for a file that cannot be read as such. content None: it is no plain file."""
    tree = _json(content or b"")
    found = tree.get("jobs", []) if isinstance(tree, dict) else tree
    return tuple(jobs(found)) if isinstance(found, list) else None


def jobs(records: object) -> Iterator[Job]:
    """Those of a list of jobs that are some, whoever tells it."""
    for record in records if isinstance(records, list) else ():
        if isinstance(record, dict) and isinstance(record.get("id"), str) and _ID.fullmatch(record["id"]):
            yield Job(record["id"], stored(record), record)


def read_memory(content: bytes | None) -> dict[str, Given]:
    """The jobs that are ours, by name; none where nothing is remembered, or nothing that can be read."""
    tree = _json(content or b"{}")
    return dict(_remembered(tree)) if isinstance(tree, dict) else {}


def _remembered(tree: Mapping[str, Any]) -> Iterator[tuple[str, Given]]:
    for name, entry in tree.items():
        if not isinstance(entry, dict):
            continue
        given, record = entry.get("declared"), entry.get("record")
        if isinstance(given, dict) and isinstance(record, dict):
            for job in jobs([{**record, "id": entry.get("id")}]):
                older = entry.get("replaces")
                older = older if isinstance(older, str) and _ID.fullmatch(older) else None
                yield name, Given(job.id, given, job.definition, older)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"), strict=False)
    except (ValueError, RecursionError):
        return None


def differing(wanted: Definition, job: Job, given: Given | None) -> tuple[str, ...]:
    """The fields in which a job is not what is declared.

    given: how it was last given. Where Hermes then made something of its own of a value (a folder without the links in
    its path), and neither side has changed since, that is what was declared. Not so with `enabled`, which has
    a command of its own that a run may not have come to.
    """

    def same(field: str) -> bool:
        if job.definition[field] == wanted[field]:
            return True
        return (
            given is not None
            and field != "enabled"
            and given.declared.get(field) == wanted[field]
            and given.stored[field] == job.definition[field]
        )

    return tuple(field for field in FIELDS if not same(field))
