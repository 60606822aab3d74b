"""`pct exec`, `push`, `pull`, start, shutdown, reboot and stop on a real container, as recorded on a real node.

The recorded commands about CT 324 while it runs, replayed in order on the lab's node: LXC, namespaces, systemd and the
tools as programs of their own. What these commands say of the configuration is compared without containers, in
tests/unit/lab/pve.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxhermes.lab.node.lab import Lab

sys.path.insert(0, str(Path(__file__).parents[1] / "unit/lab/pve"))  # the recordings and how they are compared

from cli_recordings import COMMON, Answer, Step, load, plain
from cli_replay import RECORDED_ENVIRONMENT

TEMPLATE = "debian-13-standard_13.1-1_amd64.tar.zst"
REPLAYED = (
    *(*range(144, 148), 149, 151),
    *range(155, 228),  # exec, push, pull
    *(*range(228, 236), 237, 238),  # hot-plugged, pending, refused
    *(244, *range(246, 257)),  # reboot, shutdown, stop
)
LEFT_OUT = {
    147: "whether all services of the recorded guest had started",
    176: "names programs that the recorded guest had and this one has not",
    249: "a shutdown that is not waited for",
    250: "starts when that has come to its end, as it happened",
}
ENVIRONMENT_STEP = 173
STEPS = [step for step in load() if step.number in REPLAYED]

BEFORE = f"""\
pveam list local | grep -q {TEMPLATE} || pveam download local {TEMPLATE}
mkdir -p /srv/pve-share /tmp/recpush
chown 100000:100000 /srv/pve-share
printf 'hello ü\\n' > /tmp/recpush/a.txt
pct create 324 local:vztmpl/{TEMPLATE} --hostname rec-324 --cores 2 --memory 512 --swap 0 --rootfs local-lvm:2 \
  --net0 name=eth0,bridge=intra01,ip=10.1.10.234/24,gw=10.1.10.1 --unprivileged 1 --features nesting=1 \
  --mp0 /srv/pve-share,mp=/mnt/share
pct start 324
timeout 90 pct exec 324 -- sh -c 'until systemctl is-system-running 2>&1 | grep -qE "^(running|degraded)"; do
  sleep 0.2; done'
"""
AFTER = """\
pct stop 324
pct destroy 324
rm -rf /srv/pve-share /tmp/recpush
"""


def answer(lab: Lab, step: Step) -> Answer:
    """Run one step on the node, in the environment of the recording."""
    variables = [f"{name}={value}" for name, value in {**RECORDED_ENVIRONMENT, **step.env}.items()]
    argv = lab.enter(["env", "-i", "-C", "/", *variables, *step.argv])
    given = os.urandom(100000) if step.stdin == "<binary>" else (step.stdin or "").encode()
    done = subprocess.run(argv, input=given, capture_output=True, timeout=120)
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def comparable(step: Step, said: Answer) -> tuple[int, str, str]:
    """Without what LXC itself prints and what is new on every run.

    An environment has no order; the shell that starts the tools here adds PWD to it.
    """
    out = plain(said.stdout, COMMON)
    if step.number == ENVIRONMENT_STEP:
        out = "".join(sorted(line for line in out.splitlines(keepends=True) if not line.startswith("PWD=")))
    return said.rc, out, plain(said.stderr, COMMON)


@pytest.fixture(scope="module")
def node(lab: Lab) -> Iterator[Lab]:
    """The lab with CT 324 as it was when the recorded commands came to it."""
    lab.run(["sh", "-ec", BEFORE])
    yield lab
    lab.run(["sh", "-c", AFTER], check=False)


def test_a_running_container_answers_as_recorded(node: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, compared = [], 0
    for step in STEPS:
        if step.number in LEFT_OUT:
            continue
        compared += 1
        wanted, got = comparable(step, step.answer), comparable(step, answer(node, step))
        if wanted != got:
            wrong.append(f"#{step.number} {shlex.join(step.argv)}\n  recorded: {wanted!r}\n  answered: {got!r}")
    with capsys.disabled():
        print(f"\nrecordings on a real container: {compared - len(wrong)} of {compared} as recorded; left out:")
        for number, reason in LEFT_OUT.items():
            print(f"  #{number}: {reason}")
    assert not wrong, "\n".join(["", *wrong])
