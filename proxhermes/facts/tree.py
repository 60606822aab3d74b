"""The agent's files as the guest has them: owners, modes, hashes (`host_scripts/guest-files-facts.sh`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LIST: Final = "look"
"""The file in the bundle that names what is looked at, a label a line."""
SCRIPTS: Final = ("guest-files-facts.sh", "guest-files-look.sh")
"""What has to lie beside the script that looks."""
SIGN: Final = "tree."
"""What every line of it begins with, and none of another fact."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file or folder that is there, through a link to what it leads to.

    kind: as stat names it, or in our words where it cannot be read; sha256: of a plain file that can be read;
    writable: whether the agent may put another file in its place, or change what is in the folder.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    sha256: str | None = None
    writable: bool = True

    @property
    def plain(self) -> bool:
        """Whether this is a file whose content can be compared."""
        return self.sha256 is not None

    @property
    def folder(self) -> bool:
        return self.kind == "directory"


def render(labels: Iterable[str]) -> bytes:
    """The list for the script."""
    return "".join(f"{label}\n" for label in labels).encode()


def parse(output: str) -> dict[str, Seen]:
    """What the script printed, by label (`hermes.labels`); lines of other facts are passed over."""
    found: dict[str, Seen] = {}
    for line in output.split("\n"):  # and at nothing else that ends a line: a label of the agent's may hold that
        if line.startswith(SIGN):
            # A path may hold the sign; what is said of it never does.
            label, _, said = line.removeprefix(SIGN).rpartition("=")
            uid, gid, mode, sha256, writable, kind = said.split(" ", 5)
            found[label] = Seen(
                kind, int(mode, 8), int(uid), int(gid), None if sha256 == "-" else sha256, writable == "w"
            )
    return found
