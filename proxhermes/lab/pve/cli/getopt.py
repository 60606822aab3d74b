"""Options as Proxmox's tools read them: Perl's Getopt::Long with the prefixes `--` and `-`.

Options and arguments may stand in any order, names may be shortened while they are unambiguous and are matched
without regard to case, `--name=value` and `--name value` are the same, `--` ends the options. A boolean's value is
optional, a list may be given several times. Source of the rules: Getopt::Long(3perl), and for booleans and lists
PVE::JSONSchema's get_options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from proxhermes.lab.pve.errors import PveError

_PREFIX = re.compile(r"(?:--|-)(?P<rest>.+)", re.DOTALL)
_NAME_VALUE = re.compile(r"(?P<name>[^=]+)=(?P<value>.*)", re.DOTALL)
_TRUE = frozenset({"1", "on", "yes", "true"})
_FALSE = frozenset({"0", "off", "no", "false"})


class Kind(Enum):
    """How an option takes its value."""

    VALUE = "value"
    BOOLEAN = "boolean"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What stood on the command line; `complaints` are Getopt::Long's own lines, for standard error."""

    options: dict[str, str]
    arguments: list[str]
    complaints: list[str]


def parse(args: Sequence[str], kinds: Mapping[str, Kind]) -> Parsed:
    """Split `args` into options and arguments.

    Complaints do not end the reading: as with Getopt::Long, all of them are collected. Lists given several times are
    joined with commas. Raises PveError (400) for a boolean that is none.
    """
    found: dict[str, list[str]] = {}
    arguments: list[str] = []
    complaints: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            arguments += rest
            break
        match = _PREFIX.fullmatch(word)
        if match is None:
            arguments.append(word)
            continue
        split = _NAME_VALUE.fullmatch(match["rest"])
        given, inline = (split["name"], split["value"]) if split else (match["rest"], None)
        try:
            name = _resolve(given, kinds)
            found.setdefault(name, []).append(_value(name, kinds[name], inline, rest))
        except _ComplaintError as complaint:
            complaints.append(str(complaint))
    options = {} if complaints else {name: _final(name, kinds[name], values) for name, values in found.items()}
    return Parsed(options, arguments, complaints)


class _ComplaintError(Exception):
    """One line of Getopt::Long about one word."""


def _resolve(given: str, kinds: Mapping[str, Kind]) -> str:
    """The option meant by a name."""
    lower = given.lower()
    exact = [name for name in kinds if name.lower() == lower]
    if exact:
        return exact[0]
    hits = sorted(name for name in kinds if name.lower().startswith(lower))
    if not hits:
        raise _ComplaintError(f"Unknown option: {lower}")
    if len(hits) > 1:
        raise _ComplaintError(f"Option {lower} is ambiguous ({', '.join(hits)})")
    return hits[0]


def _value(name: str, kind: Kind, inline: str | None, rest: list[str]) -> str:
    """The value of an option, taken from `rest` where it has to be."""
    if inline:
        return inline
    if kind is Kind.BOOLEAN:
        takes_next = inline is None and rest and rest[0] != "--" and not _PREFIX.fullmatch(rest[0])
        return rest.pop(0) if takes_next else ""
    if inline is not None or not rest:
        raise _ComplaintError(f"Option {name.lower()} requires an argument")
    return rest.pop(0)


def _final(name: str, kind: Kind, values: list[str]) -> str:
    if kind is Kind.LIST:
        return ",".join(values)
    value = values[-1]
    if kind is Kind.VALUE:
        return value
    if value == "" or value.lower() in _TRUE:
        return "1"
    if value.lower() in _FALSE:
        return "0"
    raise PveError("unable to parse boolean option", status=400)
