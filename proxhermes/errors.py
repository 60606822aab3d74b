"""The errors that proxhermes raises on purpose: one root, a few kinds, each with an exit code.

An error says what was being done and what the machine answered. What the operator can do about it is looked up in
`proxhermes.hints` when the error is shown, unless whoever raised it knows better and passes `hint`.
No message holds a secret: whoever builds one uses masked forms (`Command.shown()`, `Secret`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class ProxhermesError(Exception):
    """Root of all errors with a message for the operator.

    doing: what was attempted, as a phrase ("creating container 118 on gihyeon"); answer: what the machine said;
    log: last lines of a task's or a service's log; hint: the way out, if known where the error arises.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        doing: str | None = None,
        answer: str | None = None,
        log: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.doing = doing
        self.answer = answer
        self.log = tuple(log)
        self.hint = hint


class UsageError(ProxhermesError):
    """A wrong option or an inventory that cannot be used. Exit code 2."""

    exit_code = 2


class SecretError(UsageError):
    """A secret reference that cannot be resolved; the message names the reference, never a value."""


class ConnectError(ProxhermesError):
    """The node was not reached: name, network, TLS, or SSH host key."""


class UnknownHostKey(ConnectError):
    """The SSH host key is not known; `fingerprint` is what the host showed (SHA256:…)."""

    def __init__(self, message: str, *, host: str, fingerprint: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.host = host
        self.fingerprint = fingerprint


class AuthError(ProxhermesError):
    """The node refused the token or the SSH key."""


class ApiError(ProxhermesError):
    """Proxmox's API answered with an error: `status` as in HTTP, `errors` by parameter for a 400."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        errors: dict[str, str] | None = None,
        doing: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, doing=doing, hint=hint)
        self.status = status
        self.errors = dict(errors or {})


class PermissionDenied(ApiError):
    """A 403: the token lacks a privilege."""


class TaskFailed(ProxhermesError):
    """A Proxmox task ended with something other than OK or WARNINGS; `upid` and the log's tail say more."""

    def __init__(
        self, message: str, *, upid: str, exitstatus: str, log: Sequence[str], doing: str | None = None
    ) -> None:
        super().__init__(message, doing=doing, answer=exitstatus, log=log)
        self.upid = upid
        self.exitstatus = exitstatus


class CommandFailed(ProxhermesError):
    """A command on the node or in the guest ended with a code other than 0; `command` is the masked line."""

    def __init__(
        self,
        message: str,
        *,
        command: str,
        rc: int,
        stdout: str = "",
        stderr: str = "",
        doing: str | None = None,
        hint: str | None = None,
    ) -> None:
        tail = (stderr or stdout).strip().splitlines()[-20:]
        super().__init__(message, doing=doing, log=tail, hint=hint)
        self.command = command
        self.rc = rc
        self.stdout = stdout
        self.stderr = stderr


class DeadlineExceeded(ProxhermesError):
    """Something did not happen in time; the message says what was waited for and how long."""


class Refused(ProxhermesError):
    """proxhermes declines to do it because that could harm what is not its own (a foreign container, strange data)."""


class AgentsFailed(ProxhermesError):
    """Some of several agents failed, each told when it did. The exit code is theirs if all have the same, else 1."""

    def __init__(self, failed: Mapping[int, ProxhermesError], of: int) -> None:
        names = ", ".join(str(vmid) for vmid in failed)
        super().__init__(f"{len(failed)} of {of} agents failed: {names}", hint="what is wrong with each stands above")
        codes = {error.exit_code for error in failed.values()}
        self.exit_code = codes.pop() if len(codes) == 1 else 1


class Interrupted(ProxhermesError):
    """The operator stopped the run (Ctrl-C); the message says where it stands."""

    exit_code = 130


class VerificationFailed(ProxhermesError):
    """At least one check of `verify` failed. Exit code 4."""

    exit_code = 4
