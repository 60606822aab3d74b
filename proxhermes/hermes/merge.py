"""Deep merge of settings, and what it would change: the law that daemon.json and config.yaml follow.

Where both sides have a mapping, it is merged key by key; anything else (a list, a text, null) is replaced as a whole;
keys that only the existing side has stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Path = tuple[str, ...]


class _Absent:
    """The value of a key that is not there (null is a value)."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that the merge sets (or, with `after` ABSENT, removes)."""

    path: Path
    before: Any
    after: Any


def same(one: Any, other: Any) -> bool:
    """Whether two parsed values are the same to a reader of YAML or JSON: unlike in Python, 1 is not true or 1.0."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other or (one != one and other != other))  # .nan


def differences(existing: Mapping[str, Any], wanted: Mapping[str, Any], at: Path = ()) -> Iterator[Difference]:
    """What merging `wanted` into `existing` would set, in the order of `wanted`; nothing if all of it is there."""
    for key, after in wanted.items():
        before = existing.get(key, ABSENT)
        if isinstance(after, Mapping) and (isinstance(before, Mapping) or (after and before is ABSENT)):
            yield from differences(before if isinstance(before, Mapping) else {}, after, (*at, key))
        elif not same(before, after):
            yield Difference((*at, key), before, after)


def merged(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """`existing` with `wanted` merged in; neither is changed."""
    result = dict(existing)
    for key, after in wanted.items():
        before = result.get(key, ABSENT)
        result[key] = merged(before, after) if isinstance(before, Mapping) and isinstance(after, Mapping) else after
    return result


def leaves(settings: Mapping[str, Any], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is not a mapping (or is an empty one), with its path."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*at, key))
        else:
            yield (*at, key), value


def lookup(settings: Mapping[str, Any], path: Path) -> Any:
    """The value at `path`, or ABSENT."""
    value: Any = settings
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return ABSENT
        value = value[key]
    return value


def removed(settings: Mapping[str, Any], path: Path, keep: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`settings` without the value at `path`, and without the mappings that become empty by that.

    keep: such a mapping stays where this tree has one, too.
    """
    key, *rest = path
    if key not in settings:
        return dict(settings)
    child = settings[key]
    if rest:
        if not isinstance(child, Mapping):  # the path ends in something that is no mapping
            return dict(settings)
        kept = (keep or {}).get(key)
        left = removed(child, tuple(rest), kept if isinstance(kept, Mapping) else None)
        if left or isinstance(kept, Mapping) or not child:
            return {**settings, key: left}
    return {name: value for name, value in settings.items() if name != key}


@dataclass(frozen=True, slots=True)
class Merge:
    """What a three-way merge makes of the existing settings, and the differences that are carried out.

    kept: what is declared no more, and stays because somebody has changed it since.
    """

    target: dict[str, Any]
    differences: tuple[Difference, ...]
    kept: tuple[Path, ...] = ()


def three_way(
    existing: Mapping[str, Any],
    wanted: Mapping[str, Any],
    *,
    last: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Merge:
    """Merge `wanted` into `existing`, and take out what was declared `last` and is no more, if it is unchanged.

    defaults: set where `existing` says nothing, or still says what was set there `last`. Without `last`, this is
    `merged`. Lists are values; a mapping that was declared empty goes only if it is empty still.
    """
    last, defaults = last or {}, defaults or {}
    asked: dict[str, Any] = {}
    for path, value in leaves(defaults):
        before = lookup(existing, path)
        above = (lookup(existing, path[:end]) for end in range(1, len(path)))
        taken = any(block is not ABSENT and not isinstance(block, Mapping) for block in above)
        if not taken and (before is ABSENT or same(before, lookup(last, path))):
            asked = merged(asked, nested(path, value))
    asked = merged(asked, wanted)
    target = merged(existing, asked)
    found, kept = [*differences(existing, asked)], []
    for path, value in leaves(last):
        now = lookup(target, path)
        if now is ABSENT or any(lookup(tree, path) is not ABSENT for tree in (wanted, defaults)):
            continue
        if same(now, value):
            target = removed(target, path, wanted)
            found.append(Difference(path, now, ABSENT))
        elif not isinstance(value, Mapping):
            kept.append(path)
    return Merge(target, tuple(found), tuple(kept))


def nested(path: Path, value: Any) -> dict[str, Any]:
    """Settings that hold `value` at `path` and nothing else."""
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value
