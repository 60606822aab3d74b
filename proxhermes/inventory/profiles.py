"""Profiles of Hermes: each is an agent of its own to those who plan its files, in a home below the agent's.

Hermes has them in HERMES_HOME/profiles/NAME, each a whole home (0.22: hermes_cli/profiles.py). One gateway serves them
all, and every process of theirs is of the agent's user, with the agent's code, in the agent's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxhermes.inventory.hermes import Home, Profile
from proxhermes.inventory.models import Agent
from proxhermes.inventory.tree import Spot, Tree

Trees = Mapping[str, Tree]


class ProfileAgent(Agent):
    """The agent as one of its profiles: its `hermes`, `messaging` and model are the profile's.

    enabled: whether the gateway serves it. declared: False for one that the inventory does not have any more.
    """

    name: str
    enabled: bool
    declared: bool

    @property
    def profile(self) -> str:
        return self.name

    @property
    def served(self) -> bool:
        return self.enabled

    @property
    def laid_out(self) -> bool:
        return self.declared

    @property
    def option(self) -> str:
        return f"agents.{self.vmid}.hermes.profiles.{self.name}"


def of(agent: Agent) -> tuple[ProfileAgent, ...]:
    """Those that the inventory has."""
    return tuple(_agent(agent, name, profile) for name, profile in agent.hermes.profiles.items())


def gone(agent: Agent, name: str) -> ProfileAgent:
    """One that the inventory does not have any more: it is given nothing."""
    profile = Profile.model_validate({"gateway": {"enable": False}})
    return _agent(agent, name, profile).model_copy(update={"declared": False})


def _agent(agent: Agent, name: str, profile: Profile) -> ProfileAgent:
    hermes = agent.hermes.model_copy(
        update={field: getattr(profile, field) for field in Home.model_fields} | {"profiles": {}}
    )
    hermes.place_settings(profile.places, profile.keys)
    litellm = agent.litellm
    if profile.model not in (None, litellm.model):
        litellm = litellm.model_copy(update={"model": profile.model, "context_length": None})
    shared = {field: getattr(agent, field) for field in Agent.model_fields}
    own = {"hermes": hermes, "messaging": profile.messaging, "litellm": litellm}
    return ProfileAgent.model_construct(**{**shared, **own}, name=name, enabled=profile.gateway.enable, declared=True)


def trees(agents: Trees) -> dict[str, Tree]:
    """The agents as they are written, and after each the trees of its profiles as such agents, as VMID/NAME."""
    found: dict[str, Tree] = {}
    for vmid, agent in agents.items():
        found[vmid] = agent
        profiles = agent.at("hermes", "profiles")
        for name, profile in profiles.children.items() if profiles else ():
            found[f"{vmid}/{name}"] = _tree(agent, profile)
    return found


def _tree(agent: Tree, profile: Tree) -> Tree:
    """A profile's tree in an agent's place: what it does not say is the agent's, but for its platforms."""
    messaging = profile.at("messaging") or _nothing(profile.spot)
    own = {"hermes": profile, "messaging": messaging}
    litellm, model = agent.at("litellm"), profile.at("model")
    if litellm is not None and model is not None:
        own["litellm"] = replace(litellm, value={**litellm.children, "model": model})
    return replace(agent, value={**agent.children, **own})


def _nothing(spot: Spot) -> Tree:
    return Tree({}, spot, spot)
