"""guest-package.sh for real, with real pip and wheels of the test's own: hashes, Pythons that do not fit, downloads."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from proxhermes.hermes.package import Files, Recipe
from proxhermes.hermes.python import Interpreter

SCRIPTS = Path(__file__).parents[3] / "host_scripts"
HERE = Interpreter("path", path=sys.executable)
PLAIN = Recipe("pypi", "hermes-agent==1.0", "1.0", extras=("cli",), interpreter=HERE)


def wheel(folder: Path, name: str, version: str, *metadata: str, code: str = "", scripts: str = "") -> str:
    """A wheel in `folder`; returns its hash."""
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    files = {
        f"{module}.py": code,
        f"{info}/METADATA": "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": scripts,
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}\n"
        for path, text in files.items()
    )
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in {**files, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
            archive.writestr(inner, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of wheels, and their hashes by name."""
    folder = tmp_path_factory.mktemp("wheels")
    hermes = "def main():\n    print('Hermes Agent v1.0')\n"
    hashes = {
        "hermes-agent": wheel(
            folder, "hermes-agent", "1.0", "Provides-Extra: cli", 'Requires-Dist: helper; extra == "cli"', code=hermes,
            scripts="[console_scripts]\nhermes = hermes_agent:main\n",
        ),
        "helper": wheel(folder, "helper", "2.0"),
        "more": wheel(folder, "more", "3.0"),
    }  # fmt: skip
    wheel(folder, "hermes-agent", "2.0", "Requires-Python: >=3.99,<4")
    return folder, hashes


def build(tmp_path: Path, index: tuple[Path, dict[str, str]], recipe: Recipe) -> subprocess.CompletedProcess[str]:
    bundle = tmp_path / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir()
    for path in SCRIPTS.glob("*"):
        shutil.copy(path, bundle)
    for name, content in recipe.files.items():
        (bundle / name).write_bytes(content)
    (tmp_path / "environment").write_text(f"PIP_NO_INDEX=1\nPIP_FIND_LINKS={index[0]}\n")
    names = {"project": tmp_path / "hermes", "uid": os.getuid(), "gid": os.getgid(), "asked_kind": ""}
    lines = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in names.items())
    script = (
        f"set -eu\n{lines}. ./guest-common.sh\n. ./guest-package.sh\nsurroundings={tmp_path}/environment\n"
        'as_agent() { "$@"; }\npackage_build\npackage_switch\n'
    )
    return subprocess.run(["sh", "-c", script], cwd=bundle, capture_output=True, text=True, timeout=120, check=False)


# As setuptools does it, with the same names; and as upstream's setup.py has it from 0.20 on.
BACKEND = """
import pathlib, zipfile

INFO = "hermes_agent-0.0.0.dist-info/"


def build_wheel(*words):
    raise RuntimeError("Building wheels or sdists for hermes-agent is not supported.")


def build_editable(folder, *words):
    name = "hermes_agent-0.0.0-0.editable-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        wheel.writestr("__editable__.hermes_agent-0.0.0.pth", "import __editable___hermes_agent_0_0_0_finder")
        finder = f"import sys; sys.path.append({str(pathlib.Path.cwd())!r})"
        wheel.writestr("__editable___hermes_agent_0_0_0_finder.py", finder)
        extra = 'Provides-Extra: cli\\nRequires-Dist: helper; extra == "cli"\\n'
        wheel.writestr(INFO + "METADATA", "Metadata-Version: 2.1\\nName: hermes-agent\\nVersion: 0.0.0\\n" + extra)
        wheel.writestr(INFO + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(INFO + "entry_points.txt", "[console_scripts]\\nhermes = hermes_cli.main:main\\n")
        wheel.writestr(INFO + "RECORD", "")
    return name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
MAIN = """
import json, os, pathlib, sys

stamp = pathlib.Path(__file__).parents[1] / "install-stamp.json"


def main():
    print("Hermes Agent v" + json.loads(stamp.read_text()).get("baseVersion", "unknown"), __file__, sys.prefix)
"""
STAMP = """
import json, pathlib, sys

words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
version = {"baseVersion": words["--base-version"]} if "--base-version" in words else {}
pathlib.Path(words["--output"]).write_text(json.dumps(version | {"updateMechanism": words["--update-mechanism"]}))
"""


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A git repository laid out as upstream's from 0.20 on, which builds neither wheel nor sdist; and its commit."""
    folder = tmp_path / "repository"
    files = {
        "backend.py": BACKEND,
        "pyproject.toml": PROJECT,
        "hermes_cli/__init__.py": "",
        "hermes_cli/main.py": MAIN,
        "scripts/write_install_stamp.py": STAMP,
        "skills/notes/SKILL.md": "# Notes\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    script = "git init -q && git add . && git -c user.name=a -c user.email=a@b commit -qm one && git rev-parse HEAD"
    done = subprocess.run(["sh", "-euc", script], cwd=folder, capture_output=True, text=True, check=True)
    return folder, done.stdout.strip()


@pytest.mark.parametrize(("ref", "version", "hashes"), [("v0.22.2", "0.22.2", False), ("v2026.9.24", "unknown", True)])
def test_from_git_the_source_itself_runs_where_it_has_its_name(
    tmp_path: Path,
    index: tuple[Path, dict[str, str]],
    repository: tuple[Path, str],
    ref: str,
    version: str,
    hashes: bool,
) -> None:
    folder, commit = repository
    files = pinned(index, helper="2.0") if hashes else Files()
    subject = f"file://{folder}"
    recipe = Recipe("git", subject, ref, ref, commit, extras=("cli",), interpreter=HERE, files_given=files)
    done = build(tmp_path, index, recipe)
    assert done.returncode == 0, done.stderr
    place = tmp_path / "hermes" / "versions" / recipe.id
    told = subprocess.run([place / "bin" / "hermes"], cwd="/", capture_output=True, text=True, check=True).stdout
    assert told.split() == ["Hermes", "Agent", f"v{version}", f"{place}/source/hermes_cli/main.py", str(place)]
    assert modules(tmp_path) >= {"helper"}
    assert not (place / "source" / ".git").exists()
    assert "skills=1\n" in (place / ".proxhermes-package").read_text()
    assert '"external"' in (place / "source" / "install-stamp.json").read_text()
    named = [path for path in place.rglob("*") if path.is_file() and b"versions/.building" in path.read_bytes()]
    assert named == []


def modules(tmp_path: Path) -> set[str]:
    return {path.stem for path in (tmp_path / "hermes/current/lib").glob("python3*/site-packages/*.py")}


def pinned(index: tuple[Path, dict[str, str]], **versions: str) -> Files:
    hashes = index[1]
    lines = [f"{name}=={version} --hash=sha256:{hashes[name]}\n" for name, version in versions.items()]
    return Files(hashes="".join(lines).encode())


def test_with_hashes_all_that_is_installed_is_what_the_file_says(
    tmp_path: Path, index: tuple[Path, dict[str, str]]
) -> None:
    done = build(tmp_path, index, replace(PLAIN, files_given=pinned(index, **{"hermes-agent": "1.0", "helper": "2.0"})))
    assert done.returncode == 0, done.stderr
    assert modules(tmp_path) == {"hermes_agent", "helper"}
    assert "note: this package brings no bundled skills" in done.stdout
    assert "skills=0\n" in (tmp_path / "hermes/current/.proxhermes-package").read_text()


@pytest.mark.parametrize(
    ("versions", "wrong", "said"),
    [
        (
            {"hermes-agent": "1.0"},
            False,
            "package.require_hashes does not have all",
        ),  # pip itself misses only the extra
        ({"hermes-agent": "1.0", "helper": "2.0"}, True, "DO NOT MATCH THE HASHES"),
    ],
)
def test_hashes_that_are_not_all_or_not_those_install_nothing(
    tmp_path: Path, index: tuple[Path, dict[str, str]], versions: dict[str, str], wrong: bool, said: str
) -> None:
    files = pinned(index, **versions)
    if wrong:
        files = Files(hashes=(files.hashes or b"").replace(index[1]["helper"].encode(), b"0" * 64))
    failed = build(tmp_path, index, replace(PLAIN, files_given=files))
    assert failed.returncode == 1
    assert said in failed.stderr
    assert "was left alone" in failed.stderr
    assert list((tmp_path / "hermes" / "versions").iterdir()) == []


def test_a_python_that_does_not_fit_is_told_with_what_would(tmp_path: Path, index: tuple[Path, dict[str, str]]) -> None:
    hermes = index[0] / "hermes_agent-2.0-py3-none-any.whl"
    recipe = Recipe("wheel", hermes.name, "2.0", interpreter=HERE, files_given=Files(wheel=hermes.read_bytes()))
    failed = build(tmp_path, index, recipe)
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"failed: the agent needs Python <4,>=3.99, and this is {version}; the version that runs" in failed.stderr


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A folder of downloads with a Python as python-build-standalone packs it: this one's own programs, one folder."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    with tarfile.open(folder / "python.tar.gz", "w:gz") as tar:
        base = Path(sys.base_prefix)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        left_out = {"__pycache__", "site-packages", "test", "idlelib", "tkinter", "lib2to3"}
        tar.add(
            base / "lib" / version,
            f"python/lib/{version}",
            filter=lambda info: None if left_out & {*info.name.split("/")} else info,
        )
        tar.add(Path(sys.base_prefix, "bin", version).resolve(), f"python/bin/{version}")
        for library in base.glob("lib/libpython3*.so*"):
            tar.add(library, f"python/lib/{library.name}")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/python.tar.gz"
        server.shutdown()


def test_a_downloaded_python_runs_the_agent(tmp_path: Path, index: tuple[Path, dict[str, str]], served: str) -> None:
    sha256 = hashlib.sha256((tmp_path / "downloads" / "python.tar.gz").read_bytes()).hexdigest()
    interpreter = Interpreter("archive", url=served, sha256=sha256)
    done = build(tmp_path, index, replace(PLAIN, interpreter=interpreter))
    assert done.returncode == 0, done.stderr
    version = (tmp_path / "hermes" / "current").resolve()
    words = [version / "bin" / "python", "-c", "import sys; print(sys.base_prefix, sys.prefix)"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.split() == [
        str(version / "python"), str(version),
    ]  # fmt: skip


def test_a_download_that_is_another_or_is_not_there_is_told(
    tmp_path: Path, index: tuple[Path, dict[str, str]], served: str
) -> None:
    wrong = build(tmp_path, index, replace(PLAIN, interpreter=Interpreter("archive", url=served, sha256="0" * 64)))
    assert f"failed: the Python at {served} has the SHA-256 " in wrong.stderr
    assert f"and not {'0' * 64}" in wrong.stderr
    away = served.replace("python.tar.gz", "other.tar.gz")
    gone = build(tmp_path, index, replace(PLAIN, interpreter=Interpreter("archive", url=away, sha256="0" * 64)))
    assert f"failed: Python could not be downloaded from {away}" in gone.stderr
    assert list((tmp_path / "hermes" / "versions").iterdir()) == []
