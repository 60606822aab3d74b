"""`${NAME}` in settings: Hermes puts the environment's value there, and leaves it as it stands where there is none.

That shows at the first call only, so it is looked for here. Syntax as Hermes 0.19 has it: all between `${` and `}` is
the name (hermes_cli/config.py); for MCP servers also `${env:NAME}`, with blanks around (tools/mcp_tool.py). There are
no defaults (`${NAME:-x}`), no escapes, and keys are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from proxhermes.hermes.merge import Path

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


def _name(written: str) -> str:
    return written.strip().removeprefix("env:").strip()
