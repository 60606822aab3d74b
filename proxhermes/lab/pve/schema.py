"""Checking parameters as Proxmox does, and its property strings (`name=eth0,bridge=vmbr0,…`).

A table is a mapping of parameter name to `Param`; an indexed one (`net0` … `net31`) stands as `net[n]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from proxhermes.lab.pve.errors import PveError, bad_parameters
from proxhermes.lab.pve.formats import FORMATS

Kind = Literal["string", "integer", "number", "boolean"]
UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
MISSING = "property is missing and it is not optional"
INDEXED = {"net": 32, "mp": 256, "unused": 256, "dev": 256}
"""How many of each indexed option there may be (PVE: LXC/Config.pm)."""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: what the API schema says of it. `parts` are the keys of a property string."""

    kind: Kind = "string"
    optional: bool = True
    format: str | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    requires: str | None = None
    default_key: bool = False
    parts: Mapping[str, Param] | None = None


Table = Mapping[str, Param]


def find(table: Table, name: str) -> Param | None:
    """The parameter of that name, indexed ones included."""
    if name in table:
        return table[name]
    indexed = re.fullmatch(r"([a-z]+)(0|[1-9]\d*)", name)
    if indexed and int(indexed[2]) < INDEXED.get(indexed[1], 0):
        return table.get(f"{indexed[1]}[n]")
    return None


def check(params: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """The parameters with their types (`1` for a true boolean), or PveError 400 with every mistake at once."""
    errors: dict[str, str] = {}
    values = _check_all(params, table, errors)
    if errors:
        raise bad_parameters(errors)
    return values


def _check_all(params: Mapping[str, Any], table: Table, errors: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, raw in params.items():
        spec = find(table, name)
        if spec is None:
            errors[name] = UNKNOWN
            continue
        text = _as_text(raw)
        wrong = _wrong(name, text, spec)
        if wrong:
            errors[name] = wrong
            continue
        if spec.requires and spec.requires not in params:
            errors[spec.requires] = f"missing property - '{name}' requires this property"
        values[name] = int(text) if spec.kind in ("integer", "boolean") else text
    for name, spec in table.items():
        if not spec.optional and name not in params and name not in errors:
            errors[name] = MISSING
    return values


def _as_text(raw: Any) -> str:
    """A form's value is text already; a JSON body also brings numbers, booleans and lists."""
    if isinstance(raw, bool):
        return "1" if raw else "0"
    if isinstance(raw, list):
        return "\0".join(_as_text(item) for item in raw)
    return "" if raw is None else str(raw)


def _wrong(name: str, text: str, spec: Param) -> str | None:
    """What is wrong with one value: its type first, then its format, then the rest."""
    types = {"integer": r"[+-]?\d+", "boolean": r"[01]", "number": r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"}
    if spec.kind in types and not re.fullmatch(types[spec.kind], text):
        return f"type check ('{spec.kind}') failed - got '{text}'"
    if spec.min_length is not None and len(text) < spec.min_length:
        return f"value must be at least {spec.min_length} characters long"
    if spec.max_length is not None and len(text) > spec.max_length:
        return f"value may only be {spec.max_length} characters long"
    if spec.parts is not None:
        wrong = _wrong_parts(name, text, spec.parts)
        return f"invalid format - {wrong}\n" if wrong else None
    if spec.pattern and not re.fullmatch(spec.pattern, text):
        return "value does not match the regex pattern"
    if spec.format:
        wrong = FORMATS[spec.format](text)
        if wrong:
            return f"invalid format - {wrong}\n"
    if spec.enum and text not in spec.enum:
        return f"value '{text}' does not have a value in the enumeration '{', '.join(spec.enum)}'"
    return _wrong_range(text, spec)


def _wrong_range(text: str, spec: Param) -> str | None:
    if spec.minimum is not None and float(text) < spec.minimum:
        return f"value must have a minimum value of {spec.minimum:g}"
    if spec.maximum is not None and float(text) > spec.maximum:
        return f"value must have a maximum value of {spec.maximum:g}"
    return None


def _wrong_parts(name: str, text: str, parts: Table) -> str | None:
    values, wrong = _split_property(text, parts)
    if wrong:
        return wrong
    errors: dict[str, str] = {}
    _check_all(values, parts, errors)
    if not errors:
        return None
    return "\n".join(["format error", *(f"{name}.{key}: {message}" for key, message in errors.items())])


def _split_property(text: str, parts: Table) -> tuple[dict[str, str], str | None]:
    default = next((key for key, part in parts.items() if part.default_key), None)
    values: dict[str, str] = {}
    for piece in (piece.strip() for piece in text.split(",")):
        if not piece:
            continue
        key, equals, value = piece.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_\-]+", key):
            if default is None:
                return {}, "value without key, but schema does not define a default key"
            if default in values:
                return {}, "duplicate key in comma-separated list property: " + default
            values[default] = piece
            continue
        if key in values:
            return {}, f"duplicate key in comma-separated list property: {key}"
        values[key] = value
    return values, None


def parse_property(text: str, parts: Table) -> dict[str, str]:
    """A property string as a mapping; PveError 500 `format error` when it does not follow its table."""
    values, wrong = _split_property(text, parts)
    if wrong:
        raise PveError(wrong)
    errors: dict[str, str] = {}
    _check_all(values, parts, errors)
    if errors:
        raise PveError("format error", errors=errors)
    return values


def print_property(values: Mapping[str, str], parts: Table) -> str:
    """The mapping in Proxmox' order: the default key bare, then the required keys, then the others by name."""
    default = next((key for key, part in parts.items() if part.default_key), None)
    rest = sorted((parts[key].optional, key) for key in values if key != default)
    pieces = [values[default]] if default is not None and default in values else []
    return ",".join([*pieces, *(f"{key}={values[key]}" for _optional, key in rest)])
