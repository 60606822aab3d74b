"""YAML as each Hermes reads it: PyYAML, or ruamel.yaml as Hermes 0.22 uses that (hermes_yaml.py, safe_load)."""

from __future__ import annotations

import warnings
from typing import Any, Final

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from proxhermes.inventory import plain
from proxhermes.inventory.tree import syntax
from proxhermes.upstream import RELEASES, Reader

NEWEST: Final[Reader] = RELEASES[-1].yaml
"""The reader of the newest Hermes, for where it is not known yet which one is going to read a file."""
MERGE: Final = "tag:yaml.org,2002:merge"
DUPLICATE: Final = "a key that is there twice"
_REFUSALS: Final = (
    *(yaml.YAMLError, YAMLError),
    # A date that no calendar has; brackets without an end; `!!bool x`, `!!int ''`, `!!timestamp x` and the like.
    *(ValueError, RecursionError, LookupError, AttributeError, TypeError, ArithmeticError),
)


class NotYaml(Exception):
    """A text that the reader refuses. problem: in words without the text around it, which may hold a secret."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


def load(text: str, reader: Reader) -> Any:
    """What the text says to this reader. Raises NotYaml with the line, counted from 1, where it is known."""
    try:
        return yaml.safe_load(text) if reader == "pyyaml" else _ruamel(text)
    except _REFUSALS as error:
        raise _refused(error) from None


def scalar(node: yaml.ScalarNode, reader: Reader) -> Any:
    """What a scalar that PyYAML composed from a text is to this reader. Raises NotYaml."""
    if reader == "ruamel" and node.style is None and plain.ruamel(node.value) not in (node.tag, plain.STR):
        start, end = node.start_mark, node.end_mark
        if "!" not in (start.buffer or "")[start.pointer : end.pointer]:  # its tag is one that PyYAML found itself
            return load(node.value, reader)
    try:
        return yaml.SafeLoader("").construct_object(node)
    except _REFUSALS as error:
        raise _refused(error) from None


def _ruamel(text: str) -> Any:
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they hold parts of the text
        return reader.load(text)


def _refused(error: Exception) -> NotYaml:
    if isinstance(error, DuplicateKeyError):
        return NotYaml(DUPLICATE, error.problem_mark.line + 1)
    if not isinstance(error, (yaml.MarkedYAMLError, MarkedYAMLError)):
        return NotYaml("", None)
    mark = error.problem_mark or error.context_mark
    if error.context_mark and "stream end" in (error.problem or ""):  # something left open: where it began
        mark = error.context_mark
    return NotYaml(syntax(error)[0].removeprefix("this is not YAML: "), mark.line + 1 if mark else None)
