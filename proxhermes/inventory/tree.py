"""YAML as a tree that remembers where everything stands, and refuses what YAML would misread in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import yaml
from ruamel.yaml.error import MarkedYAMLError

from proxhermes.inventory import plain
from proxhermes.inventory.problems import Problem, render_path
from proxhermes.inventory.secrets import HOW_TO_REFERENCE, SecretRef

Path_ = tuple[str | int, ...]
Scalar = str | int | float | bool | None

LARGEST: Final = 100_000
"""Most values in a file, aliases counted as what they stand for."""

_TAG: Final = "tag:yaml.org,2002:"
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_LARGEST_NUMBER: Final = 2**63 - 1  # beyond it, readers of YAML make other numbers of it, or text
_DECIMAL: Final = re.compile(r"-?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?")
# Numbers for YAML 1.2 and text for 1.1.
_NEWER_NUMBER: Final = re.compile(r"[-+]?0[0-9]+|0o[0-7]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+")
SHAPES: Final = (
    r"(?:sk-(?:[a-z]+-)?[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|glpat-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16}|[0-9]{6,12}:[A-Za-z0-9_-]{30,}"
    r"|[^\s@]{1,64}@[a-z]{1,32}![^\s=]{1,64}=[0-9a-f-]{36}|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*)"
)
"""Secrets by the shapes that their issuers gave them."""
_SECRETS: Final = re.compile(SHAPES + r"\s*")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the file, counted from 1, and the path of what is written there; or the variable it comes from.

    file: another one than the inventory, which a path in the inventory names.
    """

    line: int
    column: int
    path: Path_
    variable: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """A value with its place. `key` is the place of its key; of list items and the root, their own."""

    value: Scalar | dict[str, Tree] | list[Tree]
    spot: Spot
    key: Spot

    @property
    def children(self) -> dict[str, Tree]:
        """The entries of a mapping; none of anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Tree]:
        """The items of a list; none of anything else."""
        return self.value if isinstance(self.value, list) else []

    def at(self, *path: str) -> Tree | None:
        """The value under these keys."""
        tree: Tree | None = self
        for part in path:
            tree = tree.children.get(part) if tree else None
        return tree

    def text(self, *path: str) -> str | None:
        """The text under these keys, if there is one."""
        tree = self.at(*path)
        return tree.value if tree and isinstance(tree.value, str) else None

    def plain(self) -> object:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    @property
    def kind(self) -> str:
        """What it is, in words."""
        match self.value:
            case None:
                return "nothing"
            case bool():
                return "true" if self.value else "false"
            case int() | float():
                return "a number"
            case str():
                return "text"
            case list():
                return "a list"
            case _:
                return "a block of keys"


@dataclass(slots=True)
class Report:
    """Collects mistakes, each once. A place whose text was refused as such is not judged a second time."""

    file: str
    problems: dict[Problem, None] = field(default_factory=dict)
    warnings: dict[Problem, None] = field(default_factory=dict)
    _refused: set[tuple[str | None, int, int]] = field(default_factory=set)

    def add(self, spot: Spot, message: str, allowed: str = "", *, path: Path_ | None = None) -> None:
        """A mistake at `spot`; `path` where it is about something that is not there."""
        if (spot.file, spot.line, spot.column) not in self._refused:
            self.problems[self._problem(spot, message, allowed, path)] = None

    def refuse(self, spot: Spot, message: str, allowed: str) -> None:
        """A mistake in the text itself, whatever it was meant for: the only one told about that place."""
        self.add(spot, message, allowed)
        self._refused.add((spot.file, spot.line, spot.column))

    def warn(self, spot: Spot, message: str, allowed: str = "") -> None:
        """Something that works and is probably not meant."""
        self.warnings[self._problem(spot, message, allowed, None)] = None

    def place(self, spot: Spot) -> str:
        """FILE:LINE, as it is named within a sentence about another place."""
        return f"{spot.file or self.file}:{spot.line}"

    def _problem(self, spot: Spot, message: str, allowed: str, path: Path_ | None) -> Problem:
        source = f" (from the environment variable {spot.variable})" if spot.variable else ""
        shown = render_path(spot.path if path is None else path)
        return Problem(spot.file or self.file, spot.line, spot.column, shown, message + source, allowed)


_NO_REFERENCES: Final = frozenset({"settings", "mcp_servers", "compose_override", "environment"})
"""Blocks with keys of others or of the user's own: `{env: …}` is no reference there."""


def merge(beneath: Tree, above: Tree, *, references: bool = True) -> Tree:
    """`above` over `beneath`: blocks of keys are joined, everything else is replaced. Places are kept.

    A secret reference is replaced as a whole: `{env: …}` over `{file: …}` is not both. references: there may be such
    ones here.
    """
    if not isinstance(beneath.value, dict) or not isinstance(above.value, dict):
        return above
    if references and _is_reference(beneath.value) and _is_reference(above.value):
        return above
    joined = dict(beneath.value)
    for key, child in above.value.items():
        inner = references and key not in _NO_REFERENCES
        joined[key] = merge(joined[key], child, references=inner) if key in joined else child
    return replace(above, value=joined)


def _is_reference(value: dict[str, Tree]) -> bool:
    return set(value) == {"age", "identity"} or (len(value) == 1 and next(iter(value)) in SecretRef.WAYS)


def read(text: str, report: Report, file: str | None = None, *, verbatim: bool = False) -> Tree | None:
    """The tree of a YAML text; None, with the mistake in `report`, if it cannot be read as YAML at all.

    file: the text's own, if it is not the inventory; such a one may be empty. verbatim: Hermes reads it as it is, and
    nothing in it may be one thing to some versions of Hermes and another to others (`plain`).
    """
    start = Spot(1, 1, (), file=file)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        spot = replace(start, line=before.count("\n") + 1, column=error.position - (before.rfind("\n") + 1) + 1)
        report.add(
            spot, "a character that no YAML file may hold", "printable characters; others as escapes in double quotes"
        )
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = replace(start, line=mark.line + 1, column=mark.column + 1) if mark else start
        report.add(spot, *syntax(error))
        return None
    except RecursionError:
        report.add(start, "the file is nested too deeply to be read")
        return None
    if node is None:
        if file is None:
            report.add(start, "the file is empty", "an inventory; inventory.example.yaml is one to start from")
        return None if file is None else Tree({}, start, start)
    return _Builder(report, file, verbatim).build(node)


_SYNTAX: Final = (
    (r"character '\\t'", "a tab; YAML is indented with spaces", "spaces"),
    (r"character '[%@`]'", "a value that begins with a character that means something to YAML", "the value in quotes"),
    (
        "mapping values are not allowed",
        "a `:` where none can stand",
        "`key: value`, equally indented; a value that holds `: ` in quotes",
    ),
    ("could not find expected ':'", "a key without its `:`", "`key: value`; a text of several lines in quotes"),
    ("unexpected end of stream", "the file ends within quotes", "the closing quote"),
    (
        "undefined alias",
        "an alias (`*…`) of nothing",
        "the value in quotes if it begins with `*`; else its anchor first",
    ),
    (
        "second occurrence",
        "an anchor (`&…`) that is defined twice",
        "each once; a value that begins with `&` in quotes",
    ),
    ("single document|another document", "a second document (`---`)", "one document in the file"),
    ("undefined tag handle", "a tag (`!…`)", "no tags; a value that begins with `!` in quotes"),
    (r"expected ',' or '\]'", "a list `[…]` that is not closed, or lacks a comma", "`[one, two]`"),
    (r"expected ',' or '\}'", "a block `{…}` that is not closed, or lacks a comma", "`{key: value, key: value}`"),
    ("expected <block end>", "an indentation that fits nothing above", "keys of one block in one column"),
)


def syntax(error: yaml.MarkedYAMLError | MarkedYAMLError) -> tuple[str, str]:
    """What is wrong with the YAML, in words without anything that stands there; and what is allowed."""
    said = error.problem or error.context or "it is not YAML"
    for pattern, message, allowed in _SYNTAX:
        if re.search(pattern, said):
            return message, allowed
    # What the parser quotes may be a secret that was written here.
    return "this is not YAML: " + re.sub(r"'[^'<>]{2,}'", "…", said), ""


class _Builder:
    """Turns composed nodes into trees. A node with an anchor is built once, where it is written."""

    def __init__(self, report: Report, file: str | None, verbatim: bool) -> None:
        self._report = report
        self._file = file
        self._verbatim = verbatim
        self._built: dict[int, Tree] = {}
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()
        self._size = 0

    def build(self, node: yaml.Node) -> Tree:
        return self._tree(node, (), self._spot(node, ()))

    def _spot(self, node: yaml.Node, path: Path_) -> Spot:
        return Spot(node.start_mark.line + 1, node.start_mark.column + 1, path, file=self._file)

    def _tree(self, node: yaml.Node, path: Path_, key: Spot) -> Tree:
        spot = self._spot(node, path)
        known = self._built.get(id(node))
        if known is not None:
            self._size += self._sizes[id(node)]
            if self._size <= LARGEST:
                return known
            # Aliases of aliases of aliases: a few lines can stand for more than any memory holds.
            self._report.add(
                Spot(1, 1, (), file=self._file), "aliases make the file too large", f"at most {LARGEST} values"
            )
            return Tree(None, spot, key)
        before = self._size
        self._size += 1
        if id(node) in self._open:
            self._report.refuse(
                spot, "this holds itself through an alias", "an alias of something that is complete before it"
            )
            return Tree(None, spot, key)
        self._open.add(id(node))
        match node:
            case yaml.ScalarNode():
                tree = Tree(self._scalar(node, spot), spot, key)
            case yaml.SequenceNode() if node.tag == _TAG + "seq":
                tree = Tree([self._item(child, (*path, i)) for i, child in enumerate(node.value)], spot, key)
            case yaml.MappingNode() if node.tag == _TAG + "map":
                tree = Tree(self._mapping(node, path), spot, key)
            case _:
                self._tag(spot)
                tree = Tree(None, spot, key)
        self._open.discard(id(node))
        self._built[id(node)] = tree
        self._sizes[id(node)] = self._size - before
        return tree

    def _item(self, node: yaml.Node, path: Path_) -> Tree:
        return self._tree(node, path, self._spot(node, path))

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Tree]:
        merged: dict[str, Tree] = {}
        own: dict[str, Tree] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                for tree in self._merged(value_node, path):
                    merged = {**tree.children, **merged}
                continue
            name = self._key(key_node, path)
            if name is None:
                continue
            spot = self._spot(key_node, (*path, name))
            if name in own:
                self._report.refuse(
                    spot,
                    f"`{name}` stands here a second time; the first is in line {own[name].key.line}",
                    "each key once",
                )
                continue
            own[name] = self._tree(value_node, (*path, name), spot)
            own[name] = replace(own[name], key=spot) if own[name].spot.path == (*path, name) else own[name]
        return {**merged, **own}

    def _merged(self, node: yaml.Node, path: Path_) -> Iterator[Tree]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for child in nodes:
            if isinstance(child, yaml.MappingNode):
                yield self._tree(child, path, self._spot(child, path))
            else:
                self._report.refuse(
                    self._spot(child, path), "`<<` takes in something that is no block of keys", "`<<: *ANCHOR`"
                )

    def _key(self, node: yaml.Node, path: Path_) -> str | None:
        spot = self._spot(node, path)
        if not isinstance(node, yaml.ScalarNode):
            self._report.refuse(spot, "a key that is a list or a block", "a plain word as key")
            return None
        if node.tag == _TAG + "null":
            self._report.refuse(spot, "an empty key", "a plain word as key")
            return None
        if node.tag == _TAG + "bool" and node.style is None and node.value not in _BOOLEANS:
            self._report.refuse(self._spot(node, (*path, node.value)), *_boolean_trap(node.value))
        self._same_to_all(node, self._spot(node, (*path, node.value)))
        return str(node.value)

    def _same_to_all(self, node: yaml.ScalarNode, spot: Spot) -> bool:
        """Whether a text that Hermes reads itself is one to each version of it; refused if not."""
        if not self._verbatim or node.tag != plain.STR or node.style is not None:
            return True
        newer = plain.ruamel(node.value)
        if newer != plain.STR:
            self._report.refuse(spot, *(_boolean_trap if newer == _TAG + "bool" else _number_trap)(node.value))
        return newer == plain.STR

    def _tag(self, spot: Spot) -> None:
        self._report.refuse(
            spot, "a tag (`!…`), which means nothing here", "the plain value; in quotes if it begins with `!`"
        )

    def _scalar(self, node: yaml.ScalarNode, spot: Spot) -> Scalar:
        raw = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        if node.tag == kind or kind not in ("str", "int", "float", "bool", "null", "timestamp", "value"):
            self._tag(spot)
            return None
        if kind == "null":
            return None
        if kind == "bool" and raw in _BOOLEANS:
            return _BOOLEANS[raw]
        if kind == "int" and _WHOLE.fullmatch(raw) and abs(int(raw)) <= _LARGEST_NUMBER:
            return int(raw)
        if kind == "float" and _DECIMAL.fullmatch(raw):
            return float(raw)
        if kind == "bool":
            self._report.refuse(spot, *_boolean_trap(raw))
        elif kind in ("int", "float") or (kind == "str" and node.style is None and _NEWER_NUMBER.fullmatch(raw)):
            self._report.refuse(spot, *_number_trap(raw))
        elif self._same_to_all(node, spot) and _SECRETS.fullmatch(raw):
            self._report.refuse(
                spot,
                "this looks like a secret, which is never written here",
                f"{HOW_TO_REFERENCE}, where a secret belongs; and change this one, since it has been in a file",
            )
        return raw


def _boolean_trap(raw: str) -> tuple[str, str]:
    meaning = "true" if raw.lower() in ("yes", "on", "y") else "false"
    return (
        f"`{raw}` without quotes is the boolean {meaning} for some YAML readers and text for others",
        f'{meaning} for a switch, "{raw}" in quotes for a text',
    )


def _number_trap(raw: str) -> tuple[str, str]:
    # The value is not repeated: it may be a secret.
    if ":" in raw:
        what = "digits with `:` are, without quotes, a number to the base 60 for some YAML readers"
    elif re.fullmatch(r"[-+]?0[0-9_]+|0o[0-7]+", raw):
        what = "digits after a 0 are, without quotes, octal for some YAML readers and decimal for others"
    else:
        what = "a number that YAML readers do not agree on"
    return what, "quotes around it if it is text, or a plain decimal number"
