"""Changes in a YAML file with anchors, aliases and merge keys: written anew by ruamel.yaml, which keeps comments.

What an alias stands for is changed for that alias alone.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.anchor import Anchor
from ruamel.yaml.comments import Comment, CommentedMap, CommentedSeq, Format
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, PlainScalarString, ScalarString

from proxhermes.hermes import yaml_readers
from proxhermes.hermes.merge import ABSENT, Path, same
from proxhermes.hermes.yaml_edit import CannotEdit, Edit
from proxhermes.hermes.yaml_readers import NEWEST
from proxhermes.inventory import plain
from proxhermes.upstream import Reader


class _AsItStands(VersionedResolver):
    """Takes every plain scalar for a text, so that numbers and words that we do not touch are written as they stood."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and value not in ("", "<<") and implicit[0]:
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)


def rewritten(text: str, changes: Iterable[Edit], reader: Reader = NEWEST, *, flat: bool = False) -> str:
    """`text` with the changes made. reader: for whom the changes' keys are what they are. flat: every alias and merge
    key is first replaced by what it stands for.

    Raises CannotEdit, and ruamel's YAMLError for what it cannot read.
    """
    editor = YAML()
    editor.Resolver = _AsItStands
    editor.preserve_quotes = True
    editor.width = sys.maxsize
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they hold parts of the text
        document = editor.load(text)
    if not isinstance(document, CommentedMap):
        raise CannotEdit
    if flat:
        document = _flat(document)
    for change in changes:
        _set(document, change.path, change.value, reader)
    out = io.StringIO()
    editor.dump(document, out)
    return out.getvalue()


def _set(document: CommentedMap, path: Path, value: Any, reader: Reader) -> None:
    *parents, last = path
    for part in parents:
        key = _key(document, part, reader)
        child = document.get(key)
        if not isinstance(child, CommentedMap):
            raise CannotEdit
        if child.anchor.value:  # others may see the same block
            child = _copy(child)
            document[key] = child
        document = child
    if value is ABSENT:
        document.pop(_key(document, last, reader), None)
    else:
        document[_key(document, last, reader)] = _written(value)


def _key(block: CommentedMap, name: object, reader: Reader) -> Any:
    """The block's key that the reader takes for `name`, be it a number; a new one where there is none."""

    def read(key: Any) -> object:
        quoted = isinstance(key, ScalarString) and not isinstance(key, PlainScalarString)
        return str(key) if quoted else _reads_as(key, reader)

    return next((key for key in block if same(read(key), name)), _written(name))


def _copy(block: CommentedMap) -> CommentedMap:
    """A block of its own with the same entries."""
    copied: CommentedMap = block.copy()
    setattr(copied, Anchor.attrib, Anchor())
    return copied


def _flat(value: Any) -> Any:
    """The value without anchors and merge keys, comments kept."""
    if isinstance(value, CommentedMap):
        return _looking_as(value, CommentedMap((_unnamed(key), _flat(item)) for key, item in value.items()))
    if isinstance(value, CommentedSeq):
        return _looking_as(value, CommentedSeq(_flat(item) for item in value))
    return _unnamed(value)


def _looking_as(value: Any, plain: Any) -> Any:
    """`plain` with the comments and the style of `value`."""
    for attribute in (Comment.attrib, Format.attrib):
        if hasattr(value, attribute):
            setattr(plain, attribute, getattr(value, attribute))
    return plain


def _unnamed(scalar: Any) -> Any:
    """A text without its anchor."""
    return type(scalar)(str(scalar)) if getattr(getattr(scalar, "anchor", None), "value", None) else scalar


def _written(value: Any) -> Any:
    """The value for the editor: text is quoted where any reader would take it for something else (`off`, `1:30`)."""
    if isinstance(value, str):
        unquoted = (_reads_as(value, "pyyaml"), _reads_as(f"[{value}]", "pyyaml")) == (value, [value])
        return PlainScalarString(value) if unquoted and plain.is_text(value) else DoubleQuotedScalarString(value)
    if isinstance(value, dict):
        return CommentedMap((_written(key), _written(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return CommentedSeq(_written(item) for item in value)
    return PlainScalarString(yaml.safe_dump(value).split("\n")[0])


def _reads_as(text: str, reader: Reader) -> object:
    """What a plain scalar with this text is to the reader; None where it cannot be one."""
    try:
        return yaml_readers.load(text, reader)
    except yaml_readers.NotYaml:
        return None
