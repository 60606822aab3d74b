"""Cron jobs: what is declared, what Hermes has, what is remembered; whatever the agent writes there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.errors import UsageError
from proxhermes.hermes import crons

# As Hermes 0.19 and 0.22 write them.
RECORD = {
    "id": "f8c9ee966f96",
    "name": "morning",
    "prompt": "say good morning",
    "skills": ["abc"],
    "skill": "abc",
    "script": None,
    "no_agent": False,
    "schedule": {"kind": "cron", "expr": "0 7 * * 1-5", "display": "0 7 * * 1-5"},
    "repeat": {"times": None, "completed": 3},
    "enabled": True,
    "state": "scheduled",
    "paused_at": None,
    "deliver": "local",
    "workdir": None,
    "next_run_at": "2026-11-30T07:00:00+00:00",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from((*RECORD, "kind", "expr")), inner),
    max_leaves=9,
)


def test_what_is_declared_is_what_hermes_makes_of_it(make_agent: Any) -> None:
    agent = make_agent(
        hermes={"crons": {"morning": {"schedule": "0 7 * * 1-5", "prompt": " say good morning\n", "skills": ["abc"]}}}
    )
    (job,) = crons.jobs([RECORD])
    assert crons.declared(agent)["morning"] == job.definition
    assert crons.differing(crons.declared(agent)["morning"], job, None) == ()


@pytest.mark.parametrize(("schedule", "minutes"), [("every 2h", 120), ("every 90 minutes", 90), ("every 1 day", 1440)])
def test_intervals_are_minutes(make_agent: Any, schedule: str, minutes: int) -> None:
    agent = make_agent(hermes={"crons": {"x": {"schedule": schedule, "prompt": "x"}}})
    (job,) = crons.jobs([RECORD | {"schedule": {"kind": "interval", "minutes": minutes, "display": "?"}}])
    assert crons.declared(agent)["x"]["schedule"] == job.definition["schedule"]


def test_a_prompt_from_a_file(make_agent: Any, tmp_path: Path) -> None:
    file = tmp_path / "prompt.md"
    agent = make_agent(hermes={"crons": {"x": {"schedule": "every 2h", "prompt": {"file": str(file)}}}})
    with pytest.raises(UsageError, match=r"hermes\.crons\.x\.prompt: .*No such file"):
        crons.declared(agent)
    file.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        crons.declared(agent)
    file.write_bytes(b"a\0b")
    with pytest.raises(UsageError, match="NUL"):
        crons.declared(agent)
    file.write_bytes(b"x" * (crons.LONGEST + 1))
    with pytest.raises(UsageError, match="at most 100000"):
        crons.declared(agent)
    file.write_text("- one\n- two\n")
    assert crons.declared(agent)["x"]["prompt"] == "- one\n- two"


@pytest.mark.parametrize(
    "change", [{"enabled": False}, {"state": "paused"}, {"paused_at": "2026-11-27T07:00:00+00:00"}, {"enabled": None}]
)
def test_a_job_that_hermes_does_not_start_is_paused(change: dict[str, Any]) -> None:
    assert crons.stored(RECORD | change)["enabled"] is False


@pytest.mark.parametrize("content", [b"", b"{", b"7", b'"x"', b"\xff", b'{"jobs": 7}', b"[" * 100_000, b"1" * 9_000])
def test_a_file_that_is_none_of_hermes_is_not_read(content: bytes) -> None:
    assert crons.read_jobs(content) is None
    assert crons.read_memory(content) == {}


def test_a_bare_list_is_read_and_what_is_no_job_is_passed_over() -> None:
    strange = [RECORD, 7, {}, {"id": "../x"}, {"id": 7}, RECORD | {"id": "0" * 13}]
    (job,) = crons.read_jobs(json.dumps(strange).encode()) or ()
    assert job.id == RECORD["id"]


@given(JSON, st.dictionaries(st.sampled_from(tuple(RECORD)), JSON))
def test_whatever_the_agent_writes_is_read_as_something(tree: Any, change: dict[str, Any]) -> None:
    for content in (tree, {"jobs": tree}, [{**RECORD, **change, "id": RECORD["id"]}]):
        for job in crons.read_jobs(json.dumps(content).encode()) or ():
            json.dumps(job.definition)
            assert all(isinstance(job.definition[each], str) for each in ("name", "schedule", "prompt", "deliver"))
    crons.read_memory(json.dumps({"x": {"id": RECORD["id"], "declared": tree, "record": change}}).encode())


def test_what_hermes_made_of_a_value_is_that_value_until_one_side_changes() -> None:
    wanted = {**crons.stored(RECORD), "workdir": "/data/link"}
    made = RECORD | {"workdir": "/mnt/real"}
    (job,) = crons.jobs([made])
    assert crons.differing(wanted, job, None) == ("workdir",)
    mine = crons.Given(job.id, wanted, job.definition)
    assert crons.differing(wanted, job, mine) == ()
    assert crons.differing({**wanted, "workdir": "/data/other"}, job, mine) == ("workdir",)
    (moved,) = crons.jobs([RECORD | {"workdir": "/elsewhere"}])
    assert crons.differing(wanted, moved, mine) == ("workdir",)
