"""The agent's cron jobs: which are made, brought up to date, removed, and which are its own. Pure.

A declared job is put back when the agent has changed, paused or removed it, and the plan says so. One that is no longer
declared is removed, unless the agent has changed it since: then it stays, as the agent's own. Jobs that were never ours
are not touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes import crons, masks
from proxhermes.hermes.crons import Definition, Given, Job
from proxhermes.plan import steps
from proxhermes.plan.documents import FORCE
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, pending
from proxhermes.plan.steps import NEW, Step

_SHOWN: Final = 60
_UNFINISHED: Final = frozenset({"enabled", "workdir"})
"""A new job may differ in these from what was declared: it is made running, and Hermes follows the links in a path."""


@dataclass(frozen=True, slots=True)
class CronsPlan:
    """What is to be done, and what the operator should know besides."""

    changes: tuple[Change, ...] = ()
    steps: tuple[Step, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> dict[str, bytes]:
        """The steps as a file of the bundle; none where there is nothing to do."""
        return steps.bundle("crons", crons.RECORD, self.steps)


def plan_crons(
    wanted: Mapping[str, Definition], facts: GuestFacts, *, force: bool = False, model: str | None = None
) -> CronsPlan:
    """wanted: the jobs that are declared, by name. force: take over a job of the agent's that has the name of one.

    model: the one that is configured, where Hermes keeps to the one that a job was made under; else None.
    """
    memory = crons.read_memory(facts.content("last-crons"))
    file = facts.files.get("crons")
    jobs = () if file is None else crons.read_jobs(file.content)
    if jobs is None:
        return _unreadable(wanted, memory)
    known = {job.id: job for job in jobs}
    memory = {name: _of_two(given, known) for name, given in memory.items()}
    ours = {ref for given in memory.values() for ref in (given.id, given.replaces)}
    plans = [_replaced(name, given, known) for name, given in memory.items()]
    plans += [
        _declared(name, definition, memory.get(name), known, ours, force=force, model=model)
        for name, definition in wanted.items()
    ]
    plans += [_undeclared(name, given, known.get(given.id)) for name, given in memory.items() if name not in wanted]
    changes = [change for plan in plans for change in plan.changes]
    found = [step for plan in plans for step in plan.steps]
    if found and not pending(changes):
        changes.append(change("cron jobs", "remembered as they were", "remembered as they are"))
    return CronsPlan(tuple(changes), tuple(found), tuple(note for plan in plans for note in plan.notes))


def _unreadable(wanted: Mapping[str, Definition], memory: Mapping[str, Given]) -> CronsPlan:
    """Hermes itself cannot do a job of that file, nor change one."""
    why = "cron/jobs.json in the agent's home cannot be read"
    names = [*wanted, *(name for name in memory if name not in wanted)]
    return CronsPlan(tuple(change(_subject(name), "?", "as declared", blocked=why) for name in names))


def _of_two(given: Given, known: Mapping[str, Job]) -> Given:
    """A job that was made in the place of another one: that one, where only it is left."""
    if given.id not in known and given.replaces in known:
        return replace(given, id=str(given.replaces), replaces=None)
    return given


def _replaced(name: str, given: Given, known: Mapping[str, Job]) -> CronsPlan:
    """The removal of the one that another was made in the place of, if a run did not come to that."""
    old = known.get(given.replaces or "")
    if old is None:
        return CronsPlan()
    step = Step(name, given.id, given.declared, (_removal(old),))
    return CronsPlan((change(f"{_subject(name)}: the one that it replaced", _summary(old.definition), None),), (step,))


def _declared(
    name: str,
    wanted: Definition,
    given: Given | None,
    known: Mapping[str, Job],
    ours: set[str | None],
    *,
    force: bool,
    model: str | None,
) -> CronsPlan:
    job = known.get(given.id) if given else None
    namesakes = [job for job in known.values() if job.definition["name"] == name and job.id not in ours]
    notes: list[str] = []
    if job is None:
        if given is not None:
            notes.append(f"{_subject(name)}: the agent removed it; it is made again")
        begun = [job for job in namesakes if _begun(wanted, job)]
        if namesakes and not begun and not force:
            why = f"the agent has a job of this name; {FORCE} takes it over, and another name here leaves it alone"
            return CronsPlan((change(_subject(name), None, _summary(wanted), blocked=why),))
        if not namesakes:
            step = Step(name, None, wanted, tuple(_made(wanted)))
            return CronsPlan((change(_subject(name), None, _summary(wanted)),), (step,), tuple(notes))
        job, given, notes = (begun or namesakes)[0], None, []
    if model is not None and (before := _other_model(job, model)):
        begun = [each for each in namesakes if _begun(wanted, each) and not _other_model(each, model)]
        step = _in_place_of(job, name, wanted, begun[0] if begun else None)
        return CronsPlan((change(f"{_subject(name)}: model", before, model),), (step,))
    return _brought_up_to_date(name, wanted, job, given, notes)


def _begun(wanted: Definition, job: Job) -> bool:
    """Whether a job can be one that a run made without getting to remember it."""
    return _UNFINISHED.issuperset(crons.differing(wanted, job, None))


def _in_place_of(old: Job, name: str, wanted: Definition, begun: Job | None) -> Step:
    """Another job, and only then the removal of the old one. begun: the other one, where it is there already."""
    commands = _edited(begun, wanted, crons.differing(wanted, begun, None)) if begun else _made(wanted)
    return Step(name, begun.id if begun else None, wanted, (*commands, _removal(old)), replaces=old.id)


def _other_model(job: Job, model: str) -> str | None:
    """The model that a job keeps to, where that is not this one."""
    before = crons.made_under(job)
    return None if before == model.lower() else before


def _brought_up_to_date(
    name: str, wanted: Definition, job: Job, given: Given | None, notes: Sequence[str]
) -> CronsPlan:
    fields = crons.differing(wanted, job, given)
    remembered = given is not None and given.declared == wanted and given.stored == job.definition
    if not fields:
        return CronsPlan() if remembered else CronsPlan(steps=(Step(name, job.id, wanted),))
    changes = tuple(
        change(f"{_subject(name)}: {each}", _shown(job.definition[each]), _shown(wanted[each])) for each in fields
    )
    theirs = [each for each in fields if given and job.definition[each] != given.stored[each]]
    if theirs:
        notes = (*notes, f"{_subject(name)}: the agent changed its {', '.join(theirs)} since; it is put back")
    return CronsPlan(changes, (Step(name, job.id, wanted, tuple(_edited(job, wanted, fields))),), tuple(notes))


def _undeclared(name: str, given: Given, job: Job | None) -> CronsPlan:
    """One that left the inventory. Whether it is paused says nothing of whose it is."""
    forgotten = Step(name, given.id, None)
    if job is None:
        return CronsPlan(steps=(forgotten,))
    if any(job.definition[each] != given.stored[each] for each in crons.FIELDS if each != "enabled"):
        note = f"{_subject(name)} is no longer in the inventory, but the agent changed it: it stays, as the agent's own"
        return CronsPlan(steps=(forgotten,), notes=(note,))
    removed = Step(name, given.id, None, (_removal(job),))
    return CronsPlan((change(_subject(name), _summary(given.stored), None),), (removed,))


def _removal(job: Job) -> tuple[str, ...]:
    return "cron", "remove", job.id


def _made(wanted: Definition) -> Iterator[tuple[str, ...]]:
    """A job is made running; there is no other way in 0.19."""
    options = [f"--name={wanted['name']}", f"--deliver={wanted['deliver']}"]
    options += [f"--skill={skill}" for skill in wanted["skills"]]
    options += [f"--{name}={wanted[name]}" for name in ("script", "workdir") if wanted[name]]
    options += ["--no-agent"] if wanted["no_agent"] else []
    prompt = [wanted["prompt"]] if wanted["prompt"] else []
    yield "cron", "create", *options, "--", wanted["schedule"], *prompt
    if not wanted["enabled"]:
        yield "cron", "pause", NEW


def _edited(job: Job, wanted: Definition, fields: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The fields that differ, and no others: a schedule that is given counts from then."""
    options: list[str] = []
    for each in fields:
        if each == "skills":
            options += [f"--skill={skill}" for skill in wanted["skills"]] or ["--clear-skills"]
        elif each == "no_agent":
            options.append("--no-agent" if wanted["no_agent"] else "--agent")
        elif each == "repeat":
            options.append("--repeat=0")
        elif each != "enabled":
            options.append(f"--{each}={wanted[each] or ''}")
    if options:
        yield "cron", "edit", job.id, *options
    if "enabled" in fields:
        yield "cron", "resume" if wanted["enabled"] else "pause", job.id


def _subject(name: str) -> str:
    return f"cron job {name}"


def _summary(definition: Definition) -> str:
    what = definition["script"] if definition["no_agent"] else definition["prompt"] or ", ".join(definition["skills"])
    return f"{definition['schedule']}: {_shown(what)}"


def _shown(value: Any) -> str | None:
    """A value for the plan's line; the agent may have written it."""
    if value in (None, "", []):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(masks.in_text(", ".join(value) if isinstance(value, list) else str(value)).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
