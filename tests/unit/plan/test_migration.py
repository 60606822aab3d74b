"""What Hermes' own migration changed is told, and the copies that it leaves do not pile up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxhermes.facts.guest import File, GuestFacts
from proxhermes.facts.tree import Seen
from proxhermes.hermes.wanted import gather
from proxhermes.plan import migration
from proxhermes.plan.entries import Entry, sha256
from proxhermes.plan.files import plan_files
from proxhermes.plan.files_model import FilesPlan
from proxhermes.plan.hermes import plan_hermes
from proxhermes.plan.model import Effect
from proxhermes.upstream import Code

STAMPS = [f"2026112{number}T193000Z" for number in range(8)]


def copies(name: str, stamps: list[str]) -> dict[str, Seen]:
    return {
        f"home:{name}.bak-{stamp}": Seen("regular file", 0o600, 10000, 10000, f"{n:064x}")
        for n, stamp in enumerate(stamps)
    }


# As the official image's migration does it.
BEFORE = """
_config_version: 33
delegation: {max_iterations: 50, max_concurrent_children: 3}
display: {personality: kawaii, language: en}
mcp_servers: {wiki: {url: 'http://wiki', disabled: true, headers: {X-Auth: hunter2}}}
flag: y
same: 1
"""
AFTER = """
_config_version: 50
delegation: {max_iterations: 250, max_concurrent_children: 10}
display: {personality: '', language: en}
mcp_servers: {wiki: {url: 'http://wiki', enabled: false, headers: {X-Auth: hunter3}}}
flag: true
same: 1
"""


def test_what_it_changed_is_told_with_whose_it_is() -> None:
    tree = copies("config.yaml", STAMPS[:2]) | copies(".env", STAMPS[1:2])
    as_it_was = "config.yaml.bak-20261121T193000Z, .env.bak-20261121T193000Z"
    assert migration.told(BEFORE, AFTER, {"delegation": {"max_iterations": 50}}, tree) == (
        f"Hermes brought config.yaml up to date, 33 → 50; as it was: {as_it_was}",
        "delegation.max_iterations: 50 → 250 (declared: put back)",
        "delegation.max_concurrent_children: 3 → 10 (stays as Hermes has it)",
        "display.personality: kawaii → '' (stays as Hermes has it)",
        "mcp_servers.wiki.disabled: true → – (stays as Hermes has it)",
        "mcp_servers.wiki.headers.X-Auth: (hidden) → (hidden) (stays as Hermes has it)",
        "flag: y → true (stays as Hermes has it)",
        "mcp_servers.wiki.enabled: – → false (stays as Hermes has it)",
    )


def test_nothing_is_told_of_no_migration() -> None:
    for before, after in (
        (AFTER, BEFORE),
        (BEFORE, BEFORE.replace("same: 1", "same: 2")),
        ("a: 1", AFTER),
        ("[", AFTER),
    ):
        assert migration.told(before, after, {}, {}) == ()


def test_of_very_many_some_are_told() -> None:
    many = "".join(f"k{number}: 1\n" for number in range(100))
    lines = migration.told(f"_config_version: 33\n{many}", "_config_version: 50\n", {}, {})
    assert (len(lines), lines[-1]) == (32, "and 70 more")


def test_all_but_the_newest_copies_go(make_agent: Any) -> None:
    agent = make_agent()
    tree = copies("config.yaml", [*STAMPS[:6], f"{STAMPS[5]}.2", f"{STAMPS[5]}.10"]) | copies(".env", STAMPS[:5])
    found = migration.surplus(agent, tree)
    assert [entry.path for entry in found.entries] == [
        f"/opt/hermes/data/config.yaml.bak-{each}" for each in STAMPS[:3]
    ]
    assert all(entry.kind == "gone" and len(entry.expected) == 64 for entry in found.entries)
    (one,) = found.changes
    assert one.subject == "/opt/hermes/data/config.yaml.bak-…: 3" and one.after is None
    (one,) = migration.surplus(agent, copies(".env", STAMPS[:6])).changes
    assert one.subject == f"/opt/hermes/data/.env.bak-{STAMPS[0]}"


def test_what_a_user_named_himself_stays(make_agent: Any) -> None:
    names = ["mine", "2026", "20261121T193000", "20261121T193000Z.x", "20261121T193000Z\n", "20261121T193000Z.1234"]
    tree = copies("config.yaml", names * 9) | copies("other.yaml", STAMPS)
    tree |= {"home:config.yaml.bak-20261121T193000Z": Seen("symbolic link", 0o777, 0, 0)}
    assert migration.surplus(make_agent(), tree).entries == ()


def test_it_is_a_part_of_the_plan(make_agent: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")
    agent = make_agent()
    facts = GuestFacts(tree=copies(".env", STAMPS))
    found = plan_files(agent, gather(agent), facts, context_length=200_000, fresh_key="key")
    gone = [entry.path for entry in found.entries if entry.kind == "gone"]
    assert gone == [f"/opt/hermes/data/.env.bak-{each}" for each in STAMPS[:3]]


def test_each_home_is_compared_with_what_it_was_given(make_agent: Any) -> None:
    """What this run itself wrote was not Hermes: not what was found, but what was left, is what it began with."""
    agent = make_agent()
    facts = GuestFacts(files={"config": File(10000, 10000, 0o640, "regular file", BEFORE.encode())})
    given = BEFORE.replace("same: 1", "same: 2")
    entry = Entry("/opt/hermes/data/config.yaml", "file", content=given.encode())
    before = migration.texts(agent, facts, FilesPlan(entries=(entry,)), {})
    assert (before.found, before.left) == (BEFORE, given)
    assert migration.texts(agent, facts, FilesPlan(), {}).left == BEFORE
    after = migration.Texts(found=AFTER.replace("same: 1", "same: 2"), given=given, declared={"flag": "y"})
    lines = migration.reported({"": after, "work": after, "new": replace(after, given="")})
    assert not any("same" in line for line in lines)
    assert [line for line in lines if "flag" in line] == [
        "flag: y → true (declared: put back)",
        "profile work: flag: y → true (declared: put back)",
    ]
    assert migration.reported({"": replace(after, given=AFTER)}) == ()


OLD, NEW = Code("0.19.0", 33), Code("0.22.2", 50)
KEPT = "/opt/hermes/data/.proxhermes/given"


def plan_of(make_agent: Any, code: Code | None, *, starts: bool = True, **texts: str) -> FilesPlan:
    files = {name: File(10000, 10000, 0o640, "regular file", text.encode()) for name, text in texts.items()}
    facts = GuestFacts(files={name.replace("_", "-"): file for name, file in files.items()})
    return migration.remembered([migration.texts(make_agent(), facts, FilesPlan(), {})], code, starts=starts)


def test_what_is_going_to_be_brought_up_to_date_is_remembered(make_agent: Any) -> None:
    (entry,) = plan_of(make_agent, NEW, config=BEFORE).entries
    assert (entry.path, entry.mode, entry.content) == (KEPT, 0o600, BEFORE.encode())
    assert plan_of(make_agent, None, config=BEFORE).entries == (entry,)
    (again,) = plan_of(make_agent, NEW, config=BEFORE, last_given=AFTER.replace("50", "33")).entries
    assert again.content == BEFORE.encode()
    for code, starts, text in (
        (NEW, True, AFTER),
        (None, True, AFTER),
        (OLD, True, BEFORE),
        (NEW, False, BEFORE),
        (NEW, True, "a: 1"),
        (NEW, True, "["),
    ):
        assert plan_of(make_agent, code, starts=starts, config=text) == FilesPlan()
    assert plan_of(make_agent, NEW, config=BEFORE, last_given=BEFORE) == FilesPlan()


def test_what_has_been_told_or_is_not_going_to_happen_is_forgotten(make_agent: Any) -> None:
    for code, text in ((NEW, AFTER), (None, AFTER), (OLD, BEFORE)):
        plan = plan_of(make_agent, code, starts=False, config=text, last_given=BEFORE)
        (entry,) = plan.entries
        assert (entry.path, entry.kind, entry.expected) == (KEPT, "gone", sha256(BEFORE.encode()))
        assert [(change.subject, change.after, change.effect) for change in plan.changes] == [(KEPT, None, Effect.NONE)]
    assert plan_of(make_agent, None, config=BEFORE, last_given=BEFORE) == FilesPlan()


def test_a_run_that_was_interrupted_leaves_what_the_next_one_needs(make_agent: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")
    agent = make_agent(hermes={"profiles": {"ann": {}}})
    wanted = gather(agent)
    one = File(10000, 10000, 0o640, "regular file", BEFORE.encode())
    facts = GuestFacts(files={"config": one, "config@ann": one}, image_id="x", codes={"x": NEW}, profiles=("ann",))
    plan = plan_hermes(agent, facts, wanted, "key")
    rows = [row.split("\t") for row in plan.files["manifest"].decode().splitlines() if row.endswith("/given")]
    assert [row[-1] for row in rows] == [KEPT, "/opt/hermes/data/profiles/ann/.proxhermes/given"]
    assert rows[0][1] == "0600" and b"_config_version: 33" in plan.files[rows[0][4]]
    files = {f"{name}{of}": replace(one, content=text) for of, row in zip(("", "@ann"), rows, strict=True)
             for name, text in (("config", AFTER.encode()), ("last-given", plan.files[row[4]]))}  # fmt: skip
    then = plan_hermes(agent, replace(facts, files=files), wanted, "key")
    lines = migration.reported(then.configs)
    assert "flag: y → true (stays as Hermes has it)" in lines
    assert "profile ann: flag: y → true (stays as Hermes has it)" in lines
    subjects = {change.subject for change in then.rewritten}
    assert "config.yaml: model.default" in subjects and ".env: LITELLM_API_KEY" in subjects
    assert "profile ann: config.yaml: model.default" in subjects
