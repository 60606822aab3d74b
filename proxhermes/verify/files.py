"""Are the agent's files its own, closed to others, and those that it was given?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxhermes.facts import tree
from proxhermes.facts.tree import Seen
from proxhermes.hermes import documents, labels, layout, modes
from proxhermes.hermes.documents import Given
from proxhermes.plan import documents as planned
from proxhermes.plan.model import Layer
from proxhermes.verify.model import Check, Finding, failed, passed, skipped, warned

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxhermes.inventory.models import Agent
    from proxhermes.verify.scene import Scene


def looked_at(agent: Agent, given: Iterable[Given]) -> tuple[str, ...]:
    """Labels of what the checks have to see."""
    found = [rule.label for rule in modes.table(agent)]
    found += [f"{modes.TOKENS}/{token}.json" for token in agent.hermes.mcp_tokens]
    return tuple(dict.fromkeys((*found, *planned.looked_at(agent, given))))


def _files(scene: Scene) -> Finding:
    seen = tree.parse(scene.guest.text("tree"))
    ids = scene.agent.hermes.uid, scene.agent.hermes.gid
    place = layout.of(scene.agent)
    wrong: list[str] = []
    rules = [*modes.table(scene.agent)]
    rules += [modes.Rule(label, "file", modes.SECRET) for label in seen if label.startswith(f"{modes.TOKENS}/")]
    for rule in rules:
        found, name = seen.get(rule.label), labels.path(place, rule.label)
        if found is not None:
            wrong += _amiss(rule, found, name, ids)
        elif rule.made or rule.label in modes.NEEDED:
            wrong.append(f"{name} is missing")
    strangers = scene.guest.text("strangers").splitlines()
    if strangers:
        wrong.append(f"{len(strangers)} files of others in its home, such as {strangers[0]}")
    if wrong:
        return failed("; ".join(wrong), f"proxhermes bootstrap {scene.agent.vmid}")
    count = sum(rule.label in seen for rule in rules)
    return passed(f"{count} folders and files as they should be: secrets 0600, all of {ids[0]}:{ids[1]}")


def _amiss(rule: modes.Rule, found: Seen, name: str, ids: tuple[int, int]) -> list[str]:
    if found.folder != (rule.kind == "folder"):
        return [f"{name} is a {found.kind}"]
    if rule.found:
        closed = f"{name} belongs to {found.uid}:{found.gid}, and the agent may not write in it"
        return [] if found.writable else [closed]
    wrong = (
        [] if (found.uid, found.gid) == ids else [f"{name} belongs to {found.uid}:{found.gid}, not {ids[0]}:{ids[1]}"]
    )
    return wrong if rule.allows(found.mode) else [*wrong, f"{name} has mode {found.mode:04o}, not {rule.mode:04o}"]


def _documents(scene: Scene) -> Finding:
    given = scene.given
    if not given:
        return skipped("the inventory gives it none")
    seen, last = tree.parse(scene.guest.text("tree")), planned.read(scene.guest.text("installed"))
    ids = scene.agent.hermes.uid, scene.agent.hermes.gid
    missing: list[str] = []
    changed: list[str] = []
    for file in given:
        label = documents.label(scene.agent, file)
        found, name = seen.get(label), labels.path(layout.of(scene.agent), label)
        if found is None:
            missing.append(f"{name} is missing")
        elif found.sha256 == file.sha256 or (found.uid, found.gid) != ids:
            missing += _amiss(modes.Rule(label, "file", file.mode), found, name, ids)
        else:
            ours = found.sha256 is not None and found.sha256 == last.get(label)
            (missing if ours else changed).append(
                f"{name} is {'older than the inventory' if ours else 'its own by now'}"
            )
    if missing:
        return failed("; ".join(missing), f"proxhermes bootstrap {scene.agent.vmid}")
    if changed:
        return warned(
            f"changed by the agent: {'; '.join(changed)}",
            f"proxhermes up {scene.agent.vmid} {planned.FORCE} replaces them",
        )
    return passed(f"{len(given)} as the inventory has them")


CHECKS = (
    Check("hermes.files", Layer.HERMES, "Are secrets and files closed and owned by the agent?", _files),
    Check("hermes.documents", Layer.HERMES, "Are the documents that it was given there?", _documents),
)
