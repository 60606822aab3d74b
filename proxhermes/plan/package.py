"""The agent's own code in the guest (`native`, `persistent`): which version is there, and which is meant. Pure.

What moves by itself (a branch, a requirement without a version) is taken as it was when it was built; a branch or tag
that stands for another commit today is another version.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes import package
from proxhermes.inventory.models import Agent
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, Effect

_SUBJECT = "package"


@dataclass(frozen=True, slots=True)
class PackagePlan:
    """What is to be done. files: for the bundle, empty where the wanted version is the current one.

    id: of the wanted version; None where that is not known yet, as there is no git in the guest to ask with.
    """

    changes: tuple[Change, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    id: str | None = None


def plan_package(agent: Agent, facts: GuestFacts, wheel: bytes | None) -> PackagePlan:
    """Which version is meant, and what is to be done for it.

    wheel: its content, where the inventory names one. Raises Refused for a git repository that cannot be asked and of
    which nothing is known yet, and for a ref that it does not have.
    """
    known = facts.service.facts
    current = known.get("package") or None
    url, ref = package.git_question(agent)
    commit, notes = None, list[str]()
    if url:
        recorded = known.get("package_commit") if _recorded(known) == (url, ref) else None
        commit = known.get("git_commit") or recorded
        if error := known.get("git_error"):
            if not commit:
                raise Refused(f"{url} does not answer in CT {agent.vmid}: {error}", hint="runtime.package.git")
            notes.append(f"{url} does not answer ({error}); the agent stays at {commit[:12]}")
        elif "git_commit" not in known and not commit:  # there is no git in the guest yet
            return PackagePlan((change(_SUBJECT, current, f"{ref} of {url}", Effect.RESTART_SERVICE),))
    wanted = package.recipe(agent, wheel=wheel, commit=commit, system=f"{facts.os_id} {facts.os_version}")
    if wanted.id == current:
        return PackagePlan(notes=tuple(notes), id=current)
    changed = change(_SUBJECT, current, wanted.id, Effect.RESTART_SERVICE)
    return PackagePlan((changed,), wanted.files, tuple(notes), wanted.id)


def _recorded(known: object) -> tuple[str | None, str | None]:
    """Of which repository and ref the current version is."""
    return (known.get("package_subject"), known.get("package_ref")) if isinstance(known, dict) else (None, None)
