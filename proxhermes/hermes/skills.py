"""The agent's skills, by where they come from: what the guest is asked of those from git, what Hermes says of its hub.

A skill is a folder with SKILL.md in HERMES_HOME/skills, its name the folder's (Hermes 0.19 and 0.22:
agent/skill_utils.py). Those of a folder of the operator's are files like all that the agent is given. Those from git
become files, too, once the guest has fetched them (`host_scripts/guest-skills.sh`). Those of the hub are installed by
Hermes' own command, which keeps a list of them (tools/skills_hub.py: .hub/lock.json).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxhermes.hermes import layout
from proxhermes.hermes.documents import SKILLS, Given, Source
from proxhermes.inventory.models import Agent
from proxhermes.inventory.skills import Skill

LIST: Final = "skills"
"""The file in a bundle that names those from git."""
SCRIPTS: Final = ("guest-skills.sh", "guest-package.sh")
RECORD: Final = ("identifier", "source")
"""Keys of a skill in the hub's list that are remembered."""


def of_git(agent: Agent) -> dict[str, Skill]:
    """Those from git repositories, by name."""
    return {name: skill for name, skill in agent.hermes.skills.items() if skill.git is not None}


def of_hub(agent: Agent) -> dict[str, str]:
    """The identifiers of those of the hub, by name."""
    return {name: skill.hub for name, skill in agent.hermes.skills.items() if skill.hub is not None}


def commit(skill: Skill) -> str | None:
    """The commit that the inventory names itself; None where the repository has to be asked."""
    return skill.ref if skill.ref and re.fullmatch(r"[0-9a-f]{40}", skill.ref) else None


def packages(agent: Agent) -> tuple[str, ...]:
    """Debian packages that the guest needs for them."""
    return ("ca-certificates", "git") if of_git(agent) else ()


def bundle(agent: Agent, meant: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """The list of those from git for guest-skills.sh, if there are any. meant: commits that it found out."""
    rows: list[str] = []
    for name, skill in of_git(agent).items():
        found = commit(skill) or (meant or {}).get(name) or "-"
        rows.append("\t".join((name, str(skill.git), str(skill.ref), found, skill.subdir or "-")))
    return {LIST: "".join(f"{row}\n" for row in rows).encode()} if rows else {}


def fetched(agent: Agent, name: str, path: str, mode: int, size: int, sha256: str) -> Given:
    """A file of a skill that the guest has fetched, as one that the agent is given. path: below the skill's folder."""
    source = Source(f"{layout.of(agent).project}/{LIST}/{name}/files/{path}", size, sha256)
    return Given("home", f"{SKILLS}/{name}/{path}", b"", layout.FOLDER if mode & 0o100 else layout.FILE, source=source)


def read_lock(content: bytes | None) -> dict[str, Mapping[str, Any]] | None:
    """The skills that the hub has installed, by name; None for a list that cannot be read."""
    tree = _json(content or b"")
    found = tree.get("installed") if isinstance(tree, dict) else None
    if not isinstance(found, dict):
        return None
    return {name: entry for name, entry in found.items() if isinstance(entry, dict)}


@dataclass(frozen=True, slots=True)
class Remembered:
    """A skill of the hub that is ours: the identifier that was declared, and what Hermes made of it.

    stored: None for one whose installation a run did not see the end of.
    """

    declared: str
    stored: str | None

    def covers(self, entry: Mapping[str, Any]) -> bool:
        """Whether what the hub has under its name is this one."""
        return self.stored is None or entry.get("identifier") == self.stored


def read_memory(content: bytes | None) -> dict[str, Remembered]:
    """Those of the hub that are ours, by name."""
    tree = _json(content or b"{}")
    found: dict[str, Remembered] = {}
    for name, entry in tree.items() if isinstance(tree, dict) else ():
        match entry:
            case {"declared": {"hub": str(declared)}, "record": {"identifier": str(stored)}}:
                found[name] = Remembered(declared, stored)
            case {"declared": {"hub": str(declared)}, "record": None}:
                found[name] = Remembered(declared, None)
    return found


def _json(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
