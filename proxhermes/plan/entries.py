"""What is to be done with single files in the guest, as the manifest for `host_scripts/guest-files.sh`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

MANIFEST: Final = "manifest"
ABSENT: Final = "absent"
ANY: Final = "any"


@dataclass(frozen=True, slots=True)
class Entry:
    """One folder or file.

    path: in the guest. kind: `folder` (there), `workplace` (the same, but one that is there stays as it is), `file`
    (with this content), `mode` (its mode and owner alone), `gone`, `emptied` (a folder that goes if nothing is in it).
    expected: the sha256 that the file still has to have, ABSENT, or ANY; a file that is something else by then is left
    alone, and the plan made anew. source: a file of root's in the guest that has the content.
    """

    path: str
    kind: Literal["folder", "workplace", "file", "mode", "gone", "emptied"]
    mode: int = 0
    owner: Literal["agent", "root"] = "agent"
    content: bytes | None = field(default=None, repr=False)
    expected: str = ANY
    source: str | None = None


def sha256(content: bytes) -> str:
    """The hash that files are compared by."""
    return hashlib.sha256(content).hexdigest()


def bundle(entries: Iterable[Entry]) -> dict[str, bytes]:
    """The manifest, and the contents that it names, as files beside the script; nothing for no entries.

    Raises ValueError for a path that the manifest's lines cannot hold.
    """
    lines: list[str] = []
    contents: dict[str, bytes] = {}
    for number, entry in enumerate(entries):
        if any(ord(character) < 32 for character in entry.path) or not entry.path.startswith("/"):
            raise ValueError(f"no path for the manifest: {entry.path!r}")
        name = "-"
        if entry.source is not None:
            name = entry.source
        elif entry.kind == "file":
            name = f"content.{number}"
            contents[name] = entry.content or b""
        fields = (entry.kind, f"{entry.mode:04o}", entry.owner, entry.expected, name, entry.path)
        lines.append("\t".join(fields) + "\n")
    return {MANIFEST: "".join(lines).encode(), **contents} if lines else {}
