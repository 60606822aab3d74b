"""What the executors send into the guest, and what they make of its answers."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from proxhermes.apply.guest import Stale, apply_engine, apply_hermes, apply_tools
from proxhermes.errors import CommandFailed, Refused
from proxhermes.events import Event, Events, Kind
from proxhermes.hermes import placement
from proxhermes.plan.engine import EnginePlan
from proxhermes.plan.hermes import HermesPlan
from proxhermes.plan.model import Change, Door, Effect, Layer
from proxhermes.plan.move import Move
from proxhermes.transport.command import CommandResult
from proxhermes.transport.scripts import script

STATE = '{"platforms": {"telegram": {"state": "retrying", "error_message": "Unauthorized"}}}'
FACTS = (
    f"gateway.health=200\nfile.state=1 1 644 regular file\nfile.state:b64={base64.b64encode(STATE.encode()).decode()}\n"
)


class FakeGuest:
    def __init__(self, stdout: str = "", stderr: str = "", rc: int = 0) -> None:
        self.result = CommandResult(rc, stdout, stderr)
        self.runs: list[tuple[dict[str, tuple[bytes, int]], str, list[str]]] = []

    def run(
        self, bundle: Any, entry: str, args: Sequence[str], *, on_line: Callable[[str], None], **_: Any
    ) -> CommandResult:
        self.runs.append((dict(bundle), entry, list(args)))
        for line in self.result.stdout.splitlines():
            on_line(line)
        return self.result


def texts(heard: list[Event], kind: Kind) -> list[str]:
    return [event.text for event in heard if event.kind is kind]


def hermes_plan(effect: Effect, **fields: Any) -> HermesPlan:
    change = Change(Layer.HERMES, Door.GUEST, ".env: A", None, "(hidden)", effect)
    return HermesPlan((change,), **({"files": {"env": b"TOKEN=very-secret\n"}, "platforms": ("telegram",)} | fields))


def test_nothing_to_do_opens_no_door(make_agent: Any, events: Events) -> None:
    guest: Any = FakeGuest()
    apply_engine(make_agent(), EnginePlan(), guest, events)
    apply_hermes(make_agent(), HermesPlan(healthy=True), guest, events)
    assert guest.runs == []


def test_docker_is_one_round_trip(make_agent: Any, events: Events, heard: list[Event]) -> None:
    guest: Any = FakeGuest("Reading package lists...\nchanged: packages: docker.io\n")
    change = Change(Layer.ENGINE, Door.GUEST, "Docker", None, "distro", Effect.NONE)
    plan = EnginePlan((change,), "distro", ("docker.io", "curl"), {"daemon.json": b"{}"})
    apply_engine(make_agent(), plan, guest, events)
    [(bundle, entry, args)] = guest.runs
    assert (entry, args) == ("guest-engine.sh", ["distro", "docker.io", "curl"])
    assert bundle["daemon.json"] == (b"{}", 0o600)
    assert texts(heard, Kind.CHANGE) == ["packages: docker.io"]
    assert texts(heard, Kind.LINE) == ["Reading package lists..."]


def test_what_litellm_is_asked_with_comes_without_an_engine(make_agent: Any, events: Events) -> None:
    guest: Any = FakeGuest()
    plan = EnginePlan(files={"apt.conf": b"x", "daemon.json": b"{}"})
    apply_tools(make_agent(), plan, guest, events)
    [(bundle, entry, args)] = guest.runs
    assert (entry, args) == ("guest-engine.sh", ["none", "ca-certificates", "curl"])
    assert bundle["engine.sh"] == (script("guest-engine-none.sh"), 0o700)
    assert bundle["apt.conf"] == (b"x", 0o600) and "daemon.json" not in bundle


@pytest.mark.parametrize(
    ("effect", "action"), [(Effect.NONE, "none"), (Effect.RESTART_SERVICE, "restart"), (Effect.RECREATE_SERVICE, "up")]
)
def test_secrets_travel_in_the_bundle_alone(make_agent: Any, events: Events, effect: Effect, action: str) -> None:
    guest: Any = FakeGuest(FACTS)
    apply_hermes(make_agent(), hermes_plan(effect), guest, events)
    [(bundle, entry, args)] = guest.runs
    assert entry == "guest-hermes.sh"
    assert args == [action, "240", "telegram"]
    assert bundle["env"] == (b"TOKEN=very-secret\n", 0o600)
    assert "guest-wait.sh" in bundle
    assert "very-secret" not in repr(args)


def test_a_platform_that_does_not_connect_is_a_warning(make_agent: Any, events: Events, heard: list[Event]) -> None:
    apply_hermes(make_agent(), hermes_plan(Effect.RESTART_SERVICE), FakeGuest(FACTS), events)  # type: ignore[arg-type]
    assert texts(heard, Kind.WARNING) == ["telegram is not connected (retrying): Unauthorized"]
    assert texts(heard, Kind.LINE) == []


def test_a_gateway_that_was_not_up_is_waited_for(make_agent: Any, events: Events) -> None:
    guest: Any = FakeGuest(FACTS)
    apply_hermes(make_agent(), HermesPlan(platforms=("telegram",)), guest, events)
    assert [(entry, args) for _, entry, args in guest.runs] == [("guest-wait.sh", ["240", "telegram"])]


def test_a_failure_says_why_and_what_to_do(make_agent: Any, events: Events, heard: list[Event]) -> None:
    said = "Error: dial tcp: lookup registry-1.docker.io: no such host\nfailed: the image x could not be pulled\n"
    with pytest.raises(CommandFailed) as caught:
        apply_hermes(make_agent(), hermes_plan(Effect.RECREATE_SERVICE), FakeGuest("", said, 1), events)  # type: ignore[arg-type]
    assert caught.value.message == "setting up Hermes in CT 118: the image x could not be pulled"
    assert caught.value.log == ("Error: dial tcp: lookup registry-1.docker.io: no such host",)
    assert caught.value.hint is not None
    assert "registry_mirrors" in caught.value.hint
    assert texts(heard, Kind.STEP_FAILED) == ["setting up Hermes in CT 118"]


def test_a_missing_mount_is_refused_before_anything_is_written(make_agent: Any, events: Events) -> None:
    guest: Any = FakeGuest(FACTS)
    with pytest.raises(Refused, match="/fast: not mounted in CT 118"):
        apply_hermes(make_agent(), hermes_plan(Effect.NONE, unmounted=("/fast",)), guest, events)
    assert guest.runs == []


def test_a_file_that_was_changed_meanwhile_is_told_apart_from_a_failure(make_agent: Any, events: Events) -> None:
    """For then the plan is made anew."""
    for said, rc, kind in (("stale: /h/.env\n", 75, Stale), ("stale: /h/.env\n", 1, CommandFailed)):
        with pytest.raises(CommandFailed) as caught:
            apply_hermes(make_agent(), hermes_plan(Effect.NONE), FakeGuest(said, "", rc), events)  # type: ignore[arg-type]
        assert type(caught.value) is kind
    with pytest.raises(Stale) as stale:
        apply_hermes(make_agent(), hermes_plan(Effect.NONE), FakeGuest("stale: /h/.env\n", "", 75), events)  # type: ignore[arg-type]
    assert stale.value.path == "/h/.env"
    assert "/h/.env was changed meanwhile" in stale.value.message


def test_a_runtime_that_gives_the_agent_up_comes_along_with_what_it_needs(make_agent: Any, events: Events) -> None:
    guest: Any = FakeGuest(FACTS)
    before = placement.of(make_agent(runtime={"type": "persistent", "engine": "podman"}))
    move = Move(retire=before, moves=((before.home, "/opt/hermes/data"),))
    apply_hermes(make_agent(), hermes_plan(Effect.RECREATE_SERVICE, move=move), guest, events)
    [(bundle, _, _)] = guest.runs
    assert bundle["moves"][0] == b"/var/lib/hermes/.hermes\t/opt/hermes/data\n"
    assert bundle["previous-agent.sh"][0] == b"engine=podman\n"
    assert b"rt_retire" in bundle["previous.sh"][0]
    assert placement.parse(bundle["runtime"][0].decode()) == placement.of(make_agent())
