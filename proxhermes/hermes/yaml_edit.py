"""Changes in the text of a YAML file that leave every other byte of it as it is.

A change is made where the entry stands: its lines are cut or replaced, new entries follow the last one of their block.
What cannot be done so (an alias, keys on one line with others) raises CannotEdit; whoever calls reads the result anew
and compares, so that a text that turned out otherwise is never used.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from proxhermes.hermes import yaml_readers
from proxhermes.hermes.merge import ABSENT, Path, same
from proxhermes.hermes.yaml_readers import NEWEST
from proxhermes.inventory import plain
from proxhermes.upstream import Reader

_STR: Final = plain.STR
_NULL: Final = "tag:yaml.org,2002:null"
_MERGE: Final = yaml_readers.MERGE
_BREAK: Final = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # what PyYAML counts as the end of a line

_LONGEST_KEY: Final = 1000
_OTHER_BREAKS: Final = re.compile("[\r\x85\u2028\u2029\ufeff]")


class CannotEdit(Exception):
    """This change cannot be made in place."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Set the value at `path`, or remove it (`value` ABSENT). The mapping that holds it is there."""

    path: Path
    value: Any


class Dumper(yaml.SafeDumper):
    """Long texts in their own lines, no anchors of ours, and quotes around what any reader takes for no text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        misread = kind is yaml.ScalarNode and implicit[0] and tag == _STR and not plain.is_text(value)
        return plain.OTHER if misread else tag

    def check_simple_key(self) -> bool:
        """Whether a key fits before its colon: of more than 1,024 characters, no reader finds that (scanner.py)."""
        if isinstance(self.event, yaml.ScalarEvent):
            return len(self.event.value.encode("unicode_escape")) <= _LONGEST_KEY
        return bool(super().check_simple_key())


class _InlineDumper(Dumper):
    """The same on one line."""


def _style(text: str, of_lines: str) -> str | None:
    """How a text is written. of_lines: for one of several lines; breaks but `\\n` are read as such in escapes alone."""
    return '"' if _OTHER_BREAKS.search(text) else of_lines if "\n" in text else None


Dumper.add_representer(str, lambda to, text: to.represent_scalar(_STR, text, style=_style(text, "|")))
_InlineDumper.add_representer(str, lambda to, text: to.represent_scalar(_STR, text, style=_style(text, '"')))


def edits(before: Mapping[str, Any], after: Mapping[str, Any], at: Path = ()) -> Iterator[Edit]:
    """The fewest changes that make `after` of `before`, whole blocks at once where all of a block is new or gone.

    Removals come last, so that no block is empty in between.
    """
    for key, new in after.items():
        path, old = (*at, key), before.get(key, ABSENT)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and old and new:
            yield from edits(old, new, path)
        elif old is ABSENT or not same(old, new):
            yield Edit(path, new)
    yield from (Edit((*at, key), ABSENT) for key in before if key not in after)


def edited(text: str, changes: Iterable[Edit], reader: Reader = NEWEST) -> str:
    """`text` with the changes made. reader: for whom the changes' keys are what they are.

    Raises CannotEdit, and yaml.YAMLError where one of them broke the text.
    """
    for change in changes:
        text = _one(text, change, reader)
    return text


def quoted_keys(text: str, ours: Mapping[str, Any], reader: Reader) -> tuple[str, list[tuple[Path, Any]]]:
    """The text with quotes around those keys of `ours` that PyYAML reads as such and this reader does not.

    Returns these, too, with what this reader takes the last part for.
    Nothing is done to a text that PyYAML cannot take apart.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return text, []
    found = list(_misread(root, ours, reader, ()))
    return quoted(text, [node for _, node in found]), [
        (path, yaml_readers.scalar(node, reader)) for path, node in found
    ]


def quoted(text: str, nodes: Iterable[yaml.ScalarNode]) -> str:
    """The text with its plain scalars `nodes` in quotes."""
    for node in sorted(nodes, key=lambda node: -node.start_mark.index):
        text = text[: node.start_mark.index] + inline(node.value, flow=True) + text[node.end_mark.index :]
    return text


def _misread(
    block: yaml.Node | None, ours: Mapping[str, Any], reader: Reader, at: Path
) -> Iterator[tuple[Path, yaml.ScalarNode]]:
    if not isinstance(block, yaml.MappingNode):
        return
    for name, value in ours.items():
        path = (*at, name)
        found, older = find(block, name, reader), find(block, name, "pyyaml")
        if found is None and older is not None and isinstance(older[0], yaml.ScalarNode) and isinstance(name, str):
            yield path, older[0]
        child = found or older
        if child is not None and isinstance(value, Mapping):
            yield from _misread(child[1], value, reader, path)


def dumped(value: Mapping[str, Any], indent: int = 0, newline: str = "\n", *, sort_keys: bool = False) -> str:
    """Entries of a block as they are written, indented by `indent` blanks."""
    text = yaml.dump(dict(value), Dumper=Dumper, default_flow_style=False, **{**_STYLE, "sort_keys": sort_keys})
    return "".join(f"{' ' * indent if line else ''}{line}{newline}" for line in text.splitlines())


_STYLE: Final[dict[str, Any]] = {"sort_keys": False, "allow_unicode": True, "width": sys.maxsize}


def inline(value: Any, *, flow: bool) -> str:
    """The value on one line; flow: as it may stand within `[…]` or `{…}`."""
    style = {"Dumper": _InlineDumper, "default_flow_style": True, **_STYLE}
    if flow:
        return str(yaml.dump([value], **style)).strip()[1:-1]
    return str(yaml.dump(value, **style)).removesuffix("...\n").strip()


def _one(text: str, change: Edit, reader: Reader) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None or root.tag == _NULL or (isinstance(root, yaml.MappingNode) and not root.value):
        start, end = (root.start_mark.index, root.end_mark.index) if root else (len(text), len(text))
        head = text[:start] + ("" if not start or text[:start].endswith("\n") else "\n")
        return head + dumped({change.path[0]: change.value}) + text[end:].removeprefix("\n")
    if not isinstance(root, yaml.MappingNode):
        raise CannotEdit
    block = root
    for key in change.path[:-1]:
        parent = find(block, key, reader)
        if parent is None or not isinstance(parent[1], yaml.MappingNode):
            raise CannotEdit  # it comes from a merge key
        block = parent[1]
    page = Page(text)
    found = find(block, change.path[-1], reader)
    if change.value is not ABSENT:
        new = {change.path[-1]: change.value}
        return page.replaced(block, *found, new) if found else page.added(block, new)
    if found is None:
        raise CannotEdit
    return page.removed(block, *found)


def find(block: yaml.MappingNode, key: object, reader: Reader) -> tuple[yaml.Node, yaml.Node] | None:
    """Key and value of the entry that counts, the last one of this name. Keys may be numbers, too."""
    entries = (each for each in reversed(block.value) if each[0].tag != _MERGE)
    return next((each for each in entries if is_key(each[0], key, reader)), None)


def is_key(node: yaml.Node, key: object, reader: Reader) -> bool:
    """Whether the reader takes what is written there for this key."""
    return isinstance(node, yaml.ScalarNode) and same(yaml_readers.scalar(node, reader), key)


class Page:
    """The text with the places of its lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(found.end() for found in _BREAK.finditer(text))]
        self.newline = "\r\n" if "\r\n" in text else "\n"

    def line(self, number: int) -> str:
        """The line, counted from 0, without its end."""
        return _BREAK.split(self.text[self.starts[number] : self.start(number + 1)])[0]

    def start(self, number: int) -> int:
        """Where the line begins; the end of the text for the one after the last."""
        return self.starts[number] if number < len(self.starts) else len(self.text)

    def last(self, node: yaml.Node, after: int) -> int:
        """The last line of a value that begins behind the place `after`."""
        if node.start_mark.index < after:
            raise CannotEdit  # an alias: it is written where its anchor is
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            child = node.value[-1]
            key, value = child if isinstance(child, tuple) else (None, child)
            return self.last(value, key.end_mark.index if key else node.start_mark.index)
        end: int = node.end_mark.line - (node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line)
        while end > node.start_mark.line and not self.line(end).strip():
            end -= 1  # a text in its own lines takes the empty ones behind it along
        return end

    def added(self, block: yaml.MappingNode, entry: Mapping[str, Any]) -> str:
        """The text with one more entry at the end of the block."""
        key, value = block.value[-1]
        if block.flow_style:
            end = value.end_mark.index
            if end < key.end_mark.index:
                raise CannotEdit
            return f"{self.text[:end]}, {_inline_entry(entry)}{self.text[end:]}"
        place = self.start(self.last(value, key.end_mark.index) + 1)
        head, tail = self.text[:place], self.text[place:]
        head += "" if head.endswith(("\n", "\r")) else self.newline
        return head + dumped(entry, block.value[0][0].start_mark.column, self.newline) + tail

    def removed(self, block: yaml.MappingNode, key: yaml.Node, value: yaml.Node) -> str:
        """The text without the entry; lines of comments within it and behind it stay."""
        if block.flow_style:
            return self._removed_in_line(block, key, value)
        line, column = key.start_mark.line, key.start_mark.column
        last = self.last(value, key.end_mark.index)
        kept = self._comments(value, line, last, column) + self.text[self.start(last + 1) :]
        if re.fullmatch(r"(\s*-)+\s+", self.line(line)[:column]) and block.value[-1][0] is not key:
            return self.text[: key.start_mark.index] + kept.lstrip()  # the next one takes its place behind the dash
        return self.text[: self.start(self._lines(block, key, value)[0])] + kept

    def replaced(self, block: yaml.MappingNode, key: yaml.Node, value: yaml.Node, entry: Mapping[str, Any]) -> str:
        """The text with the entry's value replaced, in its place on the line where both values fit there."""
        start, end = value.start_mark.index, value.end_mark.index
        (new,) = entry.values()
        flow = isinstance(value, yaml.CollectionNode) and value.flow_style
        on_the_line = flow or (isinstance(value, yaml.ScalarNode) and value.style not in ("|", ">"))
        short = not isinstance(new, (Mapping, list, tuple)) or not new
        fits = block.flow_style or ((short or flow) and not _is_long(new))
        if start >= key.end_mark.index and on_the_line and fits:
            written = ("" if start < end else " ") + inline(new, flow=bool(block.flow_style))
            return self.text[:start] + written + self.text[end:]
        first, last = self._lines(block, key, value)
        column = key.start_mark.column
        written = dumped(entry, column, self.newline)
        if remark := re.match(r"\s*:(\s+#.*)", self.line(first)[key.end_mark.column :]):
            head, rest = written.split(self.newline, 1)
            written = head + remark[1].rstrip() + self.newline + rest
        kept = self._comments(value, first, last, column)
        return self.text[: self.start(first)] + kept + written + self.text[self.start(last + 1) :]

    def _removed_in_line(self, block: yaml.MappingNode, key: yaml.Node, value: yaml.Node) -> str:
        """The text without an entry of `{…}`, and without one of the commas around it."""
        at = block.value.index((key, value))
        if at + 1 < len(block.value):
            start, end = key.start_mark.index, block.value[at + 1][0].start_mark.index
        else:
            before_key, before = block.value[at - 1]
            start, end = before.end_mark.index, value.end_mark.index
            if start < before_key.end_mark.index or end < key.end_mark.index or not at:
                raise CannotEdit
        return self.text[:start] + self.text[end:]

    def _lines(self, block: yaml.MappingNode, key: yaml.Node, value: yaml.Node) -> tuple[int, int]:
        """First and last line of an entry that has its lines to itself."""
        first = key.start_mark.line
        if block.flow_style or self.line(first)[: key.start_mark.column].strip():
            raise CannotEdit
        return first, self.last(value, key.end_mark.index)

    def _comments(self, value: yaml.Node, first: int, last: int, column: int) -> str:
        """The lines of comments within an entry of these lines, if its value is a block; moved to `column`.

        Deeper than the entry itself they would become words of a text in its own lines before them.
        """
        if not isinstance(value, yaml.CollectionNode) or value.flow_style:
            return ""
        inside = {number for node in _scalars(value) for number in range(node.start_mark.line, node.end_mark.line)}
        lines = (self.line(number).lstrip() for number in range(first + 1, last + 1) if number not in inside)
        return "".join(" " * column + line + self.newline for line in lines if line.startswith("#"))


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value


def _inline_entry(entry: Mapping[str, Any]) -> str:
    ((key, value),) = entry.items()
    return f"{inline(key, flow=True)}: {inline(value, flow=True)}"


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        for part in child if isinstance(child, tuple) else (child,):
            yield from _scalars(part)
