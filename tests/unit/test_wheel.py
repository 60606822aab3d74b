"""The wheel carries all that runs elsewhere: the shell of host_scripts, and what the lab's image is made of."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"])
    return zipfile.ZipFile(built)


def _files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(ROOT)) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }


def test_it_carries_the_package_and_the_scripts_as_they_are(wheel: zipfile.ZipFile) -> None:
    scripts = _files(ROOT / "host_scripts")
    assert len(scripts) > 5
    wanted = _files(ROOT / "proxhermes") | {f"proxhermes/{name}" for name in scripts}
    assert {name for name in wheel.namelist() if name.startswith("proxhermes/")} == wanted
    for name in scripts:
        assert wheel.read(f"proxhermes/{name}") == (ROOT / name).read_bytes()


def test_it_carries_the_types_the_licence_and_the_command(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "proxhermes/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    (entry,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "proxhermes = proxhermes.cli.main:run" in wheel.read(entry).decode()
