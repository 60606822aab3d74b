"""Hermes' .env, as python-dotenv reads it (also what others wrote there) and as Hermes' own readers do.

Hermes 0.19 loads the file with python-dotenv, which replaces `${NAME}` in every value however it is quoted; its command
line reads the file a second time, line by line. So a value is written bare wherever that is possible.
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
        (?: = [^\S\r\n]*
            (?: '(?P<single>(?:\\.|[^'\\])*)' | "(?P<double>(?:\\.|[^"\\])*)" | (?P<bare>[^\s'"][^\r\n]*)? )
        )?
        (?:[^\S\r\n]*\#[^\r\n]*)?
    )
    [^\S\r\n]* (?: \r\n | \n | \r | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
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
    return "" if "=" in match[0] and not match[0].lstrip().startswith("#") else None


def values(text: str) -> dict[str, str]:
    """The variables that the file sets; `${NAME}` of others is left as it stands. Raises UnusableFile."""
    entries = ((entry.key, entry.value) for entry in parse(text))
    return {key: _plain(value) for key, value in entries if key and value is not None}


def _plain(value: str) -> str:
    return value.replace(_LITERAL_BACKSLASH, "\\").replace(_LITERAL_DOLLAR, "$")


def assignment(key: str, value: str) -> str:
    """The line that sets `key` to exactly `value`. Raises ValueError for a value of more than one line."""
    if re.search(r"[\r\n\0]", value):
        raise ValueError(f"{key}: a value in .env is one line")
    written = value.replace("${", _LITERAL_DOLLAR + "{")
    bare = written == written.strip() and not re.search(r"\s#", written) and written[:1] not in ("'", '"', "#")
    if not bare:
        if written.endswith("\\"):
            written = written[:-1] + _LITERAL_BACKSLASH
        quote = '"' if "'" in written and '"' not in written else "'"
        written = quote + written.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
    return f"{key}={written}\n"


@dataclass(frozen=True, slots=True)
class EnvUpdate:
    """The new text, and the keys that differ from the old one (removed ones are in `gone`)."""

    text: str = field(repr=False)
    added: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]


def update(text: str, wanted: Mapping[str, str], forget: Collection[str] = ()) -> EnvUpdate:
    """`text` with every key of `wanted` set, and those of `forget` gone; all else stays as it is, byte for byte.

    Raises UnusableFile, and ValueError for a value that cannot stand on a line.
    """
    have = values(text)
    added = tuple(key for key in wanted if key not in have)
    changed = tuple(key for key in wanted if key in have and have[key] != wanted[key])
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
