"""Does the agent have the skills that it was given?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxhermes.facts import tree
from proxhermes.hermes import labels
from proxhermes.hermes.documents import SKILLS
from proxhermes.plan import documents
from proxhermes.plan.model import Layer
from proxhermes.verify import gateway
from proxhermes.verify.model import Check, Finding, failed, passed, skipped, warned

if TYPE_CHECKING:
    from proxhermes.verify.scene import Scene


def _skills(scene: Scene) -> Finding:
    wanted = scene.agent.hermes.skills
    if not wanted:
        return skipped("the inventory has no skills")
    said = gateway.said(scene)
    if "error" in said:
        return failed(f"the gateway does not tell its skills: {said['error']}", "look at hermes.gateway above")
    listed = said.get("skills")
    listed = listed if isinstance(listed, list) else []
    wrong = [f"{name}: the agent does not list it" for name in wanted if name not in listed]
    changed: list[str] = []
    for name, skill in wanted.items():
        if skill.git is not None:  # the others' files are compared by hermes.documents, or are Hermes' own business
            missing, theirs = _files(scene, name)
            wrong += [f"{name}: {missing}"] if missing else []
            changed += [f"{name}: the agent changed {', '.join(theirs)}"] if theirs else []
    if wrong:
        return failed("; ".join(wrong), f"proxhermes up {scene.agent.vmid}")
    if changed:
        return warned("; ".join(changed), f"proxhermes up {scene.agent.vmid} {documents.FORCE} replaces them")
    return passed(f"listed by the gateway: {', '.join(wanted)}")


def _files(scene: Scene, name: str) -> tuple[str, list[str]]:
    """Of a skill's files that were installed: what is missing, and those that are others by now."""
    seen, last = tree.parse(scene.guest.text("tree")), documents.read(scene.guest.text("installed"))
    below = f"{labels.HOME}{SKILLS}/{name}/"
    installed = {label: sha256 for label, sha256 in last.items() if label.startswith(below)}
    gone = [label.removeprefix(below) for label in installed if label not in seen]
    if not installed or gone:
        return f"{gone[0]} is missing" if gone else "it was not installed", []
    theirs = [label for label, sha256 in installed.items() if seen[label].sha256 != sha256]
    return "", [label.removeprefix(below) for label in theirs]


CHECKS = (Check("hermes.skills", Layer.HERMES, "Does the agent have the skills that it was given?", _skills),)
