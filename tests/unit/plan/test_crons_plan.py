"""Cron jobs in the plan: made once, put back when the agent changes them, removed alone; the agent's own stay."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.facts.guest import File, GuestFacts
from proxhermes.hermes import crons
from proxhermes.plan.crons import CronsPlan, plan_crons
from proxhermes.plan.model import Effect
from proxhermes.plan.steps import Step

NEWS = {"schedule": "0 7 * * 1-5", "prompt": "What is new?", "deliver": "telegram", "skills": ["wiki"]}
DISK = {"schedule": "every 30m", "script": "disk.sh", "no_agent": True}


class Hermes:
    """What `hermes cron` and agent-steps.py do (Hermes 0.22: tools/cronjob_tools.py), as far as the plan needs it."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.memory: dict[str, Any] = {}
        self.count = 0

    @property
    def facts(self) -> GuestFacts:
        texts = {"crons": {"jobs": self.jobs}, "last-crons": self.memory}
        files = {name: json.dumps(tree).encode() for name, tree in texts.items()}
        return GuestFacts(files={name: File(1, 1, 0o600, "regular file", text) for name, text in files.items()})

    def one(self, name: str) -> dict[str, Any]:
        (job,) = (job for job in self.jobs if job["name"] == name)
        return job

    def create(self, *words: str) -> str:
        self.count += 1
        at = words.index("--")
        schedule, prompt = (*words[at + 1 :], "")[:2]
        new = {"id": f"{self.count:012x}", "prompt": prompt, "enabled": True, "state": "scheduled", "skills": [],
               "script": None, "no_agent": False, "workdir": None, "repeat": {"times": None}}  # fmt: skip
        self.jobs.append(new)
        self.edit(new["id"], f"--schedule={schedule}", *words[:at])
        return str(new["id"])

    def edit(self, ref: str, *options: str) -> None:
        (job,) = (job for job in self.jobs if job["id"] == ref)
        skills = [option.removeprefix("--skill=") for option in options if option.startswith("--skill=")]
        if skills or "--clear-skills" in options:
            job["skills"] = skills
        for option in options:
            name, _, value = option.removeprefix("--").partition("=")
            if name == "schedule":
                every = re.fullmatch(r"every (\d+)m", value)
                kind = {"kind": "interval", "minutes": int(every[1])} if every else {"kind": "cron", "expr": value}
                job["schedule"] = kind
            elif name in ("no-agent", "agent"):
                job["no_agent"] = name == "no-agent"
            elif name == "repeat":
                job["repeat"] = {"times": None}
            elif name not in ("skill", "clear-skills"):
                job[name] = value if name == "prompt" else value or None

    def pause(self, ref: str) -> None:
        self._set(ref, enabled=False, state="paused", paused_at="now")

    def resume(self, ref: str) -> None:
        self._set(ref, enabled=True, state="scheduled", paused_at=None)

    def remove(self, ref: str) -> None:
        self.jobs = [job for job in self.jobs if job["id"] != ref]

    def _set(self, ref: str, **values: Any) -> None:
        next(job for job in self.jobs if job["id"] == ref).update(values)

    def carry_out(self, plan: CronsPlan, *, until: int = 99, killed: bool = False) -> None:
        """until: the command that fails; or after which all ends before anything is remembered of it, with `killed`."""
        for step in plan.steps:
            found = step.id
            for _, command, *words in step.commands:
                if not until and not killed:
                    return
                said = getattr(self, command)(*(found if word == "@" else word for word in words))
                found = said or found
                if not until:
                    return
                until -= 1
                self.remember(step, found)
            if not step.commands:
                self.remember(step, found)

    def remember(self, step: Step, found: str | None) -> None:
        self.memory.pop(step.name, None)
        record = next((job for job in self.jobs if job["id"] == found), None)
        if step.declared is not None and record is not None:
            self.memory[step.name] = {"id": found, "declared": step.declared, "record": dict(record)}
            if any(job["id"] == step.replaces for job in self.jobs):
                self.memory[step.name]["replaces"] = step.replaces


@pytest.fixture
def hermes() -> Hermes:
    return Hermes()


def declared(make_agent: Any, **jobs: Any) -> dict[str, crons.Definition]:
    return crons.declared(make_agent(hermes={"crons": jobs}))


def lines(plan: CronsPlan) -> list[str]:
    return [f"{change.subject}: {change.before} → {change.after}" for change in plan.changes]


def blocked(plan: CronsPlan) -> list[str]:
    return [str(change.blocked) for change in plan.changes if change.blocked]


def test_jobs_are_made_once(make_agent: Any, hermes: Hermes) -> None:
    wanted = declared(make_agent, news=NEWS, disk=DISK)
    plan = plan_crons(wanted, GuestFacts())
    assert lines(plan) == [
        "cron job news: None → 0 7 * * 1-5: What is new?",
        "cron job disk: None → every 30m: disk.sh",
    ]
    assert {change.effect for change in plan.changes} == {Effect.NONE}
    hermes.carry_out(plan)
    assert plan_crons(wanted, hermes.facts) == CronsPlan()
    (step, other) = json.loads(plan.files["crons.json"])["steps"]
    assert step["commands"] == [
        ["cron", "create", "--name=news", "--deliver=telegram", "--skill=wiki", "--", "0 7 * * 1-5", "What is new?"]
    ]
    assert other["commands"] == [
        ["cron", "create", "--name=disk", "--deliver=local", "--script=disk.sh", "--no-agent", "--", "every 30m"]
    ]


def test_a_job_that_is_declared_paused_is_paused(make_agent: Any, hermes: Hermes) -> None:
    wanted = declared(make_agent, news=NEWS | {"enabled": False})
    hermes.carry_out(plan_crons(wanted, hermes.facts))
    assert hermes.one("news")["state"] == "paused"
    assert plan_crons(wanted, hermes.facts) == CronsPlan()
    plan = plan_crons(declared(make_agent, news=NEWS), hermes.facts)
    assert lines(plan) == ["cron job news: enabled: no → yes"] and plan.notes == ()
    hermes.carry_out(plan)
    assert hermes.one("news")["enabled"]


def test_only_what_differs_is_said(make_agent: Any, hermes: Hermes) -> None:
    hermes.carry_out(plan_crons(declared(make_agent, news=NEWS, disk=DISK), hermes.facts))
    plan = plan_crons(declared(make_agent, news=NEWS | {"schedule": "every 2h", "skills": []}, disk=DISK), hermes.facts)
    assert lines(plan) == ["cron job news: schedule: 0 7 * * 1-5 → every 120m", "cron job news: skills: wiki → None"]
    (step,) = plan.steps
    assert step.commands == (("cron", "edit", "000000000001", "--schedule=every 120m", "--clear-skills"),)
    assert plan.notes == ()


def test_what_the_agent_changes_paused_or_removes_is_put_back_and_told(make_agent: Any, hermes: Hermes) -> None:
    wanted = declared(make_agent, news=NEWS, disk=DISK)
    hermes.carry_out(plan_crons(wanted, hermes.facts))
    hermes.edit("000000000001", "--prompt=Mine", "--name=my news")
    hermes.pause("000000000001")
    hermes.remove("000000000002")
    plan = plan_crons(wanted, hermes.facts)
    assert plan.notes == (
        "cron job news: the agent changed its name, prompt, enabled since; it is put back",
        "cron job disk: the agent removed it; it is made again",
    )
    hermes.carry_out(plan)
    assert (hermes.one("news")["id"], hermes.one("news")["prompt"]) == ("000000000001", "What is new?")
    assert hermes.one("news")["enabled"] and hermes.one("disk")["id"] == "000000000003"
    assert plan_crons(wanted, hermes.facts) == CronsPlan()


def test_a_job_that_leaves_the_inventory_is_removed_and_no_other(make_agent: Any, hermes: Hermes) -> None:
    hermes.create("--name=own", "--deliver=local", "--", "every 5m", "mine")
    hermes.carry_out(plan_crons(declared(make_agent, news=NEWS, disk=DISK), hermes.facts))
    hermes.pause(hermes.one("news")["id"])  # says nothing of whose it is
    plan = plan_crons(declared(make_agent, disk=DISK), hermes.facts)
    assert lines(plan) == ["cron job news: 0 7 * * 1-5: What is new? → None"]
    hermes.carry_out(plan)
    assert [job["name"] for job in hermes.jobs] == ["own", "disk"]
    assert plan_crons(declared(make_agent, disk=DISK), hermes.facts) == CronsPlan()


def test_one_that_the_agent_has_made_its_own_stays(make_agent: Any, hermes: Hermes) -> None:
    hermes.carry_out(plan_crons(declared(make_agent, news=NEWS), hermes.facts))
    hermes.edit("000000000001", "--prompt=Mine")
    plan = plan_crons({}, hermes.facts)
    assert "it stays, as the agent's own" in plan.notes[0]
    assert [step.commands for step in plan.steps] == [()]
    hermes.carry_out(plan)
    assert hermes.one("news")["prompt"] == "Mine" and plan_crons({}, hermes.facts) == CronsPlan()


def test_a_namesake_of_the_agents_is_left_alone_until_it_is_forced(make_agent: Any, hermes: Hermes) -> None:
    hermes.create("--name=news", "--deliver=local", "--", "every 5m", "mine")
    wanted = declared(make_agent, news=NEWS)
    plan = plan_crons(wanted, hermes.facts)
    assert plan.steps == () and "--force-documents takes it over" in blocked(plan)[0]
    hermes.carry_out(plan_crons(wanted, hermes.facts, force=True))
    assert [job["prompt"] for job in hermes.jobs] == ["What is new?"]
    assert plan_crons(wanted, hermes.facts) == CronsPlan()


def test_one_that_is_as_declared_already_is_ours_from_then_on(make_agent: Any, hermes: Hermes) -> None:
    """So a run that was killed before it remembered what it made does not make it twice."""
    wanted = declared(make_agent, news=NEWS)
    hermes.carry_out(plan_crons(wanted, hermes.facts))
    hermes.memory = {}
    plan = plan_crons(wanted, hermes.facts)
    assert [step.commands for step in plan.steps] == [()]
    hermes.carry_out(plan)
    assert len(hermes.jobs) == 1 and plan_crons(wanted, hermes.facts) == CronsPlan()


def test_a_job_that_keeps_to_another_model_is_made_again(make_agent: Any, hermes: Hermes) -> None:
    wanted = declared(make_agent, news=NEWS, disk=DISK)
    hermes.carry_out(plan_crons(wanted, hermes.facts))
    for job in hermes.jobs:
        job["model_snapshot"] = "Claude-Sonnet"
    assert plan_crons(wanted, hermes.facts, model="claude-sonnet") == CronsPlan()
    assert plan_crons(wanted, hermes.facts) == CronsPlan()  # this Hermes keeps to none
    plan = plan_crons(wanted, hermes.facts, model="gpt")
    assert lines(plan) == ["cron job news: model: claude-sonnet → gpt"]
    hermes.carry_out(plan)
    assert [job["id"] for job in hermes.jobs] == ["000000000002", "000000000003"]
    assert plan_crons(wanted, hermes.facts, model="gpt") == CronsPlan()
    hermes.one("news").update(model="own", model_snapshot="claude-sonnet")
    assert plan_crons(wanted, hermes.facts, model="gpt") == CronsPlan()


@pytest.mark.parametrize("killed", [True, False])
def test_a_job_whose_pause_did_not_happen_is_paused_by_the_next_run(
    make_agent: Any, hermes: Hermes, killed: bool
) -> None:
    wanted = declared(make_agent, news=NEWS | {"enabled": False})
    hermes.carry_out(plan_crons(wanted, hermes.facts), until=0 if killed else 1, killed=killed)
    assert hermes.one("news")["enabled"]
    plan = plan_crons(wanted, hermes.facts)
    assert lines(plan) == ["cron job news: enabled: yes → no"] and plan.notes == () and not blocked(plan)
    hermes.carry_out(plan)
    assert not hermes.one("news")["enabled"] and plan_crons(wanted, hermes.facts) == CronsPlan()


def test_a_job_that_was_just_made_is_known_though_hermes_rewrote_its_folder(make_agent: Any, hermes: Hermes) -> None:
    wanted = declared(make_agent, news=NEWS | {"workdir": "/data/link"})
    hermes.carry_out(plan_crons(wanted, hermes.facts), until=0, killed=True)
    hermes.one("news")["workdir"] = "/data/real"  # without the links in it (0.22: cron/jobs.py, _normalize_workdir)
    plan = plan_crons(wanted, hermes.facts)
    assert lines(plan) == ["cron job news: workdir: /data/real → /data/link"] and not blocked(plan)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("until", range(4))
def test_a_model_change_that_ends_anywhere_loses_no_job_and_leaves_no_second_one(
    make_agent: Any, hermes: Hermes, until: int, killed: bool, enabled: bool
) -> None:
    wanted = declared(make_agent, news=NEWS | {"enabled": enabled})
    hermes.carry_out(plan_crons(wanted, hermes.facts))
    hermes.one("news")["model_snapshot"] = "claude"
    hermes.carry_out(plan_crons(wanted, hermes.facts, model="gpt"), until=until, killed=killed)
    assert hermes.jobs and hermes.memory
    plan = plan_crons(wanted, hermes.facts, model="gpt")
    assert plan.notes == () and not blocked(plan)
    hermes.carry_out(plan)
    assert "model_snapshot" not in hermes.one("news") and hermes.one("news")["enabled"] is enabled
    assert plan_crons(wanted, hermes.facts, model="gpt") == CronsPlan()


def test_where_only_the_older_of_two_is_left_it_is_that_one(make_agent: Any, hermes: Hermes) -> None:
    wanted = declared(make_agent, news=NEWS)
    hermes.carry_out(plan_crons(wanted, hermes.facts))
    hermes.one("news")["model_snapshot"] = "claude"
    hermes.carry_out(plan_crons(wanted, hermes.facts, model="gpt"), until=1)
    assert len(hermes.jobs) == 2
    plan = plan_crons({}, hermes.facts)
    assert [step.commands[0][1] for step in plan.steps] == ["remove", "remove"]
    hermes.remove("000000000002")
    assert lines(plan_crons(wanted, hermes.facts, model="gpt")) == ["cron job news: model: claude → gpt"]


def test_a_file_that_cannot_be_read_is_told_and_nothing_is_done(make_agent: Any, hermes: Hermes) -> None:
    hermes.carry_out(plan_crons(declared(make_agent, disk=DISK), hermes.facts))
    broken = File(1, 1, 0o600, "regular file", b"{")
    for file in (broken, replace(broken, kind="symbolic link", content=None)):
        facts = replace(hermes.facts, files={**hermes.facts.files, "crons": file})
        plan = plan_crons(declared(make_agent, news=NEWS), facts)
        assert plan.steps == () and len(blocked(plan)) == 2
        assert plan_crons({}, replace(facts, files={"crons": file})) == CronsPlan()


def test_a_value_of_the_agents_is_one_short_line_without_secrets(make_agent: Any, hermes: Hermes) -> None:
    wanted = declared(make_agent, news=NEWS)
    hermes.carry_out(plan_crons(wanted, hermes.facts))
    hermes.edit("000000000001", f"--prompt=line\nAPI_KEY=hunter2hunter2\n{'x' * 99}")
    (line,) = lines(plan_crons(wanted, hermes.facts))
    assert "\n" not in line and "hunter2" not in line and len(line) < 160


ACTIONS = st.lists(
    st.tuples(st.sampled_from(("edit", "pause", "remove", "create", "forget")), st.integers(0, 5)), max_size=6
)
JOBS = st.dictionaries(
    st.sampled_from(("a", "b", "c")),
    st.builds(
        lambda schedule, prompt, enabled: {"schedule": schedule, "prompt": prompt, "enabled": enabled},
        st.sampled_from(("every 5m", "0 7 * * *")),
        st.sampled_from(("one", "two")),
        st.booleans(),
    ),
)


@given(JOBS, ACTIONS, JOBS)
def test_whatever_the_agent_does_the_next_run_settles_it(
    first: dict[str, Any], actions: list[tuple[str, int]], then: dict[str, Any]
) -> None:
    """What is declared is there, once; what was never ours is as it was; a run after that changes nothing."""

    def wanted(jobs: dict[str, Any]) -> dict[str, crons.Definition]:
        models = {name: crons.Cron.model_validate(job) for name, job in jobs.items()}
        return {name: crons._declared(name, model, name) for name, model in models.items()}

    hermes = Hermes()
    hermes.create("--name=own", "--deliver=local", "--", "every 5m", "mine")
    hermes.carry_out(plan_crons(wanted(first), hermes.facts))
    own = dict(hermes.one("own"))
    for action, number in actions:
        job = hermes.jobs[number % len(hermes.jobs)]
        if action == "create":
            hermes.create(f"--name={'abc'[number % 3]}", "--deliver=local", "--", "every 7m", "the agent's")
        elif action == "forget":
            hermes.memory.pop("abc"[number % 3], None)
        elif job["id"] != own["id"]:
            hermes.edit(job["id"], "--prompt=changed") if action == "edit" else getattr(hermes, action)(job["id"])
    hermes.carry_out(plan_crons(wanted(then), hermes.facts, force=True))
    assert hermes.one("own") == own
    for name, definition in wanted(then).items():
        mine = [job for job in crons.jobs(hermes.jobs) if job.id == hermes.memory[name]["id"]]
        assert [job.definition for job in mine] == [definition]
    assert plan_crons(wanted(then), hermes.facts, force=True) == CronsPlan()
