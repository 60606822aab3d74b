"""Skills in the plan: fetched before their files are planned, installed once by Hermes' hub, ours alone removed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.guest import File, GuestFacts
from proxhermes.facts.skills import Blob, Fetched
from proxhermes.facts.tree import Seen
from proxhermes.hermes.assignments import assignments
from proxhermes.hermes.wanted import gather
from proxhermes.plan.engine_model import EnginePlan
from proxhermes.plan.hermes import HermesPlan, plan_hermes
from proxhermes.plan.packages import with_packages
from proxhermes.plan.skills import GitPlan, HubPlan, plan_git, plan_hub
from proxhermes.plan.steps import Step

URL = "https://git.lan/skills.git"
ONE, TWO = "1" * 40, "2" * 40
BLOB = Blob(0o644, 7, "a" * 64)
LABEL = "home:skills/release/SKILL.md"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")


def git(make_agent: Any, ref: str = "main") -> Any:
    return make_agent(hermes={"skills": {"release": {"git": URL, "ref": ref}}})


def facts(**fetched: Any) -> GuestFacts:
    return GuestFacts(skills={"release": Fetched(**fetched)})


def whole(agent: Any, found: GuestFacts) -> HermesPlan:
    return plan_hermes(agent, found, gather(agent), "fresh")


def lines(plan: GitPlan | HubPlan | HermesPlan) -> list[str]:
    return [f"{change.subject}: {change.before} → {change.after}" for change in plan.changes]


def test_what_a_branch_stands_for_is_fetched_first(make_agent: Any) -> None:
    plan = plan_git(git(make_agent), facts(meant=ONE))
    assert lines(plan) == [f"skill release: None → {ONE[:12]} of {URL}"] and plan.prepare
    found = whole(git(make_agent), facts(meant=ONE))
    assert found.prepare and found.files["skills"] == f"release\t{URL}\tmain\t{ONE}\t-\n".encode()


def test_a_commit_needs_no_question(make_agent: Any) -> None:
    assert plan_git(git(make_agent, ONE), facts()).meant == {"release": ONE}
    assert plan_git(git(make_agent, ONE), facts(commit=ONE)) == GitPlan()


def test_before_the_guest_has_git_only_the_name_is_known(make_agent: Any) -> None:
    plan = plan_git(git(make_agent), GuestFacts())
    assert lines(plan) == [f"skill release: None → main of {URL}"] and not plan.prepare


def test_its_files_are_then_files_that_the_agent_is_given(make_agent: Any) -> None:
    there = facts(commit=ONE, meant=ONE, files={"SKILL.md": BLOB, "scripts/x": replace(BLOB, mode=0o755)})
    found = whole(git(make_agent), there)
    rows = [row.split("\t") for row in found.files["manifest"].decode().splitlines() if "/skills/" in row]
    home = "/opt/hermes/data/skills/release"
    assert rows == [
        ["folder", "0750", "agent", "any", "-", home],
        ["folder", "0750", "agent", "any", "-", f"{home}/scripts"],
        ["file", "0640", "agent", "absent", "/opt/hermes/skills/release/files/SKILL.md", f"{home}/SKILL.md"],
        ["file", "0750", "agent", "absent", "/opt/hermes/skills/release/files/scripts/x", f"{home}/scripts/x"],
    ]
    assert f"{BLOB.sha256}  {LABEL}".encode() in b"".join(found.files.values())


def test_what_the_agent_changed_in_one_stays(make_agent: Any) -> None:
    there = replace(
        facts(commit=ONE, meant=ONE, files={"SKILL.md": BLOB}),
        tree={LABEL: Seen("regular file", 0o640, 10000, 10000, "b" * 64)},
        files={"last-files": File(1, 1, 0o640, "regular file", f"{BLOB.sha256}  {LABEL}\n".encode())},
    )
    (left,) = (change for change in whole(git(make_agent), there).changes if change.blocked)
    assert "the agent changed it" in str(left.blocked)


def test_while_a_newer_one_is_not_fetched_the_older_ones_files_are_not_planned_away(make_agent: Any) -> None:
    there = replace(
        facts(commit=None, meant=TWO),
        tree={LABEL: Seen("regular file", 0o640, 10000, 10000, BLOB.sha256)},
        files={"last-files": File(1, 1, 0o640, "regular file", f"{BLOB.sha256}  {LABEL}\n".encode())},
    )
    assert not any("SKILL.md" in line for line in lines(whole(git(make_agent), there)))
    gone = whole(make_agent(), there)
    assert any("SKILL.md" in line for line in lines(gone))


def test_a_repository_that_does_not_answer_stops_only_what_needs_it(make_agent: Any) -> None:
    with pytest.raises(Refused, match="no route to host"):
        plan_git(git(make_agent), facts(error="no route to host"))
    plan = plan_git(git(make_agent), facts(error="no route to host", commit=ONE, files={"SKILL.md": BLOB}))
    assert plan.changes == () and len(plan.files) == 1 and "it stays at 111111111111" in plan.notes[0]


def test_the_guest_gets_git_for_it(make_agent: Any) -> None:
    from proxhermes.plan.engine import plan_engine

    for runtime in ({"type": "docker"}, {"type": "native"}):
        agent = make_agent(runtime=runtime, hermes={"skills": {"release": {"git": URL, "ref": "main"}}})
        assert "git" in plan_engine(agent, GuestFacts(os_id="debian", os_version="13")).packages
    assert "git" not in plan_engine(make_agent(), GuestFacts(os_id="debian", os_version="13")).packages


# --- of Hermes' hub

DICE = "official/games/dice"


def hub(make_agent: Any, **skills: str) -> Any:
    return make_agent(hermes={"skills": {name: {"hub": identifier} for name, identifier in skills.items()}})


def told(installed: dict[str, str], ours: dict[str, str]) -> GuestFacts:
    """What the guest tells: the hub's list, and what is remembered; both with the identifiers."""
    lock = {
        "version": 1,
        "installed": {name: {"identifier": hub, "source": "official"} for name, hub in installed.items()},
    }
    memory = {name: {"id": None, "declared": {"hub": hub}, "record": {"identifier": hub}} for name, hub in ours.items()}
    texts = {"hub": lock, "last-hub": memory}
    return GuestFacts(
        files={name: File(1, 1, 0o640, "regular file", json.dumps(text).encode()) for name, text in texts.items()}
    )


def commands(plan: HubPlan) -> list[str]:
    return [" ".join(words) for step in plan.steps for words in step.commands]


def test_one_of_the_hub_is_installed_once(make_agent: Any) -> None:
    agent = hub(make_agent, dice=DICE)
    plan = plan_hub(agent, GuestFacts())
    assert lines(plan) == [f"skill dice: None → {DICE}"]
    assert commands(plan) == [f"skills install {DICE} --yes --name=dice"]
    assert json.loads(plan.files["hub.json"])["steps"][0]["declared"] == {"hub": DICE}
    assert plan_hub(agent, told({"dice": DICE}, {"dice": DICE})) == HubPlan()


def test_one_that_hermes_calls_otherwise_is_still_the_declared_one(make_agent: Any) -> None:
    agent = hub(make_agent, dice="owner/repo/dice")
    known = told({"dice": "owner/repo/skills/dice"}, {})
    record = {"dice": {"declared": {"hub": "owner/repo/dice"}, "record": {"identifier": "owner/repo/skills/dice"}}}
    memory = File(1, 1, 0o640, "regular file", json.dumps(record).encode())
    assert plan_hub(agent, replace(known, files={**known.files, "last-hub": memory})) == HubPlan()


def test_another_one_in_its_place(make_agent: Any) -> None:
    agent = hub(make_agent, dice="official/other/dice")
    plan = plan_hub(agent, told({"dice": DICE}, {"dice": DICE}))
    assert commands(plan) == ["skills uninstall dice", "skills install official/other/dice --yes --name=dice"]
    theirs = plan_hub(agent, told({"dice": DICE}, {}))
    assert theirs.steps == () and "--force-documents replaces it" in str(theirs.changes[0].blocked)
    assert commands(plan_hub(agent, told({"dice": DICE}, {}), force=True)) == commands(plan)


def test_what_is_to_be_put_back_is_what_was_there(make_agent: Any) -> None:
    agent = hub(make_agent, dice="official/other/dice")
    back = (("skills", "install", DICE, "--yes", "--name=dice"),)
    (step,) = plan_hub(agent, told({"dice": DICE}, {"dice": DICE})).steps
    assert step.undo == Step("dice", None, {"hub": DICE}, back)
    (theirs,) = plan_hub(agent, told({"dice": DICE}, {}), force=True).steps
    assert theirs.undo == Step("dice", None, None, back)
    (new,) = plan_hub(agent, GuestFacts()).steps
    assert new.undo is None


@pytest.mark.parametrize("odd", ["--force", "a b/dice", "", "x" * 999])
def test_an_odd_identifier_of_the_agents_is_not_installed_again(make_agent: Any, odd: str) -> None:
    (step,) = plan_hub(hub(make_agent, dice=DICE), told({"dice": odd}, {}), force=True).steps
    assert step.undo is None


def begun(known: GuestFacts, identifier: str = DICE) -> GuestFacts:
    """The same after a run that was killed while the skill was installed."""
    text = json.dumps({"dice": {"id": None, "declared": {"hub": identifier}, "record": None}}).encode()
    return replace(known, files={**known.files, "last-hub": File(1, 1, 0o640, "regular file", text)})


def test_what_a_killed_run_has_installed_is_ours_whatever_hermes_calls_it(make_agent: Any) -> None:
    agent, known = hub(make_agent, dice=DICE), begun(told({"dice": "skills-sh/games/dice"}, {}))
    (step,) = plan_hub(agent, known).steps
    assert (step.declared, step.commands) == ({"hub": DICE}, ())
    assert commands(plan_hub(make_agent(), known)) == ["skills uninstall dice"]
    another = plan_hub(hub(make_agent, dice="b/dice"), known)
    assert commands(another) == ["skills uninstall dice", "skills install b/dice --yes --name=dice"]


def test_what_a_killed_run_did_not_install_is_not_the_agents_doing(make_agent: Any) -> None:
    known = begun(told({}, {}))
    for tree in ({}, {"home:skills/games/dice/SKILL.md": Seen("regular file", 0o640, 1, 1, "a" * 64)}):
        plan = plan_hub(hub(make_agent, dice=DICE), replace(known, tree=tree))
        assert commands(plan) == [f"skills install {DICE} --yes --name=dice"] and plan.notes == ()
    (step,) = plan_hub(make_agent(), known).steps
    assert (step.declared, step.commands) == (None, ())


def test_a_skill_of_the_agents_own_in_its_place_stays(make_agent: Any) -> None:
    agent = hub(make_agent, dice=DICE)
    own = GuestFacts(tree={"home:skills/games/dice/SKILL.md": Seen("regular file", 0o640, 1, 1, "a" * 64)})
    assert plan_hub(agent, own).changes[0].blocked
    assert commands(plan_hub(agent, own, force=True)) == [f"skills install {DICE} --yes --name=dice"]


def test_one_that_the_agent_removed_is_installed_again(make_agent: Any) -> None:
    plan = plan_hub(hub(make_agent, dice=DICE), told({}, {"dice": DICE}))
    assert commands(plan) and "the agent removed it" in plan.notes[0]


def test_ours_alone_is_uninstalled(make_agent: Any) -> None:
    plan = plan_hub(make_agent(), told({"dice": DICE, "own": "official/own"}, {"dice": DICE}))
    assert lines(plan) == [f"skill dice: {DICE} → None"] and commands(plan) == ["skills uninstall dice"]
    another = plan_hub(make_agent(), told({"dice": "a/dice"}, {"dice": DICE}))
    assert commands(another) == [] and "it stays, as the agent's own" in another.notes[0]
    (step,) = plan_hub(make_agent(), told({}, {"dice": DICE})).steps
    assert (step.name, step.declared, step.commands) == ("dice", None, ())


def test_one_that_is_there_already_is_ours_from_then_on(make_agent: Any) -> None:
    (step,) = plan_hub(hub(make_agent, dice=DICE), told({"dice": DICE}, {})).steps
    assert (step.declared, step.commands) == ({"hub": DICE}, ())


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"installed": 7}', b"[" * 99_999])
def test_a_list_that_cannot_be_read_is_told_and_nothing_is_done(make_agent: Any, content: bytes | None) -> None:
    known = told({}, {"old": DICE})
    broken = replace(known, files={**known.files, "hub": File(1, 1, 0o640, "regular file", content)})
    plan = plan_hub(hub(make_agent, dice=DICE), broken)
    assert plan.steps == () and all(change.blocked for change in plan.changes) and len(plan.changes) == 2


@pytest.mark.parametrize("memory", [b"7", b'{"dice": 7}', b'{"dice": {"declared": {}, "record": {}}}', b"\xff"])
def test_a_memory_that_cannot_be_read_is_none(make_agent: Any, memory: bytes) -> None:
    known = told({"dice": DICE}, {})
    broken = {**known.files, "last-hub": File(1, 1, 0o640, "regular file", memory)}
    assert plan_hub(make_agent(), replace(known, files=broken)) == HubPlan()


def test_what_is_installed_for_it_is_what_the_guest_is_asked_for(make_agent: Any) -> None:
    """Else it would be installed by each run."""
    agent = git(make_agent)
    missing = with_packages(agent, GuestFacts("debian", "13"), EnginePlan()).packages
    assert missing == ("ca-certificates", "git")
    asked = assignments(agent)["debian_packages"].split()
    there = GuestFacts("debian", "13", dict.fromkeys(asked, "1"))
    assert not with_packages(agent, there, EnginePlan()).needed
