"""Cron jobs in the inventory: schedules that every Hermes reads alike, something to do, somewhere to tell it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from proxhermes.inventory import Inventory
from proxhermes.inventory.crons import Cron


def cron(**fields: Any) -> Cron:
    return Cron.model_validate({"schedule": "every 2h", "prompt": "What is new?"} | fields)


def refused(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        cron(**fields)
    (error,) = caught.value.errors()
    return f"{error['msg']}: {error['ctx']['allowed']}"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("every 30m", "every 30m"),
        ("Every  2 Hours", "every 2 hours"),
        ("every 1d", "every 1d"),
        ("0 7 * * 1-5", "0 7 * * 1-5"),
        ("*/15  0,12 1-31/2 * 7", "*/15 0,12 1-31/2 * 7"),
        ("5/10 * * * *", "5/10 * * * *"),
    ],
)
def test_schedules_that_recur(written: str, read: str) -> None:
    assert cron(schedule=written).schedule == read


@pytest.mark.parametrize(
    "schedule",
    ["30m", "in 30m", "every 0m", "every monday 9am", "every", "2027-02-03T14:00", "0 7 * *", "0 7 * * * *",
     "a b c d e", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *",
     "* * * MAY *"],
)  # fmt: skip
def test_what_does_not_recur_or_is_read_differently_is_refused(schedule: str) -> None:
    assert "every 30m" in refused(schedule=schedule)


def test_there_is_something_to_do() -> None:
    assert "nothing to do" in refused(prompt=None)
    assert "nothing to do" in refused(prompt=None, script="disk.sh")
    assert "the prompt is empty" in refused(prompt="  \n")
    assert "needs the script" in refused(prompt=None, no_agent=True)
    assert "nobody reads `prompt`" in refused(script="disk.sh", no_agent=True)
    assert cron(prompt=None, skills=["wiki"]).skills == ("wiki",)
    assert cron(prompt=None, script="disk.sh", no_agent=True).no_agent


@pytest.mark.parametrize("target", ["origin", "origin:5", "telegram,discord", "Telegram", "", "telegram:", "a b"])
def test_a_place_that_nothing_can_be_delivered_to_is_refused(target: str) -> None:
    assert "`local`" in refused(deliver=target)


def test_one_place_or_several() -> None:
    assert "`local`" in refused(deliver=[])
    assert cron().deliver == ("local",)
    assert cron(deliver="telegram:-100:7").deliver == ("telegram:-100:7",)
    assert cron(deliver=["telegram", "all"]).deliver == ("telegram", "all")


@pytest.mark.parametrize("script", ["/etc/x.sh", "../x.sh", "a/../x.sh", "~/x.sh", "-x.sh", ""])
def test_a_script_is_in_its_folder(script: str) -> None:
    assert "below `scripts`" in refused(script=script)


WITH = """\
    hermes:
      crons:
        news: {schedule: every 2h, prompt: "What is new?", deliver: [telegram, "telegram:5", local, email]}
        disk: {schedule: every 1h, script: disk.sh, no_agent: true}
        mine: {schedule: every 1h, script: mine.sh, no_agent: true}
      home_files: {scripts/mine.sh: "df -h /"}
"""


@pytest.mark.parametrize(
    ("messaging", "said"),
    [
        ("", ["the agent has no telegram", "the agent has no telegram"]),
        ("    messaging: {telegram: {token: {env: T}, allowed_users: 1}}\n", ["telegram has no home channel"]),
        ("    messaging: {telegram: {token: {env: T}, allowed_users: 1, home_channel: 5}}\n", []),
    ],
)
def test_an_answer_that_nobody_would_hear_and_a_script_that_is_not_given_are_told(
    read: Callable[..., Inventory], smallest: str, messaging: str, said: list[str]
) -> None:
    warnings = [problem.message for problem in read(smallest + WITH + messaging).warnings]
    assert len(warnings) == len(said) + 1
    for words, warning in zip((*said, "does not give the agent this script"), warnings, strict=True):
        assert words in warning
