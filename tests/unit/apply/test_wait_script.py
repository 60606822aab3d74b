"""guest-wait.sh run for real, with a runtime that says what a test wants it to."""

from __future__ import annotations

import subprocess
from base64 import b64decode
from pathlib import Path

import pytest

from proxhermes.apply import guest
from proxhermes.transport.scripts import script

RUNTIME = """
again() { echo . >>polls; [ "$(wc -l <polls)" -lt 10 ]; }
rt_status() { echo running; }
rt_starts() { echo 0; }
rt_words() { echo 'its last words'; }
rt_health() { if again; then echo 000; else echo 200; fi; }
"""


# A clock that goes a hundred seconds further each time that it is asked.
FAST = """
date() { if [ "$1" = +%s ]; then echo . >>clock; echo "$(($(wc -l <clock) * 100))"; else command date "$@"; fi; }
sleep() { :; }
rt_health() { echo . >>polls; echo 000; }
"""


def wait(folder: Path, runtime: str) -> subprocess.CompletedProcess[str]:
    """Wait for three seconds at most for a gateway that answers when asked for the tenth time, later than that."""
    for name in ("guest-wait.sh", "guest-common.sh"):
        (folder / name).write_bytes(script(name))
    (folder / "agent.sh").write_text(f"home={folder}\n")
    (folder / "runtime.sh").write_text(runtime)
    (folder / "gateway_state.json").write_text("{}\n")  # where there is none yet, it is waited for
    return subprocess.run(
        ["sh", "guest-wait.sh", "3"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_gateway_that_does_not_answer_in_time_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    done = wait(tmp_path, RUNTIME)
    assert done.returncode == 1
    assert "failed: the gateway did not answer within 3 s" in done.stderr and "its last words" in done.stderr


@pytest.mark.parametrize(
    ("sizes", "seconds"),
    [
        ({}, 3),
        ({"state.db": 100 << 20}, 53),
        ({"state.db": 5000 << 20}, 2503),
        ({"state.db": 1000 << 20, "profiles/ann/state.db": 1000 << 20}, 1003),
        ({"state.db": 1 << 42}, 3000),
    ],
)
def test_large_databases_get_the_time_that_bringing_them_up_to_date_takes(
    tmp_path: Path, sizes: dict[str, int], seconds: int
) -> None:
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    done = wait(tmp_path, RUNTIME + FAST)
    assert f"failed: the gateway did not answer within {seconds} s" in done.stderr
    assert len((tmp_path / "polls").read_text().splitlines()) >= seconds // 200
    assert (done.returncode == 76) == ("do not restart it" in done.stderr) == (seconds > 60)


def test_one_that_stops_over_large_databases_is_not_at_work_on_them(tmp_path: Path) -> None:
    with (tmp_path / "state.db").open("wb") as file:
        file.truncate(5000 << 20)
    done = wait(tmp_path, RUNTIME + FAST + "rt_status() { echo exited; }\n")
    assert done.returncode == 1 and "do not restart" not in done.stderr


def test_a_link_is_not_taken_for_a_database(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(5000 << 20)
    (tmp_path / "state.db").symlink_to("large")
    assert "did not answer within 3 s" in wait(tmp_path, RUNTIME + FAST).stderr


def test_the_callers_deadline_is_not_before_the_longest_wait() -> None:
    assert f"longest={guest.LONGEST_WAIT_S:.0f} " in script("guest-wait.sh").decode()


def test_what_is_done_before_the_gateway_starts_does_not_count(tmp_path: Path) -> None:
    done = wait(tmp_path, RUNTIME + "rt_busy() { true; }\n")
    assert done.returncode == 0, done.stderr
    assert "gateway.health=200" in done.stdout


@pytest.mark.parametrize("status", ["nothing", "exited", "stopped", "failed"])
def test_a_service_that_is_gone_is_not_waited_for(tmp_path: Path, status: str) -> None:
    done = wait(tmp_path, RUNTIME + f"rt_status() {{ echo {status}; }}\nrt_busy() {{ true; }}\n")
    assert done.returncode == 1
    assert len((tmp_path / "polls").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "early",
    [
        '{"gateway_state": "starting", "platforms": {}}',
        '{"gateway_state": "running", "platforms": {"telegram": {"state": "connecting"}}}',
    ],
)
def test_a_gateway_whose_api_answers_is_waited_for_until_it_has_started(tmp_path: Path, early: str) -> None:
    """Hermes 0.22 answers before its platforms have connected: whoever verifies then would see a fault."""
    (tmp_path / "late.json").write_text('{"gateway_state": "running", "platforms": {}}')
    (tmp_path / "early.json").write_text(early)
    answers = """
rt_health() { cp early.json gateway_state.json; (sleep 1; mv late.json gateway_state.json) >/dev/null & echo 200; }
"""
    done = wait(tmp_path, RUNTIME + answers)
    assert done.returncode == 0, done.stderr
    told = next(line for line in done.stdout.splitlines() if line.startswith("file.state:b64="))
    assert b64decode(told.partition("b64=")[2]) == b'{"gateway_state": "running", "platforms": {}}'
