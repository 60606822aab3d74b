"""Hermes' .env, as python-dotenv reads it (also what others wrote there) and as Hermes' own reader does.

Hermes 0.19 loads the file with python-dotenv 1.2.2, which replaces `${NAME}` in every value however it is quoted; some
of its commands read the file a second time, line by line (hermes_cli/config.py), with other quotes and no `${NAME}`. A
value is written so that both read it, where there is such a way. There is none for several lines, for a literal `${`,
and for a backslash at the end of what has to be quoted: these are written for python-dotenv.

Before either, Hermes strips every line of blanks and cuts a line that begins with a variable it knows before each
further `NAME=` of such a one, then writes the file anew. So no value goes on in a second line of the file, and one that
looks like two is written behind `export`, which is never cut.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from proxhermes.hermes.files import UnusableFile

# `${:-$}` is a variable without a name and with the default "$": the one way to a literal "${" in python-dotenv.
_LITERAL_DOLLAR: Final = "${:-$}"
# Likewise a backslash. Before the closing quote, python-dotenv before 1.2.3 takes even a doubled one for an escape of
# that quote, and reads on to the next line (Hermes 0.19 has 1.2.2).
_LITERAL_BACKSLASH: Final = "${:-\\}"

_BLANK: Final = re.compile(r"\s*")
_BINDING: Final = re.compile(
    r"""
    (?: \#[^\r\n]*
      | (?:export[^\S\r\n]+)?
        (?: '(?P<quoted_key>[^']+)' | (?P<key>[^=\#\s']+[^=\#\s]*) ) [^\S\r\n]*
        (?: (?P<sets>=) [^\S\r\n]*
            (?: '(?P<single>(?:\\.|[^'\\])*)' | "(?P<double>(?:\\.|[^"\\])*)" | (?P<bare>[^\s'"][^\r\n]*)? )
        )?
        (?:[^\S\r\n]*\#[^\r\n]*)?
    )
    [^\S\r\n]* (?: \r\n | \n | \r | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_REFERENCE: Final = re.compile(r"\$\{(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\}")
_LOOKS_LIKE_TWO: Final = re.compile(r"[A-Z0-9]_[A-Z0-9_]*=")
_ESCAPES: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the file: its text with the blank lines before it, its key (None: a comment), its value."""

    text: str = field(repr=False)
    key: str | None
    value: str | None = field(repr=False)


def parse(text: str) -> Iterator[Entry]:
    """The entries of the file; together their texts are the file. Raises UnusableFile with the line of a bad one."""
    at = 1 if text.startswith("\ufeff") else 0
    begin = 0
    while at < len(text):
        blank_end = _end(_BLANK.match(text, at))
        if blank_end == len(text):
            yield Entry(text[begin:], None, None)
            return
        match = _BINDING.match(text, blank_end)
        if match is None:
            line = text.count("\n", 0, blank_end) + 1
            raise UnusableFile(".env", "this is not KEY=VALUE (an open quote?)", line)
        yield Entry(text[begin : match.end()], match["quoted_key"] or match["key"], _value(match))
        at = begin = match.end()


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # the pattern matches nothing, too
    return match.end()


def _value(match: re.Match[str]) -> str | None:
    if match["single"] is not None:
        return re.sub(r"\\([\\'])", r"\1", match["single"])
    if match["double"] is not None:
        return re.sub(r"\\([\\'\"abfnrtv])", lambda found: _ESCAPES.get(found[1], found[1]), match["double"])
    if match["bare"] is not None:
        return re.sub(r"\s+#.*", "", match["bare"]).rstrip()
    return "" if match["sets"] else None


def values(text: str) -> dict[str, str]:
    """The variables that the file sets; `${NAME}` of others is left as it stands. Raises UnusableFile."""
    return {key: _plain(value) for key, value in _raw(text).items()}


def _raw(text: str) -> dict[str, str]:
    """The same, before any reference is replaced."""
    found = {entry.key: entry.value for entry in parse(text)}
    return {key: value for key, value in found.items() if key and value is not None}


def _plain(value: str) -> str:
    """`value` with those references replaced that have no name, as in a literal `${`."""
    return _REFERENCE.sub(lambda found: found[0] if found["name"] else found["default"] or "", value)


def _literal(value: str) -> bool:
    """Whether it names no variable, so that it is what `_plain` makes of it wherever it is read."""
    return not any(found["name"] for found in _REFERENCE.finditer(value))


def numbered(text: str) -> Iterator[tuple[Entry, int]]:
    """The entries with the line that each stands on, from 1. Raises UnusableFile."""
    begin = 1
    for entry in parse(text):
        blank = len(entry.text) - len(entry.text.lstrip("\ufeff \t\r\n\f\v"))
        yield entry, begin + entry.text.count("\n", 0, blank)
        begin += entry.text.count("\n")


def expanded(value: str, known: Mapping[str, str]) -> str:
    """`value` with each `${NAME}` and `${NAME:-default}` replaced as python-dotenv does.

    known: what may be named. Raises KeyError with a name that is not in it and has no default.
    """

    def of(found: re.Match[str]) -> str:
        default = found["default"]
        return known[found["name"]] if default is None else known.get(found["name"], default)

    return _REFERENCE.sub(of, value)


def assignment(key: str, value: str) -> str:
    """The line that sets `key` to exactly `value`. Raises ValueError for a value with a null character."""
    if "\0" in value:
        raise ValueError(f"{key}: a null character cannot stand in an environment")
    export = "export " if _LOOKS_LIKE_TWO.search(value) else ""
    return f"{export}{key}={_quoted(value.replace('${', _LITERAL_DOLLAR + '{'))}\n"


def _quoted(value: str) -> str:
    """`value` bare if it can be, in single quotes if it is plain otherwise, else in double ones."""
    if value == value.strip() and not re.search(r"\s#|[\r\n]", value) and value[:1] not in ("'", '"', "#"):
        return value
    if not re.search(r"['\\\r\n]", value):
        return f"'{value}'"
    if value.endswith("\\"):
        value = value[:-1] + _LITERAL_BACKSLASH
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class EnvUpdate:
    """The new text, and the keys that differ from the old one (removed ones are in `gone`)."""

    text: str = field(repr=False)
    added: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]


def update(text: str, wanted: Mapping[str, str], forget: Collection[str] = ()) -> EnvUpdate:
    """`text` with every key of `wanted` set, and those of `forget` gone; all else stays as it is, byte for byte.

    Raises UnusableFile, and ValueError for a value that no environment can hold.
    """
    have = _raw(text)
    added = tuple(key for key in wanted if key not in have)
    kept = {key for key, value in have.items() if _literal(value) and _plain(value) == wanted.get(key)}
    changed = tuple(key for key in wanted if key in have and key not in kept)
    entries = tuple(parse(text))
    present = {entry.key for entry in entries}
    gone = tuple(key for key in forget if key in present and key not in wanted)
    pending = {key: wanted[key] for key in (*changed, *added)}
    last = {entry.key: index for index, entry in enumerate(entries)}
    parts: list[str] = []
    for index, entry in enumerate(entries):
        if entry.key in gone or (entry.key in pending and last[entry.key] != index):
            parts.append(_leading(entry.text))
        elif entry.key in pending:
            parts.append(_leading(entry.text) + assignment(entry.key, pending.pop(entry.key)))
        else:
            parts.append(entry.text)
    result = "".join(parts)
    if pending and result and not result.endswith(("\n", "\r")):
        result += "\n"
    result += "".join(assignment(key, value) for key, value in pending.items())
    return EnvUpdate(result, added, changed, gone)


def _leading(text: str) -> str:
    """The blank lines before an entry."""
    return text[: text.rfind("\n", 0, len(text) - len(text.lstrip("\ufeff \t\r\n\f\v"))) + 1]
