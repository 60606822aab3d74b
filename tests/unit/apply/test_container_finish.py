"""container-finish.sh among processes of its own: which one it ends and waits for, and which it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "host_scripts" / "container-finish.sh"
# As a gateway with work in flight: told to end, it still does something first.
GATEWAY = """\
import pathlib, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
here = pathlib.Path(__file__).parent
(here / "ready").touch()
signal.sigwait({signal.SIGTERM})
(here / "ended").touch()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="processes of their own need root")
def test_a_gateway_that_is_the_main_program_is_ended_and_waited_for_and_its_shell_is_not(tmp_path: Path) -> None:
    """By its command line: a container's root may not see which file another user's process runs."""
    (tmp_path / "python3").symlink_to(sys.executable)
    (tmp_path / "hermes").write_text(GATEWAY)
    arguments = "gateway run --no-supervise --accept-hooks"
    world = f"""
      {tmp_path}/python3 {tmp_path}/hermes {arguments} &
      sh -c 'while :; do sleep 0.1; done' wrapper {arguments} &
      wrapper=$!
      until [ -e {tmp_path}/ready ]; do sleep 0.05; done
      sh {SCRIPT} && [ -e {tmp_path}/ended ] && kill -0 "$wrapper" && echo as it should be
    """
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", world],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "as it should be\n", done.stderr
