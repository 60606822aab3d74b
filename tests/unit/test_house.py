"""The house holds: imports run one way, pure rooms stay pure, the start imports nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import proxhermes

ROOT = Path(proxhermes.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py"))

# room -> rooms of the product that it may import from; itself always
ALLOWED = {
    "errors": set(),
    "events": {"errors"},
    "redaction": {"events"},
    "runlog": {"events", "redaction"},
    "runlock": {"errors", "runlog"},
    "hints": {"errors"},
    "upstream": set(),
    "inventory": {"errors", "events", "redaction", "upstream"},
    "hermes": {"upstream", "inventory", "errors"},
    "transport": {"inventory", "errors", "events", "redaction", "hints"},
    "facts": {"upstream", "transport", "inventory", "errors", "events", "hermes", "hints"},
    "plan": {"upstream", "facts", "hermes", "inventory", "errors"},
    "apply": {"upstream", "plan", "facts", "transport", "hermes", "inventory", "errors", "events"},
    "verify": {"upstream", "plan", "facts", "transport", "hermes", "inventory", "errors", "events", "redaction"},
    "status": {"upstream", "plan", "facts", "transport", "inventory"},
    "run": {"upstream", "apply", "plan", "facts", "transport", "hermes", "inventory", "errors", "events"},
}
IO = {"subprocess", "socket", "requests", "paramiko", "proxmoxer", "time", "os", "shutil", "urllib.request"}
READS = {"open", "read", "read_bytes", "read_text", "resolve", "stat", "walk"}
READERS = {"documents", "environment", "local_files", "package", "registry", "rendering", "wanted"}
"""Of hermes/, what reads the operator's own files and secrets."""


def _imports(path: Path, at_run_time_only: bool = False) -> set[str]:
    """Names of the modules that a file imports; type-checking imports left out on request."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if at_run_time_only and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(ast.walk(node))
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", [p for p in MODULES if _room(p) in ALLOWED], ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    room = _room(path)
    rooms = {name.split(".")[1] for name in _imports(path) if name.startswith("proxhermes.")}
    assert rooms - {"__version__"} <= ALLOWED[room] | {room}


@pytest.mark.parametrize("path", [p for p in MODULES if _room(p) in ("plan", "hermes")], ids=lambda p: p.name)
def test_pure_rooms_do_no_io(path: Path) -> None:
    names = {name for full in _imports(path) for name in (full, full.rpartition(".")[0], full.split(".")[0])}
    assert not names & IO
    assert not any(name.startswith("proxhermes.transport") for name in _imports(path, at_run_time_only=True))


def _reads(node: ast.AST) -> bool:
    """Whether it is a call that reads a file or looks up a secret."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name("super")))):
            return False
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in READS
        case ast.Call(func=ast.Name("open")):
            return True
    return False


@pytest.mark.parametrize("path", [p for p in MODULES if _room(p) == "hermes"], ids=lambda p: p.name)
def test_few_modules_read_the_operators_files_and_secrets(path: Path) -> None:
    assert any(_reads(node) for node in ast.walk(ast.parse(path.read_text()))) == (path.stem in READERS)


@pytest.mark.parametrize("path", [p for p in MODULES if _room(p) == "lab"], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_lab_imports_none_of_the_product(path: Path) -> None:
    ours = {name for name in _imports(path) if name.startswith("proxhermes.")}
    assert all(name.startswith("proxhermes.lab") for name in ours)


@pytest.mark.parametrize("path", [p for p in MODULES if _room(p) != "lab"], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_product_imports_no_lab(path: Path) -> None:
    assert not any(name.startswith("proxhermes.lab") for name in _imports(path))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from proxhermes.cli.main import run_with; run_with(['--help']);"
        "print(sorted({'pydantic', 'paramiko', 'requests', 'proxmoxer', 'rich', 'yaml', 'ruamel', 'tenacity'}"
        " & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
