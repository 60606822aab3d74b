from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from proxhermes.lab.images import oci
from proxhermes.lab.images.cache import Workbench

pytestmark = pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed")


def test_a_layout_holds_what_its_manifest_names(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "name").write_text("value\n")
    (root / "skip").mkdir()
    (root / "skip" / "me").touch()
    with (tmp_path / "log").open("wb") as log:
        bench = Workbench(tmp_path, log, lambda _: None)
        layer = oci.pack_layer(bench, root, tmp_path / "layer", ["."], ["./skip/*"])
    tar = subprocess.run(["zstd", "-dc", str(layer.path)], capture_output=True, check=True).stdout
    assert hashlib.sha256(tar).hexdigest() == layer.diff_id
    names = subprocess.run(["tar", "-t"], input=tar, capture_output=True, check=True).stdout.decode().split()
    assert "./etc/name" in names
    assert "./skip/me" not in names

    layout = oci.Layout(tmp_path / "layout")
    layout.add_image("one", [layer], {"Env": ["A=1"]}, "2026-01-01T00:00:00Z")
    layout.add_image("two", [layer], {"Env": ["A=2"]}, "2026-01-01T00:00:00Z")
    index = json.loads((tmp_path / "layout" / "index.json").read_text())
    tags = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]]
    assert tags == ["one", "two"]
    for entry in index["manifests"]:
        manifest = json.loads(blob(tmp_path, entry["digest"]))
        assert hashlib.sha256(blob(tmp_path, manifest["layers"][0]["digest"])).hexdigest() == layer.digest
        assert json.loads(blob(tmp_path, manifest["config"]["digest"]))["rootfs"]["diff_ids"] == [
            f"sha256:{layer.diff_id}"
        ]


def test_an_index_has_an_image_for_each_architecture(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    lower.mkdir()
    upper.mkdir()
    (lower / "gone").touch()
    (upper / oci.WHITEOUT.format("gone")).touch()
    with (tmp_path / "log").open("wb") as log:
        bench = Workbench(tmp_path, log, lambda _: None)
        first = oci.pack_layer(bench, lower, tmp_path / "first", ["."])
        second = oci.pack_layer(bench, upper, tmp_path / "second", ["."], compression="gzip")
        again = oci.pack_layer(bench, upper, tmp_path / "again", ["."], compression="gzip")
    assert again.digest == second.digest
    tar = gzip.decompress(second.path.read_bytes())
    assert hashlib.sha256(tar).hexdigest() == second.diff_id

    layout = oci.Layout(tmp_path / "layout")
    images = [oci.Image([first], {"Env": ["A=1"]}, "arm64"), oci.Image([first, second], {"Env": ["A=1"]})]
    layout.add_index("one", images, "2026-01-01T00:00:00Z")
    (entry,) = json.loads((tmp_path / "layout" / "index.json").read_text())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "one"}
    assert entry["mediaType"] == "application/vnd.oci.image.index.v1+json"
    index = json.loads(blob(tmp_path, entry["digest"]))
    assert [manifest["platform"]["architecture"] for manifest in index["manifests"]] == ["arm64", "amd64"]
    for each in index["manifests"]:
        manifest = json.loads(blob(tmp_path, each["digest"]))
        config = json.loads(blob(tmp_path, manifest["config"]["digest"]))
        assert config["architecture"] == each["platform"]["architecture"]
    assert [layer["mediaType"].rpartition("+")[2] for layer in manifest["layers"]] == ["zstd", "gzip"]


def blob(tmp_path: Path, digest: str) -> bytes:
    return (tmp_path / "layout" / "blobs" / digest.replace(":", "/")).read_bytes()
