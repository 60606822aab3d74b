"""Brings the agent's cron jobs to what was planned, with Hermes' own command. Runs in the agent's place, as the agent.

    cron-jobs.py HOME PROFILE <STEPS

HOME: the agent's home; PROFILE: whose home it is for Hermes, `default` or a profile's name. STEPS: a JSON object with
`fields`, the keys of a job that are remembered, and `steps`, each with the name of a job, its id (null for one that is
made), what was declared of it (null for one that is not ours any more) and `commands`, lists of arguments of
`hermes cron`, where `@` stands for the id of the job that was made.

Writes HOME/.proxhermes/crons after each step: the jobs that are ours, by name. Prints `changed: ...` for what it
changed. Nothing but Python's own library is imported, for the agent's packages are not ours to rely on.
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

LIMIT_S = 120
home, profile = Path(sys.argv[1]), sys.argv[2]
beside = Path(sys.executable).parent / "hermes"
hermes = str(beside) if beside.exists() else "hermes"
memory_file = home / ".proxhermes" / "crons"


Step = dict[str, Any]


def fail(step: Step, why: str) -> NoReturn:
    sys.exit(f"failed: cron job {step['name']}: {why}")


def read(path: Path) -> Any:
    """What is in a JSON file; None where there is none, or another file."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), strict=False)
    except (OSError, ValueError, RecursionError):
        return None


def call(step: Step, arguments: list[str]) -> str:
    """Run a command, and return what it printed, without colours."""
    words = [hermes, "-p", profile, "cron", *(step["id"] if word == "@" else word for word in arguments)]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        fail(step, f"`hermes cron {arguments[0]}` did not end within {LIMIT_S} s")
    except OSError as error:
        fail(step, f"{hermes}: {error.strerror}")
    said = re.sub(r"\x1b\[[0-9;]*m", "", f"{done.stderr}\n{done.stdout}")
    if done.returncode:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        told = next((line for line in lines if line.startswith("Failed to ")), lines[-1] if lines else "no word")
        fail(step, f"`hermes cron {arguments[0]}`: {told[:300]}")
    return said


def carry_out(step: Step) -> None:
    for arguments in step["commands"]:
        said = call(step, arguments)
        if arguments[0] == "create":
            made = re.search(r"^Created job: ([0-9a-f]{12})$", said, re.MULTILINE)
            if not made:
                fail(step, "`hermes cron create` did not say which job it made")
            step["id"] = made[1]
    if step["commands"]:
        print(f"changed: cron job {step['name']}: {', '.join(words[0] for words in step['commands'])}", flush=True)


def remember(step: Step, fields: list[str]) -> None:
    memory = read(memory_file)
    memory = memory if isinstance(memory, dict) else {}
    memory.pop(step["name"], None)
    if step["declared"] is not None:
        tree = read(home / "cron" / "jobs.json")
        jobs = tree.get("jobs") if isinstance(tree, dict) else tree
        found = [job for job in jobs or () if isinstance(job, dict) and job.get("id") == step["id"]]
        if not found:
            fail(step, "it is not in Hermes' cron/jobs.json")
        record = {name: found[0].get(name) for name in fields if name in found[0]}
        memory[step["name"]] = {"id": step["id"], "declared": step["declared"], "record": record}
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


plan = json.load(sys.stdin)
for each in plan["steps"]:
    carry_out(each)
    remember(each, plan["fields"])
