"""Functions of the persistent agent's entrypoint, run for real on folders of a test's own; the rest is the lab's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENTRYPOINT = Path(__file__).parents[3] / "host_scripts" / "persistent-entrypoint.sh"


def call(folder: Path, words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Words, with the entrypoint's functions and without what it does at a start."""
    text = ENTRYPOINT.read_text()
    start = text.index("\ncase ${1:-} in\n")
    (folder / "functions").write_text(f"{text[:start]}\nkept={folder}\n{words}\n")
    own = {"agent_uid": str(os.getuid()), "agent_gid": str(os.getgid()), "HOME": str(folder)}
    own |= {"agent_venv_python": "python3", **environment}
    (folder / "environment").write_text("".join(f"export {name}='{value}'\n" for name, value in own.items()))
    return subprocess.run(["sh", folder / "functions"], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("packages", "there"),
    [("sudo jq", True), ("jq", True), ("jq sudo", True), ("sudo jq pandoc", False), ("q", False), ("jq=1.7", False)],
)
def test_what_is_provisioned_already_is_not_again(tmp_path: Path, packages: str, there: bool) -> None:
    (tmp_path / "provisioned").write_text("1 sudo jq\n")
    assert (call(tmp_path, "provisioned", agent_packages=packages).returncode == 0) is there


@pytest.mark.parametrize("marker", [None, "0 sudo jq\n"])
def test_a_layer_without_its_mark_is_not_provisioned(tmp_path: Path, marker: str | None) -> None:
    if marker is not None:
        (tmp_path / "provisioned").write_text(marker)
    assert call(tmp_path, "provisioned", agent_packages="jq").returncode == 1


def test_the_probe_waits_as_long_as_the_inventory_says(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/echo")
    (tmp_path / "environment").write_text(f"agent_code={tmp_path} agent_api_port=8642 agent_health_timeout=77\n")
    (tmp_path / "entrypoint").write_text(ENTRYPOINT.read_text())
    done = subprocess.run(["sh", tmp_path / "entrypoint", "health"], capture_output=True, text=True, check=False)
    assert done.stdout.split()[-2:] == ["http://127.0.0.1:8642/health", "77"], done.stderr


def made(folder: Path, version: str, name: str = ".venv") -> None:
    """An environment of that Python, with its tools, and with its version to know it by."""
    (folder / name / "bin").mkdir(parents=True)
    (folder / name / "pyvenv.cfg").write_text(f"version = {version}\n")
    for tool in ("python", "uv"):
        (folder / name / "bin" / tool).symlink_to("/bin/true")


def versions(folder: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text().split()[2] for path in folder.glob(".venv*/pyvenv.cfg")}


@pytest.mark.skipif(sys.platform != "linux" or not Path("/usr/bin/python3").exists(), reason="needs a system's Python")
def test_an_environment_that_was_laid_aside_is_taken_up_again_and_none_is_thrown_away(tmp_path: Path) -> None:
    ask = ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    now = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    made(tmp_path, "2.7.1")
    made(tmp_path, "2.7.0", ".venv-2.7")
    made(tmp_path, f"{now}.9", f".venv-{now}")
    done = call(tmp_path, "python_environment")
    assert done.returncode == 0, done.stderr
    assert versions(tmp_path) == {".venv": f"{now}.9", ".venv-2.7": "2.7.0", ".venv-2.7.old": "2.7.1"}
    assert call(tmp_path, "python_environment").returncode == 0
    assert versions(tmp_path)[".venv"] == f"{now}.9"


@pytest.mark.parametrize(
    ("before", "named", "there"),
    [
        (None, "python3", True), ("python3", "python3", True), ("python3.12", "python3.12", True),
        (None, "python3.12", False), ("python3.12", "python3", False),
    ],
)  # fmt: skip
def test_another_python_for_the_environment_is_provisioned_again(
    tmp_path: Path, before: str | None, named: str, there: bool
) -> None:
    (tmp_path / "provisioned").write_text("1 jq\n")
    if before is not None:
        (tmp_path / "venv").write_text(f"{before}\n")
    done = call(tmp_path, "provisioned", agent_packages="jq", agent_venv_python=named)
    assert (done.returncode == 0) is there


def test_the_environment_is_made_from_the_python_that_is_named(tmp_path: Path) -> None:
    python = tmp_path / "other-python"
    python.write_text(
        '#!/bin/sh\n[ "$1" = -c ] && { echo 3.99; exit; }\n[ "$1 $2" = "-m venv" ] && mkdir -p "$3/bin"\n'
    )
    python.chmod(0o755)
    made(tmp_path, "3.98.1")
    done = call(tmp_path, "python_environment", agent_venv_python=str(python))
    assert "is of Python 3.98, and the one that is meant is 3.99: laid aside as ~/.venv-3.98" in done.stdout
    assert (tmp_path / ".venv").is_dir() and versions(tmp_path) == {".venv-3.98": "3.98.1"}
    missing = call(tmp_path, "python_environment", agent_venv_python="python2.99")
    assert missing.returncode == 1 and "there is no python2.99 in this image" in missing.stdout


def test_rights_go_on_after_what_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "work").mkdir()
    (tmp_path / "work").chmod(0o777)
    done = call(
        tmp_path, "rights", HERMES_HOME=str(tmp_path / "file" / "below"), agent_workspace=str(tmp_path / "work")
    )
    assert done.returncode == 1
    assert (tmp_path / "work").stat().st_mode & 0o777 == 0o750
