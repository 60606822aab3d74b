"""The agent as a service of systemd (`native`): its code, its user, its unit. Pure."""

from __future__ import annotations

from proxhermes.errors import Refused
from proxhermes.facts.guest import File, GuestFacts
from proxhermes.hermes import layout, unit
from proxhermes.hermes.files import decoded
from proxhermes.inventory.models import Agent
from proxhermes.plan.hermes_model import ServicePlan, change, owner_changed, unfinished
from proxhermes.plan.model import Change, Effect, worst
from proxhermes.plan.package import PackagePlan


def plan_native(agent: Agent, facts: GuestFacts, so_far: Effect, package: PackagePlan) -> ServicePlan:
    """What is different about the service. Raises Refused for a unit or a user that are not ours."""
    changes, files = [*package.changes], dict(package.files)
    changes += _user(agent, facts)
    for name, path, text, effect in _texts(agent):
        found = _file(agent, facts, name, path, text, effect)
        changes += found
        if found:
            files[name] = text.encode()
    changes += _service(agent, facts, max(so_far, worst(changes)))
    return ServicePlan(tuple(changes), files, package.notes)


def _texts(agent: Agent) -> list[tuple[str, str, str, Effect]]:
    """The files that are wanted: name in the bundle, path, content, effect."""
    project = layout.of(agent).project
    return [
        ("unit", f"{unit.FOLDER}/{layout.UNIT}", unit.render(agent), Effect.RECREATE_SERVICE),
        (unit.AS_AGENT, f"{project}/{unit.AS_AGENT}", unit.as_agent(agent), Effect.NONE),
    ]


def _file(agent: Agent, facts: GuestFacts, name: str, path: str, text: str, effect: Effect) -> list[Change]:
    """The changes of one file, by its lines where it is the unit."""
    file = facts.files.get(name)
    if file is None:
        return [change(path, None, "written", effect)]
    before = _ours(agent, file, path)
    if before == text:
        return []
    if name != "unit":
        return [change(path, "another one", "written", effect)]
    old, new = _settings(before), _settings(text)
    lines = [
        change(f"{layout.UNIT}: {key}", old.get(key), new.get(key), effect)
        for key in dict.fromkeys([*new, *old])
        if old.get(key) != new.get(key)
    ]
    return lines or [change(f"{layout.UNIT}: remarks", "older", "brought up to date", Effect.NONE)]


def _ours(agent: Agent, file: File, path: str) -> str:
    """The file's text. Raises Refused for one that proxhermes did not write."""
    text = decoded(file.content, path) if file.content is not None else ""
    if unit.MARK not in text:
        raise Refused(
            f"{path} is there already in CT {agent.vmid}, and proxhermes did not write it",
            hint="look at it, and move it away",
        )
    return text


def _settings(text: str) -> dict[str, str]:
    """A unit's settings; of a variable, its own line. A setting that is there several times is one text."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        if not sign or line.startswith("#"):
            continue
        if key == "Environment":
            name, _, value = value.strip('"').partition("=")
            key = f"Environment {name}"
        found[key] = f"{found[key]} {value}" if key in found else value
    return found


def _user(agent: Agent, facts: GuestFacts) -> list[Change]:
    """The user and the group. What collides with others is refused by the guest itself, which knows them all."""
    runtime, known = unit.native(agent), facts.service.facts
    wanted = {"user": (runtime.user, agent.hermes.uid), "group": (runtime.group, agent.hermes.gid)}
    return [
        change(f"{kind} {name}", known.get(kind) or None, str(number), Effect.RECREATE_SERVICE)
        for kind, (name, number) in wanted.items()
        if known.get(kind, "") != str(number)
    ]


def _service(agent: Agent, facts: GuestFacts, so_far: Effect) -> list[Change]:
    """What is different about the running service itself, where the files do not say it already."""
    changes = owner_changed(agent, facts, Effect.RECREATE_SERVICE)
    known, status, subject = facts.service.facts, facts.service.status, layout.UNIT
    if status not in ("running", "starting"):
        changes.append(change(subject, status if status != "nothing" else None, "running", Effect.RESTART_SERVICE))
    if status != "nothing" and known.get("enabled") != "enabled":
        changes.append(change(subject, "not started at boot", "started at boot", Effect.RESTART_SERVICE))
    if known.get("stale") == "yes" and so_far < Effect.RESTART_SERVICE:
        changes.append(change(subject, "made from an older unit", "restarted", Effect.RESTART_SERVICE))
    return changes + unfinished(facts, subject, changes, so_far)
