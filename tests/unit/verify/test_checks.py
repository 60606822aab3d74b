"""Each check, shown what it should pass and what it should not: (what is seen) -> verdict."""

from __future__ import annotations

import base64
import json
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from proxhermes.errors import ProxhermesError
from proxhermes.events import Events
from proxhermes.facts.container import ContainerFacts
from proxhermes.hermes.documents import Given
from proxhermes.inventory.crons import Cron
from proxhermes.inventory.mcp import McpServer
from proxhermes.inventory.network import Network
from proxhermes.inventory.skills import Skill
from proxhermes.plan import idmap
from proxhermes.verify.checks import CHECKS
from proxhermes.verify.model import Verdict
from proxhermes.verify.scene import Answers, Scene, listeners

LOOKS = {check.id: check.look for check in CHECKS}
NONCE = "0123456789ab"
ELSEWHERE = {"hermes.layer", "hermes.profiles"}
"""Asked in test_layer_check.py and test_profile_checks.py."""

CONFIG = {
    "unprivileged": "1",
    "features": "nesting=1,keyctl=1",
    "onboot": "1",
    "mp0": "/mnt/pve/hdd/hermes,mp=/data",
}
LITELLM = {
    "has_key": True,
    "keyed": 200,
    "keyed_text": "",
    "count": 2,
    "names": ["claude-sonnet", "gpt"],
    "bare": 401,
}
GATEWAY = {"status": 200, "version": "0.22.2", "error": ""}
REPLY = {"answered": True, "status": 200, "text": f"PROOF-{NONCE}", "error": ""}
DATABASES = {
    "sqlite": "3.53.4",
    "databases": [{"name": "state.db", "size": 4096, "others": [], "wal": True, "state": "fine", "said": ""}],
    "more": 0,
    "cut": False,
    "orphans": [],
}
SOUL = Given("home", "SOUL.md", b"I am\n")
PARTS = ("cron", "sessions", "logs", "memories", "plugins", ".proxhermes")
FOLDERS = ("home:", "user_home:", "workspace:", *(f"home:{name}" for name in PARTS))
TREE = "".join(f"tree.{name}=10000 10000 750 - w directory\n" for name in FOLDERS) + (
    f"tree.home:.env=10000 10000 600 {'0' * 64} w regular file\n"
    f"tree.home:config.yaml=10000 10000 640 {'0' * 64} w regular file\n"
    f"tree.home:SOUL.md=10000 10000 640 {SOUL.sha256} w regular file\n"
    f"tree.home:skills/release/SKILL.md=10000 10000 640 {'2' * 64} w regular file\n"
)
CRON = Cron.model_validate({"schedule": "every 2h", "prompt": "What is new?"})
JOB = {
    "id": "f8c9ee966f96",
    "name": "news",
    "prompt": "What is new?",
    "schedule": {"kind": "interval", "minutes": 120},
    "deliver": "local",
    "enabled": True,
    "next_run_at": "2026-11-30T07:00:00+00:00",
    "last_status": "ok",
}
STATE = {"gateway_state": "running", "platforms": {"telegram": {"state": "connected"}}}
DECLARED: tuple[Any, ...] = (
    (("model", "default"), "claude-sonnet"),
    (("agent", "max_turns"), 60),
    (("mcp_servers", "a", "headers", "Authorization"), "Bearer ${TOKEN}"),
)
GUEST = {
    "engine": "26.1.5|overlay2|2",
    "engine.rc": "0",
    "compose": "2.26.1",
    "compose.rc": "0",
    "inspect": "true|0|2026-11-21T08:00:00.1Z|nousresearch/hermes-agent|unless-stopped|{}",
    "inspect.rc": "0",
    "listeners": 'LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=7,fd=3))',
    "tree": TREE,
    "installed": f"{'2' * 64}  home:skills/release/SKILL.md\n",
    "strangers": "",
    "state": json.dumps(STATE),
    "root.0.rc": "0",
    "agent.0.rc": "0",
    "codes": "sha256:1f 0.22.2 50",
    "probe": json.dumps({"gateway": GATEWAY, "litellm": LITELLM}),
    "probe.rc": "0",
    "config": json.dumps({"": {"line": None, "same": 3, "others": [], "more": 0}}),
    "config.rc": "0",
    "managed.err": "Cannot set configuration values: this Hermes installation is managed by proxhermes "
    "(agent 118 in its inventory; edit it there, then: proxhermes up 118).",
    "managed.rc": "0",
    "mcp.lab": "  ✓ Connected (12ms)\n\n    add    Adds",
    "known": json.dumps({"default": {"jobs": [JOB], "skills": ["dice", "release", "other"]}}),
    "crons": json.dumps({"news": {"id": JOB["id"], "declared": {}, "record": JOB}}),
    "status": "running",
    "databases": json.dumps(DATABASES),
}
DIALOGUE = {
    "answer": json.dumps(REPLY),
    "answer.rc": "0",
    "tool": json.dumps({**REPLY, "text": "done"}),
    "tool.rc": "0",
}
NODE = {
    "root.0": f"100000|100000|644\n{NONCE}",
    "agent.0": f"110000|110000|644\n{NONCE}",
    "tool.0": f"110000|110000|644\n{NONCE}",
    "open": "22",
    "page.7642/v1/models": "401",
}


def answers(values: dict[str, str]) -> Answers:
    return Answers("".join(f"{k} {base64.b64encode(v.encode()).decode()}\n" for k, v in values.items()))


def test_a_working_directory_that_was_there_before_may_be_somebody_elses_if_the_agent_may_write_in_it() -> None:
    one = scene()
    one.agent.hermes.working_directory = "/data/work"
    for said, verdict in (("0 0 1777 - w", Verdict.PASS), ("0 0 700 - -", Verdict.FAIL)):
        values = {**GUEST, "tree": f"{TREE}\ntree./data/work={said} directory"}
        one.asked["guest"] = answers(values)
        assert LOOKS["hermes.files"](one).verdict is verdict


def scene(
    config: dict[str, str] | None = None,
    guest: dict[str, str] | None = None,
    dialogue: dict[str, str] | None = None,
    node: dict[str, str] | None = None,
    wants: frozenset[str] = frozenset(LOOKS),
    **facts: Any,
) -> Any:
    """A scene in which all is well but for what is given; None as a value takes a key away."""

    def over(base: dict[str, str], change: dict[str, str] | None) -> dict[str, str]:
        return {k: v for k, v in (base | (change or {})).items() if v is not None}

    mount = SimpleNamespace(host="/mnt/pve/hdd/hermes", guest="/data", owner="agent", read_only=False)
    agent = SimpleNamespace(
        vmid=118,
        profile="",
        option="agents.118.hermes",
        node="gihyeon",
        hostname="hermes",
        onboot=True,
        network=Network(bridge="intra01"),
        features=SimpleNamespace(nesting=True, keyctl=True),
        mounts=(mount,),
        hermes=SimpleNamespace(
            uid=10000,
            gid=10000,
            data_dir="/opt/hermes",
            working_directory=None,
            mcp_tokens={},
            mcp_servers={"lab": McpServer(command="lab")},
            crons={"news": CRON},
            profiles={},
            skills={"dice": Skill(hub="official/dice"), "release": Skill(git="https://git.lan/x.git", ref="v1")},
            managed=True,
            environment={},
        ),
        runtime=SimpleNamespace(
            type="docker", engine="docker", network="bridge", ports=("7642:8642",), extra_volumes=()
        ),
        litellm=SimpleNamespace(base_url="http://10.1.10.22:4000/v1", model="claude-sonnet"),
        messaging=SimpleNamespace(telegram=object(), discord=None, slack=None),
    )
    known = {"exists": True, "running": True, "uptime": 9, "addresses": ("10.1.10.30",)} | facts
    found: Any = Scene(agent, None, Events(), wants)  # type: ignore[arg-type]  # no door is opened
    found.nonce = NONCE
    found.asked |= {
        "given": {"": (SOUL,)},
        "declared": {"": DECLARED},
        "idmap": idmap.DEFAULT,
        "container": ContainerFacts("gihyeon", 118, config=MappingProxyType(over(CONFIG, config)), **known),
        "guest": answers(over(GUEST, guest)),
        "dialogue": answers(over(DIALOGUE, dialogue)),
        "node": answers(over(NODE, node)),
    }
    return found


@pytest.mark.parametrize("check_id", sorted(LOOKS.keys() - ELSEWHERE))
def test_all_is_well(check_id: str) -> None:
    finding = LOOKS[check_id](scene())
    assert finding.verdict is Verdict.PASS, finding.evidence


def told(*others: Any, line: int | None = None) -> dict[str, str]:
    said = {"line": line, "same": len(DECLARED) - len(others), "others": others, "more": 0}
    return {"config": json.dumps({"": said})}


def jobs(**change: Any) -> dict[str, str]:
    return {"known": json.dumps({"default": {"jobs": [JOB | change], "skills": []}})}


def probe(**change: Any) -> dict[str, str]:
    return {"probe": json.dumps({"gateway": GATEWAY, "litellm": LITELLM | change})}


def gateway(**change: Any) -> dict[str, str]:
    return {"probe": json.dumps({"gateway": GATEWAY | change, "litellm": LITELLM})}


def reply(**change: Any) -> str:
    return json.dumps(REPLY | change)


def databases(**change: Any) -> dict[str, str]:
    """The probe's answer with something else for the one database, or for all of them."""
    (state,) = DATABASES["databases"]  # type: ignore[misc]  # one
    whole = {key: change.pop(key) for key in change.keys() & DATABASES.keys()}
    return {"databases": json.dumps(DATABASES | {"databases": [state | change]} | whole)}


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("container.running", {"running": False}, "stopped"),
    ("hermes.asks", {"node": {"page.7642/v1/models": "200"}}, "answers anybody"),
    ("container.address", {"addresses": ()}, "no address"),
    ("container.address", {"addresses": ("2001:db8::5",)}, "IPv4 by dhcp is missing"),
    ("container.unprivileged", {"config": {"unprivileged": None}}, "privileged"),
    ("container.onboot", {"config": {"onboot": "0"}}, "does not start"),
    ("host.features", {"config": {"features": "nesting=1"}}, "keyctl missing"),
    ("host.features", {"config": {"features": None}, "pending": {"features": "x"}}, "waits for a reboot"),
    ("host.mounts", {"config": {"mp0": None}}, "/data is not mounted"),
    ("host.mounts", {"config": {"mp0": "/elsewhere,mp=/data"}}, "brings /elsewhere"),
    ("host.mounts", {"config": {"mp0": "/mnt/pve/hdd/hermes,mp=/data,ro=1"}}, "read-only"),
    ("host.root-writes", {"guest": {"root.0.rc": "1", "root.0.err": "Permission denied"}}, "Permission denied"),
    ("host.root-writes", {"node": {"root.0": f"0|0|644\n{NONCE}"}}, "belongs to 0:0"),
    ("host.agent-writes", {"node": {"agent.0": None}}, "is not in /mnt/pve/hdd/hermes"),
    ("host.agent-writes", {"node": {"agent.0": "110000|110000|644\nother"}}, "is not in"),
    ("engine.docker", {"guest": {"engine.rc": "1", "engine.err": "Cannot connect"}}, "Cannot connect"),
    ("engine.docker", {"guest": {"compose.rc": "1"}}, "no compose"),
    ("engine.storage-driver", {"guest": {"engine": "26|vfs|2"}}, "vfs"),
    ("hermes.service", {"guest": {"inspect.rc": "1", "inspect.err": "No such object"}}, "No such object"),
    ("hermes.service", {"guest": {"inspect": "true|4|x|i|r|{}"}}, "restarted 4 times"),
    ("hermes.service", {"guest": {"inspect": "false|0|x|i|r|{}"}}, "not running"),
    ("hermes.gateway", {"guest": gateway(status=0, error="Connection refused")}, "Connection refused"),
    ("hermes.gateway", {"guest": gateway(status=503)}, "HTTP 503"),
    ("hermes.gateway", {"guest": {"state": ""}}, "None"),
    ("hermes.version", {"guest": gateway(version="0.19.0")}, "0.19.0 runs; 0.22.2 is installed"),
    ("hermes.gateway", {"guest": {"state": '{"gateway_state": "stopped"}'}}, "stopped"),
    ("hermes.platforms", {"guest": {"state": '{"gateway_state": "running", "platforms": {}}'}}, "telegram absent"),
    (
        "hermes.platforms",
        {"guest": {"state": '{"platforms": {"telegram": {"state": "retrying", "error_message": "Unauthorized"}}}'}},
        "Unauthorized",
    ),
    ("hermes.platforms", {"guest": {"state": '{"platforms": ["telegram"]}'}}, "telegram absent"),
    ("hermes.config", {"guest": {"config": "{}"}}, "could not be asked"),
    ("hermes.config", {"guest": {"config": "", "config.err": "No module named utils"}}, "No module named utils"),
    ("hermes.config", {"guest": {"config.rc": "124"}}, "could not be asked"),
    ("hermes.config", {"guest": told(line=9)}, "cannot read config.yaml, line 9, and goes on with other settings"),
    ("hermes.config", {"guest": told(line=0)}, "cannot read config.yaml, and goes on"),
    ("hermes.config", {"guest": told([1, "differs", "250"])}, "agent.max_turns: Hermes reads 250, declared is 60"),
    ("hermes.config", {"guest": told([0, "absent", ""])}, "model.default: Hermes reads nothing, declared is claude"),
    ("hermes.config", {"guest": told([2, "differs", ""])}, "Authorization: Hermes reads another value, declared is B"),
    ("hermes.config", {"guest": told([0, "absent", ""], [1, "absent", ""], [2, "absent", ""])}, "reads nothing"),
    ("hermes.files", {"guest": {"tree": TREE.replace("env=10000 10000", "env=0 0")}}, "belongs to 0:0"),
    ("hermes.files", {"guest": {"tree": TREE.replace("env=10000 10000 600", "env=10000 10000 644")}}, "mode 0644"),
    ("hermes.files", {"guest": {"tree": TREE.replace("cron=10000 10000 750", "cron=10000 10000 755")}}, "mode 0755"),
    ("hermes.files", {"guest": {"tree": TREE.replace("home:config.yaml", "home:other")}}, "missing"),
    ("hermes.files", {"guest": {"tree": TREE.replace("home:sessions", "home:other")}}, "missing"),
    ("hermes.files", {"guest": {"strangers": "0:0 /h/state.db"}}, "state.db"),
    ("hermes.documents", {"guest": {"tree": TREE.replace("SOUL", "soul")}}, "SOUL.md is missing"),
    (
        "hermes.documents",
        {"guest": {"tree": TREE.replace(SOUL.sha256, "1" * 64), "installed": f"{'1' * 64}  home:SOUL.md\n"}},
        "older than the inventory",
    ),
    ("hermes.documents", {"guest": {"tree": TREE.replace("SOUL.md=10000 10000 640", "SOUL.md=0 0 640")}}, "0:0"),
    (
        "hermes.documents",
        {"guest": {"tree": TREE.replace("SOUL.md=10000 10000 640", "SOUL.md=10000 10000 666")}},
        "0666",
    ),
    ("hermes.litellm-reached", {"guest": probe(keyed=0, keyed_text="Connection refused")}, "Connection refused"),
    ("hermes.litellm-key", {"guest": probe(keyed=400, keyed_text="No connected db.")}, "No connected db."),
    ("hermes.litellm-key", {"guest": probe(has_key=False)}, "no key"),
    (
        "hermes.litellm-model",
        {"guest": probe(names=["other"], count=1, asked=400, asked_text="Invalid model name")},
        "it lists: other",
    ),
    ("hermes.litellm-reached", {"guest": probe(keyed=0, keyed_text="CERTIFICATE_VERIFY_FAILED")}, "CERTIFICATE"),
    (
        "hermes.answer",
        {"dialogue": {"answer": reply(answered=False, error="HTTP 400: No connected db."), "answer.rc": "1"}},
        "No connected db.",
    ),
    ("hermes.answer", {"dialogue": {"answer": reply(answered=False, status=0, error="timed out")}}, "in time"),
    ("hermes.tool", {"node": {"tool.0": None}}, "the agent said 'done'"),
    (
        "hermes.tool",
        {"node": {"tool.0": None}, "dialogue": {"tool": reply(answered=False, status=502, error="gone")}},
        "HTTP 502: gone",
    ),
    ("hermes.tool", {"node": {"tool.0": "110000|110000|644\nnonsense"}}, "does not hold"),
    ("hermes.ports", {"node": {"open": "22 8642"}}, "8642"),
    (
        "hermes.ports",
        {"guest": {"listeners": 'LISTEN 0 9 *:9119 *:* users:(("python",pid=7,fd=3))'}, "node": {"open": "9119"}},
        "9119",
    ),
    (
        "hermes.mcp",
        {"guest": {"mcp.lab": "  ✗ Connection failed (9ms): refused"}},
        "lab: Connection failed (9ms): refused",
    ),
    ("hermes.crons", {"guest": {"known": None, "known.err": "no python"}}, "no python"),
    (
        "hermes.crons",
        {"guest": {"known": '{"default": {"jobs_error": "HTTP 401", "skills_error": "HTTP 401"}}'}},
        "HTTP 401",
    ),
    ("hermes.crons", {"guest": {"known": '{"default": {"jobs": []}}'}}, "does not have it"),
    ("hermes.crons", {"guest": {"crons": None}}, "does not have it"),
    ("hermes.crons", {"guest": jobs(prompt="Mine")}, "news: not as declared: prompt"),
    ("hermes.crons", {"guest": jobs(state="paused")}, "news: not as declared: enabled"),
    ("hermes.crons", {"guest": jobs(next_run_at=None)}, "does not know when it is next"),
    (
        "hermes.state",
        {"guest": databases(state="damaged", said="Page 3: never used")},
        "is damaged: Page 3: never used",
    ),
    ("hermes.state", {"guest": databases(others=["state.db-shm 0:0"])}, "state.db-shm 0:0 is not the agent's"),
    ("hermes.state", {"guest": databases(state="special", said="it is a pipe")}, "not a file: it is a pipe"),
    ("hermes.state", {"guest": databases(state="unreadable", said="Input/output error")}, "Input/output error"),
    (
        "hermes.state",
        {"guest": databases(orphans=[{"pid": 7, "fd": 12, "name": "state.db-wal"}])},
        "state.db-wal that was deleted",
    ),
    ("hermes.state", {"guest": {"databases": "", "databases.err": "no python"}}, "no python"),
    (
        "hermes.skills",
        {"guest": {"known": '{"default": {"jobs_error": "HTTP 401", "skills_error": "HTTP 401"}}'}},
        "HTTP 401",
    ),
    ("hermes.skills", {"guest": {"known": '{"default": {"skills": ["release"]}}'}}, "dice: the agent does not list it"),
    ("hermes.skills", {"guest": {"known": '{"default": {"skills": []}}'}}, "does not list it"),
    ("hermes.skills", {"guest": {"installed": ""}}, "release: it was not installed"),
    ("hermes.skills", {"guest": {"tree": TREE.replace("release/SKILL", "x")}}, "release: SKILL.md is missing"),
    ("hermes.managed", {"guest": {"managed.err": "managed by NixOS (HERMES_MANAGED=true)."}}, "NixOS"),
    ("hermes.managed", {"guest": {"managed.err": None, "managed": "✓ Set proxhermes.verify = refused"}}, "not refused"),
]


@pytest.mark.parametrize(("check_id", "seen", "words"), BAD, ids=[f"{b[0]}-{n}" for n, b in enumerate(BAD)])
def test_what_is_wrong_fails(check_id: str, seen: dict[str, Any], words: str) -> None:
    finding = LOOKS[check_id](scene(**seen))
    assert finding.verdict is Verdict.FAIL, finding.evidence
    assert words in finding.evidence


def test_every_check_can_fail() -> None:
    # These two only ever warn: they say something of LiteLLM and of a boot to come, not of the agent.
    elsewhere = {"hermes.litellm-closed", "host.pending", *ELSEWHERE}
    assert {check_id for check_id, _, _ in BAD} == set(LOOKS) - elsewhere


def test_what_only_deserves_a_look_warns() -> None:
    assert LOOKS["hermes.litellm-closed"](scene(guest=probe(bare=200))).verdict is Verdict.WARN
    assert LOOKS["hermes.litellm-closed"](scene(guest=probe(bare=0))).verdict is Verdict.WARN
    no_ss = {"listeners": "", "listeners.rc": "127", "listeners.err": "ss: not found"}
    assert LOOKS["hermes.ports"](scene(guest=no_ss, node={"open": ""})).verdict is Verdict.WARN
    assert LOOKS["hermes.asks"](scene(node={"page.7642/v1/models": "000"})).verdict is Verdict.WARN
    assert LOOKS["host.pending"](scene(pending={"nameserver": "1.1.1.1"})).verdict is Verdict.WARN
    assert LOOKS["hermes.answer"](scene(dialogue={"answer": reply(text="I am a teapot")})).verdict is Verdict.WARN


@pytest.mark.parametrize(
    "seen", [{"last_status": "error", "last_error": "no\nmodel"}, {"last_delivery_error": "no model"}]
)
def test_a_job_whose_last_run_failed_only_warns(seen: dict[str, str]) -> None:
    """Whose fault that is, nobody knows; it is done again the next time."""
    finding = LOOKS["hermes.crons"](scene(guest=jobs(**seen)))
    assert (finding.verdict, finding.evidence) == (Verdict.WARN, "news: its last run failed: no model")


def test_a_skill_from_git_that_the_agent_changed_only_warns() -> None:
    seen = scene(guest={"tree": TREE.replace("2" * 64, "3" * 64)})
    finding = LOOKS["hermes.skills"](seen)
    assert (finding.verdict, finding.evidence) == (Verdict.WARN, "release: the agent changed SKILL.md")
    seen.agent.hermes.skills = {}
    assert LOOKS["hermes.skills"](seen).verdict is Verdict.SKIP


def test_skills_are_those_of_the_command_where_the_gateway_fails_at_them() -> None:
    known = {"known": json.dumps({"default": {"skills": None, "skills_error": "Failed to enumerate skills"}})}
    seen = {**known, "skills@default": "┃ Name ┃ S ┃\n│ dice │ x │ enabled │\n│ release │ x │ enabled │\n"}
    assert LOOKS["hermes.skills"](scene(guest=seen)).verdict is Verdict.PASS
    off = {**seen, "skills@default": seen["skills@default"].replace("dice │ x │ enabled", "dice │ x │ disabled")}
    assert "dice: the agent does not list it" in LOOKS["hermes.skills"](scene(guest=off)).evidence
    assert "Failed to enumerate skills" in LOOKS["hermes.skills"](scene(guest=known)).evidence


def test_a_job_is_told_with_its_schedule_and_its_next_time() -> None:
    one = scene()
    assert LOOKS["hermes.crons"](one).evidence == "news: every 120m, next 2026-11-30T07:00:00+00:00"
    one.agent.hermes.crons = {}
    assert LOOKS["hermes.crons"](one).verdict is Verdict.SKIP
    for doubt in ({"state": "later"}, {"state": "unchecked"}, {"more": 9900}, {"cut": True}, {"sqlite": "3.46.1"}):
        assert LOOKS["hermes.state"](scene(guest=databases(**doubt))).verdict is Verdict.WARN


SCHEMA = "malformed database schema (messages_fts) - table messages_fts already exists"


@pytest.mark.parametrize(
    ("name", "said", "version", "command"),
    [
        ("state.db", "Page 3: never used", "0.22.2", "hermes sessions recover --source state.db --output recovered.db"),
        ("state.db", SCHEMA, "0.22.2", "hermes sessions repair"),
        ("state.db", "Page 3: never used", "0.19.0", "hermes sessions repair"),
        ("profiles/ann/state.db", SCHEMA, "0.22.2", "hermes -p ann sessions repair"),
        ("cron/executions.db", "Page 3: never used", "0.22.2", None),
        ("profiles/a;reboot/state.db", SCHEMA, "0.22.2", None),
    ],
)
def test_what_to_do_about_a_damaged_database(name: str, said: str, version: str, command: str | None) -> None:
    guest = {**databases(name=name, state="damaged", said=said), "codes": f"sha256:1f {version} 33"}
    hint = LOOKS["hermes.state"](scene(guest=guest)).hint or ""
    assert "restore a backup" in hint and "reboot" not in hint
    assert (f"`{command}`" in hint) if command else ("`" not in hint)


@pytest.mark.parametrize(
    ("name", "declared", "wal", "warns"),
    [
        ("state.db", {"": "delete"}, True, True),
        ("state.db", {"": "delete"}, False, False),
        ("state.db", {"": "wal"}, True, False),
        ("state.db", {"ann": "delete"}, True, False),
        ("profiles/ann/state.db", {"ann": "delete"}, True, True),
        ("profiles/ann/state.db", {"": "delete"}, True, False),
    ],
)
def test_a_database_in_another_journal_mode_than_declared_warns(
    name: str, declared: dict[str, str], wal: bool, warns: bool
) -> None:
    one = scene(guest=databases(name=name, wal=wal))
    one.asked["declared"] = {home: ((("database", "journal_mode"), mode),) for home, mode in declared.items()}
    finding = LOOKS["hermes.state"](one)
    assert (finding.verdict is Verdict.WARN) is warns
    assert ("sessions set-journal-mode delete`" in (finding.hint or "")) is warns


def test_a_document_that_the_agent_changed_is_told_as_such() -> None:
    seen = scene(guest={"tree": TREE.replace(SOUL.sha256, "1" * 64), "installed": f"{SOUL.sha256}  home:SOUL.md\n"})
    finding = LOOKS["hermes.documents"](seen)
    assert finding.verdict is Verdict.WARN and "changed by the agent" in finding.evidence
    assert finding.hint is not None and "--force-documents" in finding.hint
    seen.asked["given"] = {"": ()}
    assert LOOKS["hermes.documents"](seen).verdict is Verdict.SKIP


def test_a_death_long_ago_only_warns() -> None:
    seen = {"inspect": "true|1|2026-11-21T08:00:00.1Z|i|r|{}", "inspect.rc": "0"}
    an_hour_later, a_week_later = "1795251600", "1795852800"
    check = LOOKS["hermes.service"]
    assert check(scene(guest=seen | {"now": an_hour_later})).verdict is Verdict.FAIL
    assert check(scene(guest=seen | {"now": a_week_later})).verdict is Verdict.WARN


def test_the_main_door_alone_says_whether_litellm_is_reached() -> None:
    """A gateway lets /v1/* through and nothing else, to this key only completions, or lists a pattern alone."""
    for seen in (
        probe(alive=403, listed=False),
        probe(keyed=403, keyed_text="no", names=[], count=0, asked=200, bare=403),
        probe(names=["*"], count=1),
        probe(names=["claude-*"], count=1),
        probe(names=["other"], count=1, asked=200),
    ):
        for check_id in (
            "hermes.litellm-reached",
            "hermes.litellm-key",
            "hermes.litellm-closed",
            "hermes.litellm-model",
            "hermes.answer",
        ):
            finding = LOOKS[check_id](scene(guest=seen))
            assert finding.verdict is Verdict.PASS, (check_id, finding.evidence)


def test_a_model_that_does_not_answer_just_now_is_a_warning() -> None:
    seen = scene(guest=probe(names=["other"], count=1, asked=503, asked_text="no upstream"))
    assert LOOKS["hermes.litellm-model"](seen).verdict is Verdict.WARN
    assert LOOKS["hermes.answer"](seen).verdict is Verdict.PASS


def test_what_could_not_be_asked_is_not_called_broken() -> None:
    seen = scene(guest=probe(keyed=0, unasked="a SOCKS proxy"))
    for check_id in ("hermes.litellm-reached", "hermes.litellm-key", "hermes.litellm-closed", "hermes.litellm-model"):
        assert LOOKS[check_id](seen).verdict is Verdict.SKIP, check_id
    assert LOOKS["hermes.answer"](seen).verdict is Verdict.PASS


def test_a_platform_that_fails_is_one_failing_check() -> None:
    """Hermes 0.22 calls such a gateway degraded."""
    fatal = {"state": "fatal", "error_message": "The token was rejected"}
    seen = scene(guest={"state": json.dumps({"gateway_state": "degraded", "platforms": {"telegram": fatal}})})
    found = {check_id: look(seen) for check_id, look in LOOKS.items() if check_id not in ELSEWHERE}
    assert [check_id for check_id, finding in found.items() if finding.verdict is Verdict.FAIL] == ["hermes.platforms"]
    assert "see hermes.platforms" in found["hermes.gateway"].evidence


@pytest.mark.parametrize(
    ("running", "installed", "verdict", "words"),
    [
        ("0.22.2", "0.22.2.post1 50", Verdict.PASS, "0.22.2"),
        ("0.22.2", "", Verdict.PASS, "does not tell"),
        ("0.99.0", "0.99.0 60", Verdict.PASS, "newer than"),
        ("0.21.1", "0.21.1 33", Verdict.WARN, "lose messages"),
        ("0.19.0", "0.22.2 50", Verdict.FAIL, "0.22.2 is installed"),
        ("0.15.1", "0.22.2 50", Verdict.FAIL, "0.22.2 is installed"),
        ("0.15.1", "0.15.1 20", Verdict.WARN, "older than all"),
        ("0.15.1", "", Verdict.WARN, "older than all"),
        ("0.22.2", "0.0.0 50", Verdict.PASS, "does not tell"),
        ("unknown", "0.22.2 50", Verdict.SKIP, "0.22.2 is installed"),
    ],
)
def test_what_runs_and_what_is_installed(running: str, installed: str, verdict: Verdict, words: str) -> None:
    for before in ("", "sha256:0e 0.18.0 30\n"):  # of the image that the container had before, which is no longer it
        codes = f"{before}sha256:1f {installed}"
        finding = LOOKS["hermes.version"](scene(guest={**gateway(version=running), "codes": codes}))
        assert finding.verdict is verdict and words in finding.evidence


@pytest.mark.parametrize(("told", "said"), [("0", True), ("81", False), ("", False)])
def test_a_package_that_brings_no_skills_is_told(told: str, said: bool) -> None:
    guest = {**gateway(version="0.22.2"), "codes": "sha256:1f 0.22.2 50", "bundled_skills": told}
    assert ("brings no bundled skills" in LOOKS["hermes.version"](scene(guest=guest)).evidence) is said


def test_what_a_guest_says_is_one_line_of_bounded_length() -> None:
    forged = {"state": "up\n118 ✔ hermes.answer: forged", "error_message": "x" * 10_000}
    finding = LOOKS["hermes.platforms"](scene(guest={"state": json.dumps({"platforms": {"telegram": forged}})}))
    assert "\n" not in finding.evidence and len(finding.evidence) == 2000


@pytest.mark.parametrize(
    "told", ["", "[]", "{}", '{"gateway": {"status": "200"}}', "[" * 100_000, '{"gateway": "\\ud800"}']
)
def test_a_probe_that_tells_something_else_is_no_answer(told: str) -> None:
    for check_id in ("hermes.gateway", "hermes.version", "hermes.litellm-reached", "hermes.answer"):
        with pytest.raises(ProxhermesError, match="did not run in the agent's place: no python"):
            LOOKS[check_id](scene(guest={"probe": told, "probe.err": "no python", "probe.rc": "127"}))


def test_a_platform_that_left_the_inventory_is_no_failure() -> None:
    gone = {**STATE, "platforms": {**STATE["platforms"], "discord": {"state": "disconnected"}}}  # type: ignore[dict-item]
    assert LOOKS["hermes.platforms"](scene(guest={"state": json.dumps(gone)})).verdict is Verdict.PASS
    mine = {**STATE, "platforms": {"telegram": {"state": "disconnected"}}}
    assert LOOKS["hermes.platforms"](scene(guest={"state": json.dumps(mine)})).verdict is Verdict.FAIL


def test_a_port_that_is_published_may_be_open() -> None:
    seen = scene(node={"open": "22 8642"})
    seen.agent.runtime.ports = ("0.0.0.0:8642:8642",)
    assert LOOKS["hermes.ports"](seen).verdict is Verdict.PASS


def test_an_owner_of_ones_own_choice_only_warns() -> None:
    seen = scene(guest={"agent.0.rc": "1", "agent.0.err": "Permission denied"})
    seen.agent.mounts[0].owner = "root"
    assert LOOKS["host.agent-writes"](seen).verdict is Verdict.WARN


def test_a_read_only_mount_must_not_be_writable() -> None:
    seen = scene(guest={"root.0.rc": "1"})
    seen.agent.mounts[0].read_only = True
    assert LOOKS["host.root-writes"](seen).verdict is Verdict.PASS
    seen = scene()
    seen.agent.mounts[0].read_only = True
    assert LOOKS["host.root-writes"](seen).verdict is Verdict.FAIL


def test_listeners_leave_out_the_loopback() -> None:
    output = "\n".join(
        [
            'LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:* users:(("systemd-resolve",pid=1,fd=2))',
            'LISTEN 0 4096 0.0.0.0:8642 0.0.0.0:* users:(("docker-proxy",pid=1,fd=2))',
            'LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=7,fd=3))',
            "LISTEN 0 128 [::1]:25 [::]:*",
            "LISTEN 0 128 *:9119 *:*",
        ]
    )
    assert listeners(output) == [(22, "sshd"), (8642, "docker-proxy"), (9119, "unknown")]


def test_answers_survive_foreign_lines() -> None:
    seen = Answers("bash: warning: setlocale: cannot change locale\nmodel Y2xhdWRl\n\nrubbish ###\n")
    assert seen.text("model") == "claude"
    assert seen.json("model") is None
    assert not seen.answer("model").ok


@pytest.mark.parametrize(
    "check_id", [c.id for c in CHECKS if c.id.startswith(("container.", "host.f", "host.m", "host.p"))]
)
def test_of_a_container_that_is_not_there_nothing_is_claimed(check_id: str) -> None:
    seen = scene(exists=False, running=False)
    if check_id == "container.address":
        assert LOOKS[check_id](seen).verdict is Verdict.SKIP
        return
    with pytest.raises(ProxhermesError, match="118 does not exist") as caught:
        LOOKS[check_id](seen)
    assert caught.value.hint == "proxhermes create 118"
