"""Hermes' config.yaml: what proxhermes declares in it, merged into what is there, with others' keys and comments kept.

Compared is what Hermes reads (PyYAML, YAML 1.1). The text is changed in place; where that cannot be done (anchors), it
is written anew with comments and order kept. Either way it is read again, and used only if it says what was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import yaml
from ruamel.yaml.error import YAMLError

from proxhermes.hermes import yaml_anchors, yaml_edit
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import Difference, Path, merged, same, three_way
from proxhermes.hermes.settings import VERSION
from proxhermes.inventory.tree import LARGEST, syntax

NAME: Final = "config.yaml"
_NEW: Final = "# Hermes' settings. proxhermes sets the keys that its inventory mentions and leaves all others alone.\n"


@dataclass(frozen=True, slots=True)
class ConfigUpdate:
    """The file's new text, and what differs from the old one; without differences the text is the old one.

    kept: keys that are declared no more and stay, because somebody changed them since they were written.
    """

    text: str = field(repr=False)
    differences: tuple[Difference, ...]
    kept: tuple[Path, ...] = ()


def parse(text: str, name: str = NAME) -> dict[str, Any]:
    """The settings as Hermes reads them. name: the file's. Raises UnusableFile with the line that cannot be read."""
    try:
        settings = yaml.safe_load(text)
    # ValueError: a date that no calendar has; RecursionError: brackets that nobody would write but to make us fail.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unusable(error, name) from None
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise UnusableFile(name, "this is not a mapping of settings", 1)
    _bounded(settings, name)
    return settings


def is_new(text: str | None) -> bool:
    """Whether the file says nothing yet, as one that is not there. Raises UnusableFile."""
    return not parse(text or "")


def update(
    text: str | None,
    wanted: Mapping[str, Any],
    *,
    last: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> ConfigUpdate:
    """Merge `wanted` into the file's `text` (None: no file), by the law of `hermes.merge.three_way`.

    last: what `memory` said when the file was written last; None: not known. defaults: set only where the file says
    nothing. Raises UnusableFile for a text that cannot be read, or not be changed without touching others' keys.
    """
    existing = parse(text or "")
    # Hermes itself raises the file's version: whoever wrote it, it is never taken out.
    known = {key: value for key, value in (last or {}).items() if key != VERSION}
    merge = three_way(existing, wanted, last=known, defaults=defaults)
    if not merge.differences and text is not None:
        return ConfigUpdate(text, (), merge.kept)
    written = _written(text if text else _NEW, existing, merge.target)
    return ConfigUpdate(written, merge.differences, merge.kept)


def memory(declared: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What to remember of this run for the next one's `last`."""
    return merged(defaults, declared)


def dump(settings: Mapping[str, Any]) -> str:
    """The settings as a text of their own, as `parse` reads it: the same one whatever order their keys came in."""
    return yaml_edit.dumped(settings, sort_keys=True) if settings else ""


def _written(text: str, existing: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """The text with `target` in place of `existing`."""
    ways: tuple[Callable[[str, Iterable[yaml_edit.Edit]], str], ...] = (
        yaml_edit.edited,
        yaml_anchors.rewritten,
        partial(yaml_anchors.rewritten, flat=True),
    )
    for way in ways:
        try:
            written = way(text, yaml_edit.edits(existing, target))
            if same(yaml.safe_load(written) or {}, target):
                return written
        except (yaml_edit.CannotEdit, yaml.YAMLError, YAMLError):
            continue  # the next way
    raise UnusableFile(NAME, "it cannot be changed without touching other keys (one that stands there twice?)")


def _bounded(settings: Mapping[str, Any], name: str) -> None:
    """Refuse what has no end: a block that an alias puts into itself, or aliases of aliases of aliases."""
    left, values = LARGEST, [settings]
    while values:
        value = values.pop()
        values += value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        left -= 1
        if left < 0:
            raise UnusableFile(name, f"aliases make it larger than {LARGEST} values, or one stands within itself")


def _unusable(error: Exception, name: str) -> UnusableFile:
    """The error with its line, without the text around it, which may hold a secret."""
    mark = None
    problem = "this is not YAML"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if error.context_mark and "stream end" in (error.problem or ""):  # something left open: where it began
            mark = error.context_mark
        problem += ": " + syntax(error)[0].removeprefix("this is not YAML: ")
    return UnusableFile(name, problem, mark.line + 1 if mark else None)
