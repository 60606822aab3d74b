"""cron-jobs.py run for real, with a `hermes` that keeps its jobs as the real one does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxhermes.transport.scripts import script

HERMES = """#!{python}
import json, os, sys
from pathlib import Path
file = Path(os.environ["HERMES_HOME"], "cron/jobs.json")
jobs = json.loads(file.read_text())["jobs"] if file.exists() else []
with open(file.parent.parent / "calls", "a") as calls:
    print(json.dumps(sys.argv[1:]), file=calls)
command, words = sys.argv[4], sys.argv[5:]
if "fail" in words:
    print("\\x1b[31mFailed to create job: the prompt is not to be\\x1b[0m")
    sys.exit(1)
if command == "create":
    jobs.append({{"id": f"{{len(jobs) + 1:012x}}", "prompt": words[-1], "last_run_at": "now", "enabled": True}})
    print(f"\\x1b[32mCreated job: {{jobs[-1]['id']}}\\x1b[0m")
elif command == "pause":
    next(job for job in jobs if job["id"] == words[0])["enabled"] = False
elif command == "remove":
    jobs = [job for job in jobs if job["id"] != words[0]]
file.write_text(json.dumps({{"jobs": jobs}}))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of the agent's, and its Python with `hermes` beside it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "bin" / "hermes").write_text(HERMES.format(python=sys.executable))
    (tmp_path / "bin" / "hermes").chmod(0o700)
    for name in ("cron", ".proxhermes"):
        (tmp_path / "home" / name).mkdir(parents=True)
    return tmp_path / "home"


def run(home: Path, *steps: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    words = (
        str(home.parent / "bin" / "python"),
        "-I",
        "-S",
        "-c",
        script("cron-jobs.py").decode(),
        str(home),
        "default",
    )
    given = json.dumps({"fields": ["prompt", "enabled"], "steps": steps})
    environment = {"HERMES_HOME": str(home), "PATH": "/nowhere"}
    return subprocess.run(words, input=given, env=environment, capture_output=True, text=True, check=False, timeout=30)


def step(name: str, *commands: list[str], id: str | None = None, declared: Any = None) -> dict[str, Any]:
    return {"name": name, "id": id, "declared": declared, "commands": commands}


def memory(home: Path) -> Any:
    return json.loads((home / ".proxhermes" / "crons").read_text())


def test_what_is_made_is_remembered_with_its_id_and_what_hermes_made_of_it(home: Path) -> None:
    done = run(home, step("a", ["create", "--", "every 5m", "- one\n--two"], ["pause", "@"], declared={"x": 1}))
    assert (done.returncode, done.stdout) == (0, "changed: cron job a: create, pause\n"), done.stderr
    record = {"prompt": "- one\n--two", "enabled": False}
    assert memory(home) == {"a": {"id": "000000000001", "declared": {"x": 1}, "record": record}}
    assert (home / ".proxhermes" / "crons").stat().st_mode & 0o777 == 0o640
    assert json.loads((home / "calls").read_text().splitlines()[0])[:4] == ["-p", "default", "cron", "create"]


def test_what_goes_is_forgotten_and_the_others_are_not(home: Path) -> None:
    run(home, *(step(name, ["create", name], declared={}) for name in "ab"))
    done = run(home, step("a", ["remove", "000000000001"], id="000000000001"))
    assert done.returncode == 0 and [*memory(home)] == ["b"]


def test_one_that_is_only_remembered_calls_nothing(home: Path) -> None:
    run(home, step("a", ["create", "x"], declared={}))
    (home / ".proxhermes" / "crons").write_text("no JSON")
    (home / "calls").unlink()
    done = run(home, step("a", id="000000000001", declared={}))
    assert (done.returncode, done.stdout) == (0, "") and not (home / "calls").exists()
    assert memory(home)["a"]["id"] == "000000000001"


def test_a_refusal_is_told_in_hermes_own_words_and_what_was_done_before_is_remembered(home: Path) -> None:
    done = run(home, step("a", ["create", "x"], declared={}), step("b", ["create", "fail"], declared={}))
    assert done.returncode == 1
    assert done.stderr == "failed: cron job b: `hermes cron create`: Failed to create job: the prompt is not to be\n"
    assert [*memory(home)] == ["a"]


def test_a_job_that_hermes_does_not_have_is_not_remembered(home: Path) -> None:
    done = run(home, step("a", id="000000000007", declared={}))
    assert "it is not in Hermes' cron/jobs.json" in done.stderr and done.returncode == 1


def test_a_link_in_the_place_of_the_memory_is_replaced_and_not_followed(home: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (home / ".proxhermes" / "crons").symlink_to(victim)
    assert run(home, step("a", ["create", "x"], declared={})).returncode == 0
    assert victim.read_text() == "mine" and [*memory(home)] == ["a"]
    assert [path.name for path in (home / ".proxhermes").iterdir()] == ["crons"]
