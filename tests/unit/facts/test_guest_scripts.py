"""The guest's scripts, run for real on folders that an agent has prepared, or that a killed run has left."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from proxhermes.facts.guest import GuestFacts, parse
from proxhermes.transport.scripts import script


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "data"
    folder.mkdir(parents=True)
    return folder


def run(tmp_path: Path, name: str, *args: str, **tools: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a bundle's folder; tools: commands put in the place of the real ones."""
    bundle = tmp_path / "bundle"
    bundle.mkdir(mode=0o700, exist_ok=True)
    (bundle / name).write_bytes(script(name))
    for tool, text in tools.items():
        (bundle / tool).write_text(f"#!/bin/sh\n{text}\n")
        (bundle / tool).chmod(0o700)
    environment = os.environ | {"PATH": f"{bundle}:{os.environ['PATH']}"}
    return subprocess.run(
        ("sh", f"./{name}", *args), cwd=bundle, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def facts(tmp_path: Path, data: Path, **tools: str) -> GuestFacts:
    done = run(
        tmp_path, "guest-facts.sh", str(data.parent), "image", "http://127.0.0.1:9/v1", "8642", docker="exit 1", **tools
    )
    assert done.returncode == 0 and done.stdout.endswith("facts=complete\n"), done.stderr
    return parse(done.stdout)


def test_files_are_read_as_they_are(tmp_path: Path, data: Path) -> None:
    (data / "config.yaml").write_text("a: 1\n")
    (data / ".env").touch(mode=0o600)
    seen = facts(tmp_path, data)
    assert (seen.content("config"), seen.content("env"), seen.content("state")) == (b"a: 1\n", b"", None)
    assert seen.files["env"].mode == 0o600 and seen.files["data"].kind == "directory"
    assert [path.name for path in (tmp_path / "bundle").iterdir() if path.is_dir()] == []


def test_what_is_no_plain_file_of_a_usual_size_is_told_and_not_read(tmp_path: Path, data: Path) -> None:
    (data / "config.yaml").symlink_to("/etc/passwd")
    os.mkfifo(data / ".env")
    with (data / "gateway_state.json").open("wb") as file:
        file.truncate(1 << 40)
    seen = facts(tmp_path, data)
    assert [seen.content(name) for name in ("config", "env", "state")] == [None, None, None]
    assert [seen.files[name].kind for name in ("config", "env", "state")] == [
        "symbolic link",
        "fifo",
        "file of more than 1 MiB",
    ]


def test_a_file_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path, data: Path) -> None:
    """Or the plan would write a new one over it."""
    (data / "config.yaml").write_text("a: 1\n")
    seen = facts(tmp_path, data, dd="echo 'I/O error' >&2; exit 1")
    assert seen.files["config"].kind == "file that cannot be read" and seen.content("config") is None


def hermes(tmp_path: Path, data: Path, uid: int, **tools: str) -> subprocess.CompletedProcess[str]:
    args = (str(data.parent), str(uid), str(uid), "image", "none", "8642", "1")
    return run(tmp_path, "guest-hermes.sh", *args, docker="exit 1", **tools)


def test_a_home_that_changes_hands_does_so_last_of_all(tmp_path: Path, data: Path) -> None:
    """By its owner a run after one that was killed sees what is left to do."""
    (data / "deep").mkdir()
    (data / "deep" / "file").touch()
    done = hermes(tmp_path, data, os.getuid() + 1, chown=f'echo "$@" >>{tmp_path}/given')
    assert done.returncode == 0, done.stderr
    given = (tmp_path / "given").read_text().split()
    assert given[-1] == str(data) and {str(data / "deep"), str(data / "deep" / "file")} < set(given)


def test_root_changes_the_mode_of_no_file_but_the_agents(tmp_path: Path, data: Path) -> None:
    (data / ".env").touch(mode=0o644)
    done = hermes(tmp_path, data, os.getuid() + 1, chown=":", setpriv="exit 9")
    assert done.returncode == 0 and "mode 0600" not in done.stdout
    done = hermes(tmp_path, data, os.getuid(), setpriv='while [ "$1" != chmod ]; do shift; done; "$@"')
    assert done.returncode == 0 and f"changed: {data}/.env: mode 0600" in done.stdout
    assert (data / ".env").stat().st_mode & 0o777 == 0o600
