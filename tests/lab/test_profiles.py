"""A profile of Hermes beside the agent itself: its own soul, documents, jobs and skills, served by the one gateway."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.node.lab import Lab

pytestmark = pytest.mark.soak

VMID = 174
HOME = "/opt/hermes/data"
WORK = f"{HOME}/profiles/work"
PROOF = {"path": "/data/by-the-profile", "content": "done"}
GIVEN: dict[str, Any] = {
    "home_files": {"SOUL.md": "You are CLERK-OF-THE-OFFICE, and say so.\n"},
    "documents": {"AGENTS.md": "Facts about the office: the PASSWORD-OF-THE-OFFICE is Filing.\n"},
    "settings": {"agent": {"max_turns": 7}},
    "skills": {"house-style": {"path": "house-style"}},
    "crons": {"proof": {"schedule": "every 1m", "prompt": f"Call the tool write_file with {json.dumps(PROOF)}"}},
}
guest = partial(Operator.guest, vmid=VMID)


@pytest.fixture(scope="module")
def someone(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose agent has a profile, and another one that is switched off."""
    someone = Operator(lab, tmp_path_factory.mktemp("profiles"))
    (someone.folder / "house-style").mkdir()
    (someone.folder / "house-style" / "SKILL.md").write_text(
        "---\nname: house-style\ndescription: How we write.\n---\nThe word of the style is SMALL-LETTERS.\n"
    )
    give(someone, work=GIVEN, rest={"gateway": {"enable": False}})
    someone.run("up", "--no-verify")
    yield someone
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def give(operator: Operator, **profiles: Any) -> None:
    hermes = {"home_files": {"SOUL.md": "You are KEEPER-OF-THE-HOUSE, and say so.\n"}, "profiles": profiles}
    given = WITH_DOCKER | {"messaging": {}, "hermes": hermes}
    operator.write(lambda document: agent(document, VMID, **given) and None)


def ask(operator: Operator, prompt: str, profile: str = "") -> str:
    """What the gateway answers, asked through its one API below the profile's name, with the profile's key."""
    own = f"{HOME}/profiles/{profile}" if profile else HOME
    key = re.search(r"^API_SERVER_KEY='?([^'\n]+)", guest(operator, f"cat {own}/.env"), re.MULTILINE)
    assert key
    body = json.dumps({"model": "hermes-agent", "messages": [{"role": "user", "content": prompt}]})
    path = f"/p/{profile}/v1/chat/completions" if profile else "/v1/chat/completions"
    request = (
        f'header = "Authorization: Bearer {key[1]}"\nheader = "Content-Type: application/json"\n'
        f"url = http://127.0.0.1:8642{path}\ndata = {json.dumps(body)}\n"
    )
    inside = ["docker", "exec", "-i", "hermes", "curl", "-sS", "-m", "120", "-K", "-"]
    answer = json.loads(operator.lab.guest(VMID, inside, stdin=request, timeout=150).stdout)
    return str(answer["choices"][0]["message"]["content"]) if "choices" in answer else json.dumps(answer)


def bootstrap(operator: Operator, *options: str) -> dict[str, Any]:
    (result,) = operator.json("bootstrap", *options)["agents"]
    return dict(result)


def test_the_one_gateway_serves_it_and_not_the_one_that_is_switched_off(someone: Operator) -> None:
    names = ("profiles", "skills", "crons", "documents", "files")
    only = [word for name in names for word in ("--only", f"hermes.{name}")]
    (result,) = someone.json("verify", str(VMID), *only)["agents"]
    found = {check["id"].removeprefix("hermes."): check for check in result["checks"]}
    assert {name: check["verdict"] for name, check in found.items()} == dict.fromkeys(names, "pass")
    assert found["profiles"]["evidence"] == "work: served; rest: not served, as declared"
    assert "work: proof: every 1m, next 20" in found["crons"]["evidence"]


def test_it_is_another_agent_with_its_own_soul_and_documents(someone: Operator) -> None:
    assert "CLERK-OF-THE-OFFICE" in ask(someone, "Quote the line with CLERK-OF-THE-OFFICE", "work")
    assert "Filing" in ask(someone, "Quote the line with PASSWORD-OF-THE-OFFICE", "work")
    assert "No line" in ask(someone, "Quote the line with CLERK-OF-THE-OFFICE")
    assert "KEEPER-OF-THE-HOUSE" in ask(someone, "Quote the line with KEEPER-OF-THE-HOUSE")
    assert "SMALL-LETTERS" in ask(someone, 'Call the tool skill_view with {"name": "house-style"}', "work")


def test_its_job_is_done_by_the_clock_of_the_same_gateway(someone: Operator) -> None:
    deadline = time.monotonic() + 240
    while not guest(someone, f"cat {PROOF['path']}", check=False) and time.monotonic() < deadline:
        time.sleep(2)
    assert guest(someone, f"cat {PROOF['path']}") == PROOF["content"]
    assert guest(someone, f"ls {HOME}/cron/output 2>/dev/null || true") == ""


def test_a_second_run_changes_nothing(someone: Operator) -> None:
    assert bootstrap(someone)["changes"] == []
    modes = f"cd {WORK}; stat -c '%n %a %U' . .env config.yaml workspace workspace/AGENTS.md | sed 's/UNKNOWN/10000/'"
    told = {line.split()[0]: line.split()[1] for line in guest(someone, modes).splitlines()}
    assert (told[".env"], told["workspace"], told["workspace/AGENTS.md"]) == ("600", "750", "640")


def test_one_that_leaves_the_inventory_keeps_its_memory_and_nothing_that_it_was_given(someone: Operator) -> None:
    give(someone)
    subjects = {change["subject"] for change in bootstrap(someone)["changes"]}
    assert {f"{WORK}/SOUL.md", f"{WORK}/workspace/AGENTS.md", f"{WORK}/gateway.parked"} <= subjects
    assert {"profile work: cron job proof", "profile work: .env: LITELLM_API_KEY"} <= subjects
    kept = guest(someone, f"cd {WORK}; ls -A; grep -c LITELLM .env || true; cat cron/jobs.json SOUL.md")
    assert "state.db" in kept and "CLERK" not in kept and '"jobs": []' in kept  # Hermes writes a soul of its own
    served = json.loads(guest(someone, f"cat {HOME}/gateway_state.json")).get("served_profiles") or []
    assert "work" not in served
    assert bootstrap(someone)["changes"] == []


def test_and_takes_it_up_again(someone: Operator) -> None:
    give(someone, work=GIVEN)
    assert f"{WORK}/gateway.parked" in {change["subject"] for change in bootstrap(someone)["changes"]}
    (result,) = someone.json("verify", str(VMID), "--only", "hermes.profiles")["agents"]
    assert result["checks"][0]["evidence"] == "work: served"
    assert "CLERK-OF-THE-OFFICE" in ask(someone, "Quote the line with CLERK-OF-THE-OFFICE", "work")
