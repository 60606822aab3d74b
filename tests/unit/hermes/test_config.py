"""config.yaml: comments and strangers' keys survive, Hermes' reader sees what was meant, nothing is rewritten twice."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxhermes.hermes import config
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import ABSENT, merged, same

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


@settings(max_examples=150, deadline=None)
@given(SETTINGS, SETTINGS)
def test_hermes_reads_the_merge_and_a_second_time_changes_nothing(existing: Any, wanted: Any) -> None:
    text = yaml.safe_dump(existing, allow_unicode=True, sort_keys=False)
    after = config.update(text, wanted)
    assert same(config.parse(after.text), merged(existing, wanted))
    again = config.update(after.text, wanted)
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
        "  default: claude-sonnet # the old one\n"
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


def test_what_was_ours_and_is_wanted_no_more_goes() -> None:
    text = config.update(None, {"platforms": {"telegram": {"enabled": True}}, "model": {"default": "x"}}).text
    after = config.update(
        text, {"model": {"default": "x"}}, forget=[("platforms", "telegram", "enabled"), ("model", "default"), ("no",)]
    )
    assert config.parse(after.text) == {"model": {"default": "x"}}
    assert [(d.path, d.after) for d in after.differences] == [(("platforms", "telegram", "enabled"), ABSENT)]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: [1, 2\nc: 3\n", 3), ("a: 1\n\tb: 2\n", 2), ("- a\n- b\n", 1), ("a: 1\na: 2\n", 2), ("a: *nobody\n", 1)],
)
def test_a_file_that_cannot_be_read_stops_with_its_line(text: str, line: int) -> None:
    with pytest.raises(UnusableFile) as caught:
        config.update(text, WANTED)
    assert caught.value.line == line


def test_the_error_does_not_repeat_what_stands_in_the_file() -> None:
    with pytest.raises(UnusableFile) as caught:
        config.update("api_key: [sk-secret\n", WANTED)
    assert "sk-secret" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def test_a_key_that_only_looks_like_ours_stops_the_run_instead_of_looping() -> None:
    with pytest.raises(UnusableFile, match="without touching other keys"):
        config.update("on: 1\n", {"on": 2})
