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

from proxhermes.lab.images.cache import BuildError, Workbench

_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: where its compressed tar lies, its digest and size, and the digest of the tar itself."""

    path: Path
    digest: str
    size: int
    diff_id: str


def pack_layer(bench: Workbench, root: Path, blob: Path, include: Sequence[str], exclude: Sequence[str] = ()) -> Layer:
    """Pack paths of `root` (relative, as `./etc`) into a zstd layer at `blob`.

    :raises BuildError: tar or zstd failed
    """
    tar = subprocess.Popen(
        ["tar", "--numeric-owner", "--sort=name", "--anchored", "--wildcards", "--format=pax",
         "--pax-option=delete=atime,delete=ctime", *(f"--exclude={pattern}" for pattern in exclude),
         "-C", str(root), "-c", *include],
        stdout=subprocess.PIPE, stderr=bench.log,
    )  # fmt: skip
    with blob.open("wb") as out:
        zstd = subprocess.Popen(["zstd", "-3", "-T0", "-q"], stdin=subprocess.PIPE, stdout=out, stderr=bench.log)
        diff = hashlib.sha256()
        assert tar.stdout and zstd.stdin
        while chunk := tar.stdout.read(_CHUNK):
            diff.update(chunk)
            zstd.stdin.write(chunk)
        zstd.stdin.close()
        if tar.wait() or zstd.wait():
            raise BuildError(f"packing {blob.name} failed (log: {bench.log.name})")
    with blob.open("rb") as packed:
        digest = hashlib.file_digest(packed, "sha256").hexdigest()
    return Layer(blob, digest, blob.stat().st_size, diff.hexdigest())


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
        """Add an image under a tag.

        :param config: the run configuration (Env, Entrypoint, Cmd, Volumes, WorkingDir, Labels, …)
        :param created: RFC 3339 time
        """
        for layer in layers:
            blob = self._blobs / layer.digest
            if not blob.exists():
                blob.hardlink_to(layer.path)
        image = {
            "created": created,
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._add_json(_CONFIG, image),
            "layers": [
                {"mediaType": _LAYER, "digest": f"sha256:{layer.digest}", "size": layer.size} for layer in layers
            ],
        }
        entry = self._add_json(_MANIFEST, manifest)
        self._index.append({**entry, "annotations": {"org.opencontainers.image.ref.name": tag}})
        (self._folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self._index}))

    def _add_json(self, media_type: str, value: object) -> dict[str, object]:
        data = json.dumps(value, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
