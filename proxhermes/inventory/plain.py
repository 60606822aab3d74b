"""What a scalar without quotes is to each reader of YAML that meets a file of ours.

Hermes up to 0.21 reads YAML 1.1 with PyYAML; from 0.22 on with ruamel.yaml, to which `y` is a boolean and `1e5` is a
number (0.22: hermes_yaml.py); a line `%YAML 1.2` makes that 1.2. Docker's compose knows dates and numbers of its own
(yaml.v3: resolve.go).
"""

from __future__ import annotations

import re
from typing import Final

import yaml
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver

STR: Final = "tag:yaml.org,2002:str"
OTHER: Final = "tag:yaml.org,2002:other"
"""The tag of a scalar that only some of them take for text."""
_PYYAML: Final = yaml.SafeLoader("")
_RUAMEL: Final = VersionedResolver(version=(1, 1))
_NEWER: Final = VersionedResolver(version=(1, 2))
_COMPOSE: Final = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?|[-+]?0[xXoObB][0-9a-fA-F_]+"
    r"|[-+]?(?=\.?[0-9])[0-9_]*\.?[0-9_]*(?:[eE][-+]?[0-9_]+)?"
)


def pyyaml(text: str) -> str:
    """The tag that PyYAML gives a plain scalar with this text."""
    return str(_PYYAML.resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]


def ruamel(text: str) -> str:
    """The tag that ruamel.yaml gives it, as Hermes 0.22 uses that."""
    return str(_RUAMEL.resolve(ScalarNode, text, (True, False)))


def is_text(text: str) -> bool:
    """Whether it is that text to all of them; else it has to be quoted to be one."""
    newer = str(_NEWER.resolve(ScalarNode, text, (True, False)))
    return pyyaml(text) == ruamel(text) == newer == STR and not _COMPOSE.fullmatch(text)
