"""Hermes in the guest: which difference restarts, which makes anew, and what is left alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.guest import DockerContainer, File, GuestFacts, Place, Service
from proxhermes.facts.tree import Seen
from proxhermes.hermes import commands, env, labels, layout, managed, modes, placement
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.litellm import Answer
from proxhermes.hermes.wanted import gather
from proxhermes.plan.hermes import HermesPlan, plan_hermes
from proxhermes.plan.model import Effect
from proxhermes.upstream import NEWEST_SEEN, Code, shown

LITELLM = Answer(200, json.dumps({"data": [{"id": "claude-sonnet", "max_input_tokens": 200_000}]}))
CONTAINER = DockerContainer("sha256:aaaaaaaaaaaaaaaa", "running", "hermes", "/opt/hermes", "hash")
FILES = {
    "home:config.yaml": "config",
    "home:.env": "env",
    "compose.yaml": "compose",
    **{f"home:.proxhermes/{name}": f"last-{name}" for name in ("config.yaml", "env", "files")},
}
"""The names that the facts have for files whose content is read."""


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")
    monkeypatch.setenv("TELEGRAM", "123:token")


def plan(agent: Any, facts: GuestFacts | None) -> HermesPlan:
    return plan_hermes(agent, facts, gather(agent), "fresh-key")


def written(agent: Any, found: HermesPlan) -> dict[str, bytes]:
    """What the plan's manifest writes, by label; compose.yaml by its name."""
    place, contents = layout.of(agent), {name: found.files[name] for name in ("compose.yaml",) if name in found.files}
    for line in found.files.get("manifest", b"").decode().splitlines():
        kind, _, _, _, name, path = line.split("\t")
        if kind == "file":
            contents[labels.label(place, path)] = found.files[name]
    return contents


def settled(agent: Any, **fields: Any) -> GuestFacts:
    """The guest after a run for this agent: what the plan wrote is there, and the gateway answers."""
    command = File(0, 0, 0o755, "regular file", commands.render(agent).encode())
    there = GuestFacts(files={f"command-{name}": command for name in commands.NAMES})
    facts = after(agent, plan(agent, GuestFacts(litellm=LITELLM)), there)
    settled = replace(
        facts,
        container=CONTAINER,
        service=Service(facts={"finish": "same"}),
        image_id=CONTAINER.image,
        compose_hash=CONTAINER.hash,
        health=200,
        litellm=LITELLM,
        mounted={mount.guest: True for mount in agent.mounts},
    )
    return replace(settled, **fields)


def after(agent: Any, found: HermesPlan, facts: GuestFacts) -> GuestFacts:
    """The facts, once the plan's files are in place."""
    uid, gid = agent.hermes.uid, agent.hermes.gid
    files = {**facts.files, "data": File(uid, gid, 0o750, "directory")}
    tree = dict(facts.tree)
    for rule in modes.table(agent):
        if rule.made:
            tree[rule.label] = Seen("directory", rule.mode, uid, gid)
    for label, content in written(agent, found).items():
        mode = 0o600 if label == "home:.env" else 0o640
        files[FILES.get(label, label)] = File(uid, gid, mode, "regular file", content)
        tree[label] = Seen("regular file", mode, uid, gid, hashlib.sha256(content).hexdigest())
    return replace(facts, files=files, tree=tree)


def changed(facts: GuestFacts, name: str, content: bytes) -> GuestFacts:
    return replace(facts, files={**facts.files, name: replace(facts.files[name], content=content)})


def subjects(found: HermesPlan) -> list[str]:
    return [change.subject for change in found.changes]


def test_a_new_guest_gets_everything(make_agent: Any) -> None:
    found = plan(make_agent(), GuestFacts(litellm=LITELLM))
    assert {"home:config.yaml", "home:.env", "compose.yaml"} < set(written(make_agent(), found))
    assert found.effect is Effect.RECREATE_SERVICE
    assert env.values(written(make_agent(), found)["home:.env"].decode()) == {
        "API_SERVER_ENABLED": "true",
        "LITELLM_API_KEY": "sk-the-key",
        "API_SERVER_KEY": "fresh-key",
        **managed.environment(make_agent()),
    }
    secret = [name for name, content in written(make_agent(), found).items() if b"sk-the-key" in content]
    assert secret == ["home:.env"]


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
        ({"litellm": "model"}, "config.yaml: model.default", Effect.RESTART_SERVICE, {"home:config.yaml"}),
        ({"hermes": {"environment": {"FOO": "bar"}}}, ".env: FOO", Effect.RESTART_SERVICE, {"home:.env"}),
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
            {"home:.env", "home:config.yaml"},
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
    agent = make_agent(**fields)
    found = plan(agent, facts)
    assert subject in subjects(found)
    assert found.effect is effect
    assert {label for label in written(agent, found) if not label.startswith("home:.proxhermes/")} == files


def test_what_left_the_inventory_leaves_the_files_and_nothing_else_does(make_agent: Any) -> None:
    before = make_agent(
        messaging={"telegram": {"token": {"env": "TELEGRAM"}}}, hermes={"settings": {"skills": {"disabled": ["x"]}}}
    )
    facts = settled(before)
    facts = changed(facts, "env", (facts.content("env") or b"") + b"DISCORD_BOT_TOKEN=theirs\n")
    new = written(make_agent(), plan(make_agent(), facts))
    assert set(env.values(new["home:.env"].decode())) == {
        "API_SERVER_ENABLED", "LITELLM_API_KEY", "API_SERVER_KEY", "DISCORD_BOT_TOKEN", "HERMES_MANAGED",
    }  # fmt: skip
    assert b"telegram" not in new["home:config.yaml"]
    assert b"skills" not in new["home:config.yaml"]
    assert b"context_length" in new["home:config.yaml"]


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
    new = written(agent, plan(agent, GuestFacts(litellm=answer)))
    assert b"context_length: 128000" in new["home:config.yaml"]


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


def test_a_gateway_that_was_left_at_work_on_its_databases_is_waited_for_and_not_restarted(make_agent: Any) -> None:
    facts = settled(make_agent(), health=0)
    facts = replace(facts, files={**facts.files, "pending": File(0, 0, 0o644, "regular file", b"wait\n")})
    found = plan(make_agent(), facts)
    assert found.needed and found.effect is Effect.NONE


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
    [
        ("home:.env", 0o644, 10000, Effect.NONE),
        ("home:.env", 0o600, 0, Effect.NONE),
        ("home:config.yaml", 0o644, 10000, Effect.NONE),
    ],
)
def test_a_file_with_wrong_owner_or_mode_is_put_right_without_a_restart(
    make_agent: Any, name: str, mode: int, uid: int, effect: Effect
) -> None:
    facts = settled(make_agent())
    tree = {**facts.tree, name: replace(facts.tree[name], mode=mode, uid=uid)}
    found = plan(make_agent(), replace(facts, tree=tree))
    assert [change.effect for change in found.changes] == [effect]
    assert written(make_agent(), found) == {}


@pytest.mark.parametrize("name", ["env", "config", "compose", "runtime"])
def test_a_link_in_place_of_a_file_stops_the_run(make_agent: Any, name: str) -> None:
    facts = settled(make_agent())
    files = {**facts.files, name: File(10000, 10000, 0o777, "symbolic link")}
    with pytest.raises(UnusableFile, match="symbolic link"):
        plan(make_agent(), replace(facts, files=files))


@pytest.mark.parametrize("ids", [{"uid": 1500, "gid": 1500}, {"gid": 1500}])
def test_a_changed_uid_or_gid_takes_the_folder_along(make_agent: Any, ids: dict[str, int]) -> None:
    found = plan(make_agent(hermes=ids), settled(make_agent()))
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
    assert env.values(written(agent, found)["home:.env"].decode())["API_SERVER_KEY"] == "the-gateways"


def test_a_secret_that_somebody_wrote_into_compose_yaml_is_not_shown(make_agent: Any) -> None:
    override = {"environment": {"A_TOKEN": "${X}", "URL": "http://h"}}
    facts = settled(make_agent(runtime={"compose_override": override}))
    text = (facts.content("compose") or b"").replace(b"http://h", b"http://u:hunter2@h")
    text = text.replace(b"A_TOKEN: ", b"A_TOKEN: hunter2\n      B: ")
    found = plan(make_agent(), changed(facts, "compose", text))
    assert {"compose.yaml: environment.A_TOKEN", "compose.yaml: environment.URL"} <= set(subjects(found))
    assert "hunter2" not in str(found.changes)


def test_mounts_that_are_plain_folders_are_named(make_agent: Any) -> None:
    assert plan(make_agent(), settled(make_agent(), mounted={"/data": True, "/fast": False})).unmounted == ("/fast",)


def test_a_container_that_is_not_there_yet_is_planned_whole(make_agent: Any) -> None:
    assert plan(make_agent(), None).effect is Effect.RECREATE_SERVICE


# What the runtime's options ask for.


@pytest.mark.parametrize(
    ("runtime", "subject"),
    [
        ({"extra_args": ["-v"]}, "compose.yaml: command"),
        ({"extra_volumes": ["/srv/models:/models:ro"]}, "compose.yaml: volume /models"),
        ({"extra_volumes": ["cache:/cache"]}, "compose.yaml: volume /cache"),
        ({"compose_override": {"cap_add": ["SYS_PTRACE"]}}, "compose.yaml: cap_add"),
        ({"restart": "always"}, "compose.yaml: restart"),
        ({"network": "host"}, "compose.yaml: network_mode"),
        ({"ports": ["7000:7000"]}, "compose.yaml: ports"),
        ({"healthcheck": {"interval": 60}}, "compose.yaml: healthcheck.interval"),
    ],
)
def test_an_option_of_the_container_makes_it_anew_and_is_shown(make_agent: Any, runtime: Any, subject: str) -> None:
    found = plan(make_agent(runtime=runtime), settled(make_agent()))
    assert subject in subjects(found)
    assert found.effect is Effect.RECREATE_SERVICE
    assert set(found.files) == {"compose.yaml"}


def test_a_published_api_restarts_with_another_address_as_well(make_agent: Any) -> None:
    found = plan(make_agent(runtime={"ports": ["8642:8642"]}), settled(make_agent()))
    assert {".env: API_SERVER_HOST", "compose.yaml: ports"} <= set(subjects(found))


def test_a_volumes_folder_that_is_not_there_is_refused(make_agent: Any) -> None:
    agent = make_agent(runtime={"extra_volumes": ["/srv/models:/models:ro", "cache:/cache"]})
    facts = settled(make_agent(), places={"/srv/models": Place.NOTHING})
    with pytest.raises(Refused, match="/srv/models: not there in CT 118"):
        plan(agent, facts)
    assert plan(agent, replace(facts, places={"/srv/models": Place.EMPTY})).needed


def test_a_service_that_gives_the_agent_up_is_made_from_the_start(make_agent: Any) -> None:
    """What stood in compose.yaml goes with the old service, so that it has to be written whatever it says."""
    before = make_agent(runtime={"engine": "podman"})
    facts = settled(make_agent())
    there = File(0, 0, 0o644, "regular file", placement.render(placement.of(before)))
    found = plan(make_agent(), replace(facts, files={**facts.files, "runtime": there}))
    assert found.move.retire == placement.of(before)
    assert "compose.yaml" in found.files
    assert f"container {layout.CONTAINER}" in subjects(found)


def test_which_of_two_declarations_wins_is_said_when_the_line_is_written(make_agent: Any) -> None:
    agent = make_agent(hermes={"environment": {"X": "a"}, "secrets": {"X": {"env": "TELEGRAM"}}})
    (note,) = plan(agent, GuestFacts(litellm=LITELLM)).notes
    assert note == ".env: X stands in hermes.environment and in hermes.secrets; the latter wins"
    assert plan(agent, settled(agent)).notes == ()


@pytest.mark.parametrize(
    ("version", "note"),
    [
        ("0.15.1", "Hermes 0.15.1 is older than all that this proxhermes knows: it is treated as 0.19"),
        ("99.0", f"Hermes 99.0 is newer than all that this proxhermes knows: it is treated as {shown(NEWEST_SEEN)}"),
        ("0.19.0", None),
    ],
)
def test_a_version_that_nobody_here_knows_is_told(make_agent: Any, version: str, note: str | None) -> None:
    facts = settled(make_agent(), codes={CONTAINER.image: Code(version, 50)})
    assert [each for each in plan(make_agent(), facts).notes if "this proxhermes" in each] == ([note] if note else [])


def test_the_plan_says_which_version_an_image_is(make_agent: Any) -> None:
    old, new = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    codes = {old: Code("0.19.0", 33), new: Code("0.22.2", 50)}
    agent = make_agent()
    facts = settled(agent, container=replace(CONTAINER, image=old), image_id=new, codes=codes)

    def told(agent: Any, facts: GuestFacts, subject: str) -> tuple[str | None, str | None]:
        return next((each.before, each.after) for each in plan(agent, facts).changes if each.subject == subject)

    pulled = "container hermes: image nousresearch/hermes-agent"
    assert told(agent, facts, pulled) == ("0.19.0, aaaaaaaaaaaa", "0.22.2, bbbbbbbbbbbb")
    assert told(agent, replace(facts, codes={}), pulled) == ("aaaaaaaaaaaa", "bbbbbbbbbbbb")
    other = make_agent(runtime={"image": "x/y:2"})
    assert told(other, facts, "compose.yaml: image") == (
        "nousresearch/hermes-agent (0.19.0, aaaaaaaaaaaa)", "x/y:2 (0.22.2, bbbbbbbbbbbb)",
    )  # fmt: skip
    pinned = f"nousresearch/hermes-agent:latest@sha256:{'c' * 64}"
    by_digest = make_agent(runtime={"image": pinned})
    assert told(by_digest, facts, "compose.yaml: image")[1] == f"{pinned} (0.22.2, bbbbbbbbbbbb)"
    assert f"image: {pinned}\n" in written(by_digest, plan(by_digest, facts))["compose.yaml"].decode()
    gone = replace(facts, container=None)
    assert told(agent, gone, "container hermes") == (None, "nousresearch/hermes-agent (0.22.2, bbbbbbbbbbbb)")
    assert told(agent, replace(gone, image_id=None), "container hermes")[1] == "nousresearch/hermes-agent (pulled)"
