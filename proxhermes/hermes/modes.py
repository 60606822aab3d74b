"""Who may read what of the agent's: one table of folders and files, for the planner and for the verification.

Everything belongs to the agent. Folders are 0750, what is no secret 0640, secrets 0600, whatever the umask. Hermes is
told 0750 by HERMES_HOME_MODE, which else closes its folders to 0700 at each start, and leaves them alone if it is
managed; what it closes in any case (`also`) is left to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from proxhermes.hermes import documents, labels, layout, workplace
from proxhermes.hermes.managed import FOLDERS
from proxhermes.inventory.models import Agent

FOLDER: Final = layout.FOLDER
PRIVATE: Final = 0o700
FILE: Final = layout.FILE
SECRET: Final = 0o600
TOKENS: Final = "home:mcp-tokens"
"""Folder of the tokens of MCP servers, which Hermes closes each time it writes one (0.19: tools/mcp_oauth.py)."""
MEMORY: Final = "home:.proxhermes"
"""Folder of what was declared last."""
NEEDED: Final = ("home:config.yaml", "home:.env")
"""Files that have to be there, and are written from elsewhere."""
MEMORIES: Final = ("config.yaml", "env", "files", "crons", "hub")
"""The settings, the names in .env, the files given to the agent with their hashes, its cron jobs with their ids, its
skills of Hermes' hub."""
GIVEN: Final = f"{MEMORY}/given"
"""config.yaml as the gateway was last started with it, until it is told what Hermes' migration has made of it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One folder or file. label: see `labels`; also: modes that are as good; made: it has to be there.

    found: one that was there before is not the agent's own, and keeps its owner and mode, if the agent may write in it.
    """

    label: str
    kind: Literal["folder", "file"]
    mode: int
    also: frozenset[int] = frozenset()
    made: bool = False
    found: bool = False

    def allows(self, mode: int) -> bool:
        return mode == self.mode or mode in self.also


def table(agent: Agent) -> tuple[Rule, ...]:
    """The rules for `agent`, outer folders first."""
    closed = frozenset({PRIVATE})
    folders = [] if agent.runtime.type == "docker" else [Rule(agent.runtime.state_dir, "folder", FOLDER, made=True)]
    # Hermes closes its home when it writes auth.json (0.19: hermes_cli/auth.py), `cron` at each look (cron/jobs.py).
    folders.append(Rule(labels.HOME, "folder", FOLDER, closed, made=True))
    folders += [Rule(label, "folder", FOLDER, made=True) for label in (labels.USER_HOME, labels.WORKSPACE)]
    for name in (*FOLDERS, documents.PLUGINS):
        folders.append(Rule(labels.HOME + name, "folder", FOLDER, closed if name == "cron" else frozenset(), made=True))
    folders.append(Rule(MEMORY, "folder", FOLDER, made=True))
    folders.append(Rule(TOKENS, "folder", PRIVATE))
    files = [
        Rule("home:config.yaml", "file", FILE, frozenset({SECRET})),  # Hermes keeps it to itself at times
        Rule("home:.env", "file", SECRET),
        Rule("home:auth.json", "file", SECRET),
        *(Rule(f"{MEMORY}/{name}", "file", FILE) for name in MEMORIES),
        Rule(GIVEN, "file", SECRET),
    ]
    if (own := workplace.own(agent)) is not None:
        name = labels.label(layout.of(agent), own)
        elsewhere = name.startswith("/") and not _in_state(agent, own)
        folders.append(Rule(name, "folder", FOLDER, made=True, found=elsewhere))
    return (*{rule.label: rule for rule in (*folders, *files)}.values(),)


def _in_state(agent: Agent, path: str) -> bool:
    return agent.runtime.type != "docker" and f"{path}/".startswith(f"{agent.runtime.state_dir}/")
