"""The shared libraries of an image for its programs, wherever they run. A part of guest-image.py."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from image_layers import Refused


@dataclass
class Elf:
    """What the loader reads of a program or library. own_path: it has a DT_RUNPATH, which ends the search."""

    loader: str
    needed: list[str]
    paths: list[str]
    own_path: bool


def elf(path: Path) -> Elf | None:
    """The same, of a file that is one of 64 bit, little endian (System V ABI); None for any other."""
    with path.open("rb") as file:
        if file.read(6) != b"\x7fELF\x02\x01":
            return None
        file.seek(0)
        content = file.read()
    try:
        return dynamic(content)
    except (struct.error, ValueError, IndexError):
        return None


def dynamic(content: bytes) -> Elf | None:
    table, size, count = *struct.unpack_from("<Q", content, 0x20), *struct.unpack_from("<2H", content, 0x36)
    headers = [struct.unpack_from("<2I6Q", content, table + number * size) for number in range(count)]
    loader = next((content[each[2] : each[2] + each[5]].rstrip(b"\0").decode() for each in headers if each[0] == 3), "")
    section = next((each for each in headers if each[0] == 2), None)
    if section is None:
        return None
    tags = list(struct.iter_unpack("<qQ", content[section[2] : section[2] + section[5] // 16 * 16]))
    address = next(value for tag, value in tags if tag == 5)
    load = next(each for each in headers if each[0] == 1 and each[3] <= address < each[3] + each[5])
    strings = address - load[3] + load[2]

    def text(offset: int) -> str:
        return content[strings + offset : content.index(b"\0", strings + offset)].decode()

    paths = [text(value) for tag, value in tags if tag in (15, 29)]
    return Elf(
        loader=loader,
        needed=[text(value) for tag, value in tags if tag == 1],
        paths=[part for path in paths for part in path.split(":") if part],
        own_path=any(tag == 29 for tag, _ in tags),
    )


def close(scratch: Path, path: Path, final: Path) -> None:
    """Copy the libraries that the version's programs and extensions ask for, and have them found."""
    own = path / "python" / "lib"
    folders = sorted((scratch / "root").iterdir(), key=lambda folder: int(folder.name))
    waiting = [each for each in path.rglob("*") if each.is_file() and not each.is_symlink()]
    found: list[tuple[Path, Elf]] = []
    asked = ["libgcc_s.so.1"]  # never linked to, and loaded when a thread is cancelled
    while waiting or asked:
        for name in asked:
            source = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if source is not None and not (own / name).exists():
                shutil.copy2(source, own / name)
                (own / name).chmod(0o755)
                waiting.append(own / name)
        asked = []
        if waiting and (object_ := elf(file := waiting.pop())) is not None:
            found.append((file, object_))
            names = [*object_.needed, *([Path(object_.loader).name] if object_.loader else [])]
            asked = [name for name in names if "/" not in name and not beside(file, object_, name)]
    for file, object_ in found:
        patch(file, object_, own, final)


def beside(file: Path, found: Elf, name: str) -> bool:
    """Whether a library is where the file itself says."""
    folders = [path.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", str(file.parent)) for path in found.paths]
    return any((Path(folder) / name).is_file() for folder in folders)


def patch(file: Path, found: Elf, own: Path, final: Path) -> None:
    """A DT_RPATH is inherited by all that a program loads, and does not end the search as a DT_RUNPATH does.

    One after the other, and in this order: otherwise patchelf (0.18) makes a file of Debian's that crashes. A program
    whose loader the image does not have (musl's, another machine's) is none of this.
    """
    loader = Path(found.loader).name
    if ".so" in file.name:  # the C library names a loader, too
        if found.own_path:
            fresh(file)
            patchelf("--force-rpath", "--set-rpath", ":".join(found.paths), file)
    elif loader and (own / loader).is_file() and not found.loader.startswith(str(final)):
        fresh(file)
        paths = [*found.paths, f"$ORIGIN/{os.path.relpath(own, file.parent)}"]
        patchelf("--force-rpath", "--set-rpath", ":".join(paths), file)
        patchelf("--set-interpreter", f"{final}/python/lib/{loader}", file)


def fresh(file: Path) -> None:
    """A copy of its own in the place of a file that may be linked elsewhere: patchelf writes into it."""
    shutil.copy2(file, copy := file.with_name(f".{file.name}.new"))
    copy.replace(file)


def patchelf(*words: str | Path) -> None:
    if subprocess.run(["patchelf", *words], check=False).returncode:
        raise Refused(f"patchelf cannot change {words[-1]}")
