"""Hermes' .env: every value survives the way through the real python-dotenv, and strangers' lines stay."""

from __future__ import annotations

import io
import re

import dotenv
import dotenv.variables
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxhermes.hermes import env
from proxhermes.hermes.files import UnusableFile

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,12}", fullmatch=True)
# With line separators, byte order marks and the like; a null character cannot stand in an environment.
VALUES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40) | st.text(
    "\\'\"#${}:- ab=~\n\r\t", max_size=12
)
LINES = st.sampled_from(
    [
        "# a comment\n", "\n", "  \n", "export SHELL_STYLE=1\n", "QUOTED='a # b'\n", 'DOUBLE="x\\n y"\n', "EMPTY=\n",
        "BARE_WORD\n", "SPACED = value # remark\n", "MULTI='one\ntwo'\n", "WINDOWS=x\r\n", "REF=${HOME}/x\n",
        "REMARK # a=b\n", "EMPTY # c\n",
    ]
)  # fmt: skip


def by_dotenv(text: str) -> dict[str, str | None]:
    # As from a file: Python makes one newline of each kind of them.
    return dict(dotenv.dotenv_values(stream=io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")))


def by_lines(text: str) -> dict[str, str]:
    """The law of Hermes' own reader (0.19, hermes_cli/config.py: load_env), which knows no `${NAME}`."""
    found: dict[str, str] = {}
    for line in io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"):
        if (line := line.strip()) and not line.startswith("#") and "=" in line:
            key, _, value = line.removeprefix("export ").partition("=")
            found[key.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r'\\([\\"])', r"\1", value[1:-1])
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == "'" else value


@given(st.dictionaries(NAMES, VALUES, max_size=6))
@example({"A": "${HOME}", "B": "${:-$}{X}", "C": "$${A}", "D": "a'b\"c \\"})
@example({"A": "'\\", "B": "'", "C": " \\", "D": " "})
@example({"A": "# not a comment", "B": " edges ", "C": "'quoted'", "D": "back\\slash", "E": "a #b"})
@example({"A": "-----BEGIN KEY-----\r\n  ab\\\n\n-----END KEY-----\n", "B": "\n", "C": "\\\n'\"", "D": "\u2028"})
def test_python_dotenv_reads_exactly_what_was_meant(wanted: dict[str, str]) -> None:
    written = env.update("", wanted).text
    assert by_dotenv(written) == wanted
    assert env.values(written) == wanted


@given(st.dictionaries(NAMES, VALUES, max_size=6))
@example({"A": "'\\' #", "B": 'say "hi" # \\ or not', "C": "it's", "D": "C:\\new\\table", "E": "'", "F": '"'})
def test_hermes_own_reader_reads_the_same_where_there_is_a_way(wanted: dict[str, str]) -> None:
    read = by_lines(env.update("", wanted).text)
    assert read.keys() == wanted.keys()
    for name, value in wanted.items():
        bare = f"{name}={value}\n" == env.assignment(name, value).removeprefix("export ")
        if not re.search(r"[\r\n]|\$\{", value) and (bare or not value.endswith("\\")):
            assert read[name] == value


@given(st.dictionaries(NAMES, VALUES, max_size=4))
@example({"OPENAI_API_KEY": "abcANTHROPIC_API_KEY=def", "EXA_API_KEY": "'x'EXA_API_KEY=' #"})
def test_hermes_repair_of_the_file_finds_nothing_to_repair(wanted: dict[str, str]) -> None:
    """Hermes strips each line, and cuts one that begins with a variable and holds another (_sanitize_env_lines)."""
    for line in io.TextIOWrapper(io.BytesIO(env.update("", wanted).text.encode()), encoding="utf-8"):
        assert line == line.strip() + "\n"
        assert line.startswith("export ") or not re.search(r"[A-Z0-9]_[A-Z0-9_]*=", line.partition("=")[2])


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


@given(st.text("${}:-aHOME", max_size=12), st.text("${}:-aHOME", max_size=12))
@example("pa${HOME}ss", "pa${HOME}ss")
@example("pa${:-$}{HOME}ss", "pa${HOME}ss")
@example("${HOME:-a}", "a")
def test_a_line_that_is_there_stays_only_if_it_is_read_as_what_is_wanted(there: str, wanted: str) -> None:
    before = f"A={there}\n"
    after = env.update(before, {"A": wanted})
    assert by_dotenv(after.text) == {"A": wanted}
    assert not after.changed or "${" in there or there != wanted
    assert env.update(after.text, {"A": wanted}).changed == ()


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


def test_a_value_of_several_lines_is_one_line_of_the_file() -> None:
    assert env.assignment("KEY", "a b\nc\r\n") == 'KEY="a b\\nc\\r\\n"\n'


def test_a_null_character_is_refused() -> None:
    with pytest.raises(ValueError, match="KEY: a null character"):
        env.assignment("KEY", "a\0b")


def test_the_lines_are_counted() -> None:
    text = "# a\n\nA=1\nB='x\ny'\n\n\n  C=2\n"
    assert [(entry.key, line) for entry, line in env.numbered(text)] == [(None, 1), ("A", 3), ("B", 4), ("C", 8)]


@given(st.lists(st.text("${}:-aB\\", max_size=8), max_size=5), st.text("${}:-aB", max_size=12))
def test_references_are_replaced_as_python_dotenv_does(values: list[str], value: str) -> None:
    known = {f"N{index}": value for index, value in enumerate(values)} | {"a": "1", "B": "2", "": "3"}
    try:
        found = env.expanded(value, known)
    except KeyError:
        return
    assert found == "".join(atom.resolve(known) for atom in dotenv.variables.parse_variables(value))


def test_a_reference_to_nothing_is_told() -> None:
    assert env.expanded("${A}-${B:-b}-${:-$}{", {"A": "a"}) == "a-b-${"
    with pytest.raises(KeyError, match="NOWHERE"):
        env.expanded("${NOWHERE}", {})


def test_nothing_that_prints_shows_a_value() -> None:
    update = env.update("", {"TOKEN": "very-secret"})
    assert "very-secret" not in repr(update)
    assert "very-secret" not in repr(tuple(env.parse(update.text)))
