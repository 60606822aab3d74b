"""The verification's scripts, run for real on folders that an agent has prepared against them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from guest_bundle import lay_out, run

from proxhermes.transport.scripts import script
from proxhermes.verify.scene import Answers

NONCE = "0123456789ab"
NAME = f".proxhermes-verify-{NONCE}"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that only root may touch."""
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0\n")
    return path


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    folder = tmp_path / "mount"
    folder.mkdir()
    return folder


def in_guest(tmp_path: Path, mount: Path) -> Answers:
    """guest-verify.sh with a Docker that does not answer."""
    (tmp_path / "data").mkdir(exist_ok=True)
    bundle = lay_out(tmp_path / "bundle", tmp_path, docker="exit 1", ss="exit 1")
    done = run(bundle, "guest-verify.sh", NONCE, str(mount))
    assert done.returncode == 0, done.stderr
    return Answers(done.stdout)


def on_node(mount: Path) -> Answers:
    words = ("sh", "-s", "--", "-", "8642", "-", NONCE, str(mount))
    done = subprocess.run(words, input=script("host-verify.sh"), capture_output=True, timeout=10, check=True)
    return Answers(done.stdout.decode())


def test_root_writes_a_new_file_and_the_node_removes_it(tmp_path: Path, mount: Path) -> None:
    assert in_guest(tmp_path, mount).answer("root.0").ok
    seen = on_node(mount).text("root.0").splitlines()
    assert seen[0].startswith(f"{os.getuid()}|{os.getgid()}|") and seen[1] == NONCE
    assert list(mount.iterdir()) == []


def test_root_in_the_guest_writes_through_no_link_of_the_agent(tmp_path: Path, mount: Path, victim: Path) -> None:
    (mount / f"{NAME}-root").symlink_to(victim)
    assert not in_guest(tmp_path, mount).answer("root.0").ok
    assert victim.read_text() == "root:x:0:0\n"


def test_the_gateways_state_is_read_through_no_link_and_waits_for_no_pipe(
    tmp_path: Path, mount: Path, victim: Path
) -> None:
    (tmp_path / "data").mkdir()
    state = tmp_path / "data" / "gateway_state.json"
    state.symlink_to(victim)
    assert in_guest(tmp_path, mount).text("state") == ""
    state.unlink()
    os.mkfifo(state)
    subprocess.run(("rm", "-r", str(tmp_path / "bundle")), check=True)
    assert in_guest(tmp_path, mount).text("state") == ""


def test_the_node_reads_and_removes_nothing_but_plain_files(mount: Path, victim: Path) -> None:
    (mount / f"{NAME}-root").symlink_to(victim)
    os.mkfifo(mount / f"{NAME}-agent")
    (mount / f"{NAME}-tool").mkdir()
    (mount / "other").touch()
    seen = on_node(mount)
    assert not any(f"{who}.0" in seen for who in ("root", "agent", "tool"))
    assert victim.exists() and (mount / "other").exists()


def test_a_file_that_turns_into_a_link_or_a_pipe_is_not_read(
    tmp_path: Path, mount: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest wins the race: what was a plain file is something else once it is read."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    for swap in (f'ln -sfn {victim} "$3"', 'rm "$3"; mkfifo "$3"'):
        (mount / f"{NAME}-root").write_text(NONCE)
        (tools / "stat").write_text(f'#!/bin/sh\n/usr/bin/stat "$@"\n{swap}\n')
        (tools / "stat").chmod(0o700)
        assert "root:" not in on_node(mount).text("root.0")
        assert list(mount.iterdir()) == []
