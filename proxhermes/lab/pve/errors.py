"""What a Proxmox node answers when it refuses: a status, a message, and for bad parameters one message each."""

from __future__ import annotations

from collections.abc import Mapping


class PveError(Exception):
    """A refusal as the API shows it.

    `message` is what stands in the body and, up to its first line, in the HTTP reason phrase; `errors` maps a
    parameter to its message (status 400); `errno` is what the command line tools leave as their exit code (255 when
    nothing set one, as Perl's `die` does).
    """

    def __init__(
        self, message: str, *, status: int = 500, errors: Mapping[str, str] | None = None, errno: int = 255
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.errors = dict(errors) if errors else None
        self.errno = errno


class TaskFailed(PveError):
    """A task that ran in the foreground failed; `upid` is its name. Whatever went wrong, a tool ends with 255."""

    def __init__(self, message: str, upid: str) -> None:
        super().__init__(message)
        self.upid = upid


def bad_parameters(errors: Mapping[str, str], *, errno: int = 255) -> PveError:
    """400 `Parameter verification failed.` with one message for each parameter."""
    return PveError("Parameter verification failed.", status=400, errors=errors, errno=errno)


def forbidden(what: str) -> PveError:
    """403 `Permission check failed (WHAT)`."""
    return PveError(f"Permission check failed ({what})" if what else "Permission check failed", status=403)


class RuntimeFailure(Exception):
    """A container or volume operation failed; the text is what the task ends with."""
