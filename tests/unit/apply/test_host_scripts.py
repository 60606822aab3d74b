"""The scripts for the node, run for real on folders of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from proxhermes.apply.destroy import purge_command
from proxhermes.apply.host import apply_command
from proxhermes.plan.destroy import DestroyPlan
from proxhermes.plan.host import FolderAction, HostPlan
from proxhermes.transport.command import Command

ME = (os.getuid(), os.getgid())
# Real root may give folders away; anybody else tests with folders of its own.
OWNER = (110000, 110000) if os.getuid() == 0 else ME


def run(command: Command) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command.argv, input=(command.stdin or b"").decode(), capture_output=True, text=True, timeout=30, check=False
    )


def apply(*folders: FolderAction) -> subprocess.CompletedProcess[str]:
    return run(apply_command(HostPlan("n", 118, folders=folders), None))


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


def test_a_missing_folder_is_made_and_only_it_is_given_away(tmp_path: Path) -> None:
    path = tmp_path / "new parent" / "hermes"
    action = FolderAction(str(path), *OWNER, 0o750)
    first = apply(action)
    assert first.returncode == 0, first.stderr
    assert owner(path) == OWNER and path.stat().st_mode & 0o7777 == 0o750
    assert owner(path.parent) == ME and path.parent.stat().st_mode & 0o777 == 0o755
    assert all(line.startswith("changed: ") for line in first.stdout.splitlines())
    again = apply(action)
    assert (again.returncode, again.stdout) == (0, "")


def test_nothing_in_the_folder_and_no_parent_changes(tmp_path: Path) -> None:
    folder = tmp_path / "hermes"
    (folder / "sub").mkdir(parents=True)
    file = folder / "file"
    file.touch(mode=0o600)
    before = (owner(tmp_path), owner(file), owner(folder / "sub"), tmp_path.stat().st_mode)
    assert apply(FolderAction(str(folder), *OWNER, None)).returncode == 0
    assert owner(folder) == OWNER
    assert (owner(tmp_path), owner(file), owner(folder / "sub"), tmp_path.stat().st_mode) == before


@pytest.mark.parametrize("below", ["", "/below"])
def test_no_link_is_followed(tmp_path: Path, below: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    done = apply(FolderAction(f"{tmp_path}/link{below}", *OWNER, 0o700))
    assert done.returncode == 1 and "is a symbolic link" in done.stderr
    assert owner(target) == ME and list(target.iterdir()) == []


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = apply(FolderAction(f"{tmp_path}/file", *OWNER, None))
    assert done.returncode == 1 and "is not a directory" in done.stderr


def test_the_one_command_holds_folders_and_settings() -> None:
    plan = HostPlan(
        "gihyeon",
        118,
        folders=(FolderAction("/a b", 110000, 110000, 0o755), FolderAction("/c", 100000, 100000, None)),
        options={"features": "nesting=1,keyctl=1", "mp0": "/a b,mp=/data"},
        delete=("mp3",),
    )
    assert apply_command(plan, "d1").line() == (
        "sh -s -- folder '/a b' 110000 110000 755 folder /c 100000 100000 - "
        "run pct set 118 --features nesting=1,keyctl=1 --mp0 '/a b,mp=/data' --delete mp3 --digest d1"
    )


def test_a_setting_that_fails_fails_the_command(tmp_path: Path) -> None:
    command = apply_command(HostPlan("n", 118, folders=(FolderAction(str(tmp_path / "x"), *ME, None),)), None)
    failing = Command((*command.argv, "run", "sh", "-c", "echo no >&2; exit 5"), stdin=command.stdin)
    done = run(failing)
    assert done.returncode == 5 and done.stderr == "no\n" and "changed: sh" not in done.stdout
    assert (tmp_path / "x").is_dir()


def purge(*folders: Path, owners: tuple[tuple[int, int], ...] = ((ME[0], ME[0]),)) -> subprocess.CompletedProcess[str]:
    plan = DestroyPlan("n", 118, "h", False, False, False, tuple(str(folder) for folder in folders), owners, 100)
    return run(purge_command(plan))


def test_purge_removes_the_folder_and_never_what_a_link_leads_to(tmp_path: Path) -> None:
    folder, other = tmp_path / "her mes", tmp_path / "other"
    (folder / "deep").mkdir(parents=True)
    other.mkdir()
    (other / "precious").touch()
    (folder / "link").symlink_to(other)
    done = purge(folder)
    assert done.returncode == 0 and done.stdout == f"changed: removed {folder}\n"
    assert not folder.exists() and (other / "precious").exists()
    again = purge(folder)
    assert (again.returncode, again.stdout) == (0, f"absent: {folder}\n")


@pytest.mark.parametrize("below", ["", "/inner"])
def test_purge_does_not_go_through_a_link(tmp_path: Path, below: str) -> None:
    real = tmp_path / "real"
    (real / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    done = purge(Path(f"{tmp_path}/link{below}"))
    assert done.returncode == 1 and "left: " in done.stdout and "symbolic link" in done.stdout
    assert (real / "inner").is_dir()


def test_purge_leaves_what_belongs_to_somebody_else(tmp_path: Path) -> None:
    folder = tmp_path / "hermes"
    folder.mkdir()
    done = purge(folder, owners=((4_000_000, 4_000_100), (5_000_000, 5_000_001)))
    assert done.returncode == 1 and f"belongs to user {ME[0]}" in done.stdout and folder.is_dir()


def test_purge_leaves_a_mount_point() -> None:
    done = purge(Path("/proc"), owners=((0, 65535),))
    assert done.returncode == 1 and "mount point" in done.stdout and Path("/proc/self").exists()
