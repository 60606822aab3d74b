"""Real far sides for the doors: an sshd of this machine, an HTTPS server with its own certificate."""

from __future__ import annotations

import getpass
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from far_sides import Sshd, free_port, keygen

from proxhermes.inventory.models import Node

SECRET = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def make_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Node]:
    """A node of the inventory; keywords replace its blocks."""
    monkeypatch.setenv("PVE_TOKEN_SECRET", SECRET)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def make(**blocks: Any) -> Node:
        plain = {
            "api": "https://192.0.2.1:8006",
            "token": "hermes@pve!proxhermes",
            "token_secret": {"env": "PVE_TOKEN_SECRET"},
        }
        return Node.model_validate(plain | blocks)

    return make


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real OpenSSH server on 127.0.0.1."""
    binary = Path("/usr/sbin/sshd")
    if not binary.exists():
        pytest.skip("no OpenSSH server on this machine")
    folder = tmp_path_factory.mktemp("sshd")
    key, host_key = keygen(folder / "id_ed25519"), keygen(folder / "host")
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(folder / "host_ecdsa")], check=True)
    (folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's sshd separates its privileges
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nPidFile none\nMaxSessions 50\n"
        f"HostKey {host_key}\nHostKey {folder}/host_ecdsa\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([str(binary), "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        yield Sshd(port, key, host_key, getpass.getuser())
    finally:
        process.terminate()
        process.wait(10)
