"""Hermes in the guest: which difference restarts, which makes anew, and what is left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.guest import DockerContainer, File, GuestFacts
from proxhermes.hermes import env
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.litellm import Answer
from proxhermes.hermes.wanted import gather
from proxhermes.plan.hermes import HermesPlan, plan_hermes
from proxhermes.plan.model import Effect

LITELLM = Answer(200, json.dumps({"data": [{"id": "claude-sonnet", "max_input_tokens": 200_000}]}))
CONTAINER = DockerContainer("c0ffee", "sha256:aaaaaaaaaaaaaaaa", "running", "hermes", "/opt/hermes", "hash")
BUNDLE = {"config.yaml": "config", "env": "env", "compose.yaml": "compose"}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")
    monkeypatch.setenv("TELEGRAM", "123:token")


def plan(agent: Any, facts: GuestFacts | None) -> HermesPlan:
    return plan_hermes(agent, facts, gather(agent), "fresh-key")


def own(content: bytes, mode: int = 0o640, uid: int = 10000) -> File:
    return File(uid, uid, mode, "regular file", content)


def settled(agent: Any, **fields: Any) -> GuestFacts:
    """The guest after a run for this agent: what the plan wrote is there, and the gateway answers."""
    first = plan(agent, GuestFacts(litellm=LITELLM))
    files = {BUNDLE[name]: own(content) for name, content in first.files.items()}
    files["env"] = replace(files["env"], mode=0o600)
    files["data"] = File(agent.hermes.uid, agent.hermes.gid, 0o700, "directory")
    facts = GuestFacts(
        files=files,
        container=CONTAINER,
        image_id=CONTAINER.image,
        compose_hash=CONTAINER.hash,
        health=200,
        litellm=LITELLM,
        mounted={mount.guest: True for mount in agent.mounts},
    )
    return replace(facts, **fields)


def changed(facts: GuestFacts, name: str, content: bytes) -> GuestFacts:
    return replace(facts, files={**facts.files, name: replace(facts.files[name], content=content)})


def subjects(found: HermesPlan) -> list[str]:
    return [change.subject for change in found.changes]


def test_a_new_guest_gets_everything(make_agent: Any) -> None:
    found = plan(make_agent(), GuestFacts(litellm=LITELLM))
    assert set(found.files) == {"config.yaml", "env", "compose.yaml"}
    assert found.effect is Effect.RECREATE_SERVICE
    assert env.values(found.files["env"].decode()) == {
        "API_SERVER_ENABLED": "true",
        "LITELLM_API_KEY": "sk-the-key",
        "API_SERVER_KEY": "fresh-key",
    }
    assert b"sk-the-key" not in found.files["config.yaml"] + found.files["compose.yaml"]


def test_a_second_run_changes_nothing(make_agent: Any) -> None:
    found = plan(make_agent(), settled(make_agent()))
    assert found.changes == ()
    assert found.files == {}
    assert found.healthy


def test_what_image_and_users_do_to_the_files_is_no_change(make_agent: Any) -> None:
    agent = make_agent()
    facts = settled(agent)
    lines = facts.content("env") or b""
    facts = changed(facts, "env", b"# mine\n" + lines + b"MINE='x y'\n")
    text = facts.content("config") or b""
    facts = changed(facts, "config", b"# mine\n" + text + b"skills: {disabled: [x]}\nmcp_servers: {}\n")
    assert plan(agent, facts).changes == ()
    # Hermes rewrites config.yaml with 0600 at times, the image with 0640: either is fine.
    files = {**facts.files, "config": replace(facts.files["config"], mode=0o600)}
    assert plan(agent, replace(facts, files=files)).changes == ()


@pytest.mark.parametrize(
    ("fields", "subject", "effect", "files"),
    [
        ({"litellm": "model"}, "config.yaml: model.default", Effect.RESTART_SERVICE, {"config.yaml"}),
        ({"hermes": {"environment": {"FOO": "bar"}}}, ".env: FOO", Effect.RESTART_SERVICE, {"env", "compose.yaml"}),
        ({"runtime": {"image": "x/y:2"}}, "compose.yaml: image", Effect.RECREATE_SERVICE, {"compose.yaml"}),
        ({"runtime": {"shm_size": "2g"}}, "compose.yaml: shm_size", Effect.RECREATE_SERVICE, {"compose.yaml"}),
        (
            {"mounts": [{"host": "/mnt/pve/hdd/hermes", "guest": "/data"}]},
            "compose.yaml: volume /fast",
            Effect.RECREATE_SERVICE,
            {"compose.yaml"},
        ),
        (
            {"messaging": {"telegram": {"token": {"env": "TELEGRAM"}}}},
            ".env: TELEGRAM_BOT_TOKEN",
            Effect.RESTART_SERVICE,
            {"config.yaml", "env", "compose.yaml"},
        ),
    ],
)
def test_each_change_asks_for_its_effect(
    make_agent: Any, fields: dict[str, Any], subject: str, effect: Effect, files: set[str]
) -> None:
    facts = settled(make_agent())
    if fields.get("litellm"):
        fields = {"litellm": {**make_agent().litellm.model_dump(exclude_none=True), "model": "other"}}
        facts = replace(facts, litellm=Answer(200, '{"data": [{"id": "other"}]}'))
    found = plan(make_agent(**fields), facts)
    assert subject in subjects(found)
    assert found.effect is effect
    assert set(found.files) == files


def test_what_left_the_inventory_leaves_the_files_and_nothing_else_does(make_agent: Any) -> None:
    before = make_agent(
        messaging={"telegram": {"token": {"env": "TELEGRAM"}}}, hermes={"settings": {"skills": {"disabled": ["x"]}}}
    )
    facts = settled(before)
    facts = changed(facts, "env", (facts.content("env") or b"") + b"DISCORD_BOT_TOKEN=theirs\n")
    found = plan(make_agent(), facts)
    assert set(env.values(found.files["env"].decode())) == {
        "API_SERVER_ENABLED", "LITELLM_API_KEY", "API_SERVER_KEY", "DISCORD_BOT_TOKEN",
    }  # fmt: skip
    assert b"telegram" not in found.files["config.yaml"]
    assert b"skills" not in found.files["config.yaml"]
    assert b"context_length" in found.files["config.yaml"]


def test_litellm_being_away_leaves_the_context_and_is_told(make_agent: Any) -> None:
    found = plan(make_agent(), settled(make_agent(), litellm=Answer(0, error="curl: (7) Failed to connect")))
    assert found.changes == ()
    assert "does not answer" in found.notes[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(401, "{}"), "refuses the key"),
        (Answer(200, '{"data": [{"id": "other"}]}'), "lists no model 'claude-sonnet'.*it lists: other"),
        (Answer(200, '{"data": [{"id": "claude-sonnet", "max_input_tokens": 32000}]}'), "32000 tokens.*64000"),
    ],
)
def test_what_litellm_will_refuse_stops_the_run_before_anything_is_touched(
    make_agent: Any, answer: Answer, message: str
) -> None:
    with pytest.raises(Refused, match=message) as caught:
        plan(make_agent(), settled(make_agent(), litellm=answer))
    assert caught.value.hint


def test_a_word_of_the_inventory_goes_before_litellms_small_context(make_agent: Any) -> None:
    litellm = make_agent().litellm.model_dump(exclude_none=True)
    agent = make_agent(litellm={**litellm, "context_length": 128_000})
    answer = Answer(200, '{"data": [{"id": "claude-sonnet", "max_input_tokens": 32000}]}')
    assert b"context_length: 128000" in plan(agent, GuestFacts(litellm=answer)).files["config.yaml"]


@pytest.mark.parametrize(
    ("fields", "before", "effect"),
    [
        ({"container": replace(CONTAINER, status="exited")}, "exited", Effect.RESTART_SERVICE),
        ({"compose_hash": "other"}, "made from an older compose.yaml", Effect.RECREATE_SERVICE),
        ({"image_id": "sha256:bbbbbbbbbbbbbbbb"}, "aaaaaaaaaaaa", Effect.RECREATE_SERVICE),
        ({"container": None}, None, Effect.RECREATE_SERVICE),
    ],
)
def test_what_became_of_the_container(make_agent: Any, fields: Any, before: str | None, effect: Effect) -> None:
    found = plan(make_agent(), settled(make_agent(), **fields))
    assert [change.before for change in found.changes] == [before]
    assert found.effect is effect
    assert found.files == {}


@pytest.mark.parametrize(("left", "effect"), [("up", Effect.RECREATE_SERVICE), ("restart", Effect.RESTART_SERVICE)])
def test_a_run_that_was_killed_is_finished(make_agent: Any, left: str, effect: Effect) -> None:
    facts = settled(make_agent())
    facts = replace(facts, files={**facts.files, "pending": File(0, 0, 0o644, "regular file", left.encode() + b"\n")})
    assert plan(make_agent(), facts).effect is effect


def test_a_gateway_that_does_not_answer_is_only_waited_for(make_agent: Any) -> None:
    found = plan(make_agent(), settled(make_agent(), health=0))
    assert not found.needed
    assert not found.healthy


def test_a_foreign_container_of_that_name_is_refused(make_agent: Any) -> None:
    with pytest.raises(Refused, match="docker run"):
        plan(make_agent(), settled(make_agent(), container=replace(CONTAINER, project="", folder="")))
    with pytest.raises(Refused, match="/root/hermes"):
        plan(make_agent(), settled(make_agent(), container=replace(CONTAINER, folder="/root/hermes")))


@pytest.mark.parametrize(
    ("name", "mode", "uid", "effect"),
    [("env", 0o644, 10000, Effect.NONE), ("env", 0o600, 0, Effect.NONE), ("config", 0o644, 10000, Effect.NONE)],
)
def test_a_file_with_wrong_owner_or_mode_is_put_right_without_a_restart(
    make_agent: Any, name: str, mode: int, uid: int, effect: Effect
) -> None:
    facts = settled(make_agent())
    files = {**facts.files, name: replace(facts.files[name], mode=mode, uid=uid)}
    found = plan(make_agent(), replace(facts, files=files))
    assert [change.effect for change in found.changes] == [effect]
    assert list(found.files.values()) == [facts.files[name].content]


@pytest.mark.parametrize("name", ["env", "config", "compose"])
def test_a_link_in_place_of_a_file_stops_the_run(make_agent: Any, name: str) -> None:
    facts = settled(make_agent())
    files = {**facts.files, name: File(10000, 10000, 0o777, "symbolic link")}
    with pytest.raises(UnusableFile, match="symbolic link"):
        plan(make_agent(), replace(facts, files=files))


def test_a_changed_uid_takes_the_folder_along(make_agent: Any) -> None:
    found = plan(make_agent(hermes={"uid": 1500, "gid": 1500}), settled(make_agent()))
    assert "/opt/hermes/data: owner" in subjects(found)
    assert found.effect is Effect.RECREATE_SERVICE


def test_no_change_shows_a_secret(make_agent: Any) -> None:
    agent = make_agent()
    facts = settled(agent)
    facts = changed(facts, "config", b"model: {api_key: sk-somebody-wrote-this}\n")
    facts = changed(facts, "env", b"LITELLM_API_KEY=sk-old\nAPI_SERVER_KEY=the-gateways\n")
    found = plan(agent, facts)
    shown = repr(found)
    for secret in ("sk-somebody-wrote-this", "sk-old", "sk-the-key", "the-gateways", "fresh-key"):
        assert secret not in shown
    assert env.values(found.files["env"].decode())["API_SERVER_KEY"] == "the-gateways"


def test_mounts_that_are_plain_folders_are_named(make_agent: Any) -> None:
    assert plan(make_agent(), settled(make_agent(), mounted={"/data": True, "/fast": False})).unmounted == ("/fast",)


def test_a_container_that_is_not_there_yet_is_planned_whole(make_agent: Any) -> None:
    assert plan(make_agent(), None).effect is Effect.RECREATE_SERVICE
