"""Brings the agent's cron jobs, or its skills of Hermes' hub, to what was planned, with Hermes' own command.

    agent-steps.py HOME PROFILE <PLAN

Runs in the place of the agent, as the agent, with nothing but Python's own library: its packages are not ours to rely
on. HOME: the agent's home; PROFILE: whose home it is for Hermes, `default` or a profile's name. PLAN: a JSON object:

    kind    `crons` or `hub`; HOME/.proxhermes/KIND remembers which of them are ours, by name
    fields  keys of what Hermes has of one that are remembered
    steps   for each: its name; its id for Hermes (null for a job that is made); what was declared of it (null for one
            that is not ours any more); `commands`, lists of arguments of `hermes`, where `@` is the id of the job that
            the command before has made; `replaces`, the id of the job that it is made in the place of; `undo`, a step
            that puts back what was there, if a command fails after that has gone

What is ours is remembered after each command, so that a run that ends between two of them is completed by the next one.
Prints `changed: ...` for what it changed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

Step = dict[str, Any]
LIMIT_S = 300
SUBJECT = {"crons": "cron job", "hub": "skill"}
home, profile = Path(sys.argv[1]), sys.argv[2]
plan = json.load(sys.stdin)
kind: str = plan["kind"]
beside = Path(sys.executable).parent / "hermes"
hermes = str(beside) if beside.exists() else "hermes"
memory_file = home / ".proxhermes" / kind


class Failed(Exception):
    """Why a step could not be carried out, for the operator."""


def fail(step: Step, why: str) -> NoReturn:
    raise Failed(f"{SUBJECT[kind]} {step['name']}: {why}")


def read(path: Path) -> Any:
    """What is in a JSON file; None where there is none, or another file."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), strict=False)
    except (OSError, ValueError, RecursionError):
        return None


def known(step: Step) -> dict[str, Any] | None:
    """What Hermes has of it; None where it has nothing."""
    if kind == "hub":
        lock = read(home / "skills" / ".hub" / "lock.json")
        installed = lock.get("installed") if isinstance(lock, dict) else None
        found = installed.get(step["name"]) if isinstance(installed, dict) else None
        return found if isinstance(found, dict) else None
    return job(step["id"])


def job(ref: str | None) -> dict[str, Any] | None:
    tree = read(home / "cron" / "jobs.json")
    jobs = tree.get("jobs") if isinstance(tree, dict) else tree
    return next((each for each in jobs or () if isinstance(each, dict) and each.get("id") == ref), None)


def call(step: Step, arguments: list[str]) -> str:
    """Run a command, say yes to what it asks, and return what it printed, without colours."""
    words = [hermes, "-p", profile, *(step["id"] if word == "@" else word for word in arguments)]
    name = " ".join(arguments[:2])
    try:
        done = subprocess.run(words, input="y\n", capture_output=True, text=True, errors="replace", timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        fail(step, f"`hermes {name}` did not end within {LIMIT_S} s")
    except OSError as error:
        fail(step, f"{hermes}: {error.strerror}")
    said = re.sub(r"\x1b\[[0-9;]*m", "", f"{done.stderr}\n{done.stdout}")
    if done.returncode:
        fail(step, f"`hermes {name}`: {reason(said)}")
    return said


def reason(said: str) -> str:
    """The line that says why, of all that a command printed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = (line for line in lines if re.match(r"Failed to |Error\b|Installation blocked", line))
    return next(telling, lines[-1] if lines else "no word")[:300]


def carry_out(step: Step) -> None:
    for arguments in step["commands"]:
        installs = arguments[:2] == ["skills", "install"]
        if installs:  # what is there from here on is ours, whatever identifier Hermes gives it
            remember(step, {"id": None, "declared": step["declared"], "record": None})
        said = call(step, arguments)
        if arguments[:2] == ["cron", "create"]:
            made = re.search(r"^Created job: ([0-9a-f]{12})$", said, re.MULTILINE)
            if not made:
                fail(step, "`hermes cron create` did not say which job it made")
            step["id"] = made[1]
        # 0.19 ends with 0 whatever became of a skill.
        if kind == "hub" and (known(step) is not None) != installs:
            fail(step, f"`hermes skills {arguments[1]}`: {reason(said)}")
        remember(step, entry(step))
    if not step["commands"]:
        remember(step, entry(step))
    if step["declared"] is not None and known(step) is None:
        fail(step, "Hermes does not have it")


def put_back(step: Step) -> str:
    """What became of a skill whose step failed, for the end of the message."""
    if kind != "hub" or known(step) is not None:
        return ""
    remember(step, None)
    if not step.get("undo"):
        return ""
    try:
        carry_out(step["undo"])
    except Failed as error:
        remember(step, None)
        return f"; the one that was there has gone, and could not be put back: {error}"
    return "; the one that was there is back"


def entry(step: Step) -> dict[str, Any] | None:
    """What is remembered of one that is ours; None for one that is not, or not there."""
    found = known(step)
    if step["declared"] is None or found is None:
        return None
    record = {name: found[name] for name in plan["fields"] if name in found}
    remembered = {"id": step["id"], "declared": step["declared"], "record": record}
    older = step.get("replaces")
    return remembered if older is None or job(older) is None else {**remembered, "replaces": older}


def remember(step: Step, found: dict[str, Any] | None) -> None:
    memory = read(memory_file)
    memory = memory if isinstance(memory, dict) else {}
    memory.pop(step["name"], None)
    if found is not None:
        memory[step["name"]] = found
    write(json.dumps(memory, indent=1, sort_keys=True))


def write(text: str) -> None:
    new = memory_file.with_name(f".proxhermes.{secrets.token_hex(3)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, 0o640)
        file.write(text)
        file.flush()
        os.fsync(handle)
    new.replace(memory_file)


for each in plan["steps"]:
    try:
        carry_out(each)
    except Failed as error:
        sys.exit(f"failed: {error}{put_back(each)}")
    if each["commands"]:
        done = ", ".join(words[1] for words in each["commands"])
        print(f"changed: {SUBJECT[kind]} {each['name']}: {done}", flush=True)
