"""Profiles in the plan: each home as the agent's own, told apart; one that leaves the inventory is given nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxhermes.errors import Refused
from proxhermes.facts.guest import File, GuestFacts
from proxhermes.facts.profiles import outward
from proxhermes.facts.tree import Seen
from proxhermes.hermes import env, labels, settings
from proxhermes.hermes.layout import Layout
from proxhermes.hermes.litellm import Answer
from proxhermes.hermes.wanted import gather
from proxhermes.inventory import profiles
from proxhermes.plan.entries import sha256
from proxhermes.plan.hermes import HermesPlan, plan_hermes
from proxhermes.plan.model import Effect, pending, worst
from proxhermes.plan.profiles import looked_at
from proxhermes.upstream import Code

IMAGE = "sha256:1"
DATA = "/opt/hermes/data"
PLACE = Layout("/opt/hermes", DATA, "", f"{DATA}/home", "", f"{DATA}/workspace", "")
HOME = f"{DATA}/profiles/work"
NEWEST = {IMAGE: Code("0.22.2", 50)}
GIVEN: dict[str, Any] = {
    "environment": {"A": "b"},
    "home_files": {"SOUL.md": "You are brief.\n"},
    "documents": {"AGENTS.md": "read me\n"},
    "crons": {"news": {"schedule": "every 2h", "prompt": "What is new?"}},
    "skills": {"dice": {"hub": "official/dice"}},
}
READ = {"config.yaml": "config", ".env": "env", "cron/jobs.json": "crons", "skills/.hub/lock.json": "hub"}
READ |= {f".proxhermes/{name}": f"last-{name}" for name in ("config.yaml", "env", "files", "crons", "hub")}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")
    monkeypatch.setenv("BOT", "123:bot")


def agent(make_agent: Any, **work: Any) -> Any:
    return make_agent(hermes={"profiles": {"work": {**GIVEN, **work}}})


def plan(one: Any, facts: GuestFacts | None = None, *, force: bool = False) -> HermesPlan:
    facts = facts or GuestFacts(image_id=IMAGE, codes=NEWEST)
    return plan_hermes(one, facts, gather(one), "fresh-key", force_documents=force)


def rows(found: HermesPlan) -> list[list[str]]:
    return [row.split("\t") for row in found.files.get("manifest", b"").decode().splitlines()]


def contents(found: HermesPlan) -> dict[str, bytes]:
    """What is written, by its path."""
    return {row[5]: found.files[row[4]] for row in rows(found) if row[0] == "file"}


def carried_out(facts: GuestFacts, found: HermesPlan) -> GuestFacts:
    """What the guest tells once the manifest is carried out."""
    tree, files, names = dict(facts.tree), dict(facts.files), set(facts.profiles)
    for kind, mode, _, _, _, path in rows(found):
        label = labels.label(PLACE, path)
        if kind in ("folder", "mode"):
            before = tree.get(label)
            tree[label] = (
                Seen("directory", int(mode, 8), 10000, 10000)
                if kind == "folder"
                else replace(before, mode=int(mode, 8))
            )  # type: ignore[type-var]
        elif kind == "gone":
            tree.pop(label, None)
        elif kind == "file":
            content = contents(found)[path]
            tree[label] = Seen("regular file", int(mode, 8), 10000, 10000, sha256(content))
            inside = label.removeprefix("home:")
            profile, rest = inside.split("/", 2)[1:] if inside.startswith("profiles/") else ("", inside)
            if rest in READ:
                name = READ[rest] + (f"@{profile}" if profile else "")
                files[name] = File(10000, 10000, int(mode, 8), "regular file", content)
            names |= {profile} - {""}
    return replace(facts, tree=tree, files=files, profiles=tuple(sorted(names)))


def settled(one: Any) -> GuestFacts:
    facts = GuestFacts(image_id=IMAGE, codes=NEWEST)
    return carried_out(facts, plan(one, facts))


def lines(found: HermesPlan) -> list[str]:
    return [change.subject for change in found.changes if change.subject.startswith(("profile", HOME))]


def test_each_has_a_home_of_its_own_below_the_agents(make_agent: Any) -> None:
    written = contents(plan(agent(make_agent)))
    assert written[f"{HOME}/SOUL.md"] == b"You are brief.\n"
    assert written[f"{HOME}/workspace/AGENTS.md"] == b"read me\n"
    text = written[f"{HOME}/.env"].decode()
    assert "A=b\n" in text and "LITELLM_API_KEY=sk-the-key\n" in text and "HERMES_MANAGED=" in text
    assert "API_SERVER_ENABLED" not in text  # the agent's gateway has the one port
    assert "A=b" not in written[f"{DATA}/.env"].decode()
    assert b"cwd: /opt/data/profiles/work/workspace" in written[f"{HOME}/config.yaml"]
    assert f"{sha256(b'You are brief.' + b'%c' % 10)}  home:SOUL.md" in written[f"{HOME}/.proxhermes/files"].decode()
    modes = {
        row[5].removeprefix(f"{HOME}/"): row[1] for row in rows(plan(agent(make_agent))) if row[5].startswith(HOME)
    }
    assert (modes[".env"], modes["config.yaml"], modes["cron"]) == ("0600", "0640", "0750")


def test_each_that_is_served_has_a_key_of_its_own(make_agent: Any) -> None:
    """By which the agent's API is that of the profile: without one it answers nobody there."""
    one = make_agent(hermes={"profiles": {"work": {}, "home": {}, "off": {"gateway": {"enable": False}}}})
    text = {name: contents(plan(one))[f"{DATA}/{name}.env"].decode() for name in ("", *map(below, one.hermes.profiles))}
    keys = {name: env.values(content).get("API_SERVER_KEY", "") for name, content in text.items()}
    assert keys.pop(below("off")) == "" and keys[""] == "fresh-key"
    assert len({*keys.values()}) == 3 and all(len(key) == 64 for name, key in keys.items() if name)
    own = agent(make_agent, crons={}, skills={}, secrets={"API_SERVER_KEY": {"env": "BOT"}})
    assert "API_SERVER_KEY=123:bot\n" in contents(plan(own))[f"{HOME}/.env"].decode()


def below(name: str) -> str:
    return f"profiles/{name}/"


def test_its_jobs_and_skills_are_its_own(make_agent: Any) -> None:
    files = plan(agent(make_agent)).files
    assert {"crons@work.json", "hub@work.json"} <= files.keys() and not {"crons.json", "hub.json"} & files.keys()
    assert json.loads(files["crons@work.json"])["steps"][0]["name"] == "news"


def test_a_second_run_changes_nothing(make_agent: Any) -> None:
    one = agent(make_agent, crons={}, skills={})
    found = plan(one, settled(one))
    assert lines(found) == [] and "manifest" not in found.files
    assert {*outward("work", ("home:SOUL.md", "home:.env", "workspace:AGENTS.md"))} <= {*looked_at(one, gather(one))}


def test_the_one_gateway_is_told_to_serve_them(make_agent: Any) -> None:
    assert settings.declared(agent(make_agent))["gateway"] == {"multiplex_profiles": True}
    assert "gateway" not in settings.declared(make_agent())
    (work,) = profiles.of(agent(make_agent))
    assert "gateway" not in settings.declared(work)
    off = agent(make_agent, gateway={"enable": False})
    assert "gateway" not in settings.declared(off) and f"{HOME}/gateway.parked" in contents(plan(off))


def test_one_that_is_switched_on_again_is_served(make_agent: Any) -> None:
    """Whoever had it parked: the inventory, or the agent."""
    off, on = (agent(make_agent, gateway={"enable": enable}, crons={}, skills={}) for enable in (False, True))
    for parked in (settled(off), _marked(settled(on))):
        found = plan(on, parked)
        (change,) = (change for change in found.changes if change.subject == f"{HOME}/gateway.parked")
        assert (change.after, change.effect) == (None, Effect.RESTART_SERVICE)
        assert [row[0] for row in rows(found) if row[5].endswith("gateway.parked")] == ["gone"]


def _marked(facts: GuestFacts) -> GuestFacts:
    mark = Seen("regular file", 0o600, 10000, 10000, "c" * 64)
    return replace(facts, tree={**facts.tree, "home:profiles/work/gateway.parked": mark})


def test_a_change_says_whose_it_is_and_restarts_the_gateway(make_agent: Any) -> None:
    one = agent(make_agent, crons={}, skills={})
    other = agent(make_agent, crons={}, skills={}, environment={"A": "c"}, settings={"agent": {"max_turns": 5}})
    found = plan(other, settled(one))
    assert lines(found) == ["profile work: config.yaml: agent.max_turns", "profile work: .env: A"]
    assert worst(pending([change for change in found.changes if "work" in change.subject])) is Effect.RESTART_SERVICE


def test_one_that_leaves_the_inventory_loses_what_it_was_given_and_keeps_what_it_made(make_agent: Any) -> None:
    facts = settled(
        agent(make_agent, crons={}, skills={}, messaging={"telegram": {"token": {"env": "BOT"}, "allowed_users": 1}})
    )
    own = Seen("regular file", 0o640, 10000, 10000, "d" * 64)
    facts = replace(facts, tree={**facts.tree, "home:profiles/work/state.db": own})
    bare = make_agent()
    found = plan(bare, facts)
    gone = {row[5] for row in rows(found) if row[0] == "gone"}
    assert gone == {f"{HOME}/SOUL.md", f"{HOME}/workspace/AGENTS.md"}
    text, config = (contents(found)[f"{HOME}/{name}"].decode() for name in (".env", "config.yaml"))
    assert "TOKEN" not in text and "LITELLM" not in text and "model" not in config
    assert f"{HOME}/gateway.parked" in contents(found)
    after = carried_out(facts, found)
    again = plan(bare, after)
    assert lines(again) == [] and not any(row[5].startswith(HOME) for row in rows(again))
    # The guest tells of what it remembers that it was given: nobody asks it for the folders of such a profile.
    told = {label: seen for label, seen in after.tree.items() if not (seen.folder and "profiles/" in label)}
    again = plan(bare, replace(after, tree=told))
    assert lines(again) == [] and not any(row[5].startswith(HOME) for row in rows(again))


def test_its_model_is_one_of_litellms(make_agent: Any) -> None:
    listed = json.dumps(
        {"data": [{"id": "claude-sonnet", "max_input_tokens": 200_000}, {"id": "small", "max_input_tokens": 90_000}]}
    )
    facts = GuestFacts(image_id=IMAGE, codes=NEWEST, litellm=Answer(200, listed, "", ""))
    written = contents(plan(agent(make_agent, model="small"), facts))[f"{HOME}/config.yaml"].decode()
    assert "default: small" in written and "context_length: 90000" in written
    with pytest.raises(Refused, match="nosuch"):
        plan(agent(make_agent, model="nosuch"), facts)


def test_a_hermes_that_mixes_them_up_is_refused(make_agent: Any) -> None:
    facts = GuestFacts(image_id=IMAGE, codes={IMAGE: Code("0.19.0", 33)})
    with pytest.raises(Refused, match=r"Hermes 0\.19\.0 .* would mix") as caught:
        plan(agent(make_agent), facts)
    assert "0.22" in str(caught.value.hint)
    plan(make_agent(), facts)
    plan(agent(make_agent), GuestFacts())  # which one it is shows once its image is there


def test_in_each_runtime_it_is_below_the_agents_home(make_agent: Any) -> None:
    one = make_agent(hermes={"profiles": {"work": GIVEN}}, runtime={"type": "native"})
    facts = GuestFacts(os_id="debian", os_version="13", packages={"git": "1"})
    assert "/var/lib/hermes/.hermes/profiles/work/workspace/AGENTS.md" in contents(plan(one, facts))


@pytest.mark.parametrize(
    "given",
    [
        {"settings": {"agent": {"max_turns": 5}}, "terminal": {"timeout": 60}},
        {"config_file": "config.yaml"},
        {"environment": {"A": "b"}, "environment_files": ["a.env"]},
        {"secrets": {"B_TOKEN": {"env": "BOT"}}},
        {"auth_file": {"file": "auth.json"}, "auth_file_force_overwrite": True},
        {"documents": {"notes/a.md": "a"}, "home_files": {"SOUL.md": "b", "hooks/x/HOOK.yaml": "name: x"}},
        {"mcp_servers": {"wiki": {"url": "http://wiki.lan/mcp"}}},
        {"mcp_tokens": {"wiki": {"token": "auth.json"}}, "mcp_servers": {"wiki": {"url": "http://wiki.lan/mcp"}}},
        {"plugins": {"mine": {"path": "plugin"}}},
        {"skills": {"wiki": {"path": "skill"}, "dice": {"hub": "official/dice"}}},
        {"crons": {"news": {"schedule": "every 2h", "prompt": "x"}}},
    ],
    ids=lambda given: "+".join(given),
)
def test_a_profile_can_be_given_what_the_agent_can(
    make_agent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    """The same comes to the same places of its own home, with the same modes, but for what the one gateway needs."""
    files = {"config.yaml": "agent: {max_turns: 5}\n", "a.env": "C=d\n", "auth.json": "{}", "skill/SKILL.md": "Look.\n"}
    files |= {"plugin/plugin.yaml": "name: mine\n", "plugin/__init__.py": ""}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    monkeypatch.chdir(tmp_path)
    whole = {**given, "documents": given.get("documents", {}), "working_directory": "/opt/data/workspace"}
    own = plan(make_agent(hermes=whole))
    inside = plan(make_agent(hermes={"profiles": {"work": {**whole, "working_directory": None}}}))

    def below(found: HermesPlan, home: str) -> dict[str, Any]:
        made = {row[5].removeprefix(f"{home}/"): (row[0], row[1], contents(found).get(row[5])) for row in rows(found)}
        return {path: said for path, said in made.items() if not path.startswith(("/", "profiles", ".proxhermes"))}

    expected, seen = below(own, DATA), below(inside, HOME)
    for name in (".env", "config.yaml"):  # compared apart from what the gateway needs, and where the agent works
        for side in (expected, seen):
            kind, mode, text = side[name]
            lines = [line for line in text.decode().splitlines() if "API_SERVER" not in line and "cwd:" not in line]
            side[name] = (kind, mode, lines)
    assert seen == expected
    steps = {name.replace("@work", ""): content for name, content in inside.files.items() if "@work" in name}
    assert steps == {name: content for name, content in own.files.items() if name in ("crons.json", "hub.json")}
