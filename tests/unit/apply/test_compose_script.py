"""guest-runtime-compose.sh run for real, with an engine of the test's own: when it stops, writes and starts."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from guest_bundle import lay_out

# A container whose gateway, as Hermes's, keeps its own view of gateway_state.json and writes it over others when it
# ends. State in files: status, started (a count), state (the gateway's view).
ENGINE = """\
cd {world}
echo "$*" >>calls
case "$*" in
  'container inspect'*) [ -f status ] || exit 1 ;;
esac
case "$*" in
  *'{{{{.Id}}}} {{{{.State.StartedAt}}}}'*) echo "id $(cat started)" ;;
  *'{{{{.Id}}}}') echo id ;;
  *'{{{{.State.StartedAt}}}}') cat started ;;
  *'{{{{.State.Status}}}}') cat status ;;
  'container stop'*) cp state {home}/gateway_state.json; echo exited >status ;;
  'container restart'* | 'compose '*' up '*)
    [ "$(cat status)" = exited ] || cp state {home}/gateway_state.json
    cp {home}/gateway_state.json seen
    echo running >status
    echo x >>started ;;
  'container unpause'*) echo running >status ;;
esac
"""


def start(
    tmp_path: Path, action: str, *, supervised: str, status: str = "running", state: object = None
) -> tuple[list[str], object, str]:
    """Start it: what the engine was asked for, the gateway's state that the new start found, and what was said."""
    world, home = tmp_path / "world", tmp_path / "project" / "data"
    world.mkdir()
    home.mkdir(parents=True)
    before = json.dumps(state if state is not None else {"gateway_state": "running", "desired_state": "running"})
    for path in (home / "gateway_state.json", world / "state"):
        path.write_text(before)
    (world / "status").write_text(f"{status}\n")
    (world / "started").write_text("x\n")
    bundle = lay_out(
        tmp_path / "bundle", home.parent, uid=os.getuid(), docker=ENGINE.format(world=world, home=home),
        setpriv="shift 5; exec \"$@\"",
    )  # fmt: skip
    with (bundle / "agent.sh").open("a") as names:
        names.write(f"supervised={supervised}\n")
    script = f"set -eu; . ./agent.sh; . ./guest-common.sh; . ./runtime.sh; rt_start {action}"
    path = f"{bundle}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", script], cwd=bundle, env={"PATH": path}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    calls = [call for call in (world / "calls").read_text().splitlines() if " inspect " not in call]
    return calls, json.loads((world / "seen").read_text()), done.stdout


@pytest.mark.parametrize("action", ["up", "restart"])
@pytest.mark.parametrize("status", ["running", "paused", "exited"])
def test_a_gateway_that_becomes_the_main_program_finds_that_the_supervisors_one_is_stopped(
    tmp_path: Path, action: str, status: str
) -> None:
    """Written while a gateway runs, it would be written over, and the new one would refuse to run beside another."""
    calls, seen, said = start(tmp_path, action, supervised="no", status=status)
    assert seen == {"gateway_state": "running", "desired_state": "stopped"}
    stopped = next(index for index, call in enumerate(calls) if call.startswith("container stop -t 80 "))
    assert stopped < next(index for index, call in enumerate(calls) if " up -d --no-build -t 80" in call)
    assert said == f"changed: container hermes: {'started' if status == 'exited' else 'restarted'}\n"


@pytest.mark.parametrize("state", [{}, {"gateway_state": "draining"}, {"platforms": {"telegram": {"state": "x"}}}])
def test_whatever_it_was_before_the_supervisors_one_stays_down(tmp_path: Path, state: dict[str, object]) -> None:
    _, seen, _ = start(tmp_path, "up", supervised="no", state=state)
    assert seen == {**state, "desired_state": "stopped"}


def test_under_its_supervisor_a_gateway_is_restarted_in_one_go_with_the_time_that_it_may_need(tmp_path: Path) -> None:
    calls, seen, said = start(tmp_path, "restart", supervised="yes")
    assert calls == ["container restart -t 80 hermes"]
    assert seen == {"gateway_state": "running", "desired_state": "running"}
    assert said == "changed: container hermes: restarted\n"


NETWORK = """\
echo "$*" >>{calls}
case "$*" in
  'network inspect'*) [ -n "{found}" ] && echo "{found}" ;;
  'container inspect'*) echo id ;;
esac
"""


@pytest.mark.parametrize(
    ("declared", "found", "moved"),
    [
        ("172.31.1.0/24", "172.18.0.0/16", True),
        ("172.31.1.0/24", "172.31.1.0/24", False),
        ("172.31.1.0/24", "", False),
        ("", "172.18.0.0/16", False),
    ],
)
def test_a_network_of_other_addresses_is_made_by_compose_again(
    tmp_path: Path, declared: str, found: str, moved: bool
) -> None:
    project, calls = tmp_path / "project", tmp_path / "calls"
    project.mkdir()
    ipam = f"networks:\n  default:\n    ipam:\n      config:\n      - subnet: {declared}\n" if declared else ""
    (project / "compose.yaml").write_text(f"name: hermes\n{ipam}")
    bundle = lay_out(tmp_path / "bundle", project, uid=os.getuid(), docker=NETWORK.format(calls=calls, found=found))
    with (bundle / "agent.sh").open("a") as names:
        names.write(f"project={project}\n")
    script = "set -eu; . ./agent.sh; . ./guest-common.sh; . ./runtime.sh; compose_network"
    done = subprocess.run(
        ["sh", "-c", script], cwd=bundle, env={"PATH": f"{bundle}:{os.environ['PATH']}"}, capture_output=True,
        text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = [call for call in calls.read_text().splitlines() if " inspect " not in call] if calls.exists() else []
    words = [
        "container stop",
        "network disconnect -f hermes_default",
        "network rm hermes_default",
        "create --no-recreate",
    ]
    words += ["network connect --alias hermes hermes_default hermes"]
    assert len(asked) == (len(words) if moved else 0)
    assert all(word in call for word, call in zip(words, asked, strict=False))
    assert ("changed: network hermes_default: 172.31.1.0/24, not 172.18.0.0/16" in done.stdout) is moved
