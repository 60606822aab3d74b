"""The tag of an image that means another one now than the guest has: said by `plan`, and nothing is done. Pure."""

from __future__ import annotations

from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes import compose, image
from proxhermes.hermes.image import Build
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime
from proxhermes.plan.package import short


def asked(agent: Agent, facts: GuestFacts) -> str | None:
    """The image of which a registry can say something new: one by its tag, that is there already; with that tag."""
    if isinstance(agent.runtime, NativeRuntime) or facts.image_id is None:
        return None
    name = agent.runtime.image
    return None if image.parse(name).digest else image.tagged(name)


def moved(agent: Agent, facts: GuestFacts, build: Build) -> str:
    """What the tag means now, what the guest has, and how to get the new one."""
    written, code = compose.contained(agent).image, facts.codes.get(facts.image_id or "")
    name, there = image.tagged(written), image.digests(image.parse(written), facts.image_digests)
    now = _build(short(build.digest), build.version, build.made and f"made {build.made}")
    has = _build(short(there[0]) if there else "an image of no registry", code.version if code else None)
    return (
        f"{name} now means {now}; CT {agent.vmid} has {has}: it stays, for a tag is pulled when it is missing and "
        f"never by itself. For the new one: runtime.image: {name}@{build.digest}"
    )


def _build(name: str, *words: str | None) -> str:
    told = ", ".join(filter(None, words))
    return f"{name} ({told})" if told else name
