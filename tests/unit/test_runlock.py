"""One run at a time for an agent, and a clear word where there is no place for the lock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxhermes.errors import ProxhermesError
from proxhermes.runlock import agent_lock

AGENT = ("192.168.1.10:8006", "gihyeon", 118)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_a_second_run_is_refused_and_names_the_first() -> None:
    with agent_lock(*AGENT), pytest.raises(ProxhermesError, match=f"process {os.getpid()}"), agent_lock(*AGENT):
        raise AssertionError("both hold it")
    with agent_lock(*AGENT):
        pass


def test_other_agents_and_other_clusters_are_free() -> None:
    with agent_lock(*AGENT), agent_lock(AGENT[0], AGENT[1], 119), agent_lock("10.0.0.1:8006", *AGENT[1:]):
        pass


def test_a_killed_run_leaves_no_lock() -> None:
    code = f"import os; from proxhermes.runlock import agent_lock as lock\nwith lock(*{AGENT}): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with agent_lock(*AGENT):
        pass


def test_without_a_place_for_it_the_way_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "proxhermes").write_text("a file where a folder should be")
    with pytest.raises(ProxhermesError) as caught, agent_lock(*AGENT):
        pass
    assert "XDG_STATE_HOME" in (caught.value.hint or "")
