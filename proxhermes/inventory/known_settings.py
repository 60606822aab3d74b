"""The settings that Hermes lists itself, by version: what is in none of its lists is probably mistyped.

The lists are Hermes' own (docs/hermes_keys.py), and so is the rule (0.22: hermes_cli/config.py, _validate_config_key).
They are not complete, so that this is never more than a note: some settings have no default, plugins bring theirs, and
keys at the top may be the user's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final

from proxhermes import upstream

_LIKE_A_KEY: Final = 0.75
"""How much like a known key one at the top has to be; below that, it is the user's own."""


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A setting that is in none of the lists. path: as far as it is written in them, and the first part that is not."""

    path: tuple[str, ...]
    nearest: str | None


def unlisted(path: Sequence[str], version: str | None = None) -> Unlisted | None:
    """None for a setting that is listed. version: of the Hermes in question; None: whichever it is."""
    return _unlisted(tuple(path), _lists(version))


def _unlisted(path: tuple[str, ...], lists: int) -> Unlisted | None:
    node: Any = _data()["keys"]
    for index, part in enumerate(path):
        if not isinstance(node, Mapping) or (not index and part.startswith("_")):
            return None  # the user's own names, or none below this one
        if part not in node or not _in(node[part], lists):
            return _named(path, index, node, lists)
        node = node[part]
    return None


def _named(path: tuple[str, ...], index: int, node: Mapping[str, Any], lists: int) -> Unlisted | None:
    """What is not listed, with what is near it: the same without what is before it, or a key beside it."""
    rest = path[index:]
    near = get_close_matches(path[index], sorted(name for name in node if _in(node[name], lists)), n=1)
    if not index:
        similar = get_close_matches(path[0], near, cutoff=_LIKE_A_KEY)
        return Unlisted(path[:1], ".".join((similar[0], *path[1:]))) if similar else None
    known = _data()["keys"].get(rest[0])
    if known is not None and _in(known, lists) and _unlisted(rest, lists) is None:
        return Unlisted(path[: index + 1], ".".join(rest))
    return Unlisted(path[: index + 1], ".".join((*path[:index], near[0], *path[index + 1 :])) if near else None)


def _in(node: Any, lists: int) -> bool:
    """Whether one of the lists has the key, or one below it."""
    return any(_in(child, lists) for child in node.values()) if isinstance(node, Mapping) else bool(node & lists)


def _lists(version: str | None) -> int:
    """The bits of the lists that hold for the version: its own, or those of the versions around it."""
    every = [upstream.parse(each) or () for each in _data()["versions"]]
    since = upstream.parse(version or "")
    if since is None:
        return (1 << len(every)) - 1
    before = [number for number, each in enumerate(every) if each <= since]
    after = [number for number, each in enumerate(every) if each > since]
    own = before and every[before[-1]] == since[:2]
    return sum(1 << number for number in {*before[-1:], *(() if own else after[:1])})


@cache
def _data() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(Path(__file__).with_name("hermes_keys.json").read_text())
    return found
