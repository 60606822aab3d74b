"""The root door against a real sshd."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from far_sides import Sshd, free_port, keygen

from proxhermes.errors import AuthError, CommandFailed, ConnectError, DeadlineExceeded, UnknownHostKey
from proxhermes.events import Event, Events, Kind
from proxhermes.inventory.models import Node
from proxhermes.transport.command import Command
from proxhermes.transport.ssh import Ssh, split_jump

MakeSsh = Callable[..., Ssh]


@pytest.fixture
def known_hosts(sshd: Sshd, tmp_path: Path) -> Path:
    path = tmp_path / "known_hosts"
    path.write_text(f"[127.0.0.1]:{sshd.port} {sshd.public_host_key}\n")
    return path


@pytest.fixture
def make_ssh(sshd: Sshd, known_hosts: Path, make_node: Callable[..., Node], events: Events) -> MakeSsh:
    def make(**changed: object) -> Ssh:
        door = {
            "host": "127.0.0.1",
            "port": sshd.port,
            "user": sshd.user,
            "key_file": str(sshd.key),
            "known_hosts": str(known_hosts),
        }
        return Ssh(make_node(ssh={key: value for key, value in (door | changed).items() if value is not None}), events)

    return make


def sh(script: str, stdin: bytes | None = None) -> Command:
    return Command(("sh", "-c", script), stdin)


def test_code_and_both_streams_come_back(make_ssh: MakeSsh) -> None:
    result = make_ssh().run(sh("echo out; echo err >&2; exit 7"), check=False)
    assert (result.rc, result.stdout, result.stderr) == (7, "out\n", "err\n")


def test_one_connection_serves_all_commands(make_ssh: MakeSsh) -> None:
    ssh = make_ssh()
    first, second = (ssh.run(sh("echo $SSH_CONNECTION")).stdout for _ in range(2))
    assert first == second
    assert ssh.commands == 2
    ssh.close()
    assert ssh.run(sh("echo $SSH_CONNECTION")).stdout != first


def test_words_arrive_as_they_are(make_ssh: MakeSsh) -> None:
    words = ("a b", "$HOME", "it's", '"', "*", "\\", "ä", "", "-n", "a\nb", ";exit 3")
    result = make_ssh().run(Command(("printf", "<%s>", *words)))
    assert result.stdout == "".join(f"<{word}>" for word in words)


def test_standard_input_arrives_and_ends(make_ssh: MakeSsh) -> None:
    assert make_ssh().run(Command(("cat",), b"one\n\0two")).stdout == "one\n\0two"
    assert make_ssh().run(Command(("cat",))).stdout == ""


def test_large_streams_do_not_block_each_other(make_ssh: MakeSsh) -> None:
    size = 6_000_000
    script = f"head -c {size} /dev/zero | tr '\\0' e >&2; head -c {size} /dev/zero | tr '\\0' o; cat | wc -c"
    result = make_ssh().run(sh(script, os.urandom(size)), timeout=60)
    assert result.stderr == "e" * size
    assert result.stdout == "o" * size + f"{size}\n"


def test_a_command_that_reads_none_of_its_input_is_no_trouble(make_ssh: MakeSsh) -> None:
    assert make_ssh().run(sh("echo done", os.urandom(6_000_000))).stdout == "done\n"


def test_undecodable_bytes_are_replaced(make_ssh: MakeSsh) -> None:
    assert make_ssh().run(sh("printf 'a\\377b'")).stdout == "a\ufffdb"


def test_lines_come_while_the_command_runs(make_ssh: MakeSsh, tmp_path: Path) -> None:
    flag = tmp_path / "seen"
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        flag.touch()

    # It ends only because its first line was seen before its end.
    result = make_ssh().run(
        sh(f"echo first; until [ -e {flag} ]; do :; done; printf 'last'"), on_line=on_line, timeout=20
    )
    assert lines == ["first", "last"]
    assert result.stdout == "first\nlast"


def test_a_failure_is_raised_with_what_was_said(make_ssh: MakeSsh) -> None:
    with pytest.raises(CommandFailed, match="failed with code 3") as caught:
        make_ssh().run(sh("echo why >&2; exit 3", b"hunter2"), doing="looking at the host")
    error = caught.value
    assert (error.rc, error.log, error.doing) == (3, ("why",), "looking at the host")
    assert "hunter2" not in f"{error} {error.command} {error.__dict__}"


def test_death_by_a_signal_is_a_code(make_ssh: MakeSsh) -> None:
    assert make_ssh().run(sh("kill -KILL $$"), check=False).rc == 137
    assert make_ssh().run(sh("exit 124"), check=False, timeout=60).rc == 124


@pytest.mark.parametrize("ignores", [False, True], ids=["obedient", "deaf"])
def test_the_deadline_ends_the_command_there(
    make_ssh: MakeSsh, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ignores: bool
) -> None:
    monkeypatch.setattr("proxhermes.transport.ssh.GRACE_S", 1)
    pid = tmp_path / "pid"
    trap = "trap '' TERM; " if ignores else ""
    with pytest.raises(DeadlineExceeded, match="did not end within 1 s") as caught:
        make_ssh().run(sh(f"{trap}echo $$ > {pid}; echo working; while :; do sleep 0.1; done"), timeout=1)
    assert "working" in caught.value.log
    status = Path(f"/proc/{pid.read_text().strip()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_an_unknown_key_is_refused_and_the_printed_command_records_it(
    make_ssh: MakeSsh, sshd: Sshd, tmp_path: Path
) -> None:
    other = tmp_path / "new folder" / "known_hosts"
    with pytest.raises(UnknownHostKey) as caught:
        make_ssh(known_hosts=str(other)).run(sh("true"))
    error = caught.value
    assert error.fingerprint == sshd.fingerprint
    assert sshd.fingerprint in error.message
    assert error.hint is not None and "ssh_host_ed25519_key.pub" in error.hint
    assert not other.exists()

    subprocess.run(["sh", "-c", error.hint.splitlines()[-1]], check=True)
    assert make_ssh(known_hosts=str(other)).run(sh("true")).ok


def test_a_changed_key_is_refused(make_ssh: MakeSsh, sshd: Sshd, known_hosts: Path, tmp_path: Path) -> None:
    foreign = keygen(tmp_path / "foreign").with_suffix(".pub").read_text().split()[1]
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} ssh-ed25519 {foreign}\n")
    with pytest.raises(ConnectError, match="not the recorded one") as caught:
        make_ssh().run(sh("true"))
    assert sshd.fingerprint in caught.value.message
    assert caught.value.hint is not None and "ssh-keygen -R" in caught.value.hint
    for line in caught.value.hint.splitlines()[-2:]:
        subprocess.run(["sh", "-c", line], check=True, capture_output=True)
    assert make_ssh().run(sh("true")).ok


def test_a_hashed_known_hosts_is_understood(make_ssh: MakeSsh, known_hosts: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known_hosts)], check=True, capture_output=True)
    assert known_hosts.read_text().startswith("|1|")
    assert make_ssh().run(sh("true")).ok


def test_the_key_of_another_kind_that_is_known_is_enough(make_ssh: MakeSsh, sshd: Sshd, known_hosts: Path) -> None:
    ecdsa = " ".join(sshd.host_key.with_name("host_ecdsa.pub").read_text().split()[:2])
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {ecdsa}\n")
    assert make_ssh().run(sh("true")).ok


def test_a_broken_known_hosts_is_named(make_ssh: MakeSsh, sshd: Sshd, known_hosts: Path) -> None:
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} ssh-ed25519 AAAAnothing\n")
    with pytest.raises(ConnectError, match=r"known_hosts|not known"):
        make_ssh().run(sh("true"))


def test_a_refused_login_says_what_was_tried(make_ssh: MakeSsh, tmp_path: Path) -> None:
    with pytest.raises(AuthError, match="refused the login") as caught:
        make_ssh(key_file=str(keygen(tmp_path / "stranger"))).run(sh("true"))
    assert "stranger" in caught.value.message
    assert caught.value.hint is not None and "ssh-copy-id" in caught.value.hint
    with pytest.raises(AuthError, match=r"refused the login .*agent's keys"):
        make_ssh(key_file=None).run(sh("true"))


def test_a_locked_or_missing_key_is_named(make_ssh: MakeSsh, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "hunter2", "-f", str(locked)], check=True)
    with pytest.raises(AuthError, match="passphrase"):
        make_ssh(key_file=str(locked)).run(sh("true"))
    with pytest.raises(AuthError, match="does not exist"):
        make_ssh(key_file=str(tmp_path / "none")).run(sh("true"))
    with pytest.raises(AuthError, match="cannot be used") as caught:
        make_ssh(key_file=f"{locked}.pub").run(sh("true"))
    assert ".pub" in (caught.value.hint or "")


def test_nobody_there(make_ssh: MakeSsh) -> None:
    with pytest.raises(ConnectError, match="not reached by SSH") as caught:
        make_ssh(port=free_port()).run(sh("true"))
    assert caught.value.hint is not None and "ssh.host" in caught.value.hint


def test_through_a_jump_host(make_ssh: MakeSsh, sshd: Sshd, tmp_path: Path) -> None:
    assert make_ssh(jump=f"{sshd.user}@127.0.0.1:{sshd.port}").run(sh("echo far")).stdout == "far\n"
    with pytest.raises(ConnectError, match="does not reach"):
        make_ssh(jump=f"{sshd.user}@127.0.0.1:{sshd.port}", port=free_port()).run(sh("true"))
    with pytest.raises(UnknownHostKey):  # the jump host's own key is checked too
        make_ssh(jump=f"{sshd.user}@127.0.0.1:{sshd.port}", known_hosts=str(tmp_path / "none")).run(sh("true"))


def test_a_lost_connection_is_told_and_the_next_command_connects_anew(make_ssh: MakeSsh) -> None:
    ssh = make_ssh()
    with pytest.raises(ConnectError, match="was lost"):
        ssh.run(sh("kill $(ps -o ppid= -p $(ps -o ppid= -p $PPID)); sleep 5"), timeout=20)
    assert ssh.run(sh("echo back")).stdout == "back\n"


def test_several_threads_share_the_connection(make_ssh: MakeSsh) -> None:
    ssh = make_ssh()
    answers: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: ssh.run(Command(("echo", str(n)))).stdout}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == {n: f"{n}\n" for n in range(8)}


def test_what_is_reported_holds_no_input(make_ssh: MakeSsh, heard: list[Event]) -> None:
    secret = base64.b64encode(os.urandom(12))
    make_ssh().run(Command(("cat",), secret))
    told = [event.text for event in heard if event.kind is Kind.COMMAND]
    assert len(told) == 1 and told[0].endswith(": cat  # 16 bytes on standard input")
    assert secret.decode() not in str(heard)


@pytest.mark.parametrize(
    ("jump", "parts"),
    [("gate", ("root", "gate", 22)), ("a@gate", ("a", "gate", 22)), ("a@gate:2222", ("a", "gate", 2222))],
)
def test_split_jump(jump: str, parts: tuple[str, str, int]) -> None:
    assert split_jump(jump, "root") == parts
