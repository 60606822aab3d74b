"""Are the agent's files its own, closed to others, and those that it was given?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxhermes.facts.tree import Seen
from proxhermes.hermes import documents, labels, layout, modes
from proxhermes.plan import documents as planned
from proxhermes.plan.model import Layer
from proxhermes.verify import homes
from proxhermes.verify.model import Check, Finding, failed, passed, skipped, warned

if TYPE_CHECKING:
    from proxhermes.verify.homes import Home
    from proxhermes.verify.scene import Scene


def _files(scene: Scene) -> Finding:
    ids = scene.agent.hermes.uid, scene.agent.hermes.gid
    wrong: list[str] = []
    count = 0
    for home in homes.of(scene):
        place, rules = layout.of(home.agent), [*modes.table(home.agent)]
        tokens = [label for label in home.seen if label.startswith(f"{modes.TOKENS}/")]
        rules += [modes.Rule(label, "file", modes.SECRET) for label in tokens]
        for rule in rules:
            found, name = home.seen.get(rule.label), labels.path(place, rule.label)
            if found is not None:
                wrong += _amiss(rule, found, name, ids)
            elif rule.made or rule.label in modes.NEEDED:
                wrong.append(f"{name} is missing")
        count += sum(rule.label in home.seen for rule in rules)
    strangers = scene.guest.text("strangers").splitlines()
    if strangers:
        wrong.append(f"{len(strangers)} files of others in its home, such as {strangers[0]}")
    if wrong:
        return failed("; ".join(dict.fromkeys(wrong)), f"proxhermes bootstrap {scene.agent.vmid}")
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
    missing: list[str] = []
    changed: list[str] = []
    count = 0
    for home in homes.of(scene):
        count += len(home.given)
        _compare(home, missing, changed)
    if not count:
        return skipped("the inventory gives it none")
    if missing:
        return failed("; ".join(missing), f"proxhermes bootstrap {scene.agent.vmid}")
    if changed:
        return warned(
            f"changed by the agent: {'; '.join(changed)}",
            f"proxhermes up {scene.agent.vmid} {planned.FORCE} replaces them",
        )
    return passed(f"{count} as the inventory has them")


def _compare(home: Home, missing: list[str], changed: list[str]) -> None:
    """What is not there as it was given, and what the agent has changed, of one home's files."""
    ids = home.agent.hermes.uid, home.agent.hermes.gid
    for file in home.given:
        label = documents.label(home.agent, file)
        found, name = home.seen.get(label), labels.path(layout.of(home.agent), label)
        if found is None:
            missing.append(f"{name} is missing")
        elif found.sha256 == file.sha256 or (found.uid, found.gid) != ids:
            missing += _amiss(modes.Rule(label, "file", file.mode), found, name, ids)
        else:
            ours = found.sha256 is not None and found.sha256 == home.installed.get(label)
            (missing if ours else changed).append(
                f"{name} is {'older than the inventory' if ours else 'its own by now'}"
            )


CHECKS = (
    Check("hermes.files", Layer.HERMES, "Are secrets and files closed and owned by the agent?", _files),
    Check("hermes.documents", Layer.HERMES, "Are the documents that it was given there?", _documents),
)
