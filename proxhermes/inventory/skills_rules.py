"""Rules for skills: each has one name for Hermes, and its folder is nobody else's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from proxhermes.inventory.tree import Report, Tree


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All of them, for every agent."""
    for agent in agents.values():
        skills, files = agent.at("hermes", "skills"), agent.at("hermes", "home_files")
        for name, skill in skills.children.items() if skills else ():
            _named_alike(name, skill, report)
            for path, file in files.children.items() if files else ():
                if f"{path}/".startswith(f"skills/{name}/"):
                    report.add(file.key, f"`hermes.skills.{name}` has this folder", "one of the two")


def _named_alike(name: str, skill: Tree, report: Report) -> None:
    """Hermes calls a skill of the hub by the last part of its identifier; only one from a page is given a name."""
    identifier = skill.text("hub")
    if identifier is None or re.match(r"https?://", identifier):
        return
    called = identifier.rstrip("/").removesuffix("/SKILL.md").rpartition("/")[2]
    if called != name:
        report.add(skill.key, f"Hermes calls {identifier} {called!r}", f"`{called}:` in the place of `{name}:`")
