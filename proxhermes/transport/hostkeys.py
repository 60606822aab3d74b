"""SSH host keys: what is known, and what to say about one that is not. No key is ever recorded by proxhermes itself."""

from __future__ import annotations

import base64
import hashlib
import shlex
from pathlib import Path

import paramiko

from proxhermes.errors import ConnectError, UnknownHostKey

DEFAULT = Path("~/.ssh/known_hosts")


class KnownHosts(paramiko.MissingHostKeyPolicy):
    """The keys of one known_hosts file; a host that is not in it is refused."""

    def __init__(self, path: str | None) -> None:
        self.path = Path(path) if path else DEFAULT.expanduser()

    def load_into(self, client: paramiko.SSHClient) -> None:
        """Make these keys the only ones that `client` trusts. A file that does not exist holds none."""
        try:
            client.load_system_host_keys(str(self.path))
        except FileNotFoundError:
            pass
        except (OSError, paramiko.SSHException, paramiko.hostkeys.InvalidHostKey) as error:
            raise ConnectError(f"the known host keys in {self.path} cannot be read: {error}") from error
        client.set_missing_host_key_policy(self)

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise UnknownHostKey(
            f"the SSH host key of {hostname} is not known: {fingerprint(key)} ({key.get_name()})",
            host=hostname,
            fingerprint=fingerprint(key),
            hint=f"compare it with what the host itself says on its console:\n  {_look(key)}\n"
            f"if they agree, record the key:\n  {self.record(hostname, key)}",
        )

    def changed(self, host: str, shown: paramiko.PKey, known: paramiko.PKey) -> ConnectError:
        """What to say when the host shows another key than the recorded one."""
        return ConnectError(
            f"the SSH host key of {host} is not the recorded one: somebody may be in between\n"
            f"  recorded: {fingerprint(known)} ({known.get_name()})\n"
            f"  shown:    {fingerprint(shown)} ({shown.get_name()})",
            hint=f"was the host installed anew? Compare on its console:\n  {_look(shown)}\n"
            f"if it agrees with the one shown, replace the recorded one:\n"
            f"  ssh-keygen -R {shlex.quote(host)} -f {shlex.quote(str(self.path))}\n  {self.record(host, shown)}",
        )

    def record(self, host: str, key: paramiko.PKey) -> str:
        """The command that records exactly this key."""
        line = shlex.quote(f"{host} {key.get_name()} {key.get_base64()}")
        command = f"echo {line} >> {shlex.quote(str(self.path))}"
        folder = self.path.parent
        return command if folder.is_dir() else f"mkdir -p -m 700 {shlex.quote(str(folder))} && {command}"


def fingerprint(key: paramiko.PKey) -> str:
    """As OpenSSH shows it: `SHA256:…`."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _look(key: paramiko.PKey) -> str:
    kind = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(key.get_name(), "ecdsa")
    return f"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub"
