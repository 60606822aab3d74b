"""agent-steps.py run for real, with a `hermes` that keeps its jobs and skills as the real one does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from proxhermes.transport.scripts import script

HERMES = """#!{python}
import json, os, sys
from pathlib import Path
home = Path(os.environ["HERMES_HOME"])
with open(home / "calls", "a") as calls:
    print(json.dumps(sys.argv[1:]), file=calls)
kind, command, *words = sys.argv[3:]
file = home / ("cron/jobs.json" if kind == "cron" else "skills/.hub/lock.json")
tree = json.loads(file.read_text()) if file.exists() else {{"jobs": [], "installed": {{}}}}
jobs, skills = tree["jobs"], tree["installed"]
refused = home / "refused"
if "fail" in words or (refused.exists() and command in refused.read_text().split()):
    print("\\x1b[31mFailed to create job: the prompt is not to be\\x1b[0m")
    sys.exit(1)
if command == "create":
    jobs.append({{"id": f"{{len(jobs) + 1:012x}}", "prompt": words[-1], "last_run_at": "now", "enabled": True}})
    print(f"\\x1b[32mCreated job: {{jobs[-1]['id']}}\\x1b[0m")
elif command == "pause":
    next(job for job in jobs if job["id"] == words[0])["enabled"] = False
elif command == "remove":
    tree["jobs"] = [job for job in jobs if job["id"] != words[0]]
elif command == "install" and "nosuch" not in words[0]:
    skills[words[0].split("/")[-1]] = {{"identifier": words[0], "files": ["SKILL.md"]}}
elif command == "install":
    print("Fetching: " + words[0] + "\\nError: Could not fetch it from any source.\\n")
elif command == "uninstall" and input("Confirm [y/N]: ") == "y":
    del skills[words[0]]
file.write_text(json.dumps(tree))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of the agent's, and its Python with `hermes` beside it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "bin" / "hermes").write_text(HERMES.format(python=sys.executable))
    (tmp_path / "bin" / "hermes").chmod(0o700)
    for name in ("cron", "skills/.hub", ".proxhermes"):
        (tmp_path / "home" / name).mkdir(parents=True)
    return tmp_path / "home"


def run(
    home: Path, *steps: dict[str, Any], kind: Literal["crons", "hub"] = "crons"
) -> subprocess.CompletedProcess[str]:
    program = script("agent-steps.py").decode()
    words = (str(home.parent / "bin" / "python"), "-I", "-S", "-c", program, str(home), "default")
    given = json.dumps({"kind": kind, "fields": ["prompt", "enabled", "identifier"], "steps": steps})
    environment = {"HERMES_HOME": str(home), "PATH": "/nowhere"}
    return subprocess.run(words, input=given, env=environment, capture_output=True, text=True, check=False, timeout=30)


def step(name: str, *commands: list[str], id: str | None = None, declared: Any = None) -> dict[str, Any]:
    return {"name": name, "id": id, "declared": declared, "commands": commands}


def made(name: str, prompt: str = "x") -> dict[str, Any]:
    return step(name, ["cron", "create", "--", "every 5m", prompt], declared={})


def memory(home: Path, kind: str = "crons") -> Any:
    return json.loads((home / ".proxhermes" / kind).read_text())


def test_what_is_made_is_remembered_with_its_id_and_what_hermes_made_of_it(home: Path) -> None:
    create = ["cron", "create", "--", "every 5m", "- one\n--two"]
    done = run(home, step("a", create, ["cron", "pause", "@"], declared={"x": 1}))
    assert (done.returncode, done.stdout) == (0, "changed: cron job a: create, pause\n"), done.stderr
    record = {"prompt": "- one\n--two", "enabled": False}
    assert memory(home) == {"a": {"id": "000000000001", "declared": {"x": 1}, "record": record}}
    assert (home / ".proxhermes" / "crons").stat().st_mode & 0o777 == 0o640
    assert json.loads((home / "calls").read_text().splitlines()[0]) == ["-p", "default", *create]


def test_what_goes_is_forgotten_and_the_others_are_not(home: Path) -> None:
    run(home, made("a"), made("b"))
    done = run(home, step("a", ["cron", "remove", "000000000001"], id="000000000001"))
    assert done.returncode == 0 and [*memory(home)] == ["b"]


def test_one_that_is_only_remembered_calls_nothing(home: Path) -> None:
    run(home, made("a"))
    (home / ".proxhermes" / "crons").write_text("no JSON")
    (home / "calls").unlink()
    done = run(home, step("a", id="000000000001", declared={}))
    assert (done.returncode, done.stdout) == (0, "") and not (home / "calls").exists()
    assert memory(home)["a"]["id"] == "000000000001"


def test_a_refusal_is_told_in_hermes_own_words_and_what_was_done_before_is_remembered(home: Path) -> None:
    done = run(home, made("a"), step("b", ["cron", "create", "fail"], declared={}))
    assert done.returncode == 1
    assert done.stderr == "failed: cron job b: `hermes cron create`: Failed to create job: the prompt is not to be\n"
    assert [*memory(home)] == ["a"]


def test_a_job_that_hermes_does_not_have_is_not_remembered(home: Path) -> None:
    done = run(home, step("a", id="000000000007", declared={}))
    assert (done.returncode, done.stderr) == (1, "failed: cron job a: Hermes does not have it\n")


def test_a_link_in_the_place_of_the_memory_is_replaced_and_not_followed(home: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (home / ".proxhermes" / "crons").symlink_to(victim)
    assert run(home, made("a")).returncode == 0
    assert victim.read_text() == "mine" and [*memory(home)] == ["a"]
    assert [path.name for path in (home / ".proxhermes").iterdir()] == ["crons"]


def test_a_skill_of_the_hub_is_installed_remembered_and_removed(home: Path) -> None:
    install = step("dice", ["skills", "install", "official/dice", "--yes"], declared={"hub": "official/dice"})
    done = run(home, install, kind="hub")
    assert (done.returncode, done.stdout) == (0, "changed: skill dice: install\n"), done.stderr
    record = {"identifier": "official/dice"}
    assert memory(home, "hub") == {"dice": {"id": None, "declared": {"hub": "official/dice"}, "record": record}}
    assert run(home, step("dice", ["skills", "uninstall", "dice"]), kind="hub").returncode == 0
    assert memory(home, "hub") == {}


def test_a_skill_that_was_not_installed_is_a_failure_whatever_the_code_says(home: Path) -> None:
    """Hermes 0.19 ends with 0."""
    done = run(home, step("nosuch", ["skills", "install", "official/nosuch", "--yes"], declared={}), kind="hub")
    assert done.returncode == 1
    assert done.stderr == "failed: skill nosuch: `hermes skills install`: Error: Could not fetch it from any source.\n"


def test_a_job_is_remembered_before_the_next_command(home: Path) -> None:
    """So that the run after one that was interrupted, or refused, pauses it and makes no second one."""
    (home / "refused").write_text("pause")
    done = run(home, step("a", ["cron", "create", "--", "every 5m", "x"], ["cron", "pause", "@"], declared={"x": 1}))
    assert done.returncode == 1 and "`hermes cron pause`" in done.stderr
    record = {"prompt": "x", "enabled": True}
    assert memory(home) == {"a": {"id": "000000000001", "declared": {"x": 1}, "record": record}}


def jobs(home: Path) -> list[str]:
    return [job["id"] for job in json.loads((home / "cron" / "jobs.json").read_text())["jobs"]]


def test_a_job_goes_only_once_the_one_in_its_place_is_there(home: Path) -> None:
    old, new = "000000000001", "000000000002"
    run(home, made("a"))
    words = ["cron", "create", "--", "every 5m", "x"]
    replaced = {**step("a", words, ["cron", "remove", old], declared={}), "replaces": old}
    (home / "refused").write_text("create")
    assert run(home, replaced).returncode == 1
    assert jobs(home) == [old] and memory(home)["a"]["id"] == old
    (home / "refused").write_text("remove")
    assert run(home, replaced).returncode == 1
    assert jobs(home) == [old, new] and (memory(home)["a"]["id"], memory(home)["a"]["replaces"]) == (new, old)
    (home / "refused").unlink()
    assert run(home, step("a", ["cron", "remove", old], id=new, declared={})).returncode == 0
    assert jobs(home) == [new] and "replaces" not in memory(home)["a"]


def replaced_skill(old: str, new: str, *, declared: Any) -> dict[str, Any]:
    undo = step("dice", ["skills", "install", old, "--yes"], declared=declared)
    words = (["skills", "uninstall", "dice"], ["skills", "install", new, "--yes"])
    return {**step("dice", *words, declared={"hub": new}), "undo": undo}


def installed(home: Path) -> dict[str, str]:
    lock = json.loads((home / "skills" / ".hub" / "lock.json").read_text())
    return {name: entry["identifier"] for name, entry in lock["installed"].items()}


@pytest.mark.parametrize("declared", [{"hub": "a/dice"}, None])
def test_a_skill_whose_successor_cannot_be_installed_is_put_back(home: Path, declared: Any) -> None:
    run(home, step("dice", ["skills", "install", "a/dice"], declared=declared), kind="hub")
    before = memory(home, "hub")
    done = run(home, replaced_skill("a/dice", "nosuch/dice", declared=declared), kind="hub")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        "failed: skill dice: `hermes skills install`: Error: Could not fetch it from any source."
        "; the one that was there is back\n"
    )
    assert installed(home) == {"dice": "a/dice"} and memory(home, "hub") == before


def test_a_skill_that_cannot_be_put_back_is_told_and_forgotten(home: Path) -> None:
    """Forgotten, for the agent did not remove it."""
    run(home, step("dice", ["skills", "install", "a/dice"], declared={"hub": "a/dice"}), kind="hub")
    (home / "refused").write_text("install")
    done = run(home, replaced_skill("a/dice", "b/dice", declared={"hub": "a/dice"}), kind="hub")
    assert done.returncode == 1 and "has gone, and could not be put back: skill dice: `hermes" in done.stderr
    assert installed(home) == {} and memory(home, "hub") == {}


def test_a_skill_is_remembered_from_before_its_installation(home: Path) -> None:
    """So that what a killed run has installed is known as ours, whatever identifier Hermes has given it."""
    program = home.parent / "bin" / "hermes"
    program.write_text(program.read_text() + "os.kill(os.getppid(), 9)\n")
    install = step("dice", ["skills", "install", "official/dice", "--yes"], declared={"hub": "official/dice"})
    assert run(home, install, kind="hub").returncode == -9
    assert installed(home) == {"dice": "official/dice"}
    assert memory(home, "hub") == {"dice": {"id": None, "declared": {"hub": "official/dice"}, "record": None}}
