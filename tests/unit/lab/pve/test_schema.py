"""The node's parameter tables agree with the API schema of a real node (`facts/pve-api-schema.json` beside the work).

Skipped, with that reason, where the folder `../shared` is missing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from proxhermes.lab.pve.api import Method
from proxhermes.lab.pve.formats import FORMATS
from proxhermes.lab.pve.node import ROUTER
from proxhermes.lab.pve.schema import Param

SCHEMA = Path(__file__).parents[5] / "shared" / "facts" / "pve-api-schema.json"
METHODS = sorted({(method.verb, method.path): method for _pattern, method in ROUTER.routes}.items())

# Methods of a real node that the schema's dump leaves out; their answers are among the recordings.
NOT_DUMPED = {
    ("GET", "/"),
    ("GET", "/access"),
    ("GET", "/access/groups"),
    ("GET", "/cluster"),
    ("GET", "/nodes/{node}/config"),
    ("GET", "/nodes/{node}/dns"),
    ("GET", "/nodes/{node}/time"),
}
SAMPLES = (
    *("", "a", "eth0", "eth 0", "a_b", "10", "10;20", "10;x", "0660", "1660", "066", "4G", "+4G", "+1.5G", "big", "-1"),
    *("discard", "discard;noatime", "noatime;nosuch", "nfs;cifs", "http://x/y", "https://x", "ftp://x", "t", "t1"),
    *("a@pve", "a@pve!t1", "a@pve!t", "root@pam", "nobody", "1abc", "/var/tmp/pveupload-0a", "x y", "a.b-c"),
)


@pytest.fixture(scope="module")
def schema() -> dict[tuple[str, str], dict[str, Any]]:
    if not SCHEMA.exists():
        pytest.skip("the API schema of a real node is not here (../shared/facts/pve-api-schema.json)")
    return {(entry["method"], entry["path"]): entry for entry in json.loads(SCHEMA.read_text())["methods"]}


def _same_pattern(ours: str | None, theirs: str | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    perl = re.compile(theirs.replace("(?^:", "(?:"))
    mine = re.compile(ours)
    return all(bool(perl.fullmatch(text)) == bool(mine.fullmatch(text)) for text in SAMPLES)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _differences(name: str, ours: Param, theirs: dict[str, Any]) -> list[str]:
    parts = theirs.get("format") if isinstance(theirs.get("format"), dict) else None
    pairs = {
        "type": (ours.kind, theirs.get("type", "string")),
        "optional": (ours.optional, bool(theirs.get("optional"))),
        "enum": (ours.enum, tuple(theirs.get("enum") or ())),
        "minimum": (_number(ours.minimum), _number(theirs.get("minimum"))),
        "maximum": (_number(ours.maximum), _number(theirs.get("maximum"))),
        "minLength": (ours.min_length, theirs.get("minLength")),
        "maxLength": (ours.max_length, theirs.get("maxLength")),
        "requires": (ours.requires, theirs.get("requires")),
        "default_key": (ours.default_key, bool(theirs.get("default_key"))),
        "format": (ours.format, None if parts else theirs.get("format")),
    }
    found = [f"{name}.{field}: ours {mine!r}, schema {real!r}" for field, (mine, real) in pairs.items() if mine != real]
    if not _same_pattern(ours.pattern, theirs.get("pattern")):
        found.append(f"{name}.pattern: ours {ours.pattern!r}, schema {theirs.get('pattern')!r}")
    if (ours.parts is None) != (parts is None):
        found.append(f"{name}: a property string in one only")
    elif ours.parts is not None and parts is not None:
        found += _table_differences(name, ours.parts, parts)
    return found


def _table_differences(name: str, ours: Any, theirs: dict[str, Any]) -> list[str]:
    found = [f"{name}: {extra} is not in the schema" for extra in sorted(set(ours) - set(theirs))]
    found += [f"{name}: {missing} is missing" for missing in sorted(set(theirs) - set(ours))]
    for key in sorted(set(ours) & set(theirs)):
        found += _differences(f"{name} {key}", ours[key], theirs[key])
    return found


@pytest.mark.parametrize("method", [method for _key, method in METHODS], ids=[f"{v} {p}" for (v, p), _m in METHODS])
def test_parameters_as_in_the_schema(method: Method, schema: dict[tuple[str, str], dict[str, Any]]) -> None:
    real = schema.get((method.verb, method.path))
    if real is None:
        assert (method.verb, method.path) in NOT_DUMPED
        return
    properties = (real.get("parameters") or {}).get("properties") or {}
    assert not _table_differences(f"{method.verb} {method.path}", method.table, properties)
    assert method.tokens == bool(real.get("allowtoken", 1))


def test_what_is_not_dumped_is_not_dumped(schema: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert not NOT_DUMPED & set(schema)


def test_every_format_is_known() -> None:
    def formats(table: Any) -> set[str]:
        names = {param.format for param in table.values() if param.format}
        return names.union(*(formats(param.parts) for param in table.values() if param.parts))

    used = set().union(*(formats(method.table) for _key, method in METHODS))
    assert used <= set(FORMATS)
