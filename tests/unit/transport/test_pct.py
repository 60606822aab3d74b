"""The guest's door: commands as text, and the runner as a real shell runs it."""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.errors import CommandFailed, DeadlineExceeded
from proxhermes.transport import pct
from proxhermes.transport.command import Command, CommandResult

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            pct.set_config(118, {"features": "nesting=1,keyctl=1", "mp0": "/mnt/pve/hdd/hermes,mp=/data"}),
            "pct set 118 --features nesting=1,keyctl=1 --mp0 /mnt/pve/hdd/hermes,mp=/data",
        ),
        (pct.set_config(118, {}, delete=["mp1", "mp2"]), "pct set 118 --delete mp1,mp2"),
        (pct.set_config(118, {"mp0": "/srv/a b,mp=/data"}), "pct set 118 --mp0 '/srv/a b,mp=/data'"),
        (pct.exec_(118, ["cat", "/etc/os-release"]), "pct exec 118 --keep-env 0 -- cat /etc/os-release"),
    ],
)
def test_commands(command: Command, line: str) -> None:
    assert command.line() == line


@given(st.lists(text, min_size=1))
def test_every_word_survives_the_shell(words: list[str]) -> None:
    assert shlex.split(pct.exec_(118, words).line())[6:] == words


@given(
    st.dictionaries(st.text("abc.-_", min_size=1).filter(lambda n: n not in (".", "..", pct.LAST)), st.binary()),
    st.integers(0, 0o777),
)
def test_a_packed_bundle_holds_exactly_its_files(files: dict[str, bytes], mode: int) -> None:
    packed = pct.pack({name: (content, mode) for name, content in files.items()})
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        *entries, last = archive
        found = {entry.name: (archive.extractfile(entry).read(), entry.mode) for entry in entries}  # type: ignore[union-attr]
    assert found == {name: (content, mode) for name, content in files.items()}
    assert (last.name, last.size) == (pct.LAST, 0)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../b", "a//b", "./a"])
def test_a_bundle_stays_in_its_folder(name: str) -> None:
    with pytest.raises(ValueError, match="must lie in its folder"):
        pct.pack({name: (b"", 0o600)})


class Node:
    """Plays the node: carries out `pct exec` on this machine, with `run` in the place of the guest's /run."""

    def __init__(self, run: Path) -> None:
        self.run_folder = run
        self.sent: list[Command] = []

    def argv(self, command: Command) -> list[str]:
        words = list(command.argv)
        assert words[:6] == ["pct", "exec", "118", "--keep-env", "0", "--"]
        return [word.replace("/run/proxhermes", f"{self.run_folder}/proxhermes") for word in words[6:]]

    def run(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        doing: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        self.sent.append(command)
        done = subprocess.run(
            self.argv(command), input=command.stdin, capture_output=True, timeout=timeout, check=False
        )
        result = CommandResult(done.returncode, done.stdout.decode(), done.stderr.decode())
        for line in result.stdout.splitlines() if on_line else ():
            on_line(line)
        return result


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def guest(node: Node) -> pct.Guest:
    return pct.Guest(node, 118)


def script(text: str, **files: tuple[bytes, int]) -> pct.Bundle:
    return {"go.sh": (text.encode(), 0o700), **files}


def test_a_script_sees_its_files_and_arguments(guest: pct.Guest, node: Node, tmp_path: Path) -> None:
    bundle = {
        "go.sh": (b'stat -c "%a %n" . secret sub/file; cat secret sub/file; printf "<%s>" "$@"; cat', 0o600),
        "secret": (b"hunter2\n", 0o600),
        "sub/file": (b"below\n", 0o644),
    }
    result = guest.run(bundle, "go.sh", ["a b", "$x"])
    assert result == CommandResult(0, "700 .\n600 secret\n644 sub/file\nhunter2\nbelow\n<a b><$x>", "")
    assert "hunter2" not in node.sent[0].line()
    assert node.sent[0].shown().startswith("pct exec 118 --keep-env 0 -- sh go.sh 'a b' '$x'  # 10240 bytes")
    assert [path.name for path in tmp_path.iterdir()] == ["proxhermes.lock"]
    assert len(node.sent) == 1


def test_the_output_is_the_scripts_to_the_byte(guest: pct.Guest) -> None:
    assert guest.run(script("printf 'no newline'"), "go.sh").stdout == "no newline"
    assert guest.run(script("echo one; echo"), "go.sh").stdout == "one\n\n"
    assert guest.run(script(":"), "go.sh").stdout == ""


@pytest.mark.parametrize("end", ["printf last", "echo last", "echo last; (sleep 0.1; echo stray) &"])
def test_lines_come_without_the_mark(guest: pct.Guest, end: str) -> None:
    lines: list[str] = []
    guest.run(script(f"echo first; {end}"), "go.sh", on_line=lines.append)
    assert lines[:2] == ["first", "last"]
    assert not any("proxhermes-end" in line for line in lines)


def test_the_scripts_own_code_is_told_from_pcts(guest: pct.Guest, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert guest.run(script("exit 2"), "go.sh", check=False).rc == 2
    with pytest.raises(CommandFailed, match=r"go\.sh failed in CT 118 with code 2") as caught:
        guest.run(script("echo why >&2; exit 2"), "go.sh", doing="looking inside")
    assert (caught.value.rc, caught.value.log, caught.value.doing) == (2, ("why",), "looking inside")

    said = "Configuration file 'nodes/gihyeon/lxc/118.conf' does not exist\n"
    monkeypatch.setattr(node, "run", lambda *_, **__: CommandResult(2, "", said))
    with pytest.raises(CommandFailed, match=r"did not run to its end in CT 118 \(pct exec ended with code 2\)"):
        guest.run(script("exit 0"), "go.sh", check=False)


def test_a_script_that_prints_a_mark_deceives_nobody(guest: pct.Guest) -> None:
    assert guest.run(script("echo proxhermes-end-0000000000000000 0; exit 3"), "go.sh", check=False).rc == 3


def test_a_deadline_is_told_with_the_scripts_name(
    guest: pct.Guest, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object, **__: object) -> CommandResult:
        raise DeadlineExceeded("`pct` did not end", log=["pulling"])

    monkeypatch.setattr(node, "run", late)
    with pytest.raises(DeadlineExceeded, match=r"go\.sh in CT 118 did not end within 5 s") as caught:
        guest.run(script(":"), "go.sh", timeout=5, doing="pulling the image")
    assert (caught.value.log, caught.value.doing) == (("pulling",), "pulling the image")


@pytest.mark.parametrize("size", [0, 700, 1024, 1536, 1800])
def test_a_bundle_that_was_cut_off_is_not_run(guest: pct.Guest, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    whole = pct.pack(script("echo never", secret=(b"x", 0o600)))
    monkeypatch.setattr(pct, "pack", lambda bundle: whole[:size])
    with pytest.raises(CommandFailed, match="did not run to its end"):
        guest.run(script("echo never"), "go.sh")


def start(node: Node, bundle: pct.Bundle, mark: str, limit: int = 20) -> subprocess.Popen[bytes]:
    """A run as its own process group, as `timeout` makes one."""
    command = pct.run_bundle(118, bundle, "go.sh", (), mark, limit)
    process = subprocess.Popen(
        node.argv(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None and command.stdin is not None
    process.stdin.write(command.stdin)
    process.stdin.close()
    process.stdin = None  # so that communicate() leaves it alone
    return process


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_that_is_ended_removes_its_folder(node: Node, tmp_path: Path) -> None:
    process = start(node, script(f"touch {tmp_path}/here; sleep 60", secret=(b"hunter2", 0o600)), "mark", limit=1)
    until((tmp_path / "here").exists)
    os.killpg(process.pid, signal.SIGTERM)
    assert b"mark" not in process.communicate(timeout=10)[0]
    assert not list(tmp_path.glob("proxhermes.run.*"))


def test_a_script_over_its_time_is_ended_in_the_guest_too(node: Node, tmp_path: Path) -> None:
    process = start(node, script(f"trap : TERM; echo $$ >{tmp_path}/pid; sleep 60; sleep 0.2; exit 3"), "mark", limit=1)
    assert process.communicate(timeout=10)[0] == b"mark 124\n"
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_run_waits_for_the_one_before_and_removes_what_a_killed_one_left(
    guest: pct.Guest, node: Node, tmp_path: Path
) -> None:
    killed = start(node, script(f"touch {tmp_path}/here; sleep 60", secret=(b"hunter2", 0o600)), "mark", limit=1)
    until((tmp_path / "here").exists)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=10)
    assert list(tmp_path.glob("proxhermes.run.*"))

    first = start(
        node, script(f"touch {tmp_path}/on; until [ -e {tmp_path}/off ]; do sleep 0.01; done; echo first"), "mark"
    )
    until((tmp_path / "on").exists)
    second = start(node, script(f"test -e {tmp_path}/off && echo second"), "mark")
    assert second.stderr is not None
    assert b"waiting for another run" in second.stderr.readline()
    (tmp_path / "off").touch()
    assert first.communicate(timeout=10)[0] == b"first\nmark 0\n"
    assert second.communicate(timeout=10)[0] == b"second\nmark 0\n"
    assert not list(tmp_path.glob("proxhermes.run.*"))


def test_a_daemon_that_a_script_starts_does_not_hold_the_next_run(guest: pct.Guest, tmp_path: Path) -> None:
    guest.run(script(f"sleep 30 >/dev/null 2>&1 & echo $! > {tmp_path}/pid"), "go.sh", timeout=10)
    try:
        assert guest.run(script("echo next"), "go.sh", timeout=10).stdout == "next\n"
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)


def test_the_runner_is_clean_shell(tmp_path: Path) -> None:
    path = tmp_path / "runner.sh"
    path.write_text("#!/bin/sh\n" + pct.RUNNER)
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, "-s", "sh", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
