"""Hermes' config.yaml: what proxhermes sets in it, merged into what is there, with others' keys and comments kept.

Compared is what Hermes reads (PyYAML, YAML 1.1); written is with ruamel.yaml, which keeps comments and order.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, PlainScalarString

from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import ABSENT, Difference, Path, differences, leaves, lookup, merged, nested, removed, same

NAME: Final = "config.yaml"
_NEW: Final = "# Hermes' settings. proxhermes sets the keys that its inventory mentions and leaves all others alone.\n"


class _AsItStands(VersionedResolver):
    """Takes every plain scalar for a text, so that numbers and words that we do not touch are written as they stood."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and value and implicit[0]:
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)


@dataclass(frozen=True, slots=True)
class ConfigUpdate:
    """The file's new text, and what differs from the old one; without differences the text is the old one."""

    text: str = field(repr=False)
    differences: tuple[Difference, ...]


def parse(text: str) -> dict[str, Any]:
    """The settings as Hermes reads them. Raises UnusableFile with the line that cannot be read."""
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _unusable(error) from None
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise UnusableFile(NAME, "this is not a mapping of settings", 1)
    return settings


def update(
    text: str | None,
    wanted: Mapping[str, Any],
    *,
    defaults: Mapping[str, Any] | None = None,
    forget: Collection[Path] = (),
) -> ConfigUpdate:
    """Merge `wanted` into the file's `text` (None: no file), by the law of `hermes.merge`.

    defaults: set only where the file says nothing. forget: paths that are taken out unless they are wanted.
    Raises UnusableFile for a text that cannot be read, or not be changed without touching others' keys.
    """
    existing = parse(text or "")
    missing: dict[str, Any] = {}
    for path, value in leaves(defaults or {}):
        if lookup(existing, path) is ABSENT:
            missing = merged(missing, nested(path, value))
    target = merged(existing, merged(missing, wanted))
    gone = [path for path in forget if lookup(wanted, path) is ABSENT and lookup(existing, path) is not ABSENT]
    for path in gone:
        target = removed(target, path)
    found = [*differences(existing, merged(missing, wanted))]
    found += [Difference(path, lookup(existing, path), ABSENT) for path in gone]
    if not found and text is not None:
        return ConfigUpdate(text, ())
    written = _written(text, found)
    if not same(parse(written), target):
        raise UnusableFile(NAME, "it cannot be changed without touching other keys (anchors, or keys as `on`, `yes`?)")
    return ConfigUpdate(written, tuple(found))


def _written(text: str | None, found: Collection[Difference]) -> str:
    """The text with the differences carried out, comments kept."""
    editor = YAML()
    editor.Resolver = _AsItStands
    editor.preserve_quotes = True
    editor.width = 4096
    try:
        document = editor.load(text or "")
    except YAMLError as error:
        raise _unusable(error) from None
    head = ""
    if document is None:  # nothing there, or comments alone
        document, head = CommentedMap(), text or _NEW
        head += "" if head.endswith("\n") else "\n"
    for difference in found:
        if difference.after is ABSENT:
            _remove(document, difference.path)
        else:
            _set(document, difference.path, _as_written(difference.after))
    out = io.StringIO()
    editor.dump(document, out)
    return head + out.getvalue()


def _set(document: Any, path: Path, value: Any) -> None:
    *parents, last = path
    for key in parents:
        if not isinstance(document.get(key), CommentedMap):
            document[_as_written(key)] = CommentedMap()
        document = document[key]
    document[_as_written(last)] = value


def _remove(document: Any, path: Path) -> None:
    key, *rest = path
    if rest:
        _remove(document[key], tuple(rest))
        if document[key]:
            return
    del document[key]


def _as_written(value: Any) -> Any:
    """The value for the editor: text is quoted where Hermes would take it for something else (`off`, `1:30`)."""
    if isinstance(value, str):
        return PlainScalarString(value) if _reads_as(value) == value else DoubleQuotedScalarString(value)
    if isinstance(value, Mapping):
        return CommentedMap((_as_written(key), _as_written(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return [_as_written(item) for item in value]
    return PlainScalarString(yaml.safe_dump(value).split("\n")[0])


def _reads_as(text: str) -> object:
    """What a plain scalar with this text is to Hermes; None where it cannot be one."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return None


def _unusable(error: yaml.YAMLError | YAMLError) -> UnusableFile:
    """The error with its line, without the text around it, which may hold a secret."""
    mark = None
    problem = "this is not YAML"
    if isinstance(error, (yaml.MarkedYAMLError, MarkedYAMLError)):
        mark = error.problem_mark or error.context_mark
        if error.context_mark and "stream end" in (error.problem or ""):  # something left open: where it began
            mark = error.context_mark
        problem = f"this is not YAML: {(error.problem or error.context or '').splitlines()[0]}"
    return UnusableFile(NAME, problem, mark.line + 1 if mark else None)
