"""Writing into a stopped guest's file system from the node, without being led out of it by the guest's links."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """A mounted root file system, and the host ids that are root's in the guest."""

    root: Path
    uid: int
    gid: int

    def resolve(self, path: str) -> Path:
        """`path` of the guest as a path of the node, symbolic links followed as the guest would; 40 links at most."""
        todo = list(PurePosixPath("/", path).parts[1:])
        here: list[str] = []
        links = 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                here = here[:-1]
                continue
            candidate = self.root.joinpath(*here, part)
            if not candidate.is_symlink():
                here.append(part)
                continue
            links += 1
            if links > 40:
                raise OSError(f"too many symbolic links in {path}")
            target = PurePosixPath(candidate.readlink())
            if target.is_absolute():
                here = []
            todo = [word for word in target.parts if word != "/"] + todo
        return self.root.joinpath(*here)

    def entry(self, path: str) -> Path:
        """`path` with its parent's links followed and its own not: what to replace when it is a link."""
        pure = PurePosixPath("/", path)
        return self.resolve(str(pure.parent)) / pure.name

    def read(self, path: str) -> str:
        """The file's text, empty when there is none."""
        file = self.resolve(path)
        return file.read_text(errors="replace") if file.is_file() else ""

    def make_folder(self, path: str, mode: int = 0o755) -> Path:
        """Make a folder and its parents, owned by the guest's root; one that is there stays as it is."""
        folder = self.resolve(path)
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(mode=mode)
            os.chown(new, self.uid, self.gid)
        return self.resolve(path)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Replace the file (a link as well) by `text`, owned by the guest's root."""
        self.make_folder(str(PurePosixPath(path).parent))
        file = self.entry(path)
        draft = file.with_name(f".{file.name}.lab")
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
            os.fchown(stream.fileno(), self.uid, self.gid)
            os.fchmod(stream.fileno(), mode)
        draft.replace(file)

    def link(self, path: str, target: str) -> None:
        """Make `path` a symbolic link to `target`."""
        self.make_folder(str(PurePosixPath(path).parent))
        place = self.entry(path)
        place.unlink(missing_ok=True)
        place.symlink_to(target)
        os.chown(place, self.uid, self.gid, follow_symlinks=False)
