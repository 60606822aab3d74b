"""Whom the API's TLS certificate is trusted by: the system, a CA file, a pinned fingerprint, or (named so) nobody."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from proxhermes.errors import ConnectError
from proxhermes.inventory.models import Node, Tls


class Adapter(HTTPAdapter):
    """Sends requests as `tls` wants them trusted; with a fingerprint, only to the server whose certificate has it."""

    def __init__(self, tls: Tls) -> None:
        self._trust: dict[str, Any] = {"assert_fingerprint": tls.fingerprint}
        if not tls.fingerprint and not tls.insecure:
            self._trust["ssl_context"] = chain_context()
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **(kwargs | self._trust))

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **(kwargs | self._trust))


def chain_context() -> ssl.SSLContext:
    """What checks chain, name and dates as ever, but not every formality of RFC 5280.

    From Python 3.13 on, those are checked by default, and a cluster's own CA fails them: its certificates have no
    authority key identifier or key usage (PVE: Cluster/Setup.pm), however right they are.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def verify(node: Node, name: str) -> bool | str:
    """What `requests` shall verify against; False where the fingerprint is checked instead, or nothing.

    The default is the system's store, not the list that Python's `certifi` carries: a house's own CA is there.
    """
    if node.tls.fingerprint or node.tls.insecure:
        return False
    if node.tls.ca_file:
        path = Path(node.tls.ca_file).expanduser()
        if not path.is_file():
            raise ConnectError(
                f"the CA file {path} of node {name} does not exist",
                hint=f"a node's own CA: scp root@{node.ssh.host}:/etc/pve/pve-root-ca.pem {path}",
            )
        return str(path)
    system = ssl.get_default_verify_paths()
    return os.environ.get("REQUESTS_CA_BUNDLE") or system.cafile or system.capath or True


def untrusted(node: Node, name: str, error: Exception, doing: str) -> ConnectError:
    """What to tell when TLS failed: the fingerprint that the server shows, and how to compare and pin it."""
    shown = presented(node.api_host, node.api_port)
    if shown is None:
        return ConnectError(
            f"{node.api} does not speak TLS as Proxmox VE does: {_reason(error)}",
            doing=doing,
            hint=f"`api` of node {name} in the inventory is https://HOST:8006",
        )
    compare = (
        f"compare it with the node's own: the GUI at {name} → System → Certificates, or on its console\n"
        "  openssl x509 -noout -fingerprint -sha256 -in /etc/pve/local/pveproxy-ssl.pem\n"
        "  (or …/pve-ssl.pem where that file does not exist)"
    )
    pin = f'in the inventory, at the node {name}:\n  tls: {{fingerprint: "{shown}"}}'
    if node.tls.fingerprint:
        return ConnectError(
            f"{node.api} shows another TLS certificate than the pinned one\n"
            f"  pinned: {node.tls.fingerprint}\n  shown:  {shown}",
            doing=doing,
            hint=f"was the node's certificate renewed? {compare}\nif they agree, change it {pin}",
        )
    return ConnectError(
        f"the TLS certificate of {node.api} is not trusted: {_reason(error)}",
        doing=doing,
        hint=f"its SHA-256 fingerprint is\n  {shown}\n{compare}\nif they agree, pin it {pin}",
    )


def presented(host: str, port: int, timeout: float = 5.0) -> str | None:
    """The SHA-256 fingerprint of the certificate there as Proxmox writes it; None if there is no TLS to be had."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only looked at: nothing is sent to it
    try:
        with (
            socket.create_connection((host, port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            certificate = wrapped.getpeercert(binary_form=True)
    except OSError:
        return None
    return colons(hashlib.sha256(certificate).hexdigest()) if certificate else None


def colons(digest: str) -> str:
    """`ab12…` as Proxmox writes a fingerprint: `AB:12:…`."""
    return ":".join(re.findall("..", digest.upper()))


def _reason(error: BaseException) -> str:
    """OpenSSL's own words, from within the layers above it."""
    text = str(error)
    for pattern in (r"certificate verify failed: (.+?) \(_ssl", r"\[SSL: \w+\] (.+?) \(_ssl", r"SSLError\((.+)\)"):
        if found := re.search(pattern, text):
            return found.group(1)
    return text
