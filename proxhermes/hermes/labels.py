"""Names for the agent's files that hold wherever a runtime has its folders: `home:SOUL.md`, `workspace:AGENTS.md`.

Anything else goes by its absolute path in the guest. What is remembered in the guest, and what is looked at there, goes
by these names, so that a change of the runtime, which moves the folders, changes none of them.
"""

from __future__ import annotations

from typing import Final

from proxhermes.hermes.layout import Layout

HOME: Final = "home:"
USER_HOME: Final = "user_home:"
WORKSPACE: Final = "workspace:"


def path(layout: Layout, label: str) -> str:
    """The absolute path in the guest. `home:` alone is the folder itself."""
    for name, folder in _folders(layout):
        if label.startswith(name):
            return f"{folder}/{label.removeprefix(name)}".rstrip("/")
    return label


def label(layout: Layout, path: str) -> str:
    """The name of something by its absolute path; the innermost of the agent's folders counts."""
    for name, folder in sorted(_folders(layout), key=lambda each: -len(each[1])):
        if path == folder or path.startswith(f"{folder}/"):
            return name + path[len(folder) + 1 :]
    return path


def _folders(layout: Layout) -> tuple[tuple[str, str], ...]:
    return (HOME, layout.home), (USER_HOME, layout.user_home), (WORKSPACE, layout.workspace)
