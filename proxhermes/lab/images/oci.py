"""A small OCI image layout: layers from a root file system, a configuration, a manifest for each tag.

Source: OCI image specification 1.0 (image-layout, manifest, config).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from proxhermes.lab.images.cache import BuildError, Workbench

Compression = Literal["zstd", "gzip"]

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
#: How a layer may be compressed, and the program for it. Without its name and time in it, gzip's output is the same
#: for the same input.
_PROGRAMS: Final[Mapping[Compression, Sequence[str]]] = {
    "zstd": ("zstd", "-3", "-T0", "-q"),
    "gzip": ("gzip", "-6", "-n"),
}
_CHUNK = 1 << 20

#: In a layer: the file NAME, or the former content of a folder, of the layers below is not to be seen any more.
WHITEOUT, OPAQUE = ".wh.{}", ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: where its compressed tar lies, its digest and size, and the digest of the tar itself."""

    path: Path
    digest: str
    size: int
    diff_id: str
    compression: Compression = "zstd"


@dataclass(frozen=True, slots=True)
class Image:
    """One image of an index: its layers, its run configuration, and the architecture it is for."""

    layers: Sequence[Layer]
    config: Mapping[str, object]
    architecture: str = "amd64"


def pack_layer(
    bench: Workbench,
    root: Path,
    blob: Path,
    include: Sequence[str],
    exclude: Sequence[str] = (),
    compression: Compression = "zstd",
) -> Layer:
    """Pack paths of `root` (relative, as `./etc`) into a layer at `blob`.

    :raises BuildError: tar or the compressing program failed
    """
    tar = subprocess.Popen(
        ["tar", "--numeric-owner", "--sort=name", "--anchored", "--wildcards", "--format=pax",
         "--pax-option=delete=atime,delete=ctime", *(f"--exclude={pattern}" for pattern in exclude),
         "-C", str(root), "-c", *include],
        stdout=subprocess.PIPE, stderr=bench.log,
    )  # fmt: skip
    with blob.open("wb") as out:
        packer = subprocess.Popen(_PROGRAMS[compression], stdin=subprocess.PIPE, stdout=out, stderr=bench.log)
        diff = hashlib.sha256()
        assert tar.stdout and packer.stdin
        while chunk := tar.stdout.read(_CHUNK):
            diff.update(chunk)
            packer.stdin.write(chunk)
        packer.stdin.close()
        if tar.wait() or packer.wait():
            raise BuildError(f"packing {blob.name} failed (log: {bench.log.name})")
    with blob.open("rb") as packed:
        digest = hashlib.file_digest(packed, "sha256").hexdigest()
    return Layer(blob, digest, blob.stat().st_size, diff.hexdigest(), compression)


class Layout:
    """An OCI image layout in a folder, written blob by blob."""

    def __init__(self, folder: Path) -> None:
        """Start an empty layout in `folder`."""
        self._folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
        self._index: list[dict[str, object]] = []

    def add_image(self, tag: str, layers: Sequence[Layer], config: Mapping[str, object], created: str) -> None:
        """Add an image for this machine's architecture under a tag.

        :param config: the run configuration (Env, Entrypoint, Cmd, Volumes, WorkingDir, Labels, …)
        :param created: RFC 3339 time
        """
        self._tag(tag, self._manifest(Image(layers, config), created))

    def add_index(self, tag: str, images: Sequence[Image], created: str) -> None:
        """Add an index under a tag: an image for each architecture.

        :param created: RFC 3339 time
        """
        manifests = [
            {**self._manifest(image, created), "platform": {"architecture": image.architecture, "os": "linux"}}
            for image in images
        ]
        self._tag(tag, self._add_json(_INDEX, {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}))

    def _manifest(self, image: Image, created: str) -> dict[str, object]:
        for layer in image.layers:
            blob = self._blobs / layer.digest
            if not blob.exists():
                blob.hardlink_to(layer.path)
        config = {
            "created": created,
            "architecture": image.architecture,
            "os": "linux",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in image.layers]},
        }
        layers = [
            {"mediaType": f"{_LAYER}+{layer.compression}", "digest": f"sha256:{layer.digest}", "size": layer.size}
            for layer in image.layers
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._add_json(_CONFIG, config),
            "layers": layers,
        }
        return self._add_json(_MANIFEST, manifest)

    def _tag(self, tag: str, entry: Mapping[str, object]) -> None:
        self._index.append({**entry, "annotations": {"org.opencontainers.image.ref.name": tag}})
        (self._folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self._index}))

    def _add_json(self, media_type: str, value: object) -> dict[str, object]:
        data = json.dumps(value, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
