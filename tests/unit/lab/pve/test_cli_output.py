"""Tables, JSON and YAML as Proxmox's tools print them."""

from __future__ import annotations

import pytest

from proxhermes.lab.pve.cli import output


def test_a_record_has_a_line_between_all_keys() -> None:
    assert output.record({"b": 1, "a": "two\nlines\n"}) == (
        "┌─────┬───────┐\n"
        "│ key │ value │\n"
        "╞═════╪═══════╡\n"
        "│ a   │ two   │\n"
        "│     │ lines │\n"
        "├─────┼───────┤\n"
        "│ b   │ 1     │\n"
        "└─────┴───────┘\n"
    )


def test_rows_are_sorted_by_the_first_column_and_numbers_by_size() -> None:
    shown = output.table([{"vmid": 1000}, {"vmid": 118}], ("vmid",), right=frozenset({"vmid"}))
    assert shown.splitlines()[3] == "│  118 │"
    assert shown.splitlines()[5] == "│ 1000 │"


def test_no_rows_no_table() -> None:
    assert output.table([], ("a",)) == ""


def test_wide_characters_keep_the_border_straight() -> None:
    lines = output.record({"k": "漢字"}).splitlines()
    assert lines[0] == "┌─────┬───────┐"
    assert lines[3] == "│ k   │ 漢字  │"


@pytest.mark.parametrize(
    ("data", "form", "shown"),
    [
        (None, "json", ""),
        (None, "text", ""),
        ({"b": 1.0, "a": 0.12274333372276812}, "json", '{"a":0.122743333722768,"b":1}\n'),
        ({"a": []}, "json-pretty", '{\n   "a" : []\n}\n'),
        ({"release": "8.4", "version": "8.4.21"}, "yaml", "---\nrelease: '8.4'\nversion: 8.4.21\n"),
        ("100", "text", "100\n"),
        ("100", "json", '"100"\n'),
        (["a", "b"], "text", "a\nb\n"),
    ],
)
def test_forms(data: object, form: str, shown: str) -> None:
    assert output.render(data, form) == shown
