"""Keys, certificate and passwords of one instance, made anew at each `up`."""

from __future__ import annotations

import hashlib
import secrets
import ssl
from pathlib import Path

from proxhermes.lab.node.paths import NODE_NAME, LabPaths, Slot
from proxhermes.lab.node.process import run, write_atomically

HOST_KEY_TYPES = ("ed25519", "ecdsa")


def make(paths: LabPaths, slot: Slot) -> None:
    """The node's SSH host keys and certificate, the client's SSH key, LiteLLM's master key, tokens of services."""
    for folder in (paths.secrets, paths.client):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for kind in HOST_KEY_TYPES:
        _ssh_key(paths.secrets / f"ssh_host_{kind}_key", kind, f"root@{NODE_NAME}")
    _ssh_key(paths.client / "id_ed25519", "ed25519", "proxhermes-lab-client")
    _certificate(paths, slot)
    write_atomically(paths.client / "litellm.key", f"sk-{secrets.token_urlsafe(24)}\n", 0o600)
    write_atomically(paths.client / "telegram.token", f"123456:{secrets.token_urlsafe(26)}\n", 0o600)
    write_atomically(paths.client / "mcp.token", f"mcp-{secrets.token_urlsafe(24)}\n", 0o600)


def _ssh_key(file: Path, kind: str, comment: str) -> None:
    run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", file])


def _certificate(paths: LabPaths, slot: Slot) -> None:
    """Self-signed, for the node's names and addresses; the client gets it as its authority."""
    key, certificate = paths.secrets / "pve-ssl.key", paths.secrets / "pve-ssl.pem"
    names = f"subjectAltName=DNS:{NODE_NAME},DNS:{NODE_NAME}.lab,DNS:localhost,IP:127.0.0.1,IP:{slot.node_address}"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-subj", f"/O=PVE Cluster Node/CN={NODE_NAME}.lab", "-addext", names]
    run(["openssl", "req", "-x509", *curve, "-days", "825", *subject, "-keyout", key, "-out", certificate])
    key.chmod(0o640)
    write_atomically(paths.client / "ca.pem", certificate.read_text())
    write_atomically(paths.client / "fingerprint", fingerprint(certificate.read_text()) + "\n")


def fingerprint(pem: str) -> str:
    """SHA-256 over the certificate as Proxmox shows it: upper case pairs with colons."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def known_hosts(paths: LabPaths, address: str) -> str:
    """The node's host keys as lines of a known_hosts file."""
    publics = (paths.secrets / f"ssh_host_{kind}_key.pub" for kind in HOST_KEY_TYPES)
    return "".join(f"{address} {' '.join(public.read_text().split()[:2])}\n" for public in publics)
