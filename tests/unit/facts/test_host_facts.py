"""The node's facts: the real script run here, and what is made of what it prints."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from proxhermes.errors import ProxhermesError, Refused
from proxhermes.facts.host import Bound, Folder, facts_command, parse, read_host
from proxhermes.transport.command import Command, CommandResult


def run_here(*folders: str) -> str:
    command = facts_command(folders)
    done = subprocess.run(command.argv, input=command.stdin, capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    return done.stdout.decode()


def test_the_script_tells_of_each_kind_of_folder(tmp_path: Path) -> None:
    full, empty, file, link = (tmp_path / name for name in ("full", "empty", "file", "link"))
    full.mkdir(mode=0o750)
    (full / "x").touch()
    empty.mkdir(mode=0o755)
    file.touch()
    link.symlink_to(full)
    paths = [str(path) for path in (full, empty, file, link, link / "below", tmp_path / "no" / "where")]
    facts = parse(run_here(*paths))
    me = (os.getuid(), os.getgid())
    assert facts.folders[paths[0]] == Folder(paths[0], "directory", None, *me, 0o750, False)
    assert facts.folders[paths[1]] == Folder(paths[1], "directory", None, *me, 0o755, True)
    assert facts.folders[paths[2]] == Folder(paths[2], "other")
    assert facts.folders[paths[3]].link == paths[3]
    assert facts.folders[paths[4]] == Folder(paths[4], "missing", paths[3])
    assert facts.folders[paths[5]] == Folder(paths[5], "missing")


def test_a_folder_with_only_lost_and_found_is_empty(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert parse(run_here(str(tmp_path))).folders[str(tmp_path)].empty is True


def test_the_script_knows_the_mount_table() -> None:
    mounted = parse(run_here()).mounted
    assert "/proc" in mounted and "/no/such/folder" not in mounted


def test_what_the_node_says_of_its_storages_and_mounts() -> None:
    facts = parse(
        "node\tgihyeon\n"
        "mounted\t/mnt/pve/big\\040disk\n"
        "expected\t/mnt/nas/\t/etc/fstab\n"
        "storage\thdd\ttype\tdir\n"
        "storage\thdd\tpath\t/mnt/pve/hdd\n"
        "bound\tgihyeon\t117\t/srv/media/\n"
        "end\n"
    )
    assert facts.node == "gihyeon"
    assert facts.mounted == {"/mnt/pve/big disk"}
    assert facts.expected == {"/mnt/nas": "/etc/fstab"}
    assert facts.storages == {"hdd": {"type": "dir", "path": "/mnt/pve/hdd"}}
    assert facts.bound == (Bound("gihyeon", 117, "/srv/media"),)


class Answering:
    """A shell behind which every command prints `text`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, command: Command, **_options: object) -> CommandResult:
        return CommandResult(0, self.text, "")


def test_the_script_names_its_machine() -> None:
    assert parse(run_here()).node == os.uname().nodename.partition(".")[0]


def test_a_shell_on_another_node_of_the_cluster_is_refused() -> None:
    assert read_host(Answering("node\tPVE1\nend\n"), [], "pve1").node == "PVE1"
    with pytest.raises(Refused, match="node pve1 leads to the machine pve2"):
        read_host(Answering("node\tpve2\nend\n"), [], "pve1")


@pytest.mark.parametrize("text", ["", "mounted\t/\n"])
def test_an_answer_that_broke_off_is_no_fact(text: str) -> None:
    with pytest.raises(ProxhermesError, match="broke off"):
        parse(text)
