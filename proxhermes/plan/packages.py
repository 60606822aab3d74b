"""Debian packages that the agent's own code needs in the guest, and with `native` the agent itself. Pure."""

from __future__ import annotations

from dataclasses import replace

from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes import package
from proxhermes.inventory.models import Agent
from proxhermes.plan.engine_model import EnginePlan, change
from proxhermes.plan.model import Effect


def plan_packages(agent: Agent, facts: GuestFacts | None) -> EnginePlan:
    """What `native` needs, which has no engine. Raises Refused for a guest without apt."""
    if facts is not None and facts.os_id not in ("debian", "ubuntu"):
        raise Refused(
            f"CT {agent.vmid} runs {facts.os_id or 'an unknown system'}; the native runtime is for Debian and Ubuntu",
            hint="another template, or runtime.type: docker",
        )
    plan = with_packages(agent, facts, EnginePlan())
    if facts is not None and facts.dpkg_broken:
        broken = change("dpkg", "an installation was cut off", "finished", Effect.NONE)
        return replace(plan, changes=(broken, *plan.changes))
    return plan


def with_packages(agent: Agent, facts: GuestFacts | None, plan: EnginePlan) -> EnginePlan:
    """The plan, with the packages that the agent's own code and its skills need besides."""
    missing = _missing(agent, facts)
    changes = tuple(change(f"package {name}", before, after, Effect.NONE) for name, before, after in missing)
    names = [f"{name}={after}" if after != "installed" else name for name, _, after in missing]
    packages = tuple(dict.fromkeys((*plan.packages, *names)))
    return replace(plan, changes=(*plan.changes, *changes), packages=packages)


def _missing(agent: Agent, facts: GuestFacts | None) -> list[tuple[str, str | None, str]]:
    """(name, version that is there, version that is meant or `installed`) of those that are missing or another."""
    there = facts.packages if facts else {}
    found = []
    for wanted in package.needed_packages(agent):
        name, _, version = wanted.partition("=")
        if name not in there or (version and there[name] != version):
            found.append((name, there.get(name), version or "installed"))
    return found
