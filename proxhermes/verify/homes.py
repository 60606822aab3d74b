"""The agent's home and those of its profiles, as the guest's answers show each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proxhermes.facts import profiles as told
from proxhermes.facts import tree
from proxhermes.facts.tree import Seen
from proxhermes.hermes import documents, modes
from proxhermes.inventory import profiles
from proxhermes.plan import documents as planned

if TYPE_CHECKING:
    from proxhermes.hermes.documents import Given
    from proxhermes.inventory.models import Agent
    from proxhermes.verify.scene import Scene


@dataclass(frozen=True, slots=True)
class Home:
    """One of them. agent: the agent, or it as the profile. given: the files that the inventory gives it.

    seen: its files by their names; installed: those that were put there last, with their hashes; crons: which of its
    jobs are ours, as it was remembered. jobs, skills: what Hermes has of them, or why that is not known.
    """

    agent: Agent
    given: tuple[Given, ...]
    seen: Mapping[str, Seen] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)
    crons: bytes = b""
    jobs: list[Any] | str = ""
    skills: list[Any] | str = ""

    def named(self, text: str) -> str:
        """A text with the profile's name before it."""
        return f"{self.agent.profile}: {text}" if self.agent.profile else text


def bundle(agent: Agent) -> dict[str, bytes]:
    """The profiles whose jobs and skills guest-verify.sh asks the gateway for; nothing where it would know nothing."""
    served = [profile for profile in profiles.of(agent) if profile.enabled]
    asked = any(home.hermes.crons or home.hermes.skills for home in (agent, *served))
    return {"profiles": " ".join(("default", *(profile.name for profile in served))).encode()} if asked else {}


def looked_at(agent: Agent, given: Mapping[str, tuple[Given, ...]]) -> tuple[str, ...]:
    """Names of what the checks have to see. given: by the profiles' names, the agent's by an empty one."""
    found = [*_looked_at(agent, given.get("", ()))]
    for profile in profiles.of(agent):
        found += told.outward(profile.name, _looked_at(profile, given.get(profile.name, ())))
    return tuple(dict.fromkeys(found))


def _looked_at(agent: Agent, given: tuple[Given, ...]) -> Iterator[str]:
    yield from (rule.label for rule in modes.table(agent))
    yield from (f"{modes.TOKENS}/{token}.json" for token in agent.hermes.mcp_tokens)
    yield from planned.looked_at(agent, given)


def given(agent: Agent) -> dict[str, tuple[Given, ...]]:
    """The files that the inventory gives, by the profiles' names. Raises UsageError for one that cannot be read."""
    return {home.profile: documents.given(home) for home in (agent, *profiles.of(agent))}


def of(scene: Scene) -> Iterator[Home]:
    """All of them, the agent's own first."""
    seen = tree.parse(scene.guest.text("tree"))
    for agent in (scene.agent, *profiles.of(scene.agent)):
        behind = f"@{agent.profile}" if agent.profile else ""
        yield Home(
            agent,
            scene.given[agent.profile],
            told.tree_of(seen, agent.profile) if agent.profile else seen,
            planned.read(scene.guest.text(f"installed{behind}")),
            scene.guest.text(f"crons{behind}").encode(),
            _known(scene, agent.profile or "default", "jobs"),
            _skills(scene, agent.profile or "default"),
        )


def _known(scene: Scene, profile: str, what: str) -> list[Any] | str:
    """What the gateway knows of its jobs or skills; a sentence where it did not say."""
    found = (scene.guest.json("known") or {}).get(profile)
    if not isinstance(found, dict):
        return scene.guest.answer("known").last_words
    listed = found.get(what)
    return listed if isinstance(listed, list) else " ".join(str(found.get(f"{what}_error")).split())[:200]


def _skills(scene: Scene, profile: str) -> list[Any] | str:
    """The names of the skills that it lists, else those that its command does (`hermes skills list`)."""
    told = _known(scene, profile, "skills")
    rows = [[cell.strip() for cell in line.split("│")] for line in scene.guest.text(f"skills@{profile}").splitlines()]
    names = [row[1] for row in rows if len(row) > 3 and row[-2] == "enabled"]
    return names if isinstance(told, str) and names else told
