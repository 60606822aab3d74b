"""Hermes' config.yaml: what proxhermes declares in it, merged into what is there, with others' keys and comments kept.

Compared is what the Hermes that is going to read it makes of it (`yaml_readers`); what is written, every version reads
alike. The text is changed in place; where that cannot be done (anchors), it is written again as a whole, with comments
and order kept. Either way it is read again, and used only if it says what was meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import yaml
from ruamel.yaml.error import YAMLError

from proxhermes.hermes import yaml_anchors, yaml_duplicates, yaml_edit, yaml_readers
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import ABSENT, Difference, Path, lookup, merged, same, three_way
from proxhermes.hermes.settings import VERSION
from proxhermes.hermes.yaml_duplicates import Duplicate
from proxhermes.hermes.yaml_readers import NEWEST, NotYaml
from proxhermes.inventory.tree import LARGEST
from proxhermes.upstream import Reader

NAME: Final = "config.yaml"
_NEW: Final = "# Hermes' settings. proxhermes sets the keys that its inventory mentions and leaves all others alone.\n"


@dataclass(frozen=True, slots=True)
class ConfigUpdate:
    """The file's new text, and what differs from the old one; without differences the text is the old one.

    dropped: keys that were there more than once, of which the last one is left. kept: keys that are declared no more
    and stay, because somebody changed them since they were written.
    """

    text: str = field(repr=False)
    differences: tuple[Difference, ...]
    dropped: tuple[Duplicate, ...] = ()
    kept: tuple[Path, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.differences or self.dropped)


def parse(text: str, name: str = NAME, *, reader: Reader = NEWEST) -> dict[str, Any]:
    """The settings as this reader takes them. name: the file's. Raises UnusableFile with the line that it refuses."""
    try:
        settings = yaml_readers.load(text, reader)
    except NotYaml as error:
        raise _unusable(error, text, name, reader) from None
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise UnusableFile(name, "this is not a mapping of settings", 1)
    _bounded(settings, name)
    return settings


def is_new(text: str | None, reader: Reader = NEWEST) -> bool:
    """Whether the file says nothing yet, as one that is not there. Raises UnusableFile."""
    return not parse(_readable(text or "", reader)[0], reader=reader)


def update(
    text: str | None,
    wanted: Mapping[str, Any],
    *,
    reader: Reader = NEWEST,
    last: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> ConfigUpdate:
    """Merge `wanted` into the file's `text` (None: no file), by the law of `hermes.merge.three_way`.

    reader: of the Hermes that is going to read it. last: what `memory` said when the file was written last; None: not
    known. defaults: set only where the file says nothing. Raises UnusableFile for a text that cannot be read, or not be
    changed without touching others' keys.
    """
    readable, dropped = _readable(text or "", reader)
    # Hermes itself raises the file's version: whoever wrote it, it is never taken out.
    known = {key: value for key, value in (last or {}).items() if key != VERSION}
    quoted, requoted = _requoted(readable, merged(known, wanted), reader)
    existing = parse(quoted, reader=reader)
    merge = three_way(existing, wanted, last=known, defaults=defaults)
    differences = (*requoted, *merge.differences)
    if text is not None and not differences:
        return ConfigUpdate(readable, (), dropped, merge.kept)
    written = _written(quoted if text else _NEW, existing, merge.target, reader) if merge.differences else quoted
    return ConfigUpdate(written, differences, dropped, merge.kept)


def remembered(text: str) -> dict[str, Any]:
    """What `dump` wrote, also before anything was quoted in it for a newer reader. Raises UnusableFile."""
    return parse(text, reader="pyyaml")


def stamped(text: str, version: int, reader: Reader = NEWEST) -> ConfigUpdate:
    """A whole file, which has a `_config_version` of `version` at least. Raises UnusableFile."""
    if number(parse(text, reader=reader).get(VERSION)) >= version:
        return ConfigUpdate(text, ())
    return update(text, {VERSION: version}, reader=reader)


def memory(declared: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What to remember of this run for the next one's `last`."""
    return merged(defaults, declared)


def dump(settings: Mapping[str, Any]) -> str:
    """The settings as a text of their own, as `parse` reads it: the same one whatever order their keys came in."""
    return yaml_edit.dumped(settings, sort_keys=True) if settings else ""


def number(version: Any) -> int:
    """A version as Hermes takes it (0.22: hermes_cli/config_version_stamp.py): text that is a number, too."""
    try:
        return 0 if isinstance(version, bool) else int(version)
    except (TypeError, ValueError, OverflowError):
        return 0


class _Way(Protocol):
    def __call__(self, text: str, changes: Iterable[yaml_edit.Edit], reader: Reader) -> str: ...


def _written(text: str, existing: Mapping[str, Any], target: Mapping[str, Any], reader: Reader) -> str:
    """The text with `target` in place of `existing`."""
    ways: tuple[_Way, ...] = (yaml_edit.edited, yaml_anchors.rewritten, partial(yaml_anchors.rewritten, flat=True))
    for way in ways:
        try:
            written = way(text, yaml_edit.edits(existing, target), reader)
            if same(yaml_readers.load(written, reader) or {}, target):
                return written
        except (yaml_edit.CannotEdit, NotYaml, yaml.YAMLError, YAMLError):
            continue  # the next way
    raise UnusableFile(NAME, "it cannot be changed without touching other keys (one that stands there twice?)")


def _readable(text: str, reader: Reader) -> tuple[str, tuple[Duplicate, ...]]:
    """The text without duplicates, where this reader refuses it for them; and which. Raises UnusableFile."""
    try:
        yaml_readers.load(text, reader)
    except NotYaml as error:
        if error.problem != yaml_readers.DUPLICATE:
            raise _unusable(error, text, NAME, reader) from None
        try:
            return yaml_duplicates.mended(text), yaml_duplicates.duplicates(text, reader)
        except yaml_edit.CannotEdit:
            raise _unusable(error, text, NAME, reader) from None
    return text, ()


def _requoted(text: str, ours: Mapping[str, Any], reader: Reader) -> tuple[str, tuple[Difference, ...]]:
    """The text with quotes around keys of ours that an earlier Hermes read as text, and this reader does not (`y`)."""
    before = parse(text, reader=reader)
    quoted, keys = yaml_edit.quoted_keys(text, ours, reader)
    if not keys:
        return text, ()
    after = parse(quoted, reader=reader)
    found: list[Difference] = []
    for path, misread in keys:
        older: Path = (*path[:-1], misread)
        found += Difference(older, lookup(before, older), ABSENT), Difference(path, ABSENT, lookup(after, path))
    return quoted, tuple(found)


def _bounded(settings: Mapping[str, Any], name: str) -> None:
    """Refuse what has no end: a block that an alias puts into itself, or aliases of aliases of aliases."""
    left, values = LARGEST, [settings]
    while values:
        value = values.pop()
        values += value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        left -= 1
        if left < 0:
            raise UnusableFile(name, f"aliases make it larger than {LARGEST} values, or one stands within itself")


def _unusable(error: NotYaml, text: str, name: str, reader: Reader) -> UnusableFile:
    """The error with its line, without the text around it, which may hold a secret."""
    problem = "this is not YAML" + (f": {error.problem}" if error.problem else "")
    if error.problem == yaml_readers.DUPLICATE:
        lines = next((each.lines for each in yaml_duplicates.duplicates(text, reader) if error.line in each.lines), ())
        others = " and ".join(str(line) for line in lines if line != error.line)
        problem = f"{error.problem}{f', as in line {others}' if others else ''}, which Hermes from 0.22 on cannot read"
    return UnusableFile(name, problem, error.line)
