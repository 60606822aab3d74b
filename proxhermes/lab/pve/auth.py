"""Who is asking over HTTPS: API tokens, tickets with their CSRF tokens, passwords.

Secrets stand in `/etc/pve/priv` (0600): `token.cfg` as on a real node, `shadow.cfg` for passwords. A real node asks PAM
for `root@pam`; this one keeps that password in `shadow.cfg` too, since the machine's own root is not the node's.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from proxhermes.lab.pve import access
from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.files import read_text, write_text
from proxhermes.lab.pve.identity import Identity
from proxhermes.lab.pve.site import Site

TICKET_SECONDS = 7200
_TOKEN_HEADER = re.compile(r"PVEAPIToken(?:=| )(.+)")
_TOKEN = re.compile(r"([^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+)!([A-Za-z][A-Za-z0-9.\-_]+)=(.+)")
_FAILED = "Authentication failed!"
_SCRYPT_N = 2**12


@dataclass(frozen=True, slots=True)
class Vault:
    """The secrets of one node."""

    site: Site

    def new_token(self, name: str) -> str:
        """Make and keep a secret for `user@realm!token`; the only time that it is shown."""
        secret = str(uuid.uuid4())
        self._update("token.cfg", name, secret)
        return secret

    def drop_token(self, name: str) -> None:
        """Forget a token's secret."""
        self._update("token.cfg", name, None)

    def set_password(self, user: str, password: str) -> None:
        """Keep a password, hashed."""
        salt = secrets.token_hex(8)
        self._update("shadow.cfg", user, f"{salt}:{_hash(password, salt)}")

    def drop_password(self, user: str) -> None:
        """Forget a user's password."""
        self._update("shadow.cfg", user, None)

    def has_password(self, user: str, password: str) -> bool:
        """Whether that is the user's password."""
        salt, _, digest = self._read("shadow.cfg").get(user, "").partition(":")
        return bool(digest) and hmac.compare_digest(digest, _hash(password, salt))

    def has_token(self, name: str, secret: str) -> bool:
        """Whether that is the token's secret."""
        known = self._read("token.cfg").get(name)
        return known is not None and hmac.compare_digest(known.encode(), secret.encode())

    def sign(self, text: str) -> str:
        """A signature that only this node makes."""
        path = self.site.real("/etc/pve/priv/authkey.key")
        if not path.exists():
            write_text(path, secrets.token_hex(32), 0o600)
        return hmac.new(read_text(path).encode(), text.encode(), hashlib.sha256).hexdigest()

    def _read(self, name: str) -> dict[str, str]:
        lines = read_text(self.site.real(f"/etc/pve/priv/{name}")).splitlines()
        return dict(line.split(" ", 1) for line in lines if " " in line)

    def _update(self, name: str, key: str, value: str | None) -> None:
        with self.site.lock(f"/run/lock/pve-{name}.lock"):
            entries = self._read(name)
            entries.pop(key, None)
            if value is not None:
                entries[key] = value
            text = "".join(f"{who} {what}\n" for who, what in sorted(entries.items()))
            write_text(self.site.real(f"/etc/pve/priv/{name}"), text, 0o600)


def make_ticket(vault: Vault, user: str) -> tuple[str, str]:
    """A ticket for a user, and the CSRF token that goes with it."""
    stamp = f"{int(time.time()):08X}"
    plain = f"PVE:{user}:{stamp}"
    return f"{plain}::{vault.sign(plain)}", f"{stamp}:{vault.sign(f'{stamp}:{user}')}"


def identify(vault: Vault, users: access.UserConfig, headers: Mapping[str, str], *, writes: bool) -> Identity:
    """Who sent these headers; PveError 401 with the reason phrase that a node shows."""
    header = _TOKEN_HEADER.fullmatch(headers.get("Authorization", ""))
    if header:
        return _by_token(vault, users, header[1])
    ticket = re.search(r"PVEAuthCookie=([^;\s]+)", headers.get("Cookie", ""))
    if not ticket:
        raise PveError("No ticket", status=401)
    user = _by_ticket(vault, users, ticket[1].replace("%3A", ":").replace("%40", "@"))
    if writes:
        stamp, _, signature = headers.get("CSRFPreventionToken", "").partition(":")
        if not hmac.compare_digest(signature, vault.sign(f"{stamp}:{user.user}")):
            raise PveError("Permission denied - invalid csrf token", status=401)
    return user


def _by_token(vault: Vault, users: access.UserConfig, text: str) -> Identity:
    found = _TOKEN.fullmatch(text)
    if not found or not vault.has_token(f"{found[1]}!{found[2]}", found[3]):
        raise PveError(_FAILED, status=401)
    user = users.users.get(found[1])
    token = user.tokens.get(found[2]) if user else None
    if not user or not token or not _active(user) or 0 < token.expire < time.time():
        raise PveError(_FAILED, status=401)
    return Identity(found[1], found[2])


def _by_ticket(vault: Vault, users: access.UserConfig, text: str) -> Identity:
    plain, _, signature = text.partition("::")
    parts = plain.split(":")
    good = len(parts) == 3 and parts[0] == "PVE" and hmac.compare_digest(signature, vault.sign(plain))
    if not good or not 0 <= time.time() - int(parts[2], 16) + 300 <= TICKET_SECONDS + 300:
        raise PveError(_FAILED, status=401)
    user = users.users.get(parts[1])
    if not user or not _active(user):
        raise PveError(_FAILED, status=401)
    return Identity(parts[1])


def _active(user: access.User) -> bool:
    return user.enable and not 0 < user.expire < time.time()


def _hash(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=_SCRYPT_N, r=8, p=1).hex()
