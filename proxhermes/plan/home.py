"""One home of Hermes', the agent's own or a profile's: its files, its skills, its jobs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxhermes.hermes import skills as asked
from proxhermes.plan import config, migration, skills
from proxhermes.plan.crons import plan_crons
from proxhermes.plan.entries import Entry
from proxhermes.plan.files import plan_files
from proxhermes.plan.model import Change

if TYPE_CHECKING:
    from proxhermes.facts.guest import GuestFacts
    from proxhermes.hermes.wanted import Wanted
    from proxhermes.inventory.models import Agent
    from proxhermes.upstream import Code


@dataclass(frozen=True, slots=True)
class HomePlan:
    """What is to be done. changes: before the gateway starts; later: with Hermes' own command, once it is up.

    files: name in the bundle -> content, beside the manifest with the entries. prepare: something is to be fetched
    before it is known what the files are. configs: config.yaml of each home by its profile's name, ``: the agent's.
    """

    changes: tuple[Change, ...] = ()
    later: tuple[Change, ...] = ()
    entries: tuple[Entry, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    prepare: bool = False
    configs: Mapping[str, migration.Texts] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()


def plan_home(
    agent: Agent,
    wanted: Wanted,
    facts: GuestFacts,
    *,
    context_length: int | None,
    fresh_key: str,
    force_documents: bool,
    code: Code | None,
) -> HomePlan:
    """agent: or one of its profiles, with its own facts. Else as `plan_files`, which says what is raised."""
    git = skills.plan_git(agent, facts)
    files = plan_files(
        agent,
        replace(wanted, files=(*wanted.files, *git.files)),
        facts,
        context_length=context_length,
        fresh_key=fresh_key,
        force_documents=force_documents,
        held=git.held,
        code=code,
    )
    hub = skills.plan_hub(agent, facts, force=force_documents)
    model = agent.litellm.model if code is not None and code.release.cron_keeps_model else None
    crons = plan_crons(wanted.crons, facts, force=force_documents, model=model)
    return HomePlan(
        (*git.changes, *files.changes),
        (*hub.changes, *crons.changes),
        files.entries,
        {**asked.bundle(agent, git.meant), **hub.files, **crons.files},
        git.prepare,
        {"": migration.texts(agent, facts, files, config.declared(agent, wanted, code))},
        (*git.notes, *files.notes, *hub.notes, *crons.notes),
    )
