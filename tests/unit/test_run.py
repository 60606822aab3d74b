"""The order of things: what is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from proxhermes import run, upstream
from proxhermes.apply.guest import Stale
from proxhermes.errors import CommandFailed, ConnectError, DeadlineExceeded, ProxhermesError, Refused
from proxhermes.events import Event, Events, Kind
from proxhermes.facts.container import ContainerFacts
from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes.image import Build, Unanswered
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes
from proxhermes.plan.engine_model import change
from proxhermes.plan.hermes_model import change as hermes_change
from proxhermes.plan.migration import Texts
from proxhermes.plan.model import Effect

MakeAgent = Callable[..., Agent]
FACTS = ContainerFacts("gihyeon", 118, exists=True)
NOTHING: Any = None


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({"exists": True, "running": True}, Refused, "not made by proxhermes"),
        ({"exists": False, "held_by": "a virtual machine"}, Refused, "belongs to a virtual machine"),
        ({"exists": False}, ProxhermesError, "does not exist"),
        ({"exists": True, "config": "ours"}, ProxhermesError, "does not run"),
    ],
)
def test_bootstrap_goes_into_no_container_but_its_own(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], kind: type[Exception], words: str
) -> None:
    agent = make_agent()
    ours = MappingProxyType({"tags": "proxhermes", "description": notes.render(agent)})
    if facts.get("config"):
        facts = facts | {"config": ours}
    monkeypatch.setattr(run, "read_container", lambda *_: ContainerFacts("gihyeon", 118, **facts))
    monkeypatch.setattr(run.preflight, "naming_all", lambda *_: nullcontext())
    closed: Any = SimpleNamespace(pve=None)  # has no door to the guest
    with pytest.raises(kind, match=words):
        run.bootstrap(agent, closed, Events())


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_file_that_changes_meanwhile_is_planned_for_again_a_few_times(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Whoever wrote it: what they wrote is read before anything is done with it."""
    looked: list[int] = []
    stale = Stale("changed meanwhile", command="guest-hermes.sh", rc=75, stderr="")

    def look(*_: Any) -> Any:
        looked.append(1)
        return run.InnerPlan(run.EnginePlan(), run.HermesPlan())

    def apply(*_: Any) -> None:
        if len(looked) <= times:
            raise stale

    monkeypatch.setattr(run, "_look_into", look)
    monkeypatch.setattr(run, "apply_hermes", apply)
    doors: Any = SimpleNamespace(guest=lambda _: None)
    target = run.Target(make_agent(), NOTHING)
    if times < run.CHANCES:
        run._bootstrap(target, doors, Events(), FACTS)
        assert len(looked) == times + 1
    else:
        with pytest.raises(Stale):
            run._bootstrap(target, doors, Events(), FACTS)
        assert len(looked) == run.CHANCES


def test_litellm_is_asked_before_an_engine_is_installed(make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new guest has no curl: what asks comes first, so that a refused key leaves the guest as it was."""
    done: list[str] = []
    missing = change("Docker", None, "distro", Effect.NONE)

    def look(*_: Any) -> Any:
        if "tools" in done:
            raise Refused("LiteLLM refuses the key", doing="asking LiteLLM", hint="")
        return run.InnerPlan(run.EnginePlan((missing,)), run.HermesPlan())

    monkeypatch.setattr(run, "_look_into", look)
    monkeypatch.setattr(run, "apply_tools", lambda *_: done.append("tools"))
    monkeypatch.setattr(run, "apply_engine", lambda *_: done.append("engine"))
    doors: Any = SimpleNamespace(guest=lambda _: None)
    target = run.Target(make_agent(), NOTHING)
    with pytest.raises(Refused):
        run._bootstrap(target, doors, Events(), FACTS)
    assert done == ["tools"]


def _story(monkeypatch: pytest.MonkeyPatch, plans: list[run.HermesPlan]) -> list[str]:
    """What is done, in its order, with these plans one after the other and then empty ones."""
    done: list[str] = []

    def look(*_: Any) -> Any:
        done.append("look")
        return run.InnerPlan(run.EnginePlan(), plans.pop(0) if plans else run.HermesPlan())

    monkeypatch.setattr(run, "_look_into", look)
    monkeypatch.setattr(run, "apply_prepared", lambda *_: done.append("prepare"))
    monkeypatch.setattr(run, "apply_hermes", lambda *_: done.append("apply"))
    return done


def _bootstrapped(agent: Agent, events: Events) -> run.InnerPlan:
    doors: Any = SimpleNamespace(guest=lambda _: None)
    return run._bootstrap(run.Target(agent, NOTHING), doors, events, FACTS)


@pytest.mark.parametrize(("noted", "written"), [(None, ["0.22.2"]), ("0.19.0", ["0.22.2"]), ("0.22.2", [])])
def test_the_containers_notes_name_the_version_that_it_has(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch, noted: str | None, written: list[str]
) -> None:
    _story(monkeypatch, [run.HermesPlan(code=upstream.Code("0.22.2", 50))])
    told: list[str] = []
    monkeypatch.setattr(run, "note_version", lambda _agent, version, *_: told.append(version))
    agent = make_agent()
    doors: Any = SimpleNamespace(guest=lambda _: None, pve=None)
    config = MappingProxyType({"description": notes.render(agent, hermes=noted)})
    facts = ContainerFacts("gihyeon", 118, exists=True, config=config)
    run._bootstrap(run.Target(agent, NOTHING), doors, Events(), facts)
    assert told == written


RESTART = hermes_change("config.yaml: delegation.max_iterations", "250", "50", Effect.RESTART_SERVICE)

MOVED = hermes_change("skill release", "aaaaaaaaaaaa", "bbbbbbbbbbbb of https://git.lan/skills.git")


def test_the_image_is_fetched_before_the_files_are_planned(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they should be depends on which Hermes it is."""
    done = _story(monkeypatch, [run.HermesPlan((RESTART,), prepare=True), run.HermesPlan((RESTART,))])
    _bootstrapped(make_agent(), Events())
    assert done == ["look", "prepare", "look", "apply", "look"]


def test_what_hermes_rewrites_at_its_start_is_put_back(make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    done = _story(monkeypatch, [run.HermesPlan((RESTART,)), run.HermesPlan((RESTART,))])
    plan = _bootstrapped(make_agent(), Events())
    assert done == ["look", "apply", "look", "apply", "look"]
    assert plan.changes == (RESTART, RESTART)


def test_what_hermes_rewrites_each_time_is_told_and_left(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewritten = run.HermesPlan((RESTART, MOVED), configs={"": Texts(changes=(RESTART,))})
    done = _story(monkeypatch, [rewritten] * 9)
    told: list[str] = []
    events = Events([lambda event: told.append(event.text)])
    _bootstrapped(make_agent(), events)
    assert done.count("apply") == run.CHANCES
    (each, other) = told[-2:]
    assert "at each start" in each and each.endswith(f": {RESTART.subject}")
    assert "left to the next run" in other and other.endswith(f": {MOVED.subject}")


def test_a_skill_that_moves_while_the_agent_starts_is_fetched(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody is told that Hermes had changed what it was given."""
    moved = run.HermesPlan((MOVED,), prepare=True)
    done = _story(monkeypatch, [run.HermesPlan((RESTART,)), moved, moved, run.HermesPlan((MOVED,))])
    told: list[str] = []
    plan = _bootstrapped(make_agent(), Events([lambda event: told.append(event.text)]))
    assert done == ["look", "apply", "look", "prepare", "look", "prepare", "look", "apply"]
    assert plan.changes == (RESTART, MOVED) and not any("at its start" in text for text in told)


def test_what_is_to_be_fetched_after_a_file_changed_is_fetched(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _story(monkeypatch, [run.HermesPlan((RESTART,)), run.HermesPlan((MOVED,), prepare=True)])
    stale = [Stale("changed", command="guest-hermes.sh", rc=75, stderr="")]

    def apply(*_: Any) -> None:
        done.append("apply")
        if stale:
            raise stale.pop()

    monkeypatch.setattr(run, "apply_hermes", apply)
    _bootstrapped(make_agent(), Events())
    assert done == ["look", "apply", "look", "prepare", "look", "apply"]


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_hermes_made_of_the_users_own_keys_is_told(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    before, after = "_config_version: 33\nmine: 50\n", "_config_version: 50\nmine: 250\n"
    plans = [
        run.HermesPlan((RESTART,), configs={"": Texts(found="", left=before)}),
        run.HermesPlan(configs={"": Texts(found=after, left=after, given=before)}),
    ]
    if interrupted:  # the first of the two was the run's before
        plans = plans[1:]
    _story(monkeypatch, plans)
    told: list[str] = []
    _bootstrapped(make_agent(), Events([lambda event: told.append(event.text)]))
    assert told.count("mine: 50 → 250 (stays as Hermes has it)") == 1


def test_a_run_that_starts_nothing_does_not_look_again(make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    done = _story(monkeypatch, [run.HermesPlan((hermes_change("SOUL.md", None, "new"),))])
    _bootstrapped(make_agent(), Events())
    assert done == ["look", "apply"]


def test_a_container_is_recreated_once_and_then_looked_at_as_it_is(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    again = run.HermesPlan(
        changes=(hermes_change("container hermes", "as it is", "recreated", Effect.RECREATE_SERVICE),)
    )

    def look(target: run.Target, *_: Any) -> Any:
        asked.append(target.recreate)
        return run.InnerPlan(run.EnginePlan(), again if target.recreate else run.HermesPlan())

    monkeypatch.setattr(run, "_look_into", look)
    monkeypatch.setattr(run, "apply_hermes", lambda *_: None)
    doors: Any = SimpleNamespace(guest=lambda _: None)
    done = run._bootstrap(run.Target(make_agent(), NOTHING, recreate=True), doors, Events(), FACTS)
    assert asked == [True, False]
    assert [change.subject for change in done.hermes.changes] == ["container hermes"]


TAGGED = GuestFacts(image_id="sha256:aa", image_digests=("nousresearch/hermes-agent@sha256:" + "a" * 64,))
BUILD = Build("sha256:" + "b" * 64, "0.23.4", "2026-11-20")


def _planned(agent: Agent, monkeypatch: pytest.MonkeyPatch, answer: Build | Exception | None) -> list[Event]:
    """What a plan of an agent that runs and has nothing to change says, with this answer of the registry."""
    told: list[Event] = []
    container = SimpleNamespace(facts=SimpleNamespace(running=True), changes=(), notes=())
    monkeypatch.setattr(run, "gather", lambda _: NOTHING)
    monkeypatch.setattr(run, "plan_outer", lambda *_, **__: container)
    monkeypatch.setattr(run, "_looked", lambda *_: (TAGGED, run.InnerPlan(run.EnginePlan(), run.HermesPlan())))

    def newer(*_: Any) -> Build | None:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(run, "newer", newer)
    doors: Any = SimpleNamespace(guest=lambda _: None)
    assert run.plan_all(agent, doors, Events([told.append])) == ()
    return told


def test_the_plan_says_what_a_tag_means_now(make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    told = _planned(make_agent(), monkeypatch, BUILD)
    (text,) = (event.text for event in told if event.kind is Kind.WARNING)
    assert text.startswith("nousresearch/hermes-agent:latest now means sha256:bbbbbbbbbbbb (0.23.4, made 2026-11-20)")
    assert not any(event.kind is Kind.WARNING for event in _planned(make_agent(), monkeypatch, None))


@pytest.mark.parametrize(
    "error",
    [
        Unanswered("https://registry-1.docker.io: HTTP 503"),
        CommandFailed("failed", command="guest-registry.sh", rc=1),
        DeadlineExceeded("too slow"),
        ConnectError("gone"),
    ],
)
def test_a_registry_that_does_not_answer_is_a_note(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch, error: ProxhermesError
) -> None:
    told = _planned(make_agent(), monkeypatch, error)
    assert not any(event.kind in (Kind.WARNING, Kind.FAILURE, Kind.STEP_FAILED) for event in told)
    (text,) = (event.text for event in told if event.kind is Kind.NOTE)
    name = "nousresearch/hermes-agent:latest"
    assert text == f"the registry could not be asked what {name} means now: {error.message}"


@pytest.mark.parametrize("runtime", [{"image": f"nousresearch/hermes-agent:1@{BUILD.digest}"}, {"type": "native"}])
def test_no_registry_is_asked_of_what_no_tag_names(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch, runtime: dict[str, Any]
) -> None:
    assert _planned(make_agent(runtime=runtime), monkeypatch, AssertionError("asked")) == []
