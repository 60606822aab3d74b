"""The agent's own code in the guest (`native`, `persistent`): which version is there, and which is meant. Pure.

What moves by itself (a branch, an image's tag, a requirement without a version) is taken as it was when it was built; a
branch or tag that is another commit or image today is another version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes import package
from proxhermes.hermes.package import Files, Question, Recipe
from proxhermes.hermes.python import System
from proxhermes.inventory.models import Agent
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, Effect

_SUBJECT: Final = "package"
_OPTION: Final = {"git": "runtime.package.git", "image": "runtime.package.image, engine.registry_mirrors"}
_UNPINNED: Final = "pip installs what its index has today; package.require_hashes pins all of it by hash"


@dataclass(frozen=True, slots=True)
class PackagePlan:
    """What is to be done. files: for the bundle, empty where the wanted version is the current one.

    id: of the wanted version; None where that is not known yet, as there is nothing in the guest to ask with.
    """

    changes: tuple[Change, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    id: str | None = None


def plan_package(agent: Agent, facts: GuestFacts, files: Files) -> PackagePlan:
    """Which version is meant, and what is to be done for it.

    files: the operator's that the inventory names. Raises Refused for a repository or a registry that cannot be asked
    and of which nothing is known yet, for a ref or tag that it does not have, and where no Python fits.
    """
    known = facts.service.facts
    current = known.get("package") or None
    asked, commit, notes = package.question(agent), None, list[str]()
    if asked is not None:
        commit, notes = _resolved(agent, known, asked)
        if commit is None and f"{asked.kind}_told" not in known:  # there is no git or skopeo in the guest yet
            return PackagePlan((change(_SUBJECT, current, f"{asked.ref} of {asked.subject}", Effect.RESTART_SERVICE),))
    system = System(f"{facts.os_id} {facts.os_version}".strip(), known.get("python", ""), known.get("architecture", ""))
    wanted = package.recipe(agent, files, commit=commit, system=system)
    if wanted.id == current:
        return PackagePlan(notes=tuple(notes), id=current)
    changed = change(_SUBJECT, current, wanted.id, Effect.RESTART_SERVICE)
    return PackagePlan((changed,), wanted.files, (*notes, *_of_new(wanted, known)), wanted.id)


def _resolved(agent: Agent, known: Mapping[str, str], asked: Question) -> tuple[str | None, list[str]]:
    """The commit or digest that the ref or tag is today, and notes; the current version's where nobody answers."""
    there = _is_of(known, asked.subject, asked.ref)
    recorded = package.answer(asked, known.get("package_commit")) if there else None
    error = known.get(f"{asked.kind}_error")
    if error is None:
        return package.answer(asked, known.get(f"{asked.kind}_told")) or recorded, []
    if recorded is None:
        raise Refused(f"{asked.subject} does not answer in CT {agent.vmid}: {error}", hint=_OPTION[asked.kind])
    return recorded, [f"{asked.subject} does not answer ({error}); the agent stays at {short(recorded)}"]


def _of_new(wanted: Recipe, known: Mapping[str, str]) -> list[str]:
    """What the operator should know of a version that is going to be built."""
    notes = []
    before = known.get("package_commit") if _is_of(known, wanted.subject, wanted.ref) else None
    if wanted.ref and before and before != wanted.commit:
        notes.append(f"{wanted.ref} of {wanted.subject} is {short(wanted.commit)} now, not {short(before)}")
    if wanted.interpreter.url:
        notes.append(f"{_SUBJECT} {wanted.id}: its Python is downloaded from {wanted.interpreter.url}")
    if (wanted.source != "image" or wanted.python_packages) and wanted.files_given.hashes is None:
        notes.append(f"{_SUBJECT} {wanted.id}: {_UNPINNED}")
    return notes


def _is_of(known: Mapping[str, str], subject: str, ref: str) -> bool:
    """Whether the current version was built from this repository or image, and this branch or tag."""
    return (known.get("package_subject"), known.get("package_ref")) == (subject, ref)


def short(commit: str) -> str:
    """The beginning of a commit or a digest."""
    digest = commit.startswith("sha256:")
    return commit[: len("sha256:") + 12] if digest else commit[:12]
