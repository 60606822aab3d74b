"""Whom the token is sent to: against a real HTTPS server with a certificate of its own."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from far_sides import free_port
from urllib3.util.ssl_ import create_urllib3_context

from proxhermes.errors import ConnectError
from proxhermes.events import Event, Events, Kind
from proxhermes.inventory.models import Node
from proxhermes.transport import tls
from proxhermes.transport.pve import Pve
from proxhermes.transport.tls import colons


@dataclass
class Server:
    """A node that answers everything with its version; `asked` counts the requests that reached it."""

    port: int
    certificate: Path
    asked: list[str] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def fingerprint(self) -> str:
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        return colons(hashlib.sha256(der).hexdigest())


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gihyeon")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, private


def signed_as_proxmox_does(folder: Path) -> tuple[Path, Path, Path]:
    """A CA and a certificate by it with what Proxmox puts in, which is less than RFC 5280 asks for; and its key."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    ca, node = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("PVE CA", "gihyeon"))
    now = datetime.datetime.now(datetime.UTC)
    written = []
    for name, subject, key in (("ca.pem", ca, keys[0]), ("cert.pem", node, keys[1])):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=subject == ca, path_length=None), subject == ca)
        )
        path = folder / name
        path.write_bytes(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        written.append(path)
    private = folder / "key.pem"
    private.write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return written[0], written[1], private


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(*self_signed(tmp_path)) as served:
        yield served


@contextmanager
def serving(pem: Path, private: Path) -> Iterator[Server]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps({"data": {"version": "8.4.21", "client": self.client_address[1]}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)

    class TlsServer(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: object, address: object) -> None:
            try:  # in the connection's own thread, so that a client that gives up disturbs nobody
                with context.wrap_socket(request, server_side=True) as wrapped:  # type: ignore[arg-type]
                    super().finish_request(wrapped, address)  # type: ignore[arg-type]
            except OSError:
                return

    http = TlsServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield Server(http.server_address[1], pem, asked)
    http.shutdown()
    http.server_close()


def test_the_pinned_certificate_is_enough(server: Server, make_node: Callable[..., Node], events: Events) -> None:
    pve = Pve(make_node(api=server.api, tls={"fingerprint": server.fingerprint}), events)
    assert pve.get("/version")["version"] == "8.4.21"


def test_the_connection_is_kept(server: Server, make_node: Callable[..., Node], events: Events) -> None:
    pve = Pve(make_node(api=server.api, tls={"fingerprint": server.fingerprint}), events)
    assert len({pve.get("/version")["client"] for _ in range(3)}) == 1


def test_another_certificate_than_the_pinned_one_gets_no_token(
    server: Server, make_node: Callable[..., Node], events: Events
) -> None:
    pinned = colons("ab" * 32)
    pve = Pve(make_node(api=server.api, tls={"fingerprint": pinned}), events, "gihyeon")
    with pytest.raises(ConnectError, match="another TLS certificate than the pinned one") as caught:
        pve.get("/version")
    assert f"pinned: {pinned}" in caught.value.message
    assert f"shown:  {server.fingerprint}" in caught.value.message
    assert server.asked == []


def test_an_untrusted_certificate_is_shown_with_the_line_that_pins_it(
    server: Server, make_node: Callable[..., Node], events: Events
) -> None:
    pve = Pve(make_node(api=server.api), events, "gihyeon")
    with pytest.raises(ConnectError, match="not trusted: self-signed certificate") as caught:
        pve.get("/version")
    assert caught.value.hint is not None
    assert f'at the node gihyeon:\n  tls: {{fingerprint: "{server.fingerprint}"}}' in caught.value.hint
    assert "openssl x509 -noout -fingerprint -sha256" in caught.value.hint
    assert server.asked == []
    assert pve.calls == 1


def test_a_ca_file_is_trusted(server: Server, make_node: Callable[..., Node], events: Events) -> None:
    pve = Pve(make_node(api=server.api, tls={"ca_file": str(server.certificate)}), events)
    assert pve.get("/version")["version"] == "8.4.21"


def test_a_clusters_own_ca_need_not_be_formal(
    tmp_path: Path, make_node: Callable[..., Node], events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Python 3.13 asks of every certificate by default, the ones that Proxmox signs itself do not have."""

    def of_3_13(**options: Any) -> ssl.SSLContext:
        context = create_urllib3_context(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(f"{tls.__name__}.create_urllib3_context", of_3_13)
    ca, pem, private = signed_as_proxmox_does(tmp_path)
    with serving(pem, private) as server:
        strict = of_3_13()
        strict.load_verify_locations(ca)
        with (
            socket.create_connection(("127.0.0.1", server.port)) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            strict.wrap_socket(plain, server_hostname="127.0.0.1")
        pve = Pve(make_node(api=server.api, tls={"ca_file": str(ca)}), events)
        assert pve.get("/version")["version"] == "8.4.21"


def test_a_trusted_certificate_of_another_host_is_refused(
    server: Server, make_node: Callable[..., Node], events: Events
) -> None:
    api = server.api.replace("127.0.0.1", "localhost")
    pve = Pve(make_node(api=api, tls={"ca_file": str(server.certificate)}), events)
    with pytest.raises(ConnectError, match="not trusted"):
        pve.get("/version")
    assert server.asked == []


def test_the_systems_trust_is_the_default(
    server: Server, make_node: Callable[..., Node], events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))  # OpenSSL's own way to replace the system's store
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    assert Pve(make_node(api=server.api), events).get("/version")["version"] == "8.4.21"


def test_a_ca_file_that_is_missing_is_named(make_node: Callable[..., Node], events: Events, tmp_path: Path) -> None:
    pve = Pve(make_node(tls={"ca_file": str(tmp_path / "none.pem")}), events)
    with pytest.raises(ConnectError, match=r"none\.pem"):
        pve.get("/version")


def test_insecure_works_and_is_said_once(
    server: Server, make_node: Callable[..., Node], events: Events, heard: list[Event], recwarn: pytest.WarningsRecorder
) -> None:
    pve = Pve(make_node(api=server.api, tls={"insecure": True}), events)
    pve.get("/version")
    pve.get("/version")
    assert len([event for event in heard if event.kind is Kind.WARNING]) == 1
    assert not recwarn.list


def test_a_port_without_tls_is_told(make_node: Callable[..., Node], events: Events) -> None:
    http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        pve = Pve(make_node(api=f"https://127.0.0.1:{http.server_address[1]}"), events)
        with pytest.raises(ConnectError, match="does not speak TLS"):
            pve.get("/version")
    finally:
        http.shutdown()
        http.server_close()


def test_nobody_there(make_node: Callable[..., Node], events: Events) -> None:
    with pytest.raises(ConnectError, match="the connection was refused"):
        Pve(make_node(api=f"https://127.0.0.1:{free_port()}"), events).get("/version")


def test_a_name_that_does_not_resolve(make_node: Callable[..., Node], events: Events) -> None:
    with pytest.raises(ConnectError, match=r"the name 'pve\.invalid' does not resolve"):
        Pve(make_node(api="https://pve.invalid:8006"), events).get("/version")
