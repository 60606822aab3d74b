"""config.yaml: comments and strangers' keys survive, Hermes' reader sees what was meant, nothing is rewritten twice."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxhermes.hermes import config
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import ABSENT, leaves, lookup, merged, nested, removed, same
from proxhermes.upstream import Reader

WANTED = {
    "model": {
        "default": "claude-sonnet", "provider": "custom", "base_url": "http://10.1.10.22:4000/v1",
        "api_key": "${LITELLM_API_KEY}",
    }
}  # fmt: skip
THEIRS = """\
# mine, hands off
model:
  default: gpt   # the old one
  temperature: 0.5
skills:
  # no jokes
  disabled: [jokes]
mode: off
"""

KEYS = st.sampled_from(["a", "model", "off", "12", "x y", "k:v", "ä"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\x85\u2028\u2029\ufeff"), max_size=20)
    | st.sampled_from(
        ["off", "yes", "1:30", "0o7", "010", "1_000", "~", "", "null", "1e3", "2026-01-01", "=", "<<", "- x"]
    )
)
SETTINGS = st.recursive(
    st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3), max_size=4),
    lambda inner: st.dictionaries(KEYS, SCALARS | inner | st.lists(inner, max_size=2), max_size=3),
    max_leaves=10,
)

READERS: st.SearchStrategy[Reader] = st.sampled_from(["pyyaml", "ruamel"])


@settings(max_examples=150, deadline=None)
@given(SETTINGS, SETTINGS, READERS)
def test_hermes_reads_the_merge_and_a_second_time_changes_nothing(existing: Any, wanted: Any, reader: Reader) -> None:
    text = yaml.safe_dump(existing, allow_unicode=True, sort_keys=False)
    existing = config.parse(text, reader=reader)
    after = config.update(text, wanted, reader=reader)
    assert same(config.parse(after.text, reader=reader), merged(existing, wanted))
    again = config.update(after.text, wanted, reader=reader)
    assert again.text == after.text
    assert not again.differences


@settings(max_examples=100, deadline=None)
@given(SETTINGS)
def test_a_new_file_holds_what_is_wanted(wanted: Any) -> None:
    assert same(config.parse(config.update(None, wanted).text), wanted)


def test_comments_order_and_other_keys_survive() -> None:
    after = config.update(THEIRS, WANTED)
    assert after.text == (
        "# mine, hands off\n"
        "model:\n"
        "  default: claude-sonnet   # the old one\n"
        "  temperature: 0.5\n"
        "  provider: custom\n"
        "  base_url: http://10.1.10.22:4000/v1\n"
        "  api_key: ${LITELLM_API_KEY}\n"
        "skills:\n"
        "  # no jokes\n"
        "  disabled: [jokes]\n"
        "mode: off\n"
    )
    assert [".".join(d.path) for d in after.differences] == [
        "model.default", "model.provider", "model.base_url", "model.api_key",
    ]  # fmt: skip


def test_an_unchanged_file_is_returned_byte_for_byte() -> None:
    text = "model: {default: x}   # odd   spacing\n\n\nlist:\n    -   1\n"
    assert config.update(text, {"model": {"default": "x"}}).text == text


def test_a_file_of_comments_keeps_them() -> None:
    after = config.update("# only words", {"a": 1})
    assert after.text == "# only words\na: 1\n"


def test_defaults_are_set_only_where_nothing_stands() -> None:
    defaults = {"terminal": {"cwd": "/data"}, "_config_version": 33}
    assert config.parse(config.update("terminal: {cwd: /mine}\n", {}, defaults=defaults).text) == {
        "terminal": {"cwd": "/mine"},
        "_config_version": 33,
    }
    assert config.update("terminal: {cwd: null}\n_config_version: 12\n", {}, defaults=defaults).differences == ()
    assert config.update("terminal: null\n_config_version: 12\n", {}, defaults=defaults).differences == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: [1, 2\nc: 3\n", 3), ("a: 1\n\tb: 2\n", 2), ("- a\n- b\n", 1), ("a: *nobody\n", 1)],
)
def test_a_file_that_cannot_be_read_stops_with_its_line(text: str, line: int) -> None:
    with pytest.raises(UnusableFile) as caught:
        config.update(text, WANTED)
    assert caught.value.line == line


def test_brackets_deeper_than_anybody_writes_stop_as_any_other_file_that_cannot_be_read() -> None:
    with pytest.raises(UnusableFile):
        config.parse("a: " + "[" * 20_000)


def test_the_error_says_what_the_inventory_says_of_such_a_mistake() -> None:
    with pytest.raises(UnusableFile, match=r"line 1: this is not YAML: a list `\[…\]` that is not closed"):
        config.parse("a: [1\n")


def test_the_error_does_not_repeat_what_stands_in_the_file() -> None:
    with pytest.raises(UnusableFile) as caught:
        config.update("api_key: [sk-secret\n", WANTED)
    assert "sk-secret" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def test_keys_that_hermes_takes_for_something_else_are_not_ours() -> None:
    after = config.update("on: 1\n12: x\n", {"on": 2, "12": "y"})
    assert config.parse(after.text) == {True: 1, 12: "x", "on": 2, "12": "y"}
    assert after.text.startswith("on: 1\n12: x\n")


# Three ways: what was declared last time, what is there, what is declared now.


def test_what_was_ours_and_is_declared_no_more_goes_unless_somebody_changed_it() -> None:
    last = {"model": {"default": "x"}, "agent": {"max_turns": 60, "verbose": True}, "skills": {"disabled": ["a"]}}
    text = config.update(None, last).text.replace("max_turns: 60", "max_turns: 90  # I need more")
    after = config.update(text, {"model": {"default": "x"}}, last=last)
    assert config.parse(after.text) == {"model": {"default": "x"}, "agent": {"max_turns": 90}}
    assert "# I need more" in after.text
    assert after.kept == (("agent", "max_turns"),)
    assert [(d.path, d.after) for d in after.differences] == [
        (("agent", "verbose"), ABSENT),
        (("skills", "disabled"), ABSENT),
    ]
    again = config.update(after.text, {"model": {"default": "x"}}, last={"model": {"default": "x"}})
    assert (again.differences, again.kept) == ((), ())


@pytest.mark.parametrize(
    ("text", "last", "wanted", "after"),
    [
        ("a: {b: 1}\n", {"a": {"b": 1}}, {"a": {}}, {"a": {}}),
        ("a: {b: 1}\n", {"a": {"b": 1}}, {"a": 5}, {"a": 5}),
        ("a: 5\n", {"a": 5}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ("a: {}\n", {"a": {}}, {}, {}),
        ("a: {mine: 1}\n", {"a": {}}, {}, {"a": {"mine": 1}}),
        ("a: null\nb: 1\n", {"a": None}, {}, {"b": 1}),
        ("a: true\n", {"a": 1}, {}, {"a": True}),  # 1 is not true: somebody wrote that
        ("a: {b: {c: 1}, d: 2}\n", {"a": {"b": {"c": 1}}}, {}, {"a": {"d": 2}}),
    ],
)
def test_a_removal_takes_what_was_declared_and_no_more(text: str, last: Any, wanted: Any, after: Any) -> None:
    assert same(config.parse(config.update(text, wanted, last=last).text), after)


def test_a_default_follows_the_inventory_until_somebody_changes_it() -> None:
    def defaults(cwd: str) -> Any:
        return {"terminal": {"cwd": cwd}}

    text = config.update(None, {}, defaults=defaults("/data") | {"_config_version": 33}).text
    last = config.memory({}, defaults("/data") | {"_config_version": 33})
    assert config.parse(config.update(text, {}, last=last, defaults=defaults("/fast")).text) == {
        "terminal": {"cwd": "/fast"},
        "_config_version": 33,
    }
    mine = text.replace("/data", "/mine")
    assert config.update(mine, {}, last=last, defaults=defaults("/fast")).differences == ()
    assert config.update(mine, {}, last=last, defaults=defaults("/fast")).kept == ()


def the_modules_merge(existing: Any, declared: Any) -> Any:
    """The law in a few lines: mapping by mapping, all else replaced, other keys stay."""
    result = dict(existing)
    for key, value in declared.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = the_modules_merge(result[key], value)
        else:
            result[key] = value
    return result


STYLES = st.sampled_from([None, True, False])


@settings(max_examples=300, deadline=None)
@given(SETTINGS, SETTINGS, STYLES, READERS)
def test_without_a_memory_it_is_the_modules_merge(
    existing: Any, wanted: Any, flow: bool | None, reader: Reader
) -> None:
    text = yaml.safe_dump(existing, allow_unicode=True, default_flow_style=flow, width=40)
    existing = config.parse(text, reader=reader)
    after = config.update(text, wanted, reader=reader)
    assert same(config.parse(after.text, reader=reader), the_modules_merge(existing, wanted))
    again = config.update(after.text, wanted, last=wanted, reader=reader)
    assert (again.text, again.differences, again.kept) == (after.text, (), ())


@settings(max_examples=300, deadline=None)
@given(SETTINGS, SETTINGS, SETTINGS, STYLES, READERS)
def test_the_third_way_takes_out_only_what_was_declared_and_is_unchanged(
    existing: Any, last: Any, wanted: Any, flow: bool | None, reader: Reader
) -> None:
    last = config.parse(yaml.safe_dump(last, allow_unicode=True), reader=reader)
    existing = the_modules_merge(existing, last)
    text = yaml.safe_dump(existing, allow_unicode=True, default_flow_style=flow)
    existing = config.parse(text, reader=reader)
    after = config.parse(config.update(text, wanted, last=last, reader=reader).text, reader=reader)
    two_way = the_modules_merge(existing, wanted)
    for path, value in leaves(two_way):
        gone = lookup(after, path) is ABSENT
        ours = lookup(last, path) is not ABSENT and lookup(wanted, path) is ABSENT
        emptied = isinstance(value, dict)
        assert not gone or ours or emptied
        assert gone or same(lookup(after, path), value)
    for path, value in leaves(last):
        if not isinstance(value, dict) and lookup(wanted, path) is ABSENT:
            assert lookup(after, path) is ABSENT
    for path, value in leaves(wanted):
        assert isinstance(value, dict) or same(lookup(after, path), value)


# The text: comments, order, quoting, anchors.

EVERY_KIND = """# about the file
base: &base   # an anchor
  a: 1        # one
  list: [x, 'y']   # quoted
terminal:
    # four blanks here
    cwd: "/mine"

    env_passthrough:   # the list
      # why
      - A   # first
      - B
# about streaming

streaming: yes   # as it stood
prompt: |
  # no comment
  text

mcp_servers: {lab: {url: 'http://a', enabled: true}}
empty:
last: 0o7
"""


@pytest.mark.parametrize(
    ("wanted", "old", "new"),
    [
        ({"terminal": {"cwd": "/x"}}, 'cwd: "/mine"', "cwd: /x"),
        ({"base": {"a": 2}}, "a: 1        # one", "a: 2        # one"),
        ({"base": {"list": ["z"]}}, "[x, 'y']   # quoted", "[z]   # quoted"),
        ({"streaming": False}, "streaming: yes   #", "streaming: false   #"),
        ({"empty": "on"}, "empty:\n", "empty: 'on'\n"),
        ({"last": "0o7 "}, "last: 0o7", "last: '0o7 '"),
        ({"prompt": "a\nb\n"}, "  # no comment\n  text\n", "  a\n  b\n"),
        ({"mcp_servers": {"lab": {"url": "http://b"}}}, "'http://a'", "'http://b'"),
        ({"mcp_servers": {"off": {}}}, "enabled: true}}", "enabled: true}, 'off': {}}"),
        ({"terminal": {"timeout": 9}}, "      - B\n", "      - B\n    timeout: 9\n"),
        ({"new": {"x": [1]}}, "last: 0o7\n", "last: 0o7\nnew:\n  x:\n  - 1\n"),
        (
            {"terminal": {"env_passthrough": ["C"]}},
            "    env_passthrough:   # the list\n      # why\n      - A   # first\n      - B\n",
            "    # why\n    env_passthrough:   # the list\n    - C\n",
        ),
    ],
)
def test_a_change_touches_nothing_but_its_entry(wanted: Any, old: str, new: str) -> None:
    assert EVERY_KIND.count(old) == 1
    assert config.update(EVERY_KIND, wanted).text == EVERY_KIND.replace(old, new)


@pytest.mark.parametrize(
    ("last", "old", "new"),
    [
        ({"terminal": {"cwd": "/mine"}}, '    cwd: "/mine"\n', ""),
        (
            {"terminal": {"env_passthrough": ["A", "B"]}},
            "    env_passthrough:   # the list\n      # why\n      - A   # first\n      - B\n",
            "    # why\n",
        ),
        ({"prompt": "# no comment\ntext\n"}, "prompt: |\n  # no comment\n  text\n", ""),
        ({"streaming": True}, "streaming: yes   # as it stood\n", ""),
        ({"empty": None}, "empty:\n", ""),
    ],
)
def test_a_removal_leaves_all_else_as_it_is(last: Any, old: str, new: str) -> None:
    assert EVERY_KIND.count(old) == 1
    assert config.update(EVERY_KIND, {}, last=last).text == EVERY_KIND.replace(old, new)


NAMES = """
base base.a base.list terminal terminal.cwd terminal.env_passthrough terminal.env_passthrough.x terminal.new streaming
prompt mcp_servers mcp_servers.lab.url mcp_servers.lab.new.x empty new.x
"""
PLACES = st.sampled_from(NAMES.split())
VALUES = st.sampled_from([None, True, 7, "on", "a\nb\n", "# x", [], ["a", {"b": "c"}], {}, {"k": [1]}])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(PLACES, VALUES), max_size=4), st.lists(PLACES, max_size=3))
def test_lines_of_comments_survive_whatever_is_set_and_removed(sets: Any, removals: list[str]) -> None:
    wanted: Any = {}
    for place, value in sets:
        wanted = merged(wanted, nested(tuple(place.split(".")), value))
    there = config.parse(EVERY_KIND)
    last: Any = {}
    for place in removals:
        path = tuple(place.split("."))
        if lookup(there, path) is not ABSENT:
            last = merged(last, nested(path, lookup(there, path)))
    after = config.update(EVERY_KIND, wanted, last=last).text
    comments = {line.strip() for line in EVERY_KIND.splitlines() if line.strip().startswith("#")} - {"# no comment"}
    assert comments <= {line.strip() for line in after.splitlines()}
    assert config.update(after, wanted, last=wanted).text == after


ANCHORS = """# shared
defaults: &d
  timeout: 30   # seconds
  nested: {x: 1}
one:
  <<: *d   # all of it
  url: http://one
two: *d
name: &n hermes
again: *n   # the same
"""


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ({"one": {"timeout": 5}}, ["<<: *d   # all of it", "two: *d", "again: *n   # the same"]),
        ({"two": {"timeout": 5}}, ["<<: *d", "defaults: &d", "# seconds"]),
        ({"defaults": {"timeout": 5}}, ["two: *d", "# seconds"]),
        ({"one": {"nested": {"x": 2}}}, ["url: http://one"]),
        ({"one": {"nested": {"y": 2}}}, ["url: http://one"]),
        ({"again": "else"}, ["name: &n hermes", "<<: *d"]),
        ({"name": "else"}, ["<<: *d", "again: &n hermes"]),
        ({"two": 7}, ["<<: *d", "again: *n"]),
        ({"defaults": None}, ["url: http://one", "again: *n"]),
    ],
)
def test_what_an_alias_stands_for_is_changed_for_it_alone(wanted: Any, kept: list[str]) -> None:
    after = config.update(ANCHORS, wanted)
    assert same(config.parse(after.text), the_modules_merge(config.parse(ANCHORS), wanted))
    for part in ("# shared", "# all of it", "# the same", *kept):
        assert part in after.text


@pytest.mark.parametrize("last", [{"one": {"timeout": 30}}, {"name": "hermes"}, {"defaults": {"nested": {"x": 1}}}])
def test_what_an_alias_stands_for_is_removed_for_it_alone(last: Any) -> None:
    after = config.update(ANCHORS, {}, last=last)
    ((path, _),) = leaves(last)
    assert same(config.parse(after.text), removed(config.parse(ANCHORS), path))


@pytest.mark.parametrize(
    ("text", "wanted", "last", "after"),
    [
        ("{a: 1, b: 2}  # mine\n", {"c": [1, {"d": "on"}]}, {}, "{a: 1, b: 2, c: [1, {d: 'on'}]}  # mine\n"),
        ("{a: 1, b: 2}  # mine\n", {"b": ["x\ny"]}, {}, '{a: 1, b: ["x\\ny"]}  # mine\n'),
        ("{a: 1, b: 2, c: 3}  # mine\n", {}, {"a": 1, "c": 3}, "{b: 2}  # mine\n"),
        ("x: {a: 1}  # mine\n", {"x": {}}, {"x": {"a": 1}}, "x: {}  # mine\n"),
    ],
)
def test_blocks_on_one_line_stay_on_one_line(text: str, wanted: Any, last: Any, after: str) -> None:
    assert config.update(text, wanted, last=last).text == after


def test_line_ends_and_indents_of_the_file_are_kept() -> None:
    text = "a:\r\n   b: 1\r\nc: 2"
    assert config.update(text, {"a": {"d": 3}, "e": 4}).text == "a:\r\n   b: 1\r\n   d: 3\r\nc: 2\r\ne: 4\r\n"


# Files that others wrote in their own way.


NOTHING = ["---\n", "---\n# c\n", "~\n", "--- ~\n", "null", "{}\n", "---\n...\n", "# c\n{} # d\n"]


@pytest.mark.parametrize("text", NOTHING)
def test_a_file_that_says_nothing_is_written_as_a_new_one(text: str) -> None:
    wanted = {"model": {"default": "x"}, "a": 1}
    after = config.update(text, wanted)
    assert config.is_new(text) and not config.is_new(after.text)
    assert config.parse(after.text) == wanted
    assert after.text.count("#") == text.count("#")


def test_a_number_that_is_none_is_one_that_stays() -> None:
    assert config.update("max_turns: .nan  # mine\n", {"a": 1}).text == "max_turns: .nan  # mine\na: 1\n"
    assert config.update("max_turns: .nan\n", {"max_turns": float("nan")}).differences == ()


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", ["a: &a {b: *a}\n", "a: &a [*a]\n", LAUGHS])
def test_aliases_without_an_end_are_refused(text: str) -> None:
    with pytest.raises(UnusableFile, match="stands within itself"):
        config.update(text, {"x": 1})


CHANNELS = "channels:\n  123456789012345678: one  # first\n  2026-01-01: two\n  on: three\n"


@pytest.mark.parametrize(
    ("last", "after"),
    [
        ({123456789012345678: "one"}, CHANNELS.replace("  123456789012345678: one  # first\n", "")),
        ({True: "three", 123456789012345678: "changed since"}, CHANNELS.replace("  on: three\n", "")),
    ],
)
def test_keys_that_are_no_text_are_found_where_they_stand(last: Any, after: str) -> None:
    assert config.update(CHANNELS, {}, last={"channels": last}).text == after
    assert config.update(CHANNELS, {"channels": {123456789012345678: "1"}}).text == CHANNELS.replace(": one", ": '1'")


def test_keys_that_are_no_text_are_found_behind_an_alias() -> None:
    text = "a: &a\n  12: x  # twelve\n  '13': x\nb: *a\n"
    after = config.update(text, {"b": {12: "z"}}, last={"b": {"13": "x"}})
    assert config.parse(after.text) == {"a": {12: "x", "13": "x"}, "b": {12: "z"}}
    assert after.text.startswith("a:\n  12: x  # twelve\n") or "&a" in after.text


def test_nothing_of_a_file_is_warned_of_past_what_hides_secrets() -> None:
    """An anchor that is used twice is one to ruamel.yaml, which prints the lines of both."""
    text = "a: {api_key: &k hunter2}\nb: &k {password: hunter3}\nc: *k\n"
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        update = config.update(text, {"mine": 1}, reader="ruamel")
    assert "mine: 1" in update.text
    assert heard == []
