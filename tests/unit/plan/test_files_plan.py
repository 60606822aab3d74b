"""The agent's files: what is written, what is left to the agent, what goes, and what the next run remembers of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxhermes import upstream
from proxhermes.errors import Refused, UsageError
from proxhermes.facts.guest import File, GuestFacts
from proxhermes.facts.tree import Seen
from proxhermes.hermes import labels, layout
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.wanted import gather
from proxhermes.plan import documents
from proxhermes.plan.entries import ABSENT, Entry, bundle, sha256
from proxhermes.plan.files import FilesPlan, looked_at, plan_files
from proxhermes.plan.model import Effect, pending, worst

READ = {"home:config.yaml": "config", "home:.env": "env"}
READ |= {f"home:.proxhermes/{name}": f"last-{name}" for name in ("config.yaml", "env", "files")}
ME = "/opt/hermes/data/SOUL.md"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")


def plan(agent: Any, facts: GuestFacts, *, force: bool = False) -> FilesPlan:
    return plan_files(agent, gather(agent), facts, context_length=200_000, fresh_key="fresh-key", force_documents=force)


def seen(content: bytes, mode: int = 0o640, uid: int = 10000) -> Seen:
    return Seen("regular file", mode, uid, uid, sha256(content))


def carried_out(agent: Any, facts: GuestFacts, found: FilesPlan) -> GuestFacts:
    """What is there once the entries are carried out."""
    tree, files, place = dict(facts.tree), dict(facts.files), layout.of(agent)
    for entry in found.entries:
        label = labels.label(place, entry.path)
        if entry.kind in ("folder", "workplace"):
            tree[label] = Seen("directory", entry.mode, 10000, 10000)
        elif entry.kind == "file":
            before = tree.get(label)
            assert entry.expected in ((before.sha256 if before else ABSENT), "any")
            tree[label] = seen(entry.content or b"", entry.mode)
            if label in READ:
                files[READ[label]] = File(10000, 10000, entry.mode, "regular file", entry.content)
        elif entry.kind == "mode":
            tree[label] = replace(tree[label], mode=entry.mode, uid=10000, gid=10000)
        elif entry.kind == "gone":
            assert tree.pop(label).sha256 == entry.expected
    return replace(facts, tree=tree, files=files)


def settled(agent: Any, facts: GuestFacts | None = None) -> GuestFacts:
    facts = facts or GuestFacts()
    return carried_out(agent, facts, plan(agent, facts))


def rewritten(facts: GuestFacts, label: str, content: bytes) -> GuestFacts:
    """The agent wrote something of its own there."""
    return replace(facts, tree={**facts.tree, label: seen(content)})


def subjects(found: FilesPlan) -> list[str]:
    return [change.subject for change in found.changes]


def blocked(found: FilesPlan) -> list[str]:
    return [f"{change.subject}: {change.blocked}" for change in found.changes if change.blocked]


GIVEN = {
    "documents": {"AGENTS.md": "read me\n", "notes/a.md": "a\n"},
    "home_files": {"SOUL.md": "me\n", "hooks/greet/HOOK.yaml": "name: greet\n"},
}


def test_a_second_run_changes_nothing(make_agent: Any) -> None:
    agent = make_agent(hermes=GIVEN)
    found = plan(agent, settled(agent))
    assert (found.changes, found.entries, found.notes) == ((), (), ())


def test_the_order_of_the_inventorys_keys_is_no_change(make_agent: Any) -> None:
    terminal, settings = {"timeout": 9, "env_passthrough": ["PATH"]}, {"b": {"d": 1, "c": 2}, "a": 3}
    environment = {"TWO": "2", "ONE": "1"}
    agent = make_agent(hermes={"settings": settings, "terminal": terminal, "environment": environment})

    def turned(tree: dict[str, Any]) -> dict[str, Any]:
        return {key: turned(value) if isinstance(value, dict) else value for key, value in reversed(tree.items())}

    other = make_agent(
        hermes={"environment": turned(environment), "terminal": turned(terminal), "settings": turned(settings)}
    )
    assert plan(other, settled(agent)) == FilesPlan()


def test_documents_go_where_the_agent_works_and_home_files_into_its_home(make_agent: Any) -> None:
    found = plan(make_agent(hermes=GIVEN), GuestFacts())
    files = {entry.path: (entry.content, entry.mode, entry.expected) for entry in found.entries if entry.kind == "file"}
    assert files["/data/AGENTS.md"] == (b"read me\n", 0o640, ABSENT)
    assert files[ME][0] == b"me\n"
    assert Entry("/data/notes", "folder", 0o750) in found.entries
    assert files["/opt/hermes/data/.env"][1] == 0o600


def test_a_working_directory_that_was_there_keeps_its_owner_and_mode(make_agent: Any) -> None:
    agent = make_agent(hermes={"working_directory": "/srv/work"}, runtime={"type": "native"})
    assert Entry("/srv/work", "workplace", 0o750) in plan(agent, GuestFacts()).entries
    facts = settled(agent)
    theirs = replace(facts, tree={**facts.tree, "/srv/work": Seen("directory", 0o1777, 0, 0)})
    assert (plan(agent, theirs).changes, plan(agent, theirs).entries) == ((), ())
    closed = replace(facts, tree={**facts.tree, "/srv/work": Seen("directory", 0o700, 0, 0, writable=False)})
    with pytest.raises(Refused, match=r"/srv/work is there already .* 0:0 \(0700\)"):
        plan(agent, closed)


def test_a_working_directory_of_the_agents_own_is_put_right(make_agent: Any) -> None:
    agent = make_agent(hermes={"working_directory": "/var/lib/hermes/x"}, runtime={"type": "native"})
    facts = settled(agent)
    facts = replace(facts, tree={**facts.tree, "/var/lib/hermes/x": Seen("directory", 0o700, 0, 0)})
    assert plan(agent, facts).entries == (Entry("/var/lib/hermes/x", "mode", 0o750),)


def test_everything_that_is_compared_is_looked_at(make_agent: Any) -> None:
    agent = make_agent(hermes={**GIVEN, "working_directory": "/data/work"})
    looked = looked_at(agent, gather(agent))
    assert set(settled(agent).tree) <= {*looked}
    assert "/data/work" in looked and "/data/work/notes" in looked


@pytest.mark.parametrize(
    ("change", "effect"),
    [
        ({"documents": {"AGENTS.md": "other\n"}}, Effect.NONE),
        ({"home_files": {"SOUL.md": "other\n"}}, Effect.NONE),
        ({"home_files": {"hooks/greet/HOOK.yaml": "name: other\n"}}, Effect.RESTART_SERVICE),
    ],
)
def test_a_changed_document_restarts_only_what_has_read_it_at_its_start(
    make_agent: Any, change: dict[str, Any], effect: Effect
) -> None:
    before = make_agent(hermes=GIVEN)
    merged = {key: {**GIVEN[key], **change.get(key, {})} for key in GIVEN}
    found = plan(make_agent(hermes=merged), settled(before))
    assert len(pending(found.changes)) == 1 and worst(found.changes) is effect


def test_what_the_agent_changed_stays_until_it_is_forced(make_agent: Any) -> None:
    agent = make_agent(hermes=GIVEN)
    facts = rewritten(settled(agent), "home:SOUL.md", b"I, myself\n")
    found = plan(agent, facts)
    assert blocked(found) == [f"{ME}: the agent changed it since it was installed; --force-documents replaces it"]
    assert pending(found.changes) == () and found.entries == ()
    again = carried_out(agent, facts, plan(agent, facts, force=True))
    assert again.tree["home:SOUL.md"] == seen(b"me\n")
    assert plan(agent, again).changes == ()


@pytest.mark.parametrize("version", ["h19", "h22"])
def test_the_soul_that_hermes_writes_itself_is_nobodys(make_agent: Any, version: str) -> None:
    """It is written wherever there is none, before the inventory has one."""
    known = {"h19": "2765a846", "h22": "36c1f5a2"}[version]
    (written,) = (each for each in upstream.DEFAULT_SOULS if each.startswith(known))
    agent = make_agent(hermes=GIVEN)
    facts = settled(make_agent(hermes={}))
    tree = {**facts.tree, "home:SOUL.md": Seen("regular file", 0o640, 10000, 10000, written)}
    found = plan(agent, replace(facts, tree=tree))
    assert blocked(found) == []
    (entry,) = (each for each in found.entries if each.path == ME)
    assert (entry.content, entry.expected) == (b"me\n", written)
    other = {**tree, "home:SOUL.md": replace(tree["home:SOUL.md"], sha256="a" * 64)}
    assert any(ME in line for line in blocked(plan(agent, replace(facts, tree=other))))


def test_a_change_of_both_sides_is_left_to_the_agent(make_agent: Any) -> None:
    facts = rewritten(settled(make_agent(hermes=GIVEN)), "home:SOUL.md", b"I, myself\n")
    found = plan(make_agent(hermes={**GIVEN, "home_files": {"SOUL.md": "newer\n"}}), facts)
    assert [line for line in blocked(found) if ME in line] and ME not in [entry.path for entry in found.entries]


def test_what_the_agent_changed_into_what_is_wanted_is_ours_again(make_agent: Any) -> None:
    facts = rewritten(settled(make_agent(hermes=GIVEN)), "home:SOUL.md", b"newer\n")
    newer = make_agent(hermes={**GIVEN, "home_files": {**GIVEN["home_files"], "SOUL.md": "newer\n"}})
    found = plan(newer, facts)
    assert subjects(found) == ["/opt/hermes/data/.proxhermes"]  # only what is remembered
    assert plan(newer, carried_out(newer, facts, found)).changes == ()


def test_what_was_there_before_is_no_document_of_ours(make_agent: Any) -> None:
    agent = make_agent(hermes={"documents": {"AGENTS.md": "ours\n"}})
    facts = rewritten(settled(make_agent()), "/data/AGENTS.md", b"theirs\n")
    assert blocked(plan(agent, facts)) == [
        "/data/AGENTS.md: it was there before proxhermes; --force-documents replaces it"
    ]
    assert carried_out(agent, facts, plan(agent, facts, force=True)).tree["/data/AGENTS.md"] == seen(b"ours\n")


def test_a_document_that_went_away_is_put_back(make_agent: Any) -> None:
    agent = make_agent(hermes=GIVEN)
    facts = settled(agent)
    gone = replace(facts, tree={label: each for label, each in facts.tree.items() if label != "home:SOUL.md"})
    assert carried_out(agent, gone, plan(agent, gone)).tree["home:SOUL.md"] == seen(b"me\n")


def test_what_left_the_inventory_goes_unless_the_agent_changed_it(make_agent: Any) -> None:
    plain = make_agent()
    facts = rewritten(settled(make_agent(hermes=GIVEN)), "/data/AGENTS.md", b"my own\n")
    found = plan(plain, facts)
    assert {entry.path for entry in found.entries if entry.kind == "gone"} == {
        "/data/notes/a.md",
        ME,
        "/opt/hermes/data/hooks/greet/HOOK.yaml",
    }
    assert Entry("/opt/hermes/data/hooks/greet", "emptied") in found.entries
    assert found.notes == (
        "/data/AGENTS.md is no longer in the inventory, but the agent changed it: it stays, as the agent's own",
    )
    after = carried_out(plain, facts, found)
    assert "/data/AGENTS.md" in after.tree and plan(plain, after) == FilesPlan()


def test_a_folder_in_a_documents_place_is_told_and_left(make_agent: Any) -> None:
    agent = make_agent(hermes=GIVEN)
    facts = replace(settled(make_agent()), tree={"home:SOUL.md": Seen("directory", 0o750, 10000, 10000)})
    assert any("this is a directory" in line for line in blocked(plan(agent, facts, force=True)))


def test_a_document_of_roots_becomes_the_agents(make_agent: Any) -> None:
    agent = make_agent(hermes=GIVEN)
    facts = settled(agent)
    unreadable = Seen("regular file that cannot be read", 0o600, 0, 0)
    facts = replace(facts, tree={**facts.tree, "home:SOUL.md": unreadable})
    found = plan(agent, facts)
    assert found.entries == (Entry(ME, "mode", 0o640),)
    assert found.changes[0].before == "0:0 0600" and found.changes[0].after == "10000:10000 0640"


@pytest.mark.parametrize(
    ("label", "mode", "right"),
    [
        ("home:.env", 0o644, 0o600),
        ("home:config.yaml", 0o666, 0o640),
        ("home:", 0o755, 0o750),
        ("home:sessions", 0o700, 0o750),
        ("home:SOUL.md", 0o600, 0o640),
        ("workspace:", 0o777, 0o750),
    ],
)
def test_a_wrong_mode_is_put_right_without_a_restart(make_agent: Any, label: str, mode: int, right: int) -> None:
    agent = make_agent(hermes=GIVEN)
    facts = settled(agent)
    facts = replace(facts, tree={**facts.tree, label: replace(facts.tree[label], mode=mode)})
    found = plan(agent, facts)
    assert found.entries == (Entry(labels.path(layout.of(agent), label), "mode", right),)
    assert worst(found.changes) is Effect.NONE and len(pending(found.changes)) == 1


@pytest.mark.parametrize(("label", "mode"), [("home:", 0o700), ("home:cron", 0o700), ("home:config.yaml", 0o600)])
def test_what_hermes_closes_by_itself_is_left_to_it(make_agent: Any, label: str, mode: int) -> None:
    facts = settled(make_agent())
    facts = replace(facts, tree={**facts.tree, label: replace(facts.tree[label], mode=mode)})
    assert plan(make_agent(), facts).changes == ()


def test_a_home_that_changes_hands_takes_all_with_it(make_agent: Any) -> None:
    """Nothing is told of each of its files; what somebody else has in it is."""
    facts = settled(make_agent(hermes=GIVEN))
    found = plan(make_agent(hermes={**GIVEN, "uid": 1500, "gid": 1500}), facts)
    assert pending(found.changes) == () or subjects(found) == ["/opt/hermes/data/.proxhermes"]
    facts = replace(facts, tree={**facts.tree, "home:logs": replace(facts.tree["home:logs"], uid=0, gid=0)})
    found = plan(make_agent(hermes={**GIVEN, "uid": 1500, "gid": 1500}), facts)
    assert "/opt/hermes/data/logs" in subjects(found)


def test_a_file_in_the_place_of_a_folder_stops_the_run(make_agent: Any) -> None:
    facts = settled(make_agent())
    with pytest.raises(UnusableFile, match="logs: this is a regular file, not a folder"):
        plan(make_agent(), rewritten(facts, "home:logs", b""))


def test_where_the_agent_may_not_write_the_run_stops_before_anything_is_changed(make_agent: Any) -> None:
    facts = settled(make_agent(hermes=GIVEN))
    away = replace(facts.tree["home:SOUL.md"], writable=False)
    facts = replace(facts, tree={**facts.tree, "home:SOUL.md": away})
    assert plan(make_agent(hermes=GIVEN), facts).changes == ()  # there is nothing to write
    newer = make_agent(hermes={**GIVEN, "home_files": {"SOUL.md": "newer\n"}})
    with pytest.raises(UnusableFile, match=r"SOUL\.md: the agent itself may not write there"):
        plan(newer, facts)
    # Unless it is only because somebody else has the folder, which is put right first.
    for label, path in (("home:", "/opt/hermes/data"), ("home:memories", "/opt/hermes/data/memories")):
        folder = replace(facts.tree[label], uid=0, gid=0, writable=False)
        note = replace(away, writable=False)
        agent = make_agent(hermes={"home_files": {"memories/USER.md": "newer\n"}})
        there = {**facts.tree, label: folder, "home:memories/USER.md": note}
        found = plan(agent, replace(facts, tree=there), force=True)
        kinds = [(entry.kind, entry.path) for entry in found.entries]
        assert ("file", "/opt/hermes/data/memories/USER.md") in kinds
        if label != "home:":  # which the run gives to the agent before it puts anything into it
            assert kinds.index(("mode", path)) < kinds.index(("file", f"{path}/USER.md"))


def test_what_a_killed_run_left_goes(make_agent: Any) -> None:
    facts = rewritten(settled(make_agent()), "home:.proxhermes.Ab12Cd", b"half")
    found = plan(make_agent(), facts)
    assert found.entries == (Entry("/opt/hermes/data/.proxhermes.Ab12Cd", "gone", expected=sha256(b"half")),)


def test_a_seed_is_sown_once_and_stays_whatever_becomes_of_it(make_agent: Any, tmp_path: Path) -> None:
    auth, token = tmp_path / "auth.json", tmp_path / "token.json"
    auth.write_text(json.dumps({"version": 1}))
    token.write_text(json.dumps({"access_token": "t"}))
    for file in (auth, token):
        file.chmod(0o600)
    hermes = {
        "auth_file": {"file": str(auth)},
        "mcp_tokens": {"lab": {"token": {"file": str(token)}}},
        "mcp_servers": {"lab": {"url": "http://10.1.10.1/mcp", "auth": "oauth"}},
    }
    agent = make_agent(hermes=hermes)
    found = plan(agent, GuestFacts())
    files = {entry.path: entry for entry in found.entries}
    assert files["/opt/hermes/data/auth.json"].mode == 0o600
    assert files["/opt/hermes/data/mcp-tokens"].mode == 0o700
    facts = carried_out(agent, GuestFacts(), found)
    refreshed = rewritten(facts, "home:mcp-tokens/lab.json", b"refreshed")
    refreshed = replace(refreshed, tree={**refreshed.tree, "home:auth.json": seen(b"refreshed", 0o600)})
    assert pending(plan(agent, refreshed).changes) == ()
    # Once for each content: what the agent made of it since then stays, also when the option is turned on later.
    forced = make_agent(hermes={**hermes, "auth_file_force_overwrite": True})
    assert pending(plan(forced, refreshed).changes) == ()
    auth.write_text(json.dumps({"version": 2}))
    again = plan(forced, refreshed)
    assert "/opt/hermes/data/auth.json" in subjects(again)
    facts = carried_out(forced, refreshed, again)
    facts = replace(facts, tree={**facts.tree, "home:auth.json": seen(b"refreshed anew", 0o600)})
    assert pending(plan(forced, facts).changes) == ()
    # No longer declared, it is the agent's, and never taken away; declared again, it is not put there again.
    without = plan(make_agent(), facts)
    assert not any(entry.kind == "gone" for entry in without.entries)
    again = plan(forced, carried_out(make_agent(), facts, without))
    assert not {"/opt/hermes/data/auth.json", "/opt/hermes/data/mcp-tokens/lab.json"} & {*subjects(again)}


def test_the_gateway_is_never_left_without_a_key(make_agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "a-key-of-mine")
    facts = settled(make_agent(hermes={"secrets": {"API_SERVER_KEY": {"env": "API_KEY"}}}))
    assert b"API_SERVER_KEY=a-key-of-mine\n" in (facts.content("env") or b"")
    facts = settled(make_agent(), facts)
    assert b"API_SERVER_KEY=fresh-key\n" in (facts.content("env") or b"")
    assert plan(make_agent(), facts).changes == ()


def test_a_variable_that_nothing_defines_stops_the_run(make_agent: Any) -> None:
    hermes = {"settings": {"tool": {"url": "http://x/${WHERE}"}}}
    with pytest.raises(UsageError, match=r"tool\.url: \$\{WHERE\}"):
        plan(make_agent(hermes=hermes), GuestFacts())
    facts = GuestFacts(files={"env": File(10000, 10000, 0o600, "regular file", b"WHERE=here\n")})
    plan(make_agent(hermes=hermes), facts)  # somebody put it into the guest's own file
    plan(make_agent(hermes={**hermes, "environment": {"WHERE": "here"}}), GuestFacts())


def test_a_key_that_left_the_inventory_goes_unless_it_was_changed(make_agent: Any) -> None:
    facts = settled(make_agent(hermes={"settings": {"a": 1, "b": 2}, "environment": {"FOO": "bar"}}))
    text = (facts.content("config") or b"").replace(b"b: 2", b"b: 3")
    config = File(10000, 10000, 0o640, "regular file", text)
    found = plan(
        make_agent(), rewritten(replace(facts, files={**facts.files, "config": config}), "home:config.yaml", text)
    )
    assert "config.yaml: a" in subjects(found) and ".env: FOO" in subjects(found)
    assert "config.yaml: b" not in subjects(found)
    assert found.notes == ("config.yaml: b is no longer in the inventory, but was changed since: it stays",)


def test_a_memory_that_somebody_broke_is_none(make_agent: Any) -> None:
    facts = settled(make_agent(hermes={"settings": {"a": 1}}))
    broken = {name: File(10000, 10000, 0o640, "regular file", b"{[\n") for name in ("last-config.yaml", "last-files")}
    found = plan(make_agent(), replace(facts, files={**facts.files, **broken}))
    assert "config.yaml: a" not in subjects(found)
    assert any("cannot be read" in note for note in found.notes)


def test_a_config_file_is_put_there_as_it_is(make_agent: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("# mine\nmodel: {default: x}\n_config_version: 99\n")
    agent = make_agent(hermes={"config_file": str(file)})
    facts = settled(agent, settled(make_agent()))
    assert facts.content("config") == file.read_bytes()
    assert plan(agent, facts).changes == ()


def test_keys_that_are_no_text_come_and_go(make_agent: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("discord:\n  channel_prompts:\n    123: x\n    456: y\n")
    facts = settled(make_agent(hermes={"config_file": str(file)}))
    changed = file.read_bytes().replace(b"y", b"z")
    there = File(10000, 10000, 0o640, "regular file", changed)
    facts = rewritten(replace(facts, files={**facts.files, "config": there}), "home:config.yaml", changed)
    found = plan(make_agent(), facts)
    assert "config.yaml: discord.channel_prompts.123" in subjects(found)
    assert any("discord.channel_prompts.456 is no longer" in note for note in found.notes)


def test_no_secret_that_others_wrote_is_shown(make_agent: Any) -> None:
    text = (
        b"ssh: {key_passphrase: hunter2}\nmcp_servers: {a: {url: 'http://x', headers: {Authorization: hunter2}}}\n"
        b"custom_providers: [{name: x, api_key: hunter2}]\nweb: {token: 12345678}\nstt: {url: 'http://u:hunter2@h'}\n"
    )
    lines = b"SMTP_PASS=hunter2\nURL=postgres://u:hunter2@h\n"
    files = {
        "config": File(10000, 10000, 0o640, "regular file", text),
        "env": File(10000, 10000, 0o600, "regular file", lines),
    }
    server = {"a": {"url": "http://x", "headers": {"Authorization": "Bearer ${X}"}}}
    wanted = {"ssh": {"key_passphrase": "${X}"}, "custom_providers": [{"name": "x", "api_key": "${X}"}]}
    hermes = {
        "settings": {**wanted, "web": {"token": "${X}"}, "stt": {"url": "http://h"}},
        "mcp_servers": server,
        "environment": {"X": "1", "SMTP_PASS": "1", "URL": "http://h"},
    }
    found = plan(make_agent(hermes=hermes), GuestFacts(files=files))
    shown = {change.subject: (change.before, change.after) for change in found.changes}
    assert "hunter2" not in str(shown) and "12345678" not in str(shown)
    assert shown["config.yaml: ssh.key_passphrase"] == ("(hidden)", "${X}")
    assert shown["config.yaml: mcp_servers.a.headers.Authorization"] == ("(hidden)", "Bearer ${X}")
    assert shown["config.yaml: custom_providers"][1] == '[{"name": "x", "api_key": "${X}"}]'
    assert shown[".env: URL"] == ("postgres://u:********@h", "http://h")


@pytest.mark.parametrize("text", [b"", b"# only words\n", b"{}\n", b"---\n"])
def test_a_file_that_says_nothing_gets_its_version(make_agent: Any, text: bytes) -> None:
    found = plan(make_agent(), GuestFacts(files={"config": File(10000, 10000, 0o640, "regular file", text)}))
    assert "config.yaml: _config_version" in subjects(found)


def test_no_secret_is_remembered_or_shown(make_agent: Any) -> None:
    found = plan(make_agent(), GuestFacts())
    shown = repr(found) + "".join(str(change) for change in found.changes)
    remembered = b"".join(e.content or b"" for e in found.entries if "/.proxhermes/" in e.path)
    assert "sk-the-key" not in shown and b"sk-the-key" not in remembered and b"fresh-key" not in remembered
    assert b"${LITELLM_API_KEY}" in remembered


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="\\"), min_size=1).map(
            "home:x".__add__
        ),
        st.binary(max_size=9).map(sha256),
    )
)
def test_what_is_remembered_is_read_back(installed: dict[str, str]) -> None:
    assert documents.read(documents.render(installed)) == installed


def test_no_path_breaks_out_of_its_line() -> None:
    with pytest.raises(ValueError, match="no path"):
        bundle([Entry("/data/a\nfile\t0777\troot\tany\t-\t/etc/x", "file")])


@pytest.mark.parametrize(("version", "own", "told"), [("0.19.0", 33, True), ("0.22.2", 50, False), (None, 0, False)])
def test_an_older_hermes_that_comes_back_to_a_newer_config_is_told(
    make_agent: Any, version: str | None, own: int, told: bool
) -> None:
    """The file stays as it is: what the newer one made of it has no way back."""
    facts = settled(make_agent())
    config = facts.files["config"].content
    assert config
    newer = config.replace(b"_config_version: 33", b"_config_version: 50")
    facts = replace(facts, files={**facts.files, "config": File(10000, 10000, 0o640, "regular file", newer)})
    code = upstream.Code(version, own) if version else None
    wanted = gather(make_agent())
    found = plan_files(make_agent(), wanted, facts, context_length=200_000, fresh_key="fresh-key", code=code)
    assert [f"of version 50, of a newer Hermes than {version}, which writes {own}" in note for note in found.notes] == (
        [True] if told else []
    )
    assert "config.yaml" not in " ".join(subjects(found))
