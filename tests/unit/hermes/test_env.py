"""Hermes' .env: every value survives the way through the real python-dotenv, and strangers' lines stay."""

from __future__ import annotations

import io

import dotenv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxhermes.hermes import env
from proxhermes.hermes.files import UnusableFile

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,12}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40) | st.text(
    "\\'\"#${}:- ab=~", max_size=12
)
LINES = st.sampled_from(
    [
        "# a comment\n", "\n", "  \n", "export SHELL_STYLE=1\n", "QUOTED='a # b'\n", 'DOUBLE="x\\n y"\n', "EMPTY=\n",
        "BARE_WORD\n", "SPACED = value # remark\n", "MULTI='one\ntwo'\n", "WINDOWS=x\r\n", "REF=${HOME}/x\n",
    ]
)  # fmt: skip


def by_dotenv(text: str) -> dict[str, str | None]:
    return dict(dotenv.dotenv_values(stream=io.StringIO(text)))


@given(st.dictionaries(NAMES, VALUES, max_size=6))
@example({"A": "${HOME}", "B": "${:-$}{X}", "C": "$${A}", "D": "a'b\"c \\"})
@example({"A": "'\\", "B": "'", "C": " \\", "D": " "})
@example({"A": "# not a comment", "B": " edges ", "C": "'quoted'", "D": "back\\slash", "E": "a #b"})
def test_python_dotenv_reads_exactly_what_was_meant(wanted: dict[str, str]) -> None:
    assert by_dotenv(env.update("", wanted).text) == wanted


@given(st.lists(LINES, max_size=6), st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_others_wrote_stays_and_the_second_time_changes_nothing(lines: list[str], wanted: dict[str, str]) -> None:
    before = "".join(lines)
    after = env.update(before, wanted)
    read = by_dotenv(after.text)
    assert {key: read[key] for key in wanted} == wanted
    others = {key: value for key, value in by_dotenv(before).items() if key not in wanted}
    assert {key: value for key, value in read.items() if key not in wanted} == others
    again = env.update(after.text, wanted)
    assert (again.added, again.changed, again.gone) == ((), (), ())
    assert again.text == after.text


@given(st.lists(LINES, max_size=8))
def test_reads_what_python_dotenv_reads(lines: list[str]) -> None:
    text = "".join(lines)
    assert "".join(entry.text for entry in env.parse(text)) == text
    read = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    assert env.values(text) == {key: value for key, value in read.items() if value is not None}


def test_a_changed_value_takes_the_place_of_the_old_one() -> None:
    before = "# keys\nexport A=old\n\n# more\nB='x'\nA=older\n"
    after = env.update(before, {"A": "new"})
    assert after.text == "# keys\n\n# more\nB='x'\nA=new\n"
    assert (after.added, after.changed, after.gone) == ((), ("A",), ())


def test_forgotten_keys_go_unless_they_are_wanted() -> None:
    after = env.update("A=1\nB=2\nC=3\n", {"C": "3"}, forget=["A", "C", "NEVER_THERE"])
    assert after.text == "B=2\nC=3\n"
    assert after.gone == ("A",)


def test_a_missing_last_newline_does_not_glue_lines_together() -> None:
    assert env.update("A=1", {"B": "2"}).text == "A=1\nB=2\n"


@pytest.mark.parametrize(("text", "line"), [("A=1\nB='open\nC=3\n", 2), ("A=1\n\nsome words here\n", 3), ("=x\n", 1)])
def test_a_line_that_cannot_be_read_is_named(text: str, line: int) -> None:
    with pytest.raises(UnusableFile) as caught:
        env.update(text, {"A": "2"})
    assert caught.value.line == line
    assert "words" not in str(caught.value)


def test_a_value_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match=r"KEY: a value in \.env is one line"):
        env.assignment("KEY", "a\nb")


def test_nothing_that_prints_shows_a_value() -> None:
    update = env.update("", {"TOKEN": "very-secret"})
    assert "very-secret" not in repr(update)
    assert "very-secret" not in repr(tuple(env.parse(update.text)))
