"""Keys that a block of a YAML file has more than once.

To PyYAML the last one counts; ruamel.yaml, as Hermes uses it from 0.22 on, refuses the whole file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from proxhermes.hermes import yaml_edit, yaml_readers
from proxhermes.hermes.merge import same
from proxhermes.hermes.yaml_edit import CannotEdit, Page
from proxhermes.hermes.yaml_readers import NotYaml
from proxhermes.inventory import plain
from proxhermes.upstream import Reader

_MOST: Final = 100
"""So many are taken out of one file; one that has more was not written by hand."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that is there more than once. path: where; items of lists go by their number.

    lines: of each, counted from 1. names: as they are written; `y` and `true` may be the same. values: as they are
    written, None for one that is a block or a list.
    """

    path: tuple[object, ...]
    lines: tuple[int, ...]
    names: tuple[str, ...]
    values: tuple[str | None, ...] = field(repr=False)


def duplicates(text: str, reader: Reader) -> tuple[Duplicate, ...]:
    """All of them, by their lines; none for a text that PyYAML cannot take apart. reader: to whom keys are the same."""
    return tuple(sorted((found for found, _, _ in _found(text, reader)), key=lambda found: found.lines))


def mended(text: str) -> str:
    """A text that ruamel.yaml refuses for its duplicates, without those that do not count for PyYAML, and with quotes
    around those that are different ones to PyYAML (`y` and `true`).

    Raises CannotEdit where that is not all that is wrong with it, or where it would mean something else to PyYAML then.
    """
    try:
        keys = (key for _, _, entries in _found(text, "ruamel") for key, _ in entries)
        written = yaml_edit.quoted(text, [key for key in keys if _is_misread(key)])
        # From the end on, so that what was found before is still where it was.
        for block, key, value in sorted(_to_drop(written), key=lambda each: -each[1].start_mark.index):
            written = Page(written).removed(block, key, value)
        yaml_readers.load(written, "ruamel")
        if not same(*(yaml_readers.load(each, "pyyaml") for each in (text, written))):
            raise CannotEdit
    except NotYaml as error:
        raise CannotEdit from error
    return written


_Entry = tuple[yaml.ScalarNode, yaml.Node]
_Place = tuple[object, ...]


def _is_misread(key: yaml.ScalarNode) -> bool:
    """Whether this key without quotes is text to PyYAML alone."""
    return key.tag == plain.STR and not isinstance(yaml_readers.scalar(key, "ruamel"), str)


def _to_drop(text: str) -> list[tuple[yaml.MappingNode, yaml.Node, yaml.Node]]:
    """All entries but the last one of each key, without those that go along with one around them."""
    drop = [(block, *entry) for _, block, entries in _found(text, "ruamel") for entry in entries[:-1]]
    if len(drop) > _MOST:
        raise CannotEdit
    spans = [(key.start_mark.index, value.end_mark.index) for _, key, value in drop]
    return [each for each in drop if not any(start < each[1].start_mark.index < end for start, end in spans)]


def _found(text: str, reader: Reader) -> Iterator[tuple[Duplicate, yaml.MappingNode, list[_Entry]]]:
    """Each with its block, and its entries in it."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return
    nodes: list[tuple[_Place, yaml.Node]] = [((), root)] if root else []
    seen: set[int] = set()
    while nodes:
        path, node = nodes.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += [((*path, number), item) for number, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            for key, entries in _by_key(node, reader).items():
                nodes += [((*path, key), value) for _, value in entries]
                if len(entries) > 1:
                    yield _duplicate((*path, key), entries), node, entries


def _by_key(block: yaml.MappingNode, reader: Reader) -> dict[Any, list[_Entry]]:
    found: dict[Any, list[_Entry]] = {}
    for key, value in block.value:
        if isinstance(key, yaml.ScalarNode) and not (reader == "pyyaml" and key.tag == yaml_readers.MERGE):
            name = "<<" if key.tag == yaml_readers.MERGE else yaml_readers.scalar(key, reader)
            found.setdefault(name, []).append((key, value))
    return found


def _duplicate(path: _Place, entries: list[_Entry]) -> Duplicate:
    return Duplicate(
        path,
        tuple(key.start_mark.line + 1 for key, _ in entries),
        tuple(key.value for key, _ in entries),
        tuple(value.value if isinstance(value, yaml.ScalarNode) else None for _, value in entries),
    )
