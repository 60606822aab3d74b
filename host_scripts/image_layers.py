"""An image's manifest and layers: what its files are in the end. A part of guest-image.py.

An image is a list of archives, each laid over those before it (OCI image specification: layer.md). No path in one of
them is ever opened: files are stored by number, and paths are names in a tree in memory, in which links are followed.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

CODE = "/opt/hermes"
"""Where the code is in the image (Hermes: Dockerfile)."""
LEFT_OUT = re.compile(rf"{CODE}/(?:tools/chromium[^/]*|\.playwright|\.git)(?:/|$)")
"""The browser needs thirty libraries besides, and is as large as all the rest."""
KEPT = re.compile(
    rf"{CODE}/.*|/usr/(?:local/)?bin/(?:python3[0-9.]*|node|npm|npx)|/usr/(?:local/)?lib/python3\.[0-9]+/.*"
    r"|/etc/ld\.so\.conf(?:\.d/[^/]+)?|/(?:usr/(?:local/)?)?lib(?:64)?/(?:[^/]+/)?[^/]+\.so(?:\.[0-9.]+)?"
)
"""What is stored of the files of a layer."""
MOST_ENTRIES, MOST_BYTES, MOST_LINKS = 2_000_000, 32 << 30, 40
CHUNK = 1 << 20


class Refused(Exception):
    """The image is not what it should be; says what of it."""


@dataclass
class Node:
    """A folder (children), a file (stored, mode) or a link (target). layer: the last one that has an entry for it."""

    layer: int
    children: dict[str, Node] | None = None
    stored: Path | None = None
    mode: int = 0o644
    target: str = ""


@dataclass
class Image:
    """The image's files, as all layers together make them."""

    store: Path
    root: Node = field(default_factory=lambda: Node(0, {}))
    entries: int = 0
    size: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def follow(self, path: str, *, last: bool = True) -> str:
        """A path with no link left in it; last: nor as its last part. It need not exist, and cannot leave the image."""
        rest, done, links = [part for part in path.split("/") if part], list[str](), 0
        while rest:
            part = rest.pop(0)
            if part in (".", ".."):
                done = done[:-1] if part == ".." else done
                continue
            node = self.find("/".join([*done, part]))
            if node is None or not node.target or not (rest or last):
                done.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                raise Refused(f"a circle of links at {path[:200]!r}")
            rest = [part for part in node.target.split("/") if part] + rest
            done = [] if node.target.startswith("/") else done
        return "/" + "/".join(done)

    def find(self, path: str) -> Node | None:
        """What is at a path, no link followed."""
        node: Node | None = self.root
        for part in path.split("/"):
            if part and node is not None:
                node = (node.children or {}).get(part)
        return node

    def file(self, path: str) -> Path | None:
        """The stored file behind a path, all links followed."""
        node = self.find(self.follow(path))
        return node.stored if node else None

    def folder(self, path: str, layer: int) -> dict[str, Node]:
        """What is in a folder, which is made where there is none. path: with no link in it."""
        node = self.root
        for part in path.split("/"):
            if not part:
                continue
            children = cast(dict[str, Node], node.children)
            if part not in children or children[part].children is None:
                children[part] = Node(layer, {})
            node = children[part]
        return cast(dict[str, Node], node.children)

    def add(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, layer: int) -> None:
        """Lay an entry of a layer over what is there."""
        parts = [part for part in entry.name.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            if parts:
                raise Refused(f"a path that leads out of the image: {entry.name[:200]!r}")
            return
        name, place = parts[-1], self.follow("/".join(parts[:-1])).rstrip("/")
        siblings = self.folder(place, layer)
        if name == ".wh..wh..opq":
            hide(siblings, layer)
        elif name.startswith(".wh."):
            hide_one(siblings, name[len(".wh.") :], layer)
        elif entry.isdir():
            there = siblings.get(name)
            siblings[name] = Node(layer, there.children if there and there.children is not None else {})
        elif entry.issym():
            siblings[name] = Node(layer, target=entry.linkname)
        elif entry.islnk():
            source = self.find(self.follow(entry.linkname, last=False))
            if source is None or source.children is not None:
                raise Refused(f"{entry.name[:200]!r} is a link to nothing: {entry.linkname[:200]!r}")
            siblings[name] = Node(layer, stored=source.stored, mode=source.mode, target=source.target)
        elif entry.isreg():
            siblings[name] = Node(layer, stored=self._stored(tar, entry, f"{place}/{name}"), mode=entry.mode)
        else:  # a device or a pipe: nothing of the code's
            siblings.pop(name, None)

    def _stored(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> Path | None:
        content = tar.extractfile(entry)
        if content is None or not KEPT.fullmatch(path) or LEFT_OUT.match(path):
            return None
        self.size += entry.size
        if self.size > MOST_BYTES:
            raise Refused(f"more than {MOST_BYTES >> 30} GiB of files")
        stored = self.store / str(next(self.numbers))
        with stored.open("wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
        os.utime(stored, (entry.mtime, entry.mtime))
        return stored


def hide(children: dict[str, Node], layer: int) -> None:
    """Take away what earlier layers have put here."""
    for name in list(children):
        hide_one(children, name, layer)


def hide_one(children: dict[str, Node], name: str, layer: int) -> None:
    """The same for one name: what this layer has put below it stays."""
    node = children.get(name)
    if node is None:
        return
    if node.children is not None:
        hide(node.children, layer)
    if node.layer < layer and not node.children:
        del children[name]


def choose(manifest: Path, digest: str, architecture: str) -> str:
    """What `choose` prints for a manifest, or for an index of several: `manifest DIGEST` or `bytes NUMBER`."""
    content = manifest.read_bytes()
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise Refused(f"the registry's answer is not what {digest} stands for")
    found = json.loads(content)
    if "manifests" not in found:
        return f"bytes {sum(int(layer['size']) for layer in found['layers'])}"
    platforms = [(each.get("platform", {}), each["digest"]) for each in found["manifests"]]
    for platform, inner in platforms:
        if platform.get("os") == "linux" and platform.get("architecture") == architecture:
            return f"manifest {checked(inner)}"
    there = sorted({f"{each.get('os')}/{each.get('architecture')}" for each, _ in platforms} - {"unknown/unknown"})
    raise Refused(f"the image is for {', '.join(there)}, and not for linux/{architecture}")


def checked(digest: object) -> str:
    """A digest, which becomes a file's name."""
    if not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise Refused(f"not a digest: {str(digest)[:100]!r}")
    return digest


def blob(layout: Path, digest: object) -> Path:
    """A file of an OCI layout."""
    return layout / "blobs" / "sha256" / checked(digest).removeprefix("sha256:")


def load(layout: Path, store: Path) -> Image:
    """All layers of the one image in a layout. Raises Refused for one whose content is not what the image says."""
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blob(layout, entry["digest"]).read_bytes())
    config = json.loads(blob(layout, manifest["config"]["digest"]).read_bytes())
    image = Image(store)
    for number, (layer, content) in enumerate(
        zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True), start=1
    ):
        with uncompressed(blob(layout, layer["digest"])) as stream:
            hashing = Hashing(stream)
            apply(image, cast(BinaryIO, hashing), number)
            while hashing.read(CHUNK):
                pass
        if hashing.digest != content:
            raise Refused(f"layer {number} is not what the image says")
    return image


class Hashing:
    """A stream that counts what is read from it towards its hash."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._hash = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._hash.update(content)
        return content

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


@contextmanager
def uncompressed(path: Path) -> Iterator[IO[bytes]]:
    """A layer's archive, which is one by gzip, by zstd, or plain."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"\x28\xb5\x2f\xfd":
        with subprocess.Popen(["zstd", "-dcq", "--", path], stdout=subprocess.PIPE) as process:
            yield cast(IO[bytes], process.stdout)
        if process.returncode:
            raise Refused(f"zstd cannot read {path.name}")
    elif start[:2] == b"\x1f\x8b":
        with gzip.open(path) as stream:
            yield cast(IO[bytes], stream)
    else:
        with path.open("rb") as stream:
            yield stream


def apply(image: Image, stream: BinaryIO, layer: int) -> None:
    """Lay one layer over those before it."""
    with tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as tar:
        for entry in tar:
            image.entries += 1
            if image.entries > MOST_ENTRIES:
                raise Refused(f"more than {MOST_ENTRIES} files")
            image.add(tar, entry, layer)
            tar.members = []  # type: ignore[attr-defined]  # or it would keep all of them
