"""What Hermes itself reads, compared with what is declared: in the agent's place, by its own code, without a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.transport.scripts import script
from proxhermes.verify import configuration
from proxhermes.verify.configuration import Other, Read
from proxhermes.verify.model import Finding, Verdict
from proxhermes.verify.scene import Answers

# Like hermes_cli/config.py and utils.py of Hermes 0.19, as far as the probe asks them.
HERMES = """
import os, re
from pathlib import Path
import yaml
from hermes_cli import managed_scope
def get_config_path():
    os.chmod(os.environ["HERMES_HOME"], int(os.environ.get("HERMES_HOME_MODE", "0700"), 8))
    return Path(os.environ["HERMES_HOME"]) / "config.yaml"
def _merge(one, other):
    both = {k: _merge(one[k], v) for k, v in other.items() if isinstance(one.get(k), dict) and isinstance(v, dict)}
    return {**one, **other, **both}
def _expand_env_vars(value):
    if isinstance(value, dict):
        return {k: _expand_env_vars(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand_env_vars(v) for v in value]
    return re.sub(r"\\${(\\w+)}", lambda m: os.environ.get(m[1], m[0]), value) if isinstance(value, str) else value
def load_config():
    print("a line of its own")
    user = yaml.safe_load(get_config_path().read_text()) or {}
    if "max_turns" in user:
        user["agent"] = {"max_turns": user.pop("max_turns"), **user.get("agent", {})}
    if isinstance(user.get("model"), str):
        user["model"] = {"default": user["model"]}
    for name in ("provider", "base_url"):
        if name in user:
            user.setdefault("model", {}).setdefault(name, user.pop(name))
            user.pop(name, None)
    if user.get("delegation", 1) is None:
        del user["delegation"]
    defaults = {"agent": {"max_turns": 90}, "delegation": {"max_iterations": 250}}
    return _merge(_expand_env_vars(_merge(defaults, user)), managed_scope.load_managed_config())
"""
MANAGED = """
import os, yaml
def load_managed_config():
    folder = os.environ.get("HERMES_MANAGED_DIR")
    return yaml.safe_load(open(folder + "/config.yaml")) if folder else {}
"""
SECRET = "sk-the-secret"


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    """What the probe answers of a config.yaml, asked for the keys."""
    (code := tmp_path / "code" / "hermes_cli").mkdir(parents=True)
    (code / "__init__.py").write_text("")
    (code / "config.py").write_text(HERMES)
    (code / "managed_scope.py").write_text(MANAGED)
    (tmp_path / "code" / "utils.py").write_text("import yaml\nfast_safe_load = yaml.safe_load\n")
    (home := tmp_path / "home").mkdir()

    def run(text: str | None, keys: Any, managed: str = "") -> tuple[Read | None, str]:
        environment = {"PYTHONPATH": str(tmp_path / "code"), "KEY": SECRET, "PATH": "/usr/bin:/bin"}
        environment |= {"HERMES_HOME_MODE": "0750", "HOME": "/opt/data/home"}
        if text is not None:
            (home / "config.yaml").write_text(text)
        if managed:
            (tmp_path / "config.yaml").write_text(managed)
            environment["HERMES_MANAGED_DIR"] = str(tmp_path)
        bundle = {name: content for name, (content, _) in configuration.bundle({"": keys}).items()}
        argv = [sys.executable, "-c", bundle["config-probe.py"].decode(), str(home)]
        done = subprocess.run(argv, input=bundle["config.declared"], env=environment, capture_output=True, check=True)
        assert home.stat().st_mode & 0o777 == 0o750  # to look changes nothing
        return (configuration.parse(done.stdout.decode(), {"": keys}) or {}).get(""), done.stdout.decode()

    return run


def keys(tree: Any) -> Any:
    home = SimpleNamespace(config_file=None, profiles={})
    return configuration.declared(SimpleNamespace(hermes=home, tree=tree, profile=""))[""]  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxhermes.hermes.settings.declared", lambda agent: getattr(agent, "tree", {}))


TREE = {
    "model": {"default": "m", "api_key": "${KEY}"},
    "agent": {"max_turns": 60, "verbose": True},
    "odd": {"y": "y", "1e5": ["1e5", 1.5, None]},
    "nothing": {},
}
TEXT = """
model: {default: m, api_key: "${KEY}", mine: 1}
agent: {max_turns: 60, verbose: true}
odd: {"y": "y", "1e5": ["1e5", 1.5, null]}
"""


def test_all_of_it_is_read_as_declared(ask: Any) -> None:
    assert ask(TEXT, keys(TREE))[0] == Read(None, 6, (), 0)


def test_what_is_not_is_told_with_what_is_read(ask: Any) -> None:
    text = TEXT.replace("max_turns: 60", "max_turns: 250").replace('"y": "y"', '"y": true').replace("1.5", "'1.5'")
    read, _ = ask(text.replace("verbose: true", "verbosity: 1"), keys(TREE))
    assert read == Read(
        None,
        2,
        (
            Other(2, "differs", "250"),
            Other(3, "absent", ""),
            Other(4, "differs", "true"),
            Other(5, "differs", '["1e5", "1.5", null]'),
        ),
        0,
    )


@pytest.mark.parametrize("theirs", ["hunter2", "sk-1234567890abcdefghijklmnop"])
def test_no_secret_leaves_the_agent(ask: Any, theirs: str) -> None:
    text = TEXT.replace('api_key: "${KEY}"', f"api_key: {theirs}")
    read, told = ask(text, keys(TREE))
    assert read.others == (Other(1, "differs", ""),)
    assert theirs not in told and SECRET not in ask(TEXT, keys({**TREE, "model": {"mine": "${KEY}"}}))[1]


def test_a_reference_is_compared_and_not_what_stands_behind_it(ask: Any) -> None:
    assert ask("a: {b: '${KEY}'}\n", keys({"a": {"b": "${KEY}"}}))[0] == Read(None, 1, (), 0)
    assert ask(f"a: {{b: {SECRET}}}\n", keys({"a": {"token": "${KEY}"}}))[0].others[0].how == "absent"


def test_a_key_that_hermes_moves_is_in_the_file(ask: Any) -> None:
    assert ask("max_turns: 5\n", keys({"max_turns": 5}))[0] == Read(None, 0, (Other(0, "own", ""),), 0)


@pytest.mark.parametrize(
    ("tree", "how"),
    [
        ({"provider": "openrouter"}, ["own"]),
        ({"model": "m", "provider": "openrouter"}, ["own", "own"]),
        ({"model": {"provider": "custom"}, "provider": "openrouter"}, ["ignored"]),
        ({"agent": {"max_turns": 77}, "max_turns": 5}, ["ignored"]),
        ({"agent": {"max_turns": 5}, "max_turns": 5}, ["own"]),
        ({"delegation": None}, ["ignored"]),
        ({"base_url": "http://${HOME}"}, ["own"]),
    ],
)
def test_a_key_that_hermes_drops_is_not_taken_as_another_one(ask: Any, tree: Any, how: list[str]) -> None:
    read, _ = ask(json.dumps(tree), keys(tree))
    assert [other.how for other in read.others] == how


def test_a_variable_that_hermes_needs_itself_is_replaced_and_the_key_as_declared(ask: Any) -> None:
    tree = {"a": "${HOME}/x", "b": ["${PATH}", 1], "c": "${KEY}", "d": "${HERMES_HOME}"}
    assert ask(json.dumps(tree), keys(tree))[0] == Read(None, 4, (), 0)


def test_an_administrators_file_wins(ask: Any) -> None:
    read, _ = ask(TEXT, keys(TREE), managed="agent: {max_turns: 5}\n")
    assert read.others == (Other(2, "managed", "5"),)
    assert ask(TEXT, keys(TREE), managed="agent: {max_turns: 60}\n")[0].same == 6


@pytest.mark.parametrize(("text", "line"), [("a: 1\nb: [1\nc: 2\n", 3), ("a: *x\n", 1), ("a: 2026-13-45\n", 0)])
def test_a_file_that_hermes_cannot_read_is_told_with_its_line(ask: Any, text: str, line: int) -> None:
    read, told = ask(text, keys(TREE))
    assert (read.line, read.same) == (line, 0)
    assert len(told) < 100  # and nothing of what is written there


def test_no_file_at_all_says_nothing(ask: Any) -> None:
    read, _ = ask("", keys({"a": 1}))
    assert read.others == (Other(0, "absent", ""),)


def test_of_many_some_are_told_and_none_at_length(ask: Any) -> None:
    declared = {f"k{number}": number for number in range(500)}
    read, told = ask("".join(f"k{number}: {'x' * 1000}\n" for number in range(500)), keys(declared))
    assert (read.same, len(read.others), read.more) == (0, 20, 480)
    assert len(told) < 10_000
    assert {len(other.text) for other in read.others} == {200}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        '{"line": null, "same": 1, "others": []}',
        '{"line": null, "same": 3, "others": [], "more": 0}',
        '{"line": null, "same": 1, "others": [], "more": 0}',
        '{"line": null, "same": true, "others": [], "more": 1}',
        '{"line": null, "same": 1, "others": [[2, "differs", ""]], "more": 0}',
        '{"line": null, "same": 1, "others": [[0, "else", ""]], "more": 0}',
        '{"line": null, "same": 1, "others": [[0, "differs", 5]], "more": 0}',
        '{"line": null, "same": 1, "others": [[0, "differs"]], "more": 0}',
        '{"line": null, "same": 1, "others": {"0": 1}, "more": 0}',
        '{"line": "9", "same": 0, "others": [], "more": 0}',
        '{"line": -1, "same": 0, "others": [], "more": 0}',
        json.dumps({"line": None, "same": 1, "others": [[0, "differs", "x" * 201]], "more": 0}),
    ],
)
def test_an_answer_of_another_form_is_none(answer: str) -> None:
    homes = {"": keys({"a": 1, "b": 2})}
    assert configuration.parse(f'{{"": {answer or 0}}}', homes) is configuration.parse(answer, homes) is None


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.text() | st.integers()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)))
def test_the_probe_makes_the_same_digests(value: Any) -> None:
    scope: dict[str, Any] = {}
    exec(script("config-probe.py").decode().removesuffix("main()\n"), scope)
    assert scope["digested"](value) == configuration.digest(value)


def look(declared: Any, read: Read) -> Finding:
    answers = Answers("")
    answers._values = {"config.rc": "0", "config": json.dumps({"": read_as(read)})}
    scene: Any = SimpleNamespace(declared={"": declared}, guest=answers, agent=SimpleNamespace(vmid=118))
    return configuration.CHECKS[0].look(scene)


def read_as(read: Read) -> dict[str, Any]:
    others = [[other.index, other.how, other.text] for other in read.others]
    return {"line": read.line, "same": read.same, "others": others, "more": read.more}


def test_the_evidence_says_how_many() -> None:
    found = look(keys(TREE), Read(None, 6, (), 0))
    assert (found.verdict, found.evidence) == (Verdict.PASS, "6 declared keys read as declared")
    found = look(keys({"max_turns": 5}), Read(None, 0, (Other(0, "own", ""),), 0))
    assert found.verdict is Verdict.PASS and "max_turns: Hermes takes it as another key of its own" in found.evidence


def test_a_key_that_hermes_drops_is_a_warning() -> None:
    others = (Other(0, "own", ""), Other(1, "ignored", ""), Other(2, "managed", ""))
    found = look(keys({"max_turns": 5, "delegation": None, "a": 1}), Read(None, 0, others, 0))
    managed = "an administrator's file in the agent's place says otherwise: a"
    ignored = "Hermes does not read as declared, though the file has it: delegation"
    assert (found.verdict, found.evidence) == (Verdict.WARN, f"{managed}; {ignored}")


def test_the_evidence_shows_the_first_ones() -> None:
    others = tuple(Other(index, "differs", f'"{index}"') for index in range(5))
    found = look(keys(TREE), Read(None, 0, others, 1))
    assert found.verdict is Verdict.FAIL
    assert found.evidence.endswith('agent.max_turns: Hermes reads "2", declared is 60; and 3 more')


def test_a_managed_key_is_warned_of() -> None:
    found = look(keys(TREE), Read(None, 5, (Other(2, "managed", "5"),), 0))
    assert (found.verdict, found.evidence) == (
        Verdict.WARN,
        "an administrator's file in the agent's place says otherwise: agent.max_turns",
    )


def test_a_whole_file_is_compared_key_by_key_but_for_its_version(make_agent: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("_config_version: 12\nchannels: {123: x, 2026-01-01: [1]}\n")
    found = configuration.declared(make_agent(hermes={"config_file": str(file)}))[""]
    assert found[0][0] == ("channels", 123)
    assert len(found) == 2 and configuration.bundle({"": found})


def test_each_profile_is_asked_in_its_own_home(ask: Any, tmp_path: Path) -> None:
    (profile := tmp_path / "home" / "profiles" / "work").mkdir(parents=True)
    (profile / "config.yaml").write_text("a: 2\n")
    (tmp_path / "home" / "config.yaml").write_text("a: 1\n")
    homes = {"": keys({"a": 1}), "work": keys({"a": 1})}
    environment = {"PYTHONPATH": str(tmp_path / "code")}
    bundle = {name: content for name, (content, _) in configuration.bundle(homes).items()}
    argv = [sys.executable, "-c", bundle["config-probe.py"].decode(), str(tmp_path / "home")]
    done = subprocess.run(argv, input=bundle["config.declared"], env=environment, capture_output=True, check=True)
    read = configuration.parse(done.stdout.decode(), homes)
    assert read == {"": Read(None, 1, (), 0), "work": Read(None, 0, (Other(0, "differs", "2"),), 0)}
    answers = Answers("")
    answers._values = {"config.rc": "0", "config": done.stdout.decode()}
    scene: Any = SimpleNamespace(declared=homes, guest=answers, agent=SimpleNamespace(vmid=118))
    assert configuration.CHECKS[0].look(scene).evidence == "work: a: Hermes reads 2, declared is 1"
