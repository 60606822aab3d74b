"""A key that is there twice: mended before a newer Hermes cannot read the file, with one meaning and all comments."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxhermes.hermes import config, yaml_duplicates
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import same


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("a: 1\nb: 2\na: 3\n", "b: 2\na: 3\n"),
        ("a: 1  # old\n# about b\nb: 2\na: 3  # new\n", "# about b\nb: 2\na: 3  # new\n"),
        ("a:\n  x: 1\n  # why\n  y: 2\nb: 2\na: {z: 3}\n", "# why\nb: 2\na: {z: 3}\n"),
        ("m:\n  a: 1\n  b: 2\n  a: 3\nz: 1\n", "m:\n  b: 2\n  a: 3\nz: 1\n"),
        ("{a: 1, b: 2, a: 3}  # c\n", "{b: 2, a: 3}  # c\n"),
        ("m: {a: 1, a: 2, a: 3}\n", "m: {a: 3}\n"),
        ("l:\n- a: 1  # one\n  b: 2\n  a: 3\n", "l:\n- b: 2\n  a: 3\n"),
        ("l:\n  - a: 1\n    # about b\n    b: 2\n    a: 3\n", "l:\n  - # about b\n    b: 2\n    a: 3\n"),
        ("l:\n- - a: |\n      x\n    a: 3\n", "l:\n- - a: 3\n"),
        ("l: [{a: 1, a: 2}, 3]\n", "l: [{a: 2}, 3]\n"),
        ("a: {x: 1, x: 2}\nb: 1\na: {p: 1, p: 2}\n", "b: 1\na: {p: 2}\n"),
        ("'a': 1\n\"a\": 2\na: 3\n", "a: 3\n"),
        ("a: 1\r\nb: 2\r\na: 3\r\n", "b: 2\r\na: 3\r\n"),
        ("a: |\n  x\n\n  y\nb: 1\na: 3\n", "b: 1\na: 3\n"),
        # Different keys for PyYAML, the same for ruamel.yaml.
        ("y: 1\ntrue: 2\n", "'y': 1\ntrue: 2\n"),
        ("m: {N: 1, n: 2, n: 3}\n", "m: {'N': 1, 'n': 3}\n"),
        ("1e5: a\n100000.0: b\n", "'1e5': a\n100000.0: b\n"),
    ],
)
def test_the_last_one_stays(text: str, mended: str) -> None:
    after = config.update(text, {}, reader="ruamel")
    assert after.text == mended
    assert after.changed and not after.differences
    assert same(yaml.safe_load(text), yaml.safe_load(mended))
    assert not config.update(mended, {}, reader="ruamel").changed


def test_what_is_dropped_is_said() -> None:
    (found,) = config.update("a: {k: 1}\nl: [{k: x}, {k: y,\n k: z}]\n", {}, reader="ruamel").dropped
    assert (found.path, found.lines, found.names, found.values) == (("l", 1, "k"), (2, 3), ("k", "k"), ("y", "z"))


def test_it_is_mended_and_changed_at_once() -> None:
    after = config.update("a: 1\nb: 2\na: 3\n", {"a": 4, "c": "y"}, reader="ruamel")
    assert after.text == "b: 2\na: 4\nc: 'y'\n"
    assert next((found.path, found.before, found.after) for found in after.differences) == (("a",), 3, 4)


def test_an_older_hermes_reads_it_and_it_stays() -> None:
    text = "a: 1\nb: 2\na: 3\n"
    after = config.update(text, {"b": 2}, reader="pyyaml")
    assert (after.text, after.changed) == (text, False)
    assert [(found.path, found.lines) for found in yaml_duplicates.duplicates(text, "pyyaml")] == [(("a",), (1, 3))]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "x: &x {a: 1}\nb:\n  <<: *x\n  <<: {a: 2}\n",
            4,
            "a key that is there twice, as in line 3, which Hermes from 0.22",
        ),
        ("a: &x 1\nb: *x\na: 2\n", 3, "a key that is there twice, as in line 1"),
        ("? a\n: 1\na: 2\n", 3, "a key that is there twice, as in line 1"),
        ("a: 1\na: 2\nb: [1\n", 3, "a list"),
        ("m: {" + "a: 1, " * 200 + "a: 2}\n", 1, "a key that is there twice"),
    ],
)
def test_what_cannot_be_mended_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(UnusableFile, match=message) as caught:
        config.update(text, {}, reader="ruamel")
    assert caught.value.line == line


def test_no_value_is_told_where_it_is_refused() -> None:
    with pytest.raises(UnusableFile) as caught:
        config.update("a: &x sk-one\nb: *x\na: sk-two\n", {}, reader="ruamel")
    assert "sk-" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


KEYS = st.sampled_from(["a", "b", "y", "N", "n", "true", "1e5", "'a'", "1", "1.0", "k"])
ENTRY = st.tuples(
    KEYS,
    st.sampled_from(["1", "y", "x  # c", "|\n    t", "[1, {a: 1, a: 2}]", "{b: 1}", "\n    a: 1\n    b: 2\n    a: 3"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ENTRY, min_size=1, max_size=6), st.booleans())
def test_whatever_is_mended_means_the_same(entries: Any, listed: bool) -> None:
    text = "m:\n" + "".join(
        f"  {'- ' if listed and not n else '  '}{key}: {value}\n" for n, (key, value) in enumerate(entries)
    )
    try:
        after = config.update(text, {}, reader="ruamel")
    except UnusableFile:
        return
    assert same(yaml.safe_load(text), yaml.safe_load(after.text))
    assert config.parse(after.text, reader="ruamel")
