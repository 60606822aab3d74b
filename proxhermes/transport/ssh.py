"""The root door: commands on the node over one SSH connection, for what Proxmox grants to no token."""

from __future__ import annotations

import codecs
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Final

import paramiko

from proxhermes.errors import AuthError, CommandFailed, ConnectError, DeadlineExceeded, ProxhermesError
from proxhermes.events import Events
from proxhermes.inventory.models import Node
from proxhermes.transport.command import Command, CommandResult
from proxhermes.transport.hostkeys import KnownHosts

CONNECT_S: Final = 10.0
HANDSHAKE_S: Final = 20.0
GRACE_S: Final = 5
"""From asking a command that is over its time to end, to killing it."""
_TIMED_OUT: Final = frozenset({124, 137})  # coreutils timeout: asked to end, killed
_CHUNK: Final = 65536

# Without a handler paramiko's threads would print their troubles on stderr; what matters arrives as an exception.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Ssh:
    """The node's root shell: connects at the first command, keeps the connection, knows its host key or refuses.

    Each command is one channel. It is run under coreutils' `timeout` there, so that one over its time ends with
    everything it started, even if the connection is gone by then.
    """

    def __init__(self, node: Node, events: Events, name: str = "") -> None:
        self.node = node
        self.name = name or node.ssh.host
        """The node's name in the inventory, for messages."""
        self.commands = 0
        """How many commands were sent."""
        self._events = events
        self._clients: list[paramiko.SSHClient] = []
        self._opening = threading.Lock()

    def run(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        doing: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """See `Shell.run`. Also raises UnknownHostKey and AuthError, as the connection is opened when needed."""
        channel = self._channel(doing)
        self._events.command(f"{self.node.ssh.user}@{self.name}: {command.shown()}")
        self.commands += 1
        began = time.monotonic()
        try:
            # `exit $?` keeps the login shell there, which turns a death by a signal into a code.
            channel.exec_command(f"timeout -k {GRACE_S} {math.ceil(timeout)} {command.line()}; exit $?")
            exchange = _Exchange(channel, command.stdin or b"", on_line)
            # The far side ends the command itself; this side waits a little longer for word of it.
            rc = exchange.wait(began + timeout + 2 * GRACE_S)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(command, doing) from error
        finally:
            channel.close()
        result = CommandResult(0 if rc is None else rc, *exchange.texts())
        if rc is None or (rc in _TIMED_OUT and time.monotonic() - began >= math.ceil(timeout)):
            raise DeadlineExceeded(
                f"`{command.argv[0]}` on {self.name} did not end within {timeout:g} s and was stopped",
                doing=doing,
                answer=command.shown(),
                log=(result.stdout + result.stderr).splitlines()[-20:],
            )
        if rc < 0:
            raise self._lost(command, doing)
        if check and not result.ok:
            raise CommandFailed(
                f"`{command.argv[0]}` on {self.name} failed with code {rc}",
                command=command.shown(),
                rc=rc,
                stdout=result.stdout,
                stderr=result.stderr,
                doing=doing,
            )
        return result

    def close(self) -> None:
        """Close the connection; a later command opens a new one."""
        while self._clients:
            self._clients.pop().close()

    def _lost(self, command: Command, doing: str | None) -> ConnectError:
        return ConnectError(
            f"the SSH connection to {self.name} was lost during `{command.argv[0]}`",
            doing=doing,
            hint="whether it was carried out is not known; run the command again: it looks, and goes on from there",
        )

    def _channel(self, doing: str | None) -> paramiko.Channel:
        with self._opening:
            transport = self._clients[-1].get_transport() if self._clients else None
            if transport is None or not transport.is_active():
                self.close()
                transport = self._connect(doing)
            try:
                return transport.open_session(timeout=CONNECT_S)
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise ConnectError(f"{self.name} opens no SSH session: {error}", doing=doing) from error

    def _connect(self, doing: str | None) -> paramiko.Transport:
        ssh = self.node.ssh
        tunnel = None
        if ssh.jump:
            user, host, port = split_jump(ssh.jump, ssh.user)
            gate = self._login(host, port, user, None, doing)
            try:
                tunnel = gate.open_channel("direct-tcpip", (ssh.host, ssh.port), ("127.0.0.1", 0), timeout=CONNECT_S)
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise ConnectError(
                    f"the jump host {ssh.jump} does not reach {ssh.host} port {ssh.port}: {error}", doing=doing
                ) from error
        return self._login(ssh.host, ssh.port, ssh.user, tunnel, doing)

    def _login(
        self, host: str, port: int, user: str, tunnel: paramiko.Channel | None, doing: str | None
    ) -> paramiko.Transport:
        key_file = self.node.ssh.key_file
        known = KnownHosts(self.node.ssh.known_hosts)
        client = paramiko.SSHClient()
        self._clients.append(client)
        known.load_into(client)
        where = f"{user}@{host}" + (f" port {port}" if port != 22 else "")
        try:
            client.connect(
                host,
                port,
                user,
                key_filename=key_file,
                look_for_keys=key_file is None,
                sock=tunnel,
                timeout=CONNECT_S,
                banner_timeout=HANDSHAKE_S,
                auth_timeout=HANDSHAKE_S,
            )
        except ProxhermesError:
            self.close()
            raise
        except paramiko.BadHostKeyException as error:
            self.close()
            name = host if port == 22 else f"[{host}]:{port}"  # as known_hosts has it
            raise known.changed(name, error.key, error.expected_key) from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            self.close()
            raise _no_login(self.name, where, key_file, error, doing) from error
        transport = client.get_transport()
        if transport is None:
            raise ConnectError(f"{where} closed the SSH connection at once", doing=doing)
        transport.set_keepalive(15)
        return transport


class _Exchange:
    """One command's three streams, moved at once: no side waits for the other with a full buffer."""

    def __init__(self, channel: paramiko.Channel, stdin: bytes, on_line: Callable[[str], None] | None) -> None:
        self._channel = channel
        self._out: list[str] = []
        self._err: list[str] = []
        self._on_line = on_line
        self._rest = ""
        self._threads = [
            threading.Thread(target=self._feed, args=(stdin,), daemon=True),
            threading.Thread(target=self._drain_errors, daemon=True),
        ]

    def wait(self, deadline: float) -> int | None:
        """Until the command ended: its code, -1 if the connection went away first; None once `deadline` has passed."""
        self._channel.settimeout(max(deadline - time.monotonic(), 0.1))
        for thread in self._threads:
            thread.start()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            while chunk := self._channel.recv(_CHUNK):
                self._take(decoder.decode(chunk))
                self._channel.settimeout(max(deadline - time.monotonic(), 0.1))
        except TimeoutError:
            return None
        self._take(decoder.decode(b"", final=True))
        if self._on_line is not None and self._rest:
            self._on_line(self._rest)
        if not self._channel.status_event.wait(max(deadline - time.monotonic(), 0.1)):
            return None
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.1))
        return self._channel.recv_exit_status()

    def texts(self) -> tuple[str, str]:
        """Standard output and standard error so far."""
        return "".join(self._out), "".join(self._err)

    def _take(self, text: str) -> None:
        self._out.append(text)
        if self._on_line is None:
            return
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._on_line(line.removesuffix("\r"))

    def _feed(self, stdin: bytes) -> None:
        try:
            self._channel.sendall(stdin)
            self._channel.shutdown_write()
        except (OSError, EOFError, paramiko.SSHException):
            return  # the command ended without reading all of it, which its code tells

    def _drain_errors(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            while chunk := self._channel.recv_stderr(_CHUNK):
                self._err.append(decoder.decode(chunk))
        except TimeoutError:
            return  # the deadline, which the other stream reports
        self._err.append(decoder.decode(b"", final=True))


def split_jump(jump: str, user: str) -> tuple[str, str, int]:
    """`[USER@]HOST[:PORT]` as (user, host, port)."""
    name, _, address = jump.rpartition("@")
    host, _, port = address.partition(":")
    return name or user, host, int(port or 22)


def _no_login(
    name: str, where: str, key_file: str | None, error: Exception, doing: str | None
) -> AuthError | ConnectError:
    """What to tell when there is no connection, or no login."""
    if isinstance(error, paramiko.PasswordRequiredException):
        return AuthError(
            f"the SSH key {key_file or 'in ~/.ssh'} has a passphrase, which is never asked for here",
            doing=doing,
            hint=f"unlock it in an agent first: ssh-add {key_file or ''}".rstrip(),
        )
    if isinstance(error, paramiko.AuthenticationException) or "No authentication methods" in str(error):
        tried = f"the key {key_file}" if key_file else "the SSH agent's keys and the usual ones in ~/.ssh"
        return AuthError(
            f"{where} refused the login ({name}), tried with {tried}",
            doing=doing,
            hint=f"let your key in: ssh-copy-id {where.replace(' port ', ' -p ')}\n"
            "and see PermitRootLogin in the host's sshd_config (prohibit-password is enough)",
        )
    if isinstance(error, FileNotFoundError) and key_file:
        return AuthError(
            f"the SSH key {key_file} does not exist",
            doing=doing,
            hint="`ssh.key_file` in the inventory names the private key",
        )
    if "private key file" in str(error) and key_file:  # paramiko's words for a file that is something else
        return AuthError(
            f"the SSH key {key_file} cannot be used: {error}",
            doing=doing,
            hint="`ssh.key_file` in the inventory names the private key, not the one that ends in .pub",
        )
    reasons = getattr(error, "errors", None)  # paramiko's NoValidConnectionsError: one for each address
    text = "; ".join(sorted({str(reason) for reason in reasons.values()})) if reasons else str(error)
    return ConnectError(
        f"{name} was not reached by SSH at {where}: {text or type(error).__name__}",
        doing=doing,
        hint="are `ssh.host` and `ssh.port` in the inventory right, the node up, no firewall between?",
    )
