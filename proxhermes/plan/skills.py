"""The agent's skills from git and of Hermes' hub: what is fetched, installed, removed. Pure.

Once the guest has fetched one from git, its files are planned like all files that the agent is given (`documents`).
What is in a skill of the hub is Hermes' business; which ones are installed is what is planned here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts
from proxhermes.facts.skills import Fetched
from proxhermes.hermes import labels, skills
from proxhermes.hermes.documents import SKILLS, Given
from proxhermes.hermes.skills import Remembered
from proxhermes.inventory.models import Agent
from proxhermes.inventory.skills import Skill, is_identifier
from proxhermes.plan import steps
from proxhermes.plan.documents import FORCE
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, pending
from proxhermes.plan.steps import Step


@dataclass(frozen=True, slots=True)
class GitPlan:
    """files: of the skills that are there; held: names (see `labels`) below which it is not known yet what is meant.

    prepare: something is to be fetched first. meant: the commits for that, by the skills' names.
    """

    changes: tuple[Change, ...] = ()
    files: tuple[Given, ...] = ()
    held: tuple[str, ...] = ()
    prepare: bool = False
    meant: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def plan_git(agent: Agent, facts: GuestFacts) -> GitPlan:
    """Raises Refused for a repository that does not answer, or has no such ref, where nothing of it is there."""
    changes: list[Change] = []
    files: list[Given] = []
    held: list[str] = []
    meant: dict[str, str] = {}
    notes: list[str] = []
    for name, skill in skills.of_git(agent).items():
        found = facts.skills.get(name, Fetched())
        commit = skills.commit(skill) or found.meant
        if commit is None and found.error:
            notes.append(_unanswered(agent, name, skill, found))
        elif commit is None or commit != found.commit:
            after = f"{commit[:12] if commit else skill.ref} of {skill.git}"
            changes.append(change(_subject(name), found.commit and found.commit[:12], after))
            held.append(f"{labels.HOME}{SKILLS}/{name}/")
            meant |= {name: commit} if commit else {}
            continue
        for path, blob in found.files.items():
            files.append(skills.fetched(agent, name, path, blob.mode, blob.size, blob.sha256))
    return GitPlan(tuple(changes), tuple(files), tuple(held), bool(meant), meant, tuple(notes))


def _unanswered(agent: Agent, name: str, skill: Skill, found: Fetched) -> str:
    if found.commit is None:
        raise Refused(f"{skill.git}, as seen from CT {agent.vmid}: {found.error}", hint=f"hermes.skills.{name}")
    return f"{_subject(name)}: {skill.git}: {found.error}; it stays at {found.commit[:12]}"


@dataclass(frozen=True, slots=True)
class HubPlan:
    """What is to be done, and what the operator should know besides."""

    changes: tuple[Change, ...] = ()
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> dict[str, bytes]:
        """The steps as a file of the bundle; none where there is nothing to do."""
        return steps.bundle("hub", skills.RECORD, self.steps)


def plan_hub(agent: Agent, facts: GuestFacts, *, force: bool = False) -> HubPlan:
    """force: replace a skill of the agent's own that has the name of one."""
    wanted, memory = skills.of_hub(agent), skills.read_memory(facts.content("last-hub"))
    file = facts.files.get("hub")
    known = {} if file is None else skills.read_lock(file.content)
    if known is None:
        why = "skills/.hub/lock.json in the agent's home cannot be read"
        return HubPlan(
            tuple(change(_subject(name), "?", wanted.get(name), blocked=why) for name in {**wanted, **memory})
        )
    plans = [_declared(facts, name, hub, memory.get(name), known.get(name), force) for name, hub in wanted.items()]
    plans += [_undeclared(name, memory[name], known.get(name)) for name in memory if name not in wanted]
    changes = [change for plan in plans for change in plan.changes]
    found = [step for plan in plans for step in plan.steps]
    if found and not pending(changes):
        changes.append(change("skills of the hub", "remembered as they were", "remembered as they are"))
    return HubPlan(tuple(changes), tuple(found), tuple(note for plan in plans for note in plan.notes))


def looked_at(agent: Agent) -> Iterator[str]:
    """Names of what has to be known of the guest: whether there is a skill in the place of one of the hub."""
    for name, identifier in skills.of_hub(agent).items():
        yield _place(name, identifier)


def _place(name: str, identifier: str) -> str:
    """Where Hermes puts it: the official ones into folders of their own (hermes_cli/skills_hub.py, do_install)."""
    below = identifier.removeprefix("official/") if identifier.startswith("official/") else name
    return f"{labels.HOME}{SKILLS}/{below}/SKILL.md"


def _declared(
    facts: GuestFacts,
    name: str,
    identifier: str,
    remembered: Remembered | None,
    entry: Mapping[str, Any] | None,
    force: bool,
) -> HubPlan:
    ours = remembered if remembered and entry is not None and remembered.covers(entry) else None
    there = str(entry.get("identifier")) if entry is not None else None
    if there is not None and (there == identifier or (ours and ours.declared == identifier)):
        is_known = ours == Remembered(identifier, there)
        return HubPlan() if is_known else HubPlan(steps=(Step(name, None, {"hub": identifier}),))
    begun = remembered is not None and remembered.stored is None  # and perhaps not all of it is there
    occupied = there is not None or _place(name, identifier) in facts.tree
    if occupied and not (ours or begun or force):
        why = f"the agent has a skill of this name; {FORCE} replaces it"
        return HubPlan((change(_subject(name), there, identifier, blocked=why),))
    removed = remembered is not None and not begun and there is None
    notes = (f"{_subject(name)}: the agent removed it; it is installed again",) if removed else ()
    step = Step(name, None, {"hub": identifier}, (_install(name, identifier),))
    if there is not None:  # Hermes puts one in the place of another only where it may also ignore its own scan of it
        undo = _back(name, there, ours)
        step = replace(step, commands=(_uninstall(name), *step.commands), undo=undo)
    return HubPlan((change(_subject(name), there, identifier),), (step,), notes)


def _back(name: str, there: str, remembered: Remembered | None) -> Step | None:
    """The step that installs what was there, as whose it was; none for an identifier that is none.

    remembered: where it was ours.
    """
    identifier = remembered.declared if remembered else there
    declared = {"hub": identifier} if remembered else None
    return Step(name, None, declared, (_install(name, identifier),)) if is_identifier(identifier) else None


def _install(name: str, identifier: str) -> tuple[str, ...]:
    return "skills", "install", identifier, "--yes", f"--name={name}"


def _uninstall(name: str) -> tuple[str, ...]:
    return "skills", "uninstall", name


def _undeclared(name: str, remembered: Remembered, entry: Mapping[str, Any] | None) -> HubPlan:
    """One that left the inventory; another one that the agent has installed under its name stays."""
    forgotten = Step(name, None, None)
    if entry is None:
        return HubPlan(steps=(forgotten,))
    if not remembered.covers(entry):
        return HubPlan(
            steps=(forgotten,), notes=(f"{_subject(name)} is another one by now: it stays, as the agent's own",)
        )
    step = Step(name, None, None, (_uninstall(name),))
    return HubPlan((change(_subject(name), remembered.stored or remembered.declared, None),), (step,))


def _subject(name: str) -> str:
    return f"skill {name}"
