"""config.yaml as the Hermes that is installed reads it: what is planned for each version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxhermes.errors import UsageError
from proxhermes.facts.guest import File, GuestFacts
from proxhermes.hermes import config
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.wanted import gather
from proxhermes.plan.config import plan_config
from proxhermes.plan.files_model import FilesPlan
from proxhermes.plan.model import Effect
from proxhermes.upstream import Code

OLD = Code("0.19.0", 33)
NEW = Code("0.22.2.post1", 50)
ODD = {"flag": "y", "list": ["1e5", "n"], "N": {"hash": "812e934", "id": "20260820_093237_089e44"}}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")


def there(text: str | None, last: str = "") -> GuestFacts:
    texts = {"config": text, "last-config.yaml": last or None}
    files = {name: File(10000, 10000, 0o640, "regular file", each.encode()) for name, each in texts.items() if each}
    return GuestFacts(files=files)


def plan(agent: Any, facts: GuestFacts, code: Code | None) -> FilesPlan:
    return plan_config(agent, gather(agent), facts, 200_000, code)


def carried_out(facts: GuestFacts, found: FilesPlan) -> GuestFacts:
    """With the file as it is once the plan is carried out."""
    (entry,) = found.entries
    return replace(facts, files={**facts.files, "config": File(10000, 10000, 0o640, "regular file", entry.content)})


def shown(found: FilesPlan) -> dict[str, tuple[str | None, str | None]]:
    return {change.subject.removeprefix("config.yaml: "): (change.before, change.after) for change in found.changes}


@pytest.mark.parametrize(("code", "version"), [(OLD, "33"), (NEW, "50"), (Code("0.23.4", 51), "51"), (None, "50")])
def test_a_new_file_has_the_version_of_the_hermes_that_reads_it(
    make_agent: Any, code: Code | None, version: str
) -> None:
    assert shown(plan(make_agent(), there(None), code))["_config_version"] == (None, version)
    chosen = make_agent(hermes={"config_version": 20})
    assert shown(plan(chosen, there(None), code))["_config_version"] == (None, "20")


@pytest.mark.parametrize("code", [OLD, NEW])
def test_a_file_that_is_there_is_left_to_hermes_own_migration(make_agent: Any, code: Code) -> None:
    assert "_config_version" not in shown(plan(make_agent(), there("_config_version: 20\na: 1\n"), code))


@pytest.mark.parametrize(
    ("version", "code", "said"),
    [
        ("11", NEW, "version 11"),
        ("'9'", NEW, "version 9"),
        ("-5", NEW, "version 0"),
        ("soon", NEW, "version 0"),
        ("12", NEW, ""),
        ("11", OLD, ""),
        ("11", None, ""),
        ("null", NEW, ""),
    ],
)
def test_a_file_that_hermes_does_not_migrate_any_more_is_told(
    make_agent: Any, version: str, code: Code | None, said: str
) -> None:
    notes = " ".join(plan(make_agent(), there(f"_config_version: {version}\na: 1\n"), code).notes)
    assert ("does not bring up to date (from 12 on it does)" in notes) is bool(said) and said in notes


@pytest.mark.parametrize("code", [OLD, NEW])
def test_odd_texts_converge(make_agent: Any, code: Code) -> None:
    agent = make_agent(hermes={"settings": ODD})
    found = plan(agent, there(None), code)
    facts = carried_out(there(None), found)
    for other in (OLD, NEW):  # whichever Hermes comes after it
        assert plan(agent, facts, other).changes == ()


def test_what_an_older_run_left_without_quotes_is_quoted_before_a_newer_hermes_reads_it(make_agent: Any) -> None:
    agent = make_agent(hermes={"settings": ODD})
    quoted = carried_out(there(None), plan(agent, there(None), OLD)).content("config") or b""
    text = quoted.decode().replace("'", "")
    assert "flag: y\n" in text and "N:\n" in text and "hash: 812e934\n" in text
    facts = there(text, last=config.dump(ODD).replace("'", ""))
    assert plan(agent, facts, OLD) == FilesPlan()
    found = plan(agent, facts, NEW)
    assert shown(found) == {
        "flag": ("true", "y"),
        "list": ("[100000.0, false]", '["1e5", "n"]'),
        "False": ('{"hash": Infinity, "id": 2.026082009323709e+60}', None),
        "N": (None, '{"hash": Infinity, "id": 2.026082009323709e+60}'),
        "N.hash": ("Infinity", "812e934"),
        "N.id": ("2.026082009323709e+60", "20260820_093237_089e44"),
    }
    assert all(change.effect is Effect.RESTART_SERVICE for change in found.changes)
    assert plan(agent, carried_out(facts, found), NEW) == FilesPlan()


@pytest.mark.parametrize(("code", "told"), [(OLD, True), (NEW, False), (None, False)])
def test_a_server_that_an_older_hermes_hides_behind_its_own_toolset_is_told_of(
    make_agent: Any, tmp_path: Path, code: Code | None, told: bool
) -> None:
    servers = {"web": {"command": "npx"}, "wiki": {"command": "npx"}}
    file = tmp_path / "whole.yaml"
    file.write_text("mcp_servers: {web: {command: npx}}\n")
    for agent in (make_agent(hermes={"mcp_servers": servers}), make_agent(hermes={"config_file": str(file)})):
        notes = [note for note in plan(agent, there(None), code).notes if "toolsets of its own" in note]
        assert [("'web'" in note, "wiki" in note) for note in notes] == ([(True, False)] if told else [])


TWICE = "agent:\n  max_turns: 5  # mine\n  # why not\n  max_turns: 60\nweb: {token: hunter2, token: hunter3}\n"


def test_a_key_that_is_there_twice_is_told_of_while_an_older_hermes_reads_it(make_agent: Any) -> None:
    agent = make_agent()
    facts = carried_out(there(TWICE), plan(agent, there(TWICE), OLD))
    found = plan(agent, facts, OLD)
    assert not found.changes
    assert [note.partition(":")[0] for note in found.notes] == ["config.yaml", "config.yaml"]
    assert "agent.max_turns is there more than once (lines 2 and 4): the last one counts" in found.notes[0]
    assert "hunter" not in str(found)


def test_a_block_that_is_there_twice_is_told_of(make_agent: Any) -> None:
    """The first one is dead for Hermes, whoever wrote it."""
    text = "mcp_servers: {a: {command: x}}\nmodel: {}\nmcp_servers: {b: {command: y}}\n"
    found = plan(make_agent(), there(text), OLD)
    assert any("mcp_servers is there more than once (lines 1 and 3)" in note for note in found.notes)


def test_a_number_beside_the_same_text_is_told_of(make_agent: Any) -> None:
    agent = make_agent(hermes={"settings": {"discord": {"prompts": {"1485870805429649540": "two", "7": "x"}}}})
    text = "discord: {prompts: {1485870805429649540: one}}\n"
    for facts in (there(text), carried_out(there(text), plan(agent, there(text), NEW))):
        told = [note for note in plan(agent, facts, NEW).notes if "as a number" in note]
        assert len(told) == 1 and "discord.prompts.1485870805429649540" in told[0]


@pytest.mark.parametrize("code", [NEW, None])
def test_a_key_that_is_there_twice_goes_before_a_newer_hermes_reads_it(make_agent: Any, code: Code | None) -> None:
    agent = make_agent()
    found = plan(agent, there(TWICE), code)
    before = "max_turns: 5 (line 2), then max_turns: 60 (line 4)"
    assert shown(found)["agent.max_turns"] == (before, "the last one alone")
    assert shown(found)["web.token"][0] == "token: (hidden) (line 5), then token: (hidden) (line 5)"
    facts = carried_out(there(TWICE), found)
    assert (
        (facts.content("config") or b"")
        .decode()
        .startswith("agent:\n  # why not\n  max_turns: 60\nweb: {token: hunter3}\n")
    )
    assert plan(agent, facts, code) == FilesPlan()


@pytest.mark.parametrize(("text", "line"), [("a: &x 1\nb: *x\na: 2\n", 3), ("a: {<<: {b: 1},\n <<: {c: 1}}\n", 2)])
def test_one_that_cannot_be_mended_is_refused_for_a_newer_hermes_alone(make_agent: Any, text: str, line: int) -> None:
    assert plan(make_agent(), there(text), OLD).changes
    with pytest.raises(UnusableFile) as caught:
        plan(make_agent(), there(text), NEW)
    assert caught.value.line == line


# A whole file


@pytest.fixture
def whole(make_agent: Any, tmp_path: Path) -> Any:
    def write(text: str, **hermes: Any) -> Any:
        (tmp_path / "mine.yaml").write_text(text)
        return make_agent(hermes={"config_file": str(tmp_path / "mine.yaml"), **hermes})

    return write


@pytest.mark.parametrize(
    ("own", "code", "version"),
    [
        ("", OLD, 33),
        ("", NEW, 50),
        ("_config_version: 33  # as I had it\n", NEW, 50),
        ("_config_version: '33'\n", OLD, None),
        ("_config_version: true\n", OLD, 33),
        ("_config_version: 50\n", NEW, None),
        ("_config_version: 50\n", OLD, None),
        ("_config_version: 51\n", NEW, None),
    ],
)
def test_a_whole_file_has_the_version_that_hermes_would_raise_it_to(
    whole: Any, own: str, code: Code, version: int | None
) -> None:
    text = f"# mine\nmodel: {{default: x}}\n{own}"
    agent = whole(text)
    found = plan(agent, there(None), code)
    facts = carried_out(there(None), found)
    written = (facts.content("config") or b"").decode()
    if version is None:
        assert written == text
        assert found.changes[0].after == f"{agent.hermes.config_file}, as it is"
    else:
        assert config.parse(written)["_config_version"] == version
        assert written.startswith("# mine\nmodel: {default: x}\n_config_version: ")
        assert f"with the installed Hermes' _config_version, {version}, in place of its own" in str(found.changes[0])
    assert plan(agent, facts, code) == FilesPlan()


def test_the_inventorys_version_is_what_a_whole_file_has_at_least(whole: Any) -> None:
    agent = whole("a: 1\n_config_version: 33\n", config_version=33)
    (entry,) = plan(agent, there(None), NEW).entries
    assert entry.content == b"a: 1\n_config_version: 33\n"


def test_a_whole_file_is_compared_by_what_it_says(whole: Any) -> None:
    agent = whole("a: 1\nb: 'y'\n_config_version: 50\n")
    assert plan(agent, there('# Hermes wrote it again\nb: "y"\na: 1\n_config_version: 50\n'), NEW) == FilesPlan()
    for other in ("a: 1\nb: y\n_config_version: 50\n", "a: 1\n_config_version: 50\n", "a: [\n", "a: 1\na: 1\n"):
        assert len(plan(agent, there(other), NEW).changes) == 1


def test_a_whole_file_that_the_installed_hermes_cannot_read_is_the_operators_mistake(whole: Any) -> None:
    agent = whole("y: 1\nb: &x 2\ntrue: *x\n")
    with pytest.raises(UsageError, match=r"hermes\.config_file: .*mine\.yaml:3: a key that is there twice"):
        plan(agent, there(None), NEW)


def test_a_setting_that_the_installed_hermes_does_not_list_is_noted(make_agent: Any) -> None:
    agent = make_agent(hermes={"settings": {"security": {"tirith_path": "x"}, "agent": {"max_turn": 1}}})
    agent.hermes.place_settings({("security", "tirith_path"): "inventory.yaml:9"})
    assert plan(agent, there(None), OLD).notes == ()
    said = (
        "inventory.yaml:9: security.tirith_path is not among the settings of Hermes 0.22.2.post1, which may not read it"
    )
    assert plan(agent, there(None), NEW).notes == (said,)
    assert plan(agent, there(None), None).notes == ()
