"""`${NAME}` in settings: Hermes puts the environment's value there, and leaves it as it stands where there is none.

That shows at the first call only, so it is looked for here. Syntax as Hermes 0.19 has it: all between `${` and `}` is
the name (hermes_cli/config.py); for MCP servers also `${env:NAME}`, with blanks around (tools/mcp_tool.py). There are
no defaults (`${NAME:-x}`), no escapes, and keys are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from proxhermes.errors import UsageError
from proxhermes.hermes.merge import Path

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent

_REFERENCE: Final = re.compile(r"\$\{([^}]+)\}")
HERMES_OWN: Final = frozenset({"HOME", "PATH", "HERMES_HOME", "API_SERVER_KEY"})
"""Variables that are there without anybody's saying so, in every runtime; the key is made on the guest."""


def references(tree: object, at: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every reference in the tree's texts: the path of the text (items of lists by number), and the name."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from references(value, (*at, str(key)))
    elif isinstance(tree, (list, tuple)):
        for number, value in enumerate(tree):
            yield from references(value, (*at, str(number)))
    elif isinstance(tree, str):
        for found in _REFERENCE.finditer(tree):
            yield at, _name(found[1]) if at[:1] == ("mcp_servers",) else found[1]


def undefined(tree: Mapping[str, Any], names: Collection[str]) -> tuple[tuple[Path, str], ...]:
    """Every reference of the tree that neither `names` (all lines of .env) nor Hermes itself defines."""
    return tuple(dict.fromkeys(found for found in references(tree) if found[1] not in {*names, *HERMES_OWN}))


def missing(agent: Agent, tree: Mapping[str, Any], names: Collection[str]) -> tuple[tuple[str, str], ...]:
    """What `undefined` finds, with the place where it is written: (FILE:LINE: path, name)."""
    given = {*names, *_service_environment(agent)}
    return tuple((_shown(agent, path), name) for path, name in undefined(tree, given))


def refuse_undefined(agent: Agent, tree: Mapping[str, Any], names: Collection[str]) -> None:
    """Raise UsageError for every `${NAME}` of the tree that neither `names` (all lines of .env) nor Hermes defines."""
    found = missing(agent, tree, names)
    if found:
        listed = "".join(f"\n  {where}: ${{{name}}}" for where, name in found)
        raise UsageError(
            f"agent {agent.vmid}: nothing defines what these settings name:{listed}",
            hint=f"hermes.secrets or hermes.environment: {{{found[0][1]}: …}}",
        )


def _shown(agent: Agent, path: Path) -> str:
    place = agent.hermes.place(path)
    return f"{place + ': ' if place else ''}{'.'.join(path)}"


def _service_environment(agent: Agent) -> Collection[str]:
    """Names of the variables that the inventory gives the container itself."""
    override = getattr(agent.runtime, "compose_override", {})
    given = override.get("environment")
    return given if isinstance(given, dict) else [str(line).partition("=")[0] for line in given or ()]


def _name(written: str) -> str:
    return written.strip().removeprefix("env:").strip()
