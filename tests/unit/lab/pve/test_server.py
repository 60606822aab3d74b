"""The daemon itself: TLS, connections that stay open, the wait after a failed authentication, and odd requests."""

from __future__ import annotations

import datetime
import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fake_runtime import FakeRuntime

from proxhermes.lab.pve.access import Token
from proxhermes.lab.pve.node import Node
from proxhermes.lab.pve.server import Server, tls_context
from proxhermes.lab.pve.site import Limits, Site

DELAY = 0.3


def make_certificate(folder: Path) -> None:
    """A self-signed certificate for 127.0.0.1 as the node keeps it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vm")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    folder.mkdir(parents=True)
    (folder / "pve-ssl.key").write_bytes(pem)
    (folder / "pve-ssl.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    root = tmp_path_factory.mktemp("vm")
    make_certificate(root / "etc/pve/local")
    node = Node(Site(root, "vm", Limits(auth_delay=DELAY)), FakeRuntime())
    with node.changing_users() as users:
        users.users["root@pam"].tokens["t1"] = Token(privsep=False)
    with patch("uuid.uuid4", return_value="secret"):
        node.vault.new_token("root@pam!t1")
    return node


@pytest.fixture(scope="module")
def port(node: Node) -> Iterator[int]:
    server = Server(("127.0.0.1", 0), node, tls_context(node.site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


def connect(port: int) -> HTTPSConnection:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection("127.0.0.1", port, timeout=10, context=context)


def ask(connection: HTTPSConnection, path: str, secret: str = "secret", method: str = "GET", body: Any = None) -> Any:
    headers = {"Authorization": f"PVEAPIToken=root@pam!t1={secret}"}
    connection.request(method, f"/api2/json{path}", body, headers)
    answer = connection.getresponse()
    return answer.status, answer.reason, answer.read()


def test_a_connection_stays_open(port: int) -> None:
    connection = connect(port)
    first = ask(connection, "/version")
    kept = connection.sock
    assert first[0] == ask(connection, "/nodes")[0] == 200
    assert connection.sock is kept


def test_a_failed_authentication_waits_and_ends_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("proxhermes.lab.pve.server.time.sleep", waited.append)
    connection = connect(port)
    assert ask(connection, "/version", secret="wrong") == (401, "Authentication failed!", b"")
    assert DELAY in waited
    assert connection.sock is None


def test_a_slow_client_holds_nobody_up(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)):
        assert ask(connect(port), "/version")[0] == 200


def test_two_at_once(port: int) -> None:
    slow, quick = connect(port), connect(port)
    waiting = threading.Thread(target=ask, args=(slow, "/version", "wrong"))
    waiting.start()
    assert ask(quick, "/version")[0] == 200
    assert waiting.is_alive(), "the one that came first is still being made to wait"
    waiting.join()


def test_a_message_beyond_ascii_stands_in_the_reason_phrase(port: int) -> None:
    status, reason, body = ask(connect(port), "/pools/%C3%BC")
    assert status == 400 and json.loads(body)["errors"]["poolid"].startswith("invalid format - pool name 'ü'")
    status, reason, body = ask(connect(port), "/%C3%BC")
    assert status == 501 and reason.encode("latin-1").decode() == "Method 'GET /ü' not implemented"


def test_the_fingerprint_is_the_certificates(port: int, node: Node) -> None:
    connection = connect(port)
    shown = json.loads(ask(connection, "/nodes")[2])["data"][0]["ssl_fingerprint"]
    connection.connect()
    assert isinstance(connection.sock, ssl.SSLSocket)
    der = connection.sock.getpeercert(binary_form=True)
    assert der is not None and shown == hashlib.sha256(der).digest().hex(":").upper()


@pytest.mark.parametrize("body", ["[1]", "{", '"x"'])
def test_json_that_is_no_object(port: int, body: str) -> None:
    connection = connect(port)
    headers = {"Authorization": "PVEAPIToken=root@pam!t1=secret", "Content-Type": "application/json"}
    connection.request("POST", "/api2/json/pools", body, headers)
    assert connection.getresponse().status == 400


def test_what_the_log_shows_has_no_parameters(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    ask(connect(port), "/access/permissions?path=/vms/hidden-words")
    assert "hidden-words" not in capfd.readouterr().err
