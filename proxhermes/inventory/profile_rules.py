"""Rules for profiles: what is the agent's alone, for it has the one gateway and the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxhermes.inventory.tree import Report, Tree

_OF_THE_GATEWAY: Final = ("API_SERVER_", "HERMES_DASHBOARD")
"""Beginnings of variables that open a port (Hermes 0.22: gateway/config.py, PORT_BINDING_PLATFORM_VALUES)."""
_KEY: Final = "API_SERVER_KEY"
"""Not one of them: a profile's own, without which the one API has nothing below its name."""


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All of them, for the profiles of every agent."""
    for agent in agents.values():
        profiles = agent.at("hermes", "profiles")
        if profiles is None or not profiles.children:
            continue
        for name, profile in profiles.children.items():
            _no_gateway_of_its_own(name, profile, report)
        switch = agent.at("hermes", "settings", "gateway", "multiplex_profiles")
        if switch is not None and switch.value is not True:
            report.add(switch.spot, "the one gateway would serve none of `hermes.profiles`", "leave it out, or true")


def _no_gateway_of_its_own(name: str, profile: Tree, report: Report) -> None:
    for block in ("environment", "secrets"):
        lines = profile.at(block)
        for variable, tree in lines.children.items() if lines else ():
            if variable.startswith(_OF_THE_GATEWAY) and variable != _KEY:
                report.add(
                    tree.key,
                    f"{variable} opens a port, and a profile has none of its own",
                    f"the agent's own, under which the API of the profile is /p/{name}/v1",
                )
    alone = profile.at("settings", "gateway", "standalone")
    if alone is not None and alone.value not in (False, None):  # Hermes 0.22: hermes_cli/container_boot.py
        report.add(alone.spot, "the one gateway would not serve this profile", "leave it out, or false")
    skills = profile.at("skills")
    for skill in skills.children.values() if skills else ():
        if (source := skill.at("git")) is not None:
            report.add(source.key, "a profile has no skills from git", "`path` or `hub`")
