"""What is written means the same to every Hermes, and what is there is read as the Hermes in question reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from proxhermes.hermes import config, yaml_readers
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import ABSENT, leaves, lookup, same
from proxhermes.hermes.yaml_edit import dumped, inline
from proxhermes.inventory import plain
from proxhermes.upstream import Reader


def hermes_19(text: str) -> Any:
    """As utils.fast_safe_load of Hermes 0.19 has it."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def hermes_22(text: str) -> Any:
    """As safe_load of Hermes 0.22's hermes_yaml.py has it."""
    try:
        return _ruamel(text, pure=False)
    except YAMLError:
        return _ruamel(text, pure=True)


def _ruamel(text: str, *, pure: bool) -> Any:
    reader = YAML(typ="safe", pure=pure)
    reader.version = (1, 1)
    return reader.load(text)


HERMES = [hermes_19, hermes_22]
READERS: tuple[Reader, ...] = ("pyyaml", "ruamel")

WORDS = """
y n Y N yes no Yes NO on off On OFF true false True FALSE ~ null Null NULL
0 1 -1 +1 010 0o10 0x1f 0b11 1_000 1:30 -1:30 1:30.5 190:20:30 1. .5 -.5 1.5 1.5e3 1.e5 .5e3 1e5 1e+5 1E5 0e0 -1e5 1e-5
1_0e5 812e934 20260820_093237_089e44 1.0e+5 .inf -.inf .NaN 08 0_ 99999999999999999999 2026-01-01 2026-1-2 2026-13-45
= << - ? ! &a *a %x @x `x a:b ab: :a ?a {} [] a,b #a ' " --- ... ${NAME} http://h:1/v1 ä 😀
"""
TEXTS = [
    "",
    "2026-01-01 10:00:00",
    "- x",
    "? x",
    "| x",
    "> x",
    "a: b",
    "a #b",
    " a",
    "a ",
    "a\tb",
    "\x07",
    "a\n",
    "\na",
]
BREAKS = ["a\n\n b", "\r", "\x85", "\u2028", "\ufeff"]
ODD = [*WORDS.split(), *TEXTS, *BREAKS]
WAYS: dict[str, Callable[[Any], str]] = {
    "new": lambda tree: config.update(None, tree).text,
    "block": lambda tree: config.update("z: 1\n", tree).text,
    "flow": lambda tree: config.update("{z: 1, x: {z: 1}}\n", tree).text,
    "replaced": lambda tree: config.update("x: 0\nz: 1\n", tree).text,
    "anchors": lambda tree: config.update("a: &a {b: 1}\nx: *a\nz: 1\n", tree).text,
    "memory": lambda tree: config.dump(tree),
    "dumped": lambda tree: dumped(tree),
    "inline": lambda tree: f"x: {inline(tree['x'], flow=False)}\n",
    "inline in flow": lambda tree: f"{{x: {inline(tree['x'], flow=True)}}}\n",
}


@pytest.mark.parametrize("hermes", HERMES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("odd", ODD)
def test_text_is_that_text_to_every_hermes(odd: str, way: str, hermes: Callable[[str], Any]) -> None:
    for tree in ({"x": odd}, {"x": [odd]}, {"x": {odd: "v"}}, {"x": [{odd: odd}]}):
        read = hermes(WAYS[way](tree))
        assert all(same(lookup(read, path), value) for path, value in leaves(tree))


@pytest.mark.parametrize("odd", [word for word in ODD if word.isprintable()])
def test_a_key_at_the_top_is_that_text_to_every_hermes(odd: str) -> None:
    for text in (None, "z: 1\n", "{z: 1}\n", "a: &a {b: 1}\nz: *a\n"):
        written = config.update(text, {odd: odd, "z": 1}).text
        assert all(same(lookup(hermes(written), (odd,)), odd) for hermes in HERMES)


KEYS = st.sampled_from(["a", "model", "off", "y", "N", "1e5", "12", "x y", "k:v", "ä", "<<", "="]) | st.text(max_size=5)
LINES = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | LINES
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
TREES = st.dictionaries(KEYS, VALUES, max_size=4)


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_every_tree_is_that_tree_to_every_hermes(tree: Any) -> None:
    for text in (config.update(None, tree).text, config.dump(tree)):
        for hermes in HERMES:
            assert same(hermes(text) or {}, tree)


@settings(max_examples=300, deadline=None)
@given(TREES, TREES, st.sampled_from([None, True, False]), st.sampled_from(READERS))
def test_what_is_merged_into_a_file_of_others_is_that_to_every_hermes(
    theirs: Any, ours: Any, flow: bool | None, reader: Reader
) -> None:
    text = yaml.safe_dump(theirs, allow_unicode=True, default_flow_style=flow)
    written = config.update(text, ours, reader=reader).text
    again = config.update(written, ours, reader=reader)
    assert (again.text, again.changed) == (written, False)
    for other in READERS:  # what others wrote, and an older Hermes reads alike, is quoted before a newer one reads it
        written = config.update(written, ours, reader=other).text
    for hermes in HERMES:
        read = hermes(written) or {}
        assert all(same(lookup(read, path), value) for path, value in leaves(ours) if value != {})


@settings(max_examples=1000, deadline=None)
@given(st.from_regex(r"[-+.0-9_:eExXobyYnN]{1,9}", fullmatch=True))
def test_a_word_is_said_to_be_text_only_if_it_is_that_to_every_hermes(word: str) -> None:
    if plain.is_text(word) and word[0] not in "-:" and word[-1] != ":":  # which can begin or end no scalar
        assert all(hermes(f"k: {word}\n") == {"k": word} for hermes in HERMES)


# What is there is read as the Hermes in question reads it.

OLDER = "a: y\nb: [1e5, n]\ny: v\nkeys: {N: 1}\n"


def test_a_file_is_read_as_the_hermes_in_question_reads_it() -> None:
    assert config.parse(OLDER, reader="pyyaml") == {"a": "y", "b": ["1e5", "n"], "y": "v", "keys": {"N": 1}}
    assert config.parse(OLDER, reader="ruamel") == {"a": True, "b": [1e5, False], True: "v", "keys": {False: 1}}


def test_a_newer_hermes_has_what_it_would_misread_quoted() -> None:
    ours = {"a": "y", "b": ["1e5", "n"], "y": "v", "keys": {"N": 1}}
    assert config.update(OLDER, ours, reader="pyyaml", last=ours).text == OLDER
    after = config.update(OLDER, ours, reader="ruamel", last=ours)
    assert after.text == "a: 'y'\nb: ['1e5', 'n']\n'y': v\nkeys: {'N': 1}\n"
    assert {(found.path, found.before, found.after) for found in after.differences if found.path != ("b",)} == {
        (("a",), True, "y"),
        ((True,), "v", ABSENT),
        (("y",), ABSENT, "v"),
        (("keys", False), 1, ABSENT),
        (("keys", "N"), ABSENT, 1),
    }
    assert not config.update(after.text, ours, reader="ruamel", last=ours).changed


def test_a_key_that_is_declared_no_more_goes_however_it_was_written() -> None:
    after = config.update("a: 1\ny: v\n", {"a": 1}, reader="ruamel", last={"a": 1, "y": "v"})
    assert after.text == "a: 1\n"


def test_keys_of_others_that_a_newer_hermes_reads_otherwise_stay_as_they_are() -> None:
    assert config.update("a: {y: 1}\nn: 2\n", {"a": {"b": 1}}, reader="ruamel").text == "a: {y: 1, b: 1}\nn: 2\n"


def test_a_tag_counts_and_not_how_the_text_looks() -> None:
    assert config.update("!!str y: 1\nz: 2\n", {"y": 2}, reader="ruamel").text == "!!str y: 2\nz: 2\n"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "text", ["a: " + "[" * 20_000, "a: !!bool x", "a: !!int ''", "!!timestamp x", "a: 2026-13-45", "a: !!x\n", "\x07"]
)
def test_what_no_reader_takes_is_refused_and_never_breaks(text: str, reader: Reader) -> None:
    with pytest.raises(UnusableFile, match=r"config\.yaml.*: this is not YAML"):
        config.parse(text, reader=reader)


@pytest.mark.parametrize("reader", READERS)
def test_the_refusal_has_the_line_and_not_the_text(reader: Reader) -> None:
    with pytest.raises(UnusableFile) as caught:
        config.parse("a: 1\nb: [sk-secret\nc: 3\n", reader=reader)
    assert caught.value.line == 3
    assert "sk-secret" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def test_a_file_that_only_a_newer_hermes_reads_is_one_for_it() -> None:
    text = "a: &x 1\nb: &x 2\nc: *x\n"
    with pytest.raises(UnusableFile, match="anchor"):
        config.parse(text, reader="pyyaml")
    after = config.update(text, {"d": "y"}, reader="ruamel")
    assert config.parse(after.text, reader="ruamel") == {"a": 1, "b": 2, "c": 2, "d": "y"}


def test_no_part_of_the_text_is_warned_of(recwarn: pytest.WarningsRecorder) -> None:
    assert yaml_readers.load("api_key: 1e5\n", "ruamel") == {"api_key": 1e5}
    assert not recwarn.list
