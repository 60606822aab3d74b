"""The guest's door: Proxmox' container command, built purely, and `Guest`, which runs a bundle of files inside.

Facts about `pct` (codes, what `push` hides, `--keep-env`) were observed on Proxmox VE 8.4 and read in 9.2.
"""

from __future__ import annotations

import io
import math
import secrets
import shlex
import tarfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from proxhermes.errors import CommandFailed, DeadlineExceeded
from proxhermes.transport.command import Command, CommandResult, Shell

Bundle = Mapping[str, tuple[bytes, int]]
"""Files for the guest: relative path -> (content, mode as in 0o600). They may hold secrets: only stdin carries them."""


def set_config(vmid: int, options: Mapping[str, str], delete: Collection[str] = ()) -> Command:
    """`pct set`: change options of the configuration (`{"mp0": "/srv/a,mp=/data"}`), drop those in `delete`."""
    words = ["pct", "set", str(vmid)]
    for name, value in options.items():
        words += [f"--{name}", value]
    if delete:
        words += ["--delete", ",".join(delete)]
    return Command(tuple(words))


def exec_(vmid: int, argv: Sequence[str], stdin: bytes | None = None) -> Command:
    """`pct exec`: run `argv` in the guest, without a shell, in `/`, with a clean environment.

    The exit code is the command's, but pct's own failures leave codes too (no such container: 2; stopped: 255), so
    only `Guest.run` tells them apart.
    """
    return Command(("pct", "exec", str(vmid), "--keep-env", "0", "--", *argv), stdin=stdin)


LAST: Final = ".whole"
"""The last file of every bundle. tar takes an archive that was cut off between two files for a whole one."""


def pack(bundle: Bundle) -> bytes:
    """The bundle as a tar archive that holds only what it must: names, modes and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, (content, mode) in sorted(bundle.items()):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or name != str(path):
                raise ValueError(f"a bundle's file must lie in its folder: {name!r}")
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
        archive.addfile(tarfile.TarInfo(LAST))
    return buffer.getvalue()


# Runs one entry of a bundle: $1 marks the end, $2 is the time limit in seconds, $3 names the entry, the rest are its
# arguments. One bundle at a time in a guest, since a run that was cut off on our side may still be working there: it
# holds the lock as long as `timeout` lives, but what a script leaves running does not. What a killed run left behind is
# removed. The limit is kept in here too, since lxc-attach, when it is ended, takes only the obedient along.
RUNNER: Final = """\
set -eu; umask 077; mark=$1 limit=$2 entry=$3; shift 3
exec 9>/run/proxhermes.lock
flock -n 9 || { echo 'waiting for another run of proxhermes in this guest' >&2; flock 9; }
rm -rf /run/proxhermes.run.*; dir=$(mktemp -d /run/proxhermes.run.XXXXXX)
trap 'cd /; rm -rf "$dir"' EXIT; trap 'exit 143' HUP INT TERM
cd "$dir"; tar -xf -; [ -e .whole ]; rc=0
timeout -k 5 "$limit" sh -c 'exec sh "$@" 9>&-' sh "./$entry" "$@" </dev/null || rc=$?
echo "$mark $rc"
"""


@dataclass(frozen=True, slots=True)
class BundleRun(Command):
    """The `pct exec` that runs a bundle. Shown without the runner's text, which is always the same."""

    label: str = ""

    def shown(self) -> str:
        return f"{self.label}  # {len(self.stdin or b'')} bytes on standard input"


def run_bundle(vmid: int, bundle: Bundle, entry: str, args: Sequence[str], mark: str, timeout: float) -> BundleRun:
    """Unpack the bundle in the guest, run `entry` there, and print `mark` with its code at the end."""
    words = exec_(vmid, ("sh", "-c", RUNNER, "proxhermes", mark, str(math.ceil(timeout)), entry, *args)).argv
    label = shlex.join((*words[: words.index("--") + 1], "sh", entry, *args))
    return BundleRun(words, pack(bundle), label)


class Guest:
    """The inside of one container, reached through the node's root shell."""

    def __init__(self, shell: Shell, vmid: int) -> None:
        self.vmid = vmid
        self._shell = shell

    def run(
        self,
        bundle: Bundle,
        entry: str,
        args: Sequence[str] = (),
        *,
        timeout: float = 60.0,
        check: bool = True,
        doing: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Send the bundle and run `sh entry args…` in its folder, in one `pct exec`; the folder is gone afterwards.

        args: no secrets, they show in the guest's process list. timeout: seconds. on_line: gets each line of standard
        output as it comes. The result is the script's own: its code, its two streams.
        Raises CommandFailed when pct did not get to the end of the script (always), or when the script's code is not 0
        and `check` is set; DeadlineExceeded and ConnectError as the shell does.
        """
        if entry not in bundle:
            raise ValueError(f"the bundle holds no {entry!r}")
        mark = f"proxhermes-end-{secrets.token_hex(8)}"
        command = run_bundle(self.vmid, bundle, entry, args, mark, timeout)
        lines = _until(mark, on_line) if on_line else None
        try:
            raw = self._shell.run(command, timeout=timeout, check=False, doing=doing, on_line=lines)
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"{entry} in CT {self.vmid} did not end within {timeout:g} s and was stopped",
                doing=doing,
                log=error.log,
            ) from error
        result = _split(raw, mark)
        if result is None:
            what = f"{entry} did not run to its end in CT {self.vmid} (pct exec ended with code {raw.rc})"
        elif check and not result.ok:
            what = f"{entry} failed in CT {self.vmid} with code {result.rc}"
        else:
            return result
        told = result or raw
        raise CommandFailed(
            what, command=command.shown(), rc=told.rc, stdout=told.stdout, stderr=told.stderr, doing=doing
        )


def _until(mark: str, on_line: Callable[[str], None]) -> Callable[[str], None]:
    """Pass lines on, without the mark."""

    def line(text: str) -> None:
        before, found, _ = text.partition(mark)
        if before or not found:
            on_line(before)

    return line


def _split(raw: CommandResult, mark: str) -> CommandResult | None:
    """The script's result without the mark; None if the mark is missing."""
    before, found, after = raw.stdout.rpartition(mark)
    code = after.partition("\n")[0].strip()
    return CommandResult(int(code), before, raw.stderr) if found and code.isdigit() else None
