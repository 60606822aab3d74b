"""Drain times that only the agent's own files have are told, and change no time of the engine's or of Proxmox."""

from __future__ import annotations

from typing import Any

import pytest

from proxhermes.facts.guest import File, GuestFacts
from proxhermes.hermes.wanted import gather
from proxhermes.plan.hermes import plan_hermes
from proxhermes.upstream import Code


def notes(agent: Any, **texts: str) -> list[str]:
    files = {name: File(10000, 10000, 0o640, "regular file", text.encode()) for name, text in texts.items()}
    facts = GuestFacts(files=files, image_id="x", codes={"x": Code("0.22.2", 50)})
    return [note for note in plan_hermes(agent, facts, gather(agent), "key").notes if "to end" in note]


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [
        ({"config": "agent: {cron_drain_timeout: 600}\n"}, 640),
        ({"config": "agent: {restart_drain_timeout: 1e99}\n"}, 86_430),
        ({"env": "HERMES_CRON_DRAIN_TIMEOUT=120\n"}, 160),
        ({"config": "agent: {cron_drain_timeout: 30}\n", "env": "HERMES_CRON_DRAIN_TIMEOUT=120\n"}, None),
        ({"config": "agent: [x]\n"}, None),
        ({}, None),
    ],
)
def test_a_time_that_the_inventory_does_not_have_is_told(
    make_agent: Any, texts: dict[str, str], seconds: int | None
) -> None:
    found = notes(make_agent(), **texts)
    assert len(found) == (seconds is not None)
    assert all(f"need {seconds} s" in note and "after 70 s" in note for note in found)


def test_one_that_it_has_is_not(make_agent: Any) -> None:
    agent = make_agent(hermes={"settings": {"agent": {"cron_drain_timeout": 600}}})
    assert notes(agent, config="agent: {cron_drain_timeout: 600}\n") == notes(agent) == []


def test_a_file_of_variables_counts_as_what_it_writes(make_agent: Any, tmp_path: Any) -> None:
    (tmp_path / "more.env").write_text("HERMES_CRON_DRAIN_TIMEOUT=120\n")
    (note,) = notes(make_agent(hermes={"environment_files": [str(tmp_path / "more.env")]}))
    assert "160 s" in note
