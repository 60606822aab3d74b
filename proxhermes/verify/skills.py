"""Does the agent have the skills that it was given?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxhermes.hermes import labels
from proxhermes.hermes.documents import SKILLS
from proxhermes.plan import documents
from proxhermes.plan.model import Layer
from proxhermes.verify import homes
from proxhermes.verify.model import Check, Finding, failed, passed, skipped, warned

if TYPE_CHECKING:
    from proxhermes.verify.homes import Home
    from proxhermes.verify.scene import Scene


def _skills(scene: Scene) -> Finding:
    listed: list[str] = []
    wrong: list[str] = []
    changed: list[str] = []
    for home in homes.of(scene):
        if home.agent.hermes.skills:
            listed += [home.named(name) for name in home.agent.hermes.skills]
            _compare(home, wrong, changed)
    if not listed:
        return skipped("the inventory has no skills")
    if wrong:
        return failed("; ".join(wrong), f"proxhermes up {scene.agent.vmid}")
    if changed:
        return warned("; ".join(changed), f"proxhermes up {scene.agent.vmid} {documents.FORCE} replaces them")
    return passed(f"listed by the agent: {', '.join(listed)}")


def _compare(home: Home, wrong: list[str], changed: list[str]) -> None:
    """What the gateway does not list, and what the agent has changed, of one home's skills."""
    if isinstance(home.skills, str):
        wrong.append(home.named(f"the gateway does not tell its skills: {home.skills}"))
        return
    for name, skill in home.agent.hermes.skills.items():
        if name not in home.skills:
            wrong.append(home.named(f"{name}: the agent does not list it"))
        elif skill.git is not None:  # the others' files are compared by hermes.documents, or are Hermes' own business
            missing, theirs = _files(home, name)
            wrong += [home.named(f"{name}: {missing}")] if missing else []
            changed += [home.named(f"{name}: the agent changed {', '.join(theirs)}")] if theirs else []


def _files(home: Home, name: str) -> tuple[str, list[str]]:
    """Of a skill's files that were installed: what is missing, and those that are others by now."""
    below = f"{labels.HOME}{SKILLS}/{name}/"
    installed = {label: sha256 for label, sha256 in home.installed.items() if label.startswith(below)}
    gone = [label.removeprefix(below) for label in installed if label not in home.seen]
    if not installed or gone:
        return f"{gone[0]} is missing" if gone else "it was not installed", []
    theirs = [label for label, sha256 in installed.items() if home.seen[label].sha256 != sha256]
    return "", [label.removeprefix(below) for label in theirs]


CHECKS = (Check("hermes.skills", Layer.HERMES, "Does the agent have the skills that it was given?", _skills),)
