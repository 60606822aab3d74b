"""Jobs that the agent does by the clock (`hermes.crons.NAME`), with the names that Hermes has for their parts.

What is here is what all versions of Hermes take in the same way (0.19 and 0.22: cron/jobs.py, `hermes cron create`). A
declared job recurs: one that runs once would be gone afterwards, and made again by the next run. `30m` is not one of
the schedules, for it is once in 0.19 and again and again in 0.22.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from proxhermes.inventory.documents import Document
from proxhermes.inventory.fields import Model, Name, as_list, mistake, one_or_many
from proxhermes.inventory.paths import GuestPath

EVERY: Final = re.compile(r"every (\d{1,6}) ?(m|min|mins|minutes?|h|hrs?|hours?|d|days?)")
_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART: Final = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?")
_SCHEDULES: Final = '"every 30m", "every 2h", "every 1d", or five fields as in "0 7 * * 1-5"'


def _schedule(value: str) -> str:
    text = " ".join(value.split())
    if text.lower().startswith("every "):
        found = EVERY.fullmatch(text.lower())
        if not found or int(found[1]) == 0:
            raise mistake(f"{value!r} is not an interval", _SCHEDULES)
        return text.lower()
    fields = text.split(" ")
    if len(fields) != len(_FIELDS) or not re.fullmatch(r"[\d*,/ -]+", text):
        raise mistake(f"{value!r} is not a schedule that recurs", _SCHEDULES)
    for field, (name, lowest, highest) in zip(fields, _FIELDS, strict=True):
        if not all(_in_range(part, lowest, highest) for part in field.split(",")):
            raise mistake(f"{field!r} is not a {name} ({lowest}-{highest})", _SCHEDULES)
    return text


def _in_range(part: str, lowest: int, highest: int) -> bool:
    """Whether it is `*`, a number or a range of them, with a step or without."""
    found = _PART.fullmatch(part)
    if not found:
        return False
    numbers = [int(number) for number in found.group(1, 2) if number is not None]
    return numbers == sorted(numbers) and all(lowest <= number <= highest for number in numbers)


def _target(value: str) -> str:
    if value.partition(":")[0] == "origin":
        raise mistake("a declared job comes from no chat that it could answer in", "`local`, or a platform")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*(?::[^\s,\x00-\x1f\x7f]+)?", value):
        raise mistake(
            f"{value!r} is not a place to deliver to",
            "`local`, `all`, PLATFORM or PLATFORM:CHAT[:THREAD], as in `telegram`; several make a list",
        )
    return value


def _somewhere(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise mistake("the answer goes nowhere", "`local` keeps it in `cron/output`")
    return value


def _script(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*", value):
        raise mistake(f"{value!r} is not a path below `scripts` in HERMES_HOME", "as in `disk.sh`")
    return value


Targets = Annotated[
    tuple[Annotated[str, AfterValidator(_target)], ...],
    Field(strict=False),
    BeforeValidator(as_list),
    AfterValidator(_somewhere),
    one_or_many({"type": "string"}),
]


class Cron(Model):
    """One job: when it is done, what is asked of the agent then, and where the answer goes."""

    schedule: Annotated[str, AfterValidator(_schedule)] = Field(
        description="`every 30m`, `every 2h`, `every 1d`, or five fields as cron has them: `0 7 * * 1-5`."
    )
    prompt: Document | None = Field(
        default=None, description="What the agent is asked, in a conversation of its own: a text, or `{file: PATH}`."
    )
    deliver: Targets = Field(
        default=("local",),
        description="Where the answer goes: `local` (kept in `cron/output`), a platform's home channel (`telegram`), "
        "PLATFORM:CHAT[:THREAD], `all`.",
    )
    skills: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        default=(), description="Skills that are loaded before, by name."
    )
    script: Annotated[str, AfterValidator(_script)] | None = Field(
        default=None,
        description="Script below `scripts` in HERMES_HOME (`hermes.home_files` puts it there); what it prints goes "
        "into the prompt.",
    )
    no_agent: bool = Field(
        default=False, description="The script is the job: what it prints is delivered, and no model is asked."
    )
    workdir: GuestPath | None = Field(
        default=None, description="Folder that it works in, as the agent sees it; its AGENTS.md is read."
    )
    enabled: bool = Field(default=True, description="Whether the clock starts it; a job that is not is paused.")

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if self.no_agent and self.script is None:
            raise mistake("`no_agent` needs the script that is the job", "`script: NAME.sh` beside it")
        if self.no_agent and (self.prompt or self.skills):
            raise mistake("without the agent, nobody reads `prompt` and `skills`", "`script` alone, or no `no_agent`")
        if not self.no_agent and self.prompt is None and not self.skills:
            raise mistake("there is nothing to do", "`prompt`, `skills`, or `script` with `no_agent: true`")
        if self.prompt is not None and self.prompt.text is not None and not self.prompt.text.strip():
            raise mistake("the prompt is empty", "what the agent is asked")
        return self
