"""Do files that the guest writes arrive on the node, with the owner that the id map says?"""

from __future__ import annotations

from proxhermes.errors import Refused
from proxhermes.plan.model import Layer
from proxhermes.verify.model import Check, Finding, Verdict, failed, passed, skipped, warned
from proxhermes.verify.scene import Scene


def _writable_by_root(scene: Scene) -> Finding:
    return _writable(scene, "root", 0, 0)


def _writable_by_agent(scene: Scene) -> Finding:
    return _writable(scene, "agent", scene.agent.hermes.uid, scene.agent.hermes.gid)


def _writable(scene: Scene, who: str, uid: int, gid: int) -> Finding:
    """One verdict over all mounts: the worst one's."""
    mounts = scene.agent.mounts
    if not mounts:
        return skipped("the inventory has no mounts")
    try:
        owner = f"{scene.idmap.to_host('u', uid)}:{scene.idmap.to_host('g', gid)}"
    except Refused as error:
        return failed(error.message, error.hint)
    findings = [_one(scene, number, who, owner) for number in range(len(mounts))]
    worst = min(findings, key=lambda finding: (Verdict.FAIL, Verdict.WARN, Verdict.PASS).index(finding.verdict))
    if worst.verdict is Verdict.PASS:
        return passed("; ".join(finding.evidence for finding in findings))
    return worst


def _one(scene: Scene, number: int, who: str, owner: str) -> Finding:
    mount = scene.agent.mounts[number]
    wrote = scene.guest.answer(f"{who}.{number}")
    seen = scene.node.text(f"{who}.{number}").splitlines()
    if mount.read_only:
        if wrote.ok:
            return failed(f"{mount.guest} is writable, but the inventory says read_only")
        return passed(f"{mount.guest} is read-only, as wanted")
    if not wrote.ok:
        advice = f"`owner: {mount.owner}` keeps {who} out; `owner: agent` lets both write"
        refused = f"{who} cannot write to {mount.guest}: {wrote.last_words}"
        # An owner other than the agent is the operator's own choice.
        return warned(refused, advice) if who == "agent" and mount.owner != "agent" else failed(refused, advice)
    if len(seen) < 2 or seen[1] != scene.nonce:
        return failed(
            f"{who} wrote to {mount.guest}, but the file is not in {mount.host} on the node",
            f"something else is mounted at {mount.guest} or {mount.host}",
        )
    found = ":".join(seen[0].split("|")[:2])
    if found != owner:
        return failed(
            f"the file in {mount.host} belongs to {found} on the node, not to {owner}", "is the id map its own?"
        )
    return passed(f"{mount.guest} → {mount.host} as {found}")


CHECKS = (
    Check("host.root-writes", Layer.HOST, "Do files of the container's root arrive on the node?", _writable_by_root),
    Check("host.agent-writes", Layer.HOST, "Do files of the agent arrive on the node?", _writable_by_agent),
)
