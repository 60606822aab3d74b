"""An agent that goes over to another runtime: what ends, what moves, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.guest import File, GuestFacts, Place, Service
from proxhermes.hermes import placement
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.unit import render
from proxhermes.plan.move import Move, plan_move

STATE = "/var/lib/hermes"
DATA = "/opt/hermes/data"
NATIVE = {"type": "native"}
OVER = (
    (DATA, f"{STATE}/.hermes"),
    (f"{STATE}/.hermes/home", f"{STATE}/home"),
    (f"{STATE}/.hermes/workspace", f"{STATE}/workspace"),
)
BACK = ((f"{STATE}/.hermes", DATA), (f"{STATE}/home", f"{DATA}/home"), (f"{STATE}/workspace", f"{DATA}/workspace"))


def remembered(agent: Any) -> GuestFacts:
    content = placement.render(placement.of(agent))
    return GuestFacts(files={"runtime": File(0, 0, 0o644, "regular file", content)})


def told(move: Move) -> list[tuple[str, str | None]]:
    return [(change.subject, change.after) for change in move.changes]


def test_what_is_where_it_should_be_does_not_move(make_agent: Any) -> None:
    for runtime in ({}, NATIVE, {"type": "persistent"}):
        agent = make_agent(runtime=runtime)
        assert plan_move(agent, remembered(agent)) == Move()
    assert plan_move(make_agent(runtime=NATIVE), GuestFacts()) == Move()


@pytest.mark.parametrize("since", ["before this was remembered", "now"])
def test_from_docker_to_native_the_home_moves_and_what_is_in_it_follows(make_agent: Any, since: str) -> None:
    facts = remembered(make_agent())
    if since != "now":
        facts = GuestFacts(files={"compose": File(0, 0, 0o644, "regular file", b"")})
    facts = GuestFacts(files=facts.files, places={DATA: Place.FULL, f"{DATA}/home": Place.EMPTY})
    move = plan_move(make_agent(runtime=NATIVE), facts)
    assert move.moves == OVER
    assert move.retire is not None
    assert move.retire.service == ("docker", "docker")
    assert told(move) == [
        ("runtime", "native: the old service ends and is removed"),
        ("HERMES_HOME", f"{STATE}/.hermes (moved)"),
        ("HOME", f"{STATE}/home (moved)"),
    ]


def test_and_back(make_agent: Any) -> None:
    move = plan_move(make_agent(), remembered(make_agent(runtime=NATIVE)))
    assert move.moves == BACK
    assert move.retire is not None
    assert move.retire.service == ("native", "")


def test_between_types_with_the_same_folders_the_service_alone_changes(make_agent: Any) -> None:
    move = plan_move(make_agent(runtime={"type": "native"}), remembered(make_agent(runtime={"type": "persistent"})))
    assert move.moves == ()
    assert move.retire is not None
    assert told(move)[1] == ("runtime: what the agent installed into its container", None)


def test_another_engine_takes_over_and_nothing_moves(make_agent: Any) -> None:
    move = plan_move(make_agent(runtime={"engine": "podman"}), remembered(make_agent()))
    assert move.moves == ()
    assert told(move) == [("runtime", "docker (podman): the old service ends and is removed")]


def test_another_state_dir_moves_the_folders_and_keeps_the_service(make_agent: Any) -> None:
    move = plan_move(make_agent(runtime={**NATIVE, "state_dir": "/srv/h"}), remembered(make_agent(runtime=NATIVE)))
    assert move.retire is None
    assert move.moves[0] == (f"{STATE}/.hermes", "/srv/h/.hermes")
    assert len(move.moves) == 3


@pytest.mark.parametrize("in_the_way", [f"{STATE}/.hermes", f"{STATE}/home"])
def test_two_homes_are_refused(make_agent: Any, in_the_way: str) -> None:
    places = {DATA: Place.FULL, f"{DATA}/home": Place.FULL, in_the_way: Place.FULL}
    facts = GuestFacts(files=remembered(make_agent()).files, places=places)
    with pytest.raises(Refused, match=f"{in_the_way} is there already"):
        plan_move(make_agent(runtime=NATIVE), facts)
    empty = {**places, in_the_way: Place.EMPTY}
    assert plan_move(make_agent(runtime=NATIVE), GuestFacts(files=facts.files, places=empty)).moves == OVER


def test_on_the_way_back_a_folder_in_the_home_may_be_in_the_way(make_agent: Any) -> None:
    """It is not where it would be in the way yet."""
    places = {f"{STATE}/.hermes": Place.FULL, f"{STATE}/home": Place.FULL, f"{STATE}/.hermes/home": Place.FULL}
    with pytest.raises(Refused, match=f"{STATE}/.hermes/home is there already"):
        plan_move(make_agent(), GuestFacts(files=remembered(make_agent(runtime=NATIVE)).files, places=places))


def test_a_run_that_was_killed_after_the_home_had_moved_is_no_second_home(make_agent: Any) -> None:
    facts = GuestFacts(files=remembered(make_agent()).files, places={f"{STATE}/.hermes": Place.FULL})
    assert plan_move(make_agent(runtime=NATIVE), facts).moves == OVER


@pytest.mark.parametrize("name", ["unit_folder", "docker_folder", "podman_folder"])
@pytest.mark.parametrize("runtime", [{}, NATIVE, {"type": "persistent"}])
def test_an_agent_of_another_data_dir_is_never_left_behind(make_agent: Any, name: str, runtime: Any) -> None:
    service = Service("running", {name: "/opt/hermes"})
    agent = make_agent(hermes={"data_dir": "/srv/hermes"}, runtime=runtime)
    with pytest.raises(Refused, match="data_dir in /opt/hermes, and the inventory has /srv/hermes") as caught:
        plan_move(agent, GuestFacts(service=service))
    assert "hermes.data_dir: /opt/hermes" in str(caught.value.hint)


def test_a_native_agents_data_dir_alone_may_change(make_agent: Any) -> None:
    before = make_agent(runtime=NATIVE)
    unit = File(0, 0, 0o644, "regular file", render(before).encode())
    facts = GuestFacts(service=Service("running", {"unit_folder": "/opt/hermes"}), files={"unit": unit})
    elsewhere = {"data_dir": "/srv/hermes"}
    assert plan_move(make_agent(hermes=elsewhere, runtime=NATIVE), facts) == Move()
    for runtime in ({**NATIVE, "state_dir": "/srv/state"}, {"type": "persistent"}):
        with pytest.raises(Refused):
            plan_move(make_agent(hermes=elsewhere, runtime=runtime), facts)


def test_a_file_that_somebody_else_wrote_stops_the_run(make_agent: Any) -> None:
    facts = GuestFacts(files={"runtime": File(0, 0, 0o644, "regular file", b"type=docker\n")})
    with pytest.raises(UnusableFile, match="no engine in it"):
        plan_move(make_agent(), facts)
