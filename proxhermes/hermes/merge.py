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
    return type(one) is type(other) and bool(one == other)


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


def removed(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """`settings` without the value at `path`, and without the mappings that become empty by that."""
    key, *rest = path
    if key not in settings:
        return dict(settings)
    child = removed(settings[key], tuple(rest)) if rest and isinstance(settings[key], Mapping) else None
    if rest and child is None:  # the path ends in something that is no mapping
        return dict(settings)
    if child:
        return {**settings, key: child}
    return {name: value for name, value in settings.items() if name != key}


def nested(path: Path, value: Any) -> dict[str, Any]:
    """Settings that hold `value` at `path` and nothing else."""
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def pointer(path: Path) -> str:
    """The path as one text, after RFC 6901 (JSON Pointer)."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def parse_pointer(text: str) -> Path:
    """The path that `pointer` wrote."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])
