"""The checks of profiles: what the gateway serves, and each home as the agent's own."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest

from proxhermes.facts.profiles import outward
from proxhermes.hermes import modes
from proxhermes.inventory import profiles
from proxhermes.verify import homes
from proxhermes.verify.checks import CHECKS
from proxhermes.verify.model import Finding, Verdict
from proxhermes.verify.scene import Answers

LOOKS = {check.id: check.look for check in CHECKS}
WORK = {
    "home_files": {"SOUL.md": "You are brief."},
    "crons": {"news": {"schedule": "every 2h", "prompt": "x"}},
    "skills": {"dice": {"hub": "official/dice"}},
}
JOB = {"id": "f8c9ee966f96", "name": "news", "prompt": "x", "schedule": {"kind": "interval", "minutes": 120}}
JOB |= {"deliver": "local", "enabled": True, "next_run_at": "soon"}


@pytest.fixture
def agent(make_agent: Any) -> Any:
    return make_agent(hermes={"profiles": {"work": WORK, "off": {"gateway": {"enable": False}}}})


def look(check: str, agent: Any, **said: str) -> Finding:
    answers = Answers("".join(f"{k} {base64.b64encode(v.encode()).decode()}\n" for k, v in said.items()))
    scene: Any = SimpleNamespace(agent=agent, guest=answers, given=homes.given(agent))
    return LOOKS[check](scene)


def tree(agent: Any, *missing: str) -> str:
    """What the guest tells of homes that are as they should be."""
    rows: dict[str, str] = {}
    for home in (agent, *profiles.of(agent)):
        for rule in modes.table(home):
            (label,) = outward(home.profile, (rule.label,)) if home.profile else (rule.label,)
            folder = rule.kind == "folder"
            rows[label] = (
                f"10000 10000 {rule.mode:o} {'-' if folder else '0' * 64} w {'directory' if folder else 'regular file'}"
            )
        for file in homes.given(agent)[home.profile]:
            rows[f"home:profiles/{home.profile}/{file.path}"] = f"10000 10000 640 {file.sha256} w regular file"
    return "".join(f"tree.{label}={said}\n" for label, said in rows.items() if label not in missing)


def state(*served: str) -> dict[str, str]:
    return {"state": json.dumps({"gateway_state": "running", "served_profiles": served})}


def known(**change: Any) -> dict[str, str]:
    own = {"jobs": [JOB], "skills": ["dice"]} | change
    memory = {"news": {"id": JOB["id"], "declared": {}, "record": JOB}}
    return {"known": json.dumps({"default": {"jobs": [], "skills": []}, "work": own}), "crons@work": json.dumps(memory)}


def test_the_gateway_serves_those_that_it_should_and_no_others(agent: Any, make_agent: Any) -> None:
    fine = look("hermes.profiles", agent, **state("default", "work"))
    assert (fine.verdict, fine.evidence) == (Verdict.PASS, "work: served; off: not served, as declared")
    absent = look("hermes.profiles", agent, **state("default"))
    assert (absent.verdict, absent.evidence) == (Verdict.FAIL, "the gateway does not serve work")
    uncalled = look("hermes.profiles", agent, **state("default", "work", "off"))
    assert (uncalled.verdict, uncalled.evidence) == (Verdict.FAIL, "the gateway serves off")
    assert look("hermes.profiles", agent, state='{"served_profiles": 7}').verdict is Verdict.FAIL
    assert look("hermes.profiles", make_agent()).verdict is Verdict.SKIP


def test_their_files_are_looked_at_like_the_agents_own(agent: Any) -> None:
    assert look("hermes.files", agent, tree=tree(agent)).verdict is Verdict.PASS
    gone = look("hermes.files", agent, tree=tree(agent, "home:profiles/work/.env"))
    assert (gone.verdict, gone.evidence) == (Verdict.FAIL, "/opt/hermes/data/profiles/work/.env is missing")
    assert look("hermes.documents", agent, tree=tree(agent)).evidence == "2 as the inventory has them"
    missing = look("hermes.documents", agent, tree=tree(agent, "home:profiles/work/SOUL.md"))
    assert missing.evidence == "/opt/hermes/data/profiles/work/SOUL.md is missing"


def test_their_jobs_and_skills_are_asked_of_the_gateway_by_their_names(agent: Any) -> None:
    assert homes.bundle(agent) == {"profiles": b"default work"}
    assert look("hermes.crons", agent, **known()).evidence == "work: news: every 120m, next soon"
    assert look("hermes.skills", agent, **known()).evidence == "listed by the agent: work: dice"
    paused = look("hermes.crons", agent, **known(jobs=[JOB | {"state": "paused"}]))
    assert (paused.verdict, paused.evidence) == (Verdict.FAIL, "work: news: not as declared: enabled")
    unlisted = look("hermes.skills", agent, **known(skills=[]))
    assert (unlisted.verdict, unlisted.evidence) == (Verdict.FAIL, "work: dice: the agent does not list it")
