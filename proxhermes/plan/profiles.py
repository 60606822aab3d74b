"""The profiles of Hermes: each home planned as the agent's own is. Pure.

One that left the inventory is planned as one that is given nothing: what was put there goes by the same rules as in the
agent's own home, its sessions and memories stay, and the gateway does not serve it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from proxhermes.errors import Refused
from proxhermes.facts.profiles import of_profile, outward
from proxhermes.hermes import documents, labels, layout
from proxhermes.hermes.wanted import nothing
from proxhermes.inventory import profiles
from proxhermes.plan import files
from proxhermes.plan.entries import Entry, sha256
from proxhermes.plan.hermes_model import change
from proxhermes.plan.home import HomePlan, plan_home
from proxhermes.plan.model import Change, Effect

if TYPE_CHECKING:
    from proxhermes.facts.guest import GuestFacts
    from proxhermes.hermes.wanted import Wanted
    from proxhermes.inventory.models import Agent
    from proxhermes.inventory.profiles import ProfileAgent
    from proxhermes.upstream import Code

_PARKED: Final = labels.HOME + documents.PARKED


def looked_at(agent: Agent, wanted: Wanted) -> tuple[str, ...]:
    """Names of all that the facts have to say something of, for the agent and its profiles."""
    found = [*files.looked_at(agent, wanted)]
    for profile in profiles.of(agent):
        own = files.looked_at(profile, wanted.profiles[profile.name])
        found += outward(profile.name, (*own, _PARKED))
    return tuple(dict.fromkeys(found))


def plan_profiles(
    agent: Agent,
    wanted: Wanted,
    facts: GuestFacts,
    *,
    contexts: Mapping[str, int | None],
    fresh_key: str,
    force_documents: bool,
    code: Code | None,
) -> HomePlan:
    """All of them in one plan. contexts: of each one's model, in tokens, as LiteLLM tells it. fresh_key: as in
    `plan_hermes`; each has another one made of it.

    Raises what `plan_home` does, and Refused for a Hermes that keeps them apart no further than by their files.
    """
    declared = profiles.of(agent)
    if declared and code is not None and not code.release.profiles:
        raise Refused(
            f"Hermes {code.version} in CT {agent.vmid} would mix the variables of its profiles with the agent's own",
            hint="hermes.profiles needs Hermes 0.22 or newer",
        )
    gone = [profiles.gone(agent, name) for name in facts.profiles if name not in agent.hermes.profiles]
    plans: list[HomePlan] = []
    for profile in (*declared, *gone):
        own = of_profile(facts, profile.name)
        plan = plan_home(
            profile,
            wanted.profiles.get(profile.name) or nothing(profile),
            own,
            context_length=contexts.get(profile.name),
            fresh_key=sha256(f"{fresh_key} {profile.name}".encode()),
            force_documents=force_documents,
            code=code,
        )
        plans.append(_named(profile, _served(profile, own, plan)))
    return HomePlan(
        tuple(change for plan in plans for change in plan.changes),
        tuple(change for plan in plans for change in plan.later),
        tuple(entry for plan in plans for entry in plan.entries),
        {name: content for plan in plans for name, content in plan.files.items()},
        configs={name: texts for plan in plans for name, texts in plan.configs.items()},
        notes=tuple(note for plan in plans for note in plan.notes),
    )


def _served(profile: ProfileAgent, facts: GuestFacts, plan: HomePlan) -> HomePlan:
    """A mark by which somebody had the gateway stop serving it (0.22: `hermes -p NAME gateway stop`) goes."""
    path, seen = labels.path(layout.of(profile), _PARKED), facts.tree.get(_PARKED)
    if not profile.enabled or seen is None or seen.sha256 is None or any(entry.path == path for entry in plan.entries):
        return plan
    gone = change(path, "not served by the gateway", None, Effect.RESTART_SERVICE)
    entry = Entry(path, "gone", expected=seen.sha256)
    return replace(plan, changes=(*plan.changes, gone), entries=(*plan.entries, entry))


def _named(profile: ProfileAgent, plan: HomePlan) -> HomePlan:
    """The plan with the profile's name wherever it does not show. A path shows it."""
    name = profile.name

    def named(changes: Iterable[Change]) -> tuple[Change, ...]:
        return tuple(
            each if each.subject.startswith("/") else replace(each, subject=f"profile {name}: {each.subject}")
            for each in changes
        )

    return replace(
        plan,
        changes=named(plan.changes),
        later=named(plan.later),
        files={f"{file.removesuffix('.json')}@{name}.json": content for file, content in plan.files.items()},
        configs={name: replace(plan.configs[""], changes=named(plan.configs[""].changes))},
        notes=tuple(f"profile {name}: {note}" for note in plan.notes),
    )
