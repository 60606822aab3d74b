"""The parts of the node that need no root: names, processes, readiness, client files, what LXC logs."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from proxhermes.lab.node import client, locks, network, secrets_made, service_table
from proxhermes.lab.node.lxc_usage import error_lines
from proxhermes.lab.node.machine import guest_systemd_version
from proxhermes.lab.node.paths import LabPaths, Slot
from proxhermes.lab.node.process import LabError, Process, run, wait_until
from proxhermes.lab.node.services import answers


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "-a", "a-", "a b", "x" * 21])
def test_an_instance_name_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match="instance name"):
        LabPaths(name)


def test_interface_names_fit_the_kernel() -> None:
    assert max(len(Slot(number).veth) for number in range(250)) <= 15


def test_a_process_is_itself_and_not_the_next_with_its_pid(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = Process.of(child.pid)
        process.save(tmp_path / "p.json")
        assert Process.load(tmp_path / "p.json") == process
        assert process.alive()
        other = Process(process.pid, process.start + 1)
        assert not other.alive()
        other.kill(signal.SIGKILL)
        assert process.alive(), "a process with another start time is not ours to end"
        process.kill(signal.SIGKILL)
        child.wait(timeout=5)
    assert not process.alive()


def test_no_process_from_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"pid": 1')
    assert Process.load(tmp_path / "p.json") is None
    assert Process.load(tmp_path / "none.json") is None


def test_a_failed_command_says_what_it_said() -> None:
    with pytest.raises(LabError, match=r"sh -c .*: exit 3: oh no"):
        run(["sh", "-c", "echo oh no >&2; exit 3"])
    with pytest.raises(LabError, match="no such command"):
        run(["/nonexistent/tool"])
    with pytest.raises(LabError, match="not finished after"):
        run(["sleep", "5"], timeout=0.1)


def test_waiting_ends_with_what_was_waited_for() -> None:
    with pytest.raises(LabError, match="the moon: not so after"):
        wait_until(lambda: False, "the moon", seconds=0.1)


@pytest.fixture
def web() -> Iterator[str]:
    class Teapot(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Teapot)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_service_answers_with_anything_below_500(web: str) -> None:
    assert answers(f"{web}/200")
    assert answers(f"{web}/401")
    assert not answers(f"{web}/503")


def test_a_service_that_does_not_listen_does_not_answer() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert not answers(f"tcp://127.0.0.1:{port}")
        assert not answers(f"http://127.0.0.1:{port}/")
        held.listen()
        assert answers(f"tcp://127.0.0.1:{port}")


def test_inventory_points_at_the_lab_and_holds_no_secret() -> None:
    paths = LabPaths("t")
    data = yaml.safe_load(client.inventory(paths, Slot(3), "AB:CD"))
    node, agent = data["nodes"]["gihyeon"], data["agents"][118]
    assert node["api"] == "https://10.77.3.2:8006"
    assert node["tls"] == {"fingerprint": "AB:CD"}
    assert node["ssh"]["host"] == "10.77.3.2"
    assert set(node["token_secret"]) == set(data["litellm"]["api_key"]) == {"file"}
    assert agent["mounts"][0] == {"host": "/mnt/pve/hdd/hermes", "guest": "/data"}
    assert agent["messaging"]["telegram"]["allowed_users"] == [777]


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")
def test_made_secrets_are_for_their_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxhermes.lab.node.paths.STATE_ROOT", tmp_path)
    paths = LabPaths("t")
    secrets_made.make(paths, Slot(0))
    for name in ("id_ed25519", "litellm.key", "telegram.token"):
        assert (paths.client / name).stat().st_mode & 0o077 == 0, name
    assert paths.secrets.stat().st_mode & 0o077 == 0
    shown = (paths.client / "fingerprint").read_text().strip()
    asked = run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", paths.client / "ca.pem"]).stdout
    assert asked.strip().partition("=")[2] == shown
    assert "10.77.0.2 ssh-ed25519 " in secrets_made.known_hosts(paths, "10.77.0.2")


def test_every_service_says_how_it_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxhermes.lab.node.paths.STATE_ROOT", tmp_path / "state")
    monkeypatch.setattr(service_table, "CACHE_ROOT", tmp_path / "cache")
    paths = LabPaths("t")
    paths.state.mkdir(parents=True)
    paths.resolvers_file.write_text("9.9.9.9\n")
    table = service_table.table(paths)
    assert len({service.name for service in table}) == len(table)
    assert all(service.ready.startswith(("tcp://", "http://", "https://")) for service in table)
    assert "server=9.9.9.9" in next(iter(table[0].files.values()))


def test_lxc_errors_are_shown_as_proxmox_shows_them(tmp_path: Path) -> None:
    log = tmp_path / "start.log"
    log.write_text(
        "lxc-start 110 20261121075908.660 ERROR    start - ../src/lxc/start.c:lxc_init:844 - Failed to run lxc.hook\n"
        "lxc-start 110 20261121075908.660 DEBUG    start - ../src/lxc/start.c:lxc_init:1 - noise\n"
    )
    assert error_lines(log) == ["lxc_init: 844 Failed to run lxc.hook"]
    assert error_lines(tmp_path / "none") == []


def test_the_guests_systemd_is_known_by_its_library(tmp_path: Path) -> None:
    assert guest_systemd_version(tmp_path) is None
    folder = tmp_path / "usr/lib/x86_64-linux-gnu/systemd"
    folder.mkdir(parents=True)
    (folder / "libsystemd-shared-257.so").touch()
    assert guest_systemd_version(tmp_path) == 257


def test_resolvers_on_loopback_are_of_no_use_to_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("# by resolved\nnameserver 192.168.1.1\nnameserver fe80::1\n")
    monkeypatch.setattr(network, "RESOLV_CONFS", (stub, real))
    assert network.resolvers() == ["192.168.1.1"]
    monkeypatch.setattr(network, "RESOLV_CONFS", (stub,))
    with pytest.raises(LabError, match="no DNS server"):
        network.resolvers()


def test_one_command_at_a_time_and_no_lock_left(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with locks.locked(folder / "x.lock", waiting.set):
            order.append("second")

    with locks.locked(folder / "x.lock", lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert not folder.exists()


def test_without_root_the_lab_says_what_it_needs() -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    code = (
        "from proxhermes.lab.node import preflight\n"
        "from proxhermes.lab.node.process import LabError\n"
        "try: preflight.check(print)\nexcept LabError as error: print(error)\n"
    )
    said = run([*nobody, sys.executable, "-c", code]).stdout
    assert "the lab needs root" in said
