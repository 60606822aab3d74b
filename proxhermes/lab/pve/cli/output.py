"""How the tools print what the API returns: tables with box-drawing lines, JSON, YAML.

Source of the forms: PVE::CLIFormatter as recorded (`tests/data/pve-cli-recordings.json`).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def canonical(data: Any) -> str:
    """JSON in one line, keys sorted, as Perl's JSON writes it."""
    return json.dumps(_perl_numbers(data), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def pretty(data: Any) -> str:
    """JSON over several lines, three blanks a level."""
    return json.dumps(_perl_numbers(data), sort_keys=True, ensure_ascii=False, indent=3, separators=(",", " : "))


def yaml_text(data: Any) -> str:
    """YAML with a leading `---`."""
    import yaml

    return str(yaml.safe_dump(_perl_numbers(data), explicit_start=True, allow_unicode=True, default_flow_style=False))


def _perl_numbers(data: Any) -> Any:
    """Numbers as Perl prints them: 15 significant digits, and no `.0`."""
    if isinstance(data, float):
        short = float(f"{data:.15g}")
        return int(short) if short.is_integer() else short
    if isinstance(data, Mapping):
        return {str(key): _perl_numbers(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_perl_numbers(value) for value in data]
    return data


def cell(value: Any) -> str:
    """One value as text in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str):
        return value
    return canonical(value)


def table(
    rows: Rows,
    columns: Sequence[str],
    *,
    titles: Mapping[str, str] | None = None,
    right: frozenset[str] = frozenset(),
) -> str:
    """Rows as a bordered table, a line between all rows, sorted by the first column.

    A value of several lines fills several lines of its cell; the columns named in `right` are aligned to the right.
    An empty list of rows is no text at all, as in Proxmox.
    """
    if not rows or not columns:
        return ""
    ordered = sorted(rows, key=lambda row: _sort_key(row.get(columns[0])))
    cells = [[cell(row.get(column)).rstrip("\n").split("\n") for column in columns] for row in ordered]
    heads = [(titles or {}).get(column, column) for column in columns]
    widths = [
        max([_width(head), *(_width(line) for row in cells for line in row[index])]) for index, head in enumerate(heads)
    ]
    lines = [
        _rule("┌", "─", "┬", "┐", widths),
        _row(heads, widths, [False] * len(heads)),
        _rule("╞", "═", "╪", "╡", widths),
    ]
    aligned = [column in right for column in columns]
    for number, row in enumerate(cells):
        if number:
            lines.append(_rule("├", "─", "┼", "┤", widths))
        for depth in range(max(len(value) for value in row)):
            lines.append(_row([value[depth] if depth < len(value) else "" for value in row], widths, aligned))
    lines.append(_rule("└", "─", "┴", "┘", widths))
    return "\n".join(lines) + "\n"


def record(data: Mapping[str, Any]) -> str:
    """One object as a table of key and value."""
    return table([{"key": key, "value": value} for key, value in data.items()], ("key", "value"))


def text(data: Any, columns: Sequence[str] | None = None, right: frozenset[str] | None = None) -> str:
    """Anything the API returns, as a person reads it. Without `columns` all keys of a list's objects are shown.

    `right` names the columns of numbers, which are aligned to the right; None finds them by their values.
    """
    if data is None:
        return ""
    if isinstance(data, Mapping):
        return record(data)
    if isinstance(data, list):
        if data and not isinstance(data[0], Mapping):
            return "".join(f"{cell(value)}\n" for value in data)
        shown = list(columns) if columns else sorted({key for row in data for key in row})
        return table(data, shown, right=_numbers(data) if right is None else right)
    return f"{cell(data)}\n"


def render(data: Any, form: str, columns: Sequence[str] | None = None, right: frozenset[str] | None = None) -> str:
    """`data` in the form asked for with `--output-format`: text, json, json-pretty or yaml. Nothing for None."""
    if data is None:
        return ""
    if form == "json":
        return canonical(data) + "\n"
    if form == "json-pretty":
        return pretty(data) + "\n"
    if form == "yaml":
        return yaml_text(data)
    return text(data, columns, right)


def _numbers(rows: Rows) -> frozenset[str]:
    """The columns that hold numbers alone."""
    keys = {key for row in rows for key in row}
    return frozenset(
        key for key in keys if all(isinstance(row[key], int | float) for row in rows if row.get(key) is not None)
    )


def _sort_key(value: Any) -> tuple[int, float, str]:
    """Numbers by size before words by letters."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, cell(value)


def _width(line: str) -> int:
    return sum(
        2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line if not unicodedata.combining(char)
    )


def _rule(left: str, fill: str, cross: str, right: str, widths: Sequence[int]) -> str:
    return left + cross.join(fill * (width + 2) for width in widths) + right


def _row(values: Sequence[str], widths: Sequence[int], aligned: Sequence[bool]) -> str:
    padded = (
        " " * (width - _width(value)) + value if to_right else value + " " * (width - _width(value))
        for value, width, to_right in zip(values, widths, aligned, strict=True)
    )
    return "│ " + " │ ".join(padded) + " │"
