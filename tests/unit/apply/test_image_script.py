"""guest-image.sh for real: from a real registry, by real skopeo, a real Python out of an image that is never run."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import bcrypt
import pytest

from proxhermes.hermes.package import Recipe
from tests.unit.registry import Entry, Layout, archive, between, needs_tools, registry, until

pytestmark = needs_tools

SCRIPTS = Path(__file__).parents[3] / "host_scripts"
NAME = "nousresearch/hermes-agent"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
MAIN = """
import os, ssl, sqlite3, sys
from pathlib import Path
def main():
    if sys.argv[1:] == ["--version"]:
        print("Hermes Agent v0.22.2 (2026.9.24)")
    for name in sys.argv[1:]:
        skills = len(list(Path(__file__).parents[1].glob("skills/*/SKILL.md")))
        known = {"prefix": sys.prefix, "base": sys.base_prefix, "argv0": sys.argv[0], "file": __file__}
        known["skills"] = skills
        print(known.get(name, os.environ.get(name)))
    return 0
"""
CONFIG = "DEFAULT_CONFIG = {'_config_version': 50}\n"
PYTHON = Path("/usr/bin/python3").resolve()
LIBRARY = Path(f"/usr/lib/{PYTHON.name}")
UNUSED = {"test", "idlelib", "tkinter", "turtledemo", "__pycache__", "lib2to3", "distutils", "pydoc_data", "ensurepip"}


def system() -> list[Entry]:
    """A system with a Python: this machine's interpreter, library, loader and shared libraries."""
    found = [Entry("lib", link="usr/lib"), Entry("lib64", link="usr/lib64"), Entry("usr/bin/" + PYTHON.name, PYTHON)]
    for folder, names, files in os.walk(LIBRARY):
        names[:] = [name for name in names if name not in UNUSED and not name.startswith("config-")]
        found += [
            Entry(f"{folder[1:]}/{name}", path)
            for name in files
            if (path := Path(folder) / name).is_file() and not path.is_symlink()
        ]
    objects = [str(PYTHON), *map(str, LIBRARY.glob("lib-dynload/*.so"))]
    said = subprocess.run(["ldd", *objects], capture_output=True, text=True, check=False).stdout
    libraries = {
        Path(word) for line in said.splitlines() for word in line.split() if word.startswith("/") and ".so" in word
    }
    libraries |= set(Path("/lib").glob("*-linux-gnu/libgcc_s.so.1"))
    for path in sorted(each for each in libraries if not each.is_relative_to(LIBRARY)):
        real = path.resolve()
        place = str(path if not str(path).startswith("/lib") else Path("/usr") / str(path)[1:])[1:]
        found.append(Entry(place, real))
    return found


def code() -> list[Entry]:
    """Hermes as the official image has it: an environment on the system's Python, its code beside it."""
    venv = "opt/hermes/.venv"
    site = f"{venv}/lib/{PYTHON.name}/site-packages"
    return [
        Entry("opt/hermes/", folder=True),
        Entry(f"{venv}/bin/python", link="/usr/local/bin/python3"),
        Entry("usr/local/bin/python3", link=f"../../bin/{PYTHON.name}"),
        Entry(f"{venv}/pyvenv.cfg", f"home = /usr/local/bin\ninclude-system-site-packages = false\n# {venv}\n"),
        Entry(f"{venv}/bin/tool", "#!/opt/hermes/.venv/bin/python\nprint('/opt/hermes-other')\n", mode=0o755),
        Entry(f"{venv}/bin/hermes", link="../../libexec/hermes"),
        Entry("opt/hermes/libexec/hermes", "#!/usr/bin/env bash\nexit 3\n", mode=0o755),
        Entry(f"{site}/hermes-agent.pth", "/opt/hermes\n"),
        Entry("opt/hermes/hermes_agent-0.22.2.dist-info/entry_points.txt",
              "[console_scripts]\nhermes = hermes_cli.main:main\nother = a:b\nhermes-acp = hermes_cli.main:main\n"
              "[x]\nhermes-agent = os:abort\n"),
        Entry("opt/hermes/hermes_cli/__init__.py", "__version__ = '0.22.2'\n"),
        Entry("opt/hermes/hermes_cli/main.py", MAIN),
        Entry("opt/hermes/hermes_cli/config.py", CONFIG),
        Entry("opt/hermes/skills/one/SKILL.md", "one"),
        Entry("opt/hermes/skills/gone/SKILL.md", "gone"),
        Entry("opt/hermes/tools/chromium-1/chrome", b"\x7fELF" * 10, mode=0o755),
        Entry("opt/hermes/tools/node/bin/node", "#!/bin/sh\necho v26\n", mode=0o4755),
        Entry("usr/local/bin/node", link="/opt/hermes/tools/node/bin/node"),
        Entry("opt/hermes/.install_method", "docker\n"),
        Entry("opt/hermes/shadow", link="/etc/shadow"),
        Entry("opt/hermes/up", link="../../../../../etc"),
        Entry("opt/hermes/same", hard="opt/hermes/hermes_cli/main.py"),
        Entry("opt/hermes/old/a", "a"),
    ]  # fmt: skip


def last() -> list[Entry]:
    """A layer that takes away: a file, and all that a folder had before."""
    return [
        Entry("opt/hermes/skills/gone/.wh.SKILL.md"),
        Entry("opt/hermes/old/b", "b"),
        Entry("opt/hermes/old/.wh..wh..opq"),
        Entry("opt/hermes/skills/two/SKILL.md", "two"),
    ]


@dataclass
class Place:
    """A registry with the image, and a guest's folder."""

    address: str
    digest: str
    layers: list[str]
    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "hermes"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, list[str]]]:
    folder = tmp_path_factory.mktemp("registry")
    layout = Layout(folder / "layout")
    other = "arm64" if ARCHITECTURE == "amd64" else "amd64"
    layout.image(other, [("gzip", archive([Entry("opt/hermes/other", "x")]))])
    packed = [("gzip", archive(system())), ("zstd", archive(code())), ("gzip", archive(last()))]
    layers = layout.image(ARCHITECTURE, packed)
    with registry(folder / "registry") as address:
        yield address, layout.push(address, f"{NAME}:0.22.2"), layers


@pytest.fixture
def place(storage: tuple[str, str, list[str]], tmp_path: Path) -> Place:
    return Place(*storage, tmp_path)


@pytest.fixture(scope="module")
def version(storage: tuple[str, str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that was built of the image."""
    place = Place(*storage, tmp_path_factory.mktemp("guest"))
    done = run(place, recipe(place))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"{recipe(place).id}: Hermes Agent v0.22.2 (2026.9.24)\n")
    (version,) = (place.project / "versions").iterdir()
    assert version.name == recipe(place).id
    return version


def recipe(place: Place) -> Recipe:
    return Recipe("image", f"docker.io/{NAME}", "0.22.2", ref="0.22.2", commit=place.digest, closure="own")


def shell(place: Place, recipe: Recipe, then: str, *, address: str = "", **files: bytes) -> list[str]:
    bundle = place.folder / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir(mode=0o700)
    for path in SCRIPTS.glob("*"):
        shutil.copy(path, bundle)
    for name, content in {**recipe.files, **files}.items():
        (bundle / name).write_bytes(content)
    mirror = f'[[registry]]\nlocation = "docker.io"\n\n[[registry.mirror]]\nlocation = "{address or place.address}"\n'
    names = {
        "project": str(place.project), "uid": str(os.getuid()), "gid": str(os.getgid()), "asked_kind": "image",
        "asked_subject": f"docker.io/{NAME}", "asked_ref": "0.22.2", "registries": mirror + "insecure = true\n",
    }  # fmt: skip
    lines = [f"{name}={shlex.quote(value)}" for name, value in names.items()]
    scripts = ". ./guest-common.sh\n. ./guest-package.sh\n. ./guest-image.sh\nsurroundings=/dev/null\n"
    return ["sh", "-c", "set -eu\n" + "\n".join(lines) + f'\n{scripts}\nas_agent() {{ "$@"; }}\n{then}\n']


def run(place: Place, recipe: Recipe, then: str = "package_build", **more: object) -> subprocess.CompletedProcess[str]:
    words = shell(place, recipe, then, **more)  # type: ignore[arg-type]
    bundle = place.folder / "bundle"
    return subprocess.run(words, cwd=bundle, capture_output=True, text=True, timeout=120, check=False)


def said(version: Path, *words: str, **environment: str) -> list[str]:
    words = (str(version / "bin" / "hermes"), *words)
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, timeout=30)
    return done.stdout.splitlines()


def test_the_code_is_taken_out_of_the_image_with_its_python(version: Path) -> None:
    hermes = version / "hermes"
    assert said(version, "prefix", "base", "argv0", "file", "skills") == [
        str(hermes / ".venv"), str(version / "python"), str(version / "bin" / "hermes"),
        str(hermes / "hermes_cli" / "main.py"), "2",
    ]  # fmt: skip
    notes = dict(line.split("=", 1) for line in (version / ".proxhermes-package").read_text().splitlines())
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", notes["commit"])
    assert (notes["code"], notes["skills"]) == ("0.22.2 50", "2")


def test_its_python_needs_nothing_of_the_system(version: Path) -> None:
    (program,) = (version / "python" / "bin").iterdir()
    words = ["patchelf", "--print-interpreter", program]
    loader = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(loader).parent == version / "python" / "lib"
    question = "import ssl, sqlite3; print(open('/proc/self/maps').read())"
    maps = subprocess.run(
        [version / "bin" / "python", "-c", question], capture_output=True, text=True, check=True
    ).stdout
    loaded = {line.split(maxsplit=5)[5] for line in maps.splitlines() if ".so" in line}
    assert len(loaded) > 5
    assert {name for name in loaded if not Path(name).is_relative_to(version)} == set()


def test_it_lies_as_the_layers_say(version: Path) -> None:
    hermes = version / "hermes"
    assert sorted(path.parent.name for path in hermes.glob("skills/*/SKILL.md")) == ["one", "two"]
    assert [path.name for path in (hermes / "old").iterdir()] == ["b"]
    assert (hermes / "same").read_text() == MAIN
    assert not (hermes / "tools" / "chromium-1").exists()
    assert not (hermes / ".install_method").exists()
    assert sorted(path.name for path in (version / "bin").iterdir()) == ["hermes", "hermes-acp", "node", "python"]
    assert (version / "bin" / "node").resolve() == hermes / "tools" / "node" / "bin" / "node"
    tool = (hermes / ".venv" / "bin" / "tool").read_text().splitlines()
    assert tool == [f"#!{hermes}/.venv/bin/python", "print('/opt/hermes-other')"]


def test_it_leads_out_of_itself_nowhere_and_is_nobodys_to_write(version: Path) -> None:
    links = [path for path in version.rglob("*") if path.is_symlink()]
    assert len(links) > 2
    assert [path for path in links if not path.resolve().is_relative_to(version)] == []
    files = [path for path in version.rglob("*") if not path.is_symlink()]
    assert {path.stat().st_mode & 0o7022 for path in files} == {0}
    assert {path.stat().st_nlink for path in files if path.is_file()} <= {1, 2}


def test_its_commands_set_what_the_image_sets(version: Path) -> None:
    assert said(version, "HERMES_RUNTIME_DIR", "HERMES_TUI_DIR") == [str(version / "hermes" / "tools"), "None"]
    assert said(version, "SSL_CERT_FILE", SSL_CERT_FILE="/mine") == ["/mine"]


def test_a_tag_is_told_by_its_digest(place: Place) -> None:
    told = run(place, recipe(place), "package_facts")
    assert f"service.image_told={place.digest}" in told.stdout.splitlines()
    assert f"service.architecture={ARCHITECTURE}" in told.stdout.splitlines()


@pytest.mark.parametrize(
    ("then", "fact"),
    [
        ("asked_ref=9.9.9\npackage_facts", "service.image_told="),
        ("registries=\nasked_subject=127.0.0.1:9/x\npackage_facts", "service.image_error="),
    ],
)
def test_a_tag_that_is_not_there_is_not_a_registry_that_is_not(place: Place, then: str, fact: str) -> None:
    (line,) = [
        line for line in run(place, recipe(place), then).stdout.splitlines() if line.startswith("service.image_")
    ]
    assert line.startswith(fact)
    assert (line == fact) == fact.endswith("told=")
    assert "connection refused" in line or line == fact


def test_a_wrong_digest_is_refused_and_leaves_nothing(place: Place) -> None:
    wrong = replace(recipe(place), commit="sha256:" + "0" * 64)
    failed = run(place, wrong)
    assert failed.returncode == 1
    assert "manifest unknown" in failed.stderr
    assert "the version that runs was left alone" in failed.stderr
    assert list((place.project / "versions").iterdir()) == []


def test_what_is_not_the_agents_image_is_said(place: Place, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image(ARCHITECTURE, [("gzip", archive([Entry("bin/true", "x")]))])
    digest = layout.push(place.address, "library/plain:1")
    failed = run(place, replace(recipe(place), subject="docker.io/library/plain", commit=digest))
    assert failed.returncode == 1
    assert "it has no /opt/hermes/.venv/bin/python" in failed.stderr


def test_an_image_for_other_machines_says_for_which(place: Place, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image("riscv64", [("gzip", archive([Entry("bin/true", "x")]))])
    digest = layout.push(place.address, "library/other:1")
    failed = run(place, replace(recipe(place), subject="docker.io/library/other", commit=digest))
    assert f"the image is for linux/riscv64, and not for linux/{ARCHITECTURE}" in failed.stderr


@pytest.mark.parametrize(
    "entry",
    [Entry("../../etc/passwd", "x"), Entry("opt/../../../etc/passwd", "x"), Entry("opt/x", hard="etc/shadow")],
    ids=lambda entry: entry.path,
)
def test_a_layer_that_leads_out_is_refused(place: Place, tmp_path: Path, entry: Entry) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image(ARCHITECTURE, [("zstd", archive([entry]))])
    digest = layout.push(place.address, "library/hostile:1")
    failed = run(place, replace(recipe(place), subject="docker.io/library/hostile", commit=digest))
    assert failed.returncode == 1
    assert "leads out of the image" in failed.stderr or "is a link to nothing" in failed.stderr
    assert list((place.project / "versions").iterdir()) == []


def kill_session(number: int) -> None:
    """End whatever a script has started, whichever group it is in."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            session = path.read_text().rpartition(")")[2].split()[3]
        except OSError:  # it ended by itself
            continue
        if session == str(number):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.parent.name), signal.SIGKILL)


def test_a_pull_that_was_killed_is_gone_on_with(place: Place) -> None:
    with between(place.address) as (address, seen):
        *first, seen.held = place.layers
        blobs = place.project / "versions" / ".image" / "layout" / "blobs" / "sha256"
        words = shell(place, recipe(place), "package_build", address=address)
        with subprocess.Popen(words, cwd=place.folder / "bundle", start_new_session=True) as process:
            try:
                seen.wait()
                until(lambda: all((blobs / layer.removeprefix("sha256:")).exists() for layer in first))
            finally:
                kill_session(process.pid)
        assert not (place.project / "versions" / recipe(place).id / "bin").exists()
        seen.release()
        done = run(place, recipe(place), address=address)
        assert done.returncode == 0, done.stderr
        assert [seen.fetched[layer] for layer in place.layers] == [1, 1, 1]
    assert [path.name for path in (place.project / "versions").iterdir()] == [recipe(place).id]


def test_too_little_room_is_said_before_anything_is_fetched(place: Place) -> None:
    with between(place.address) as (address, seen):
        # What `df` says is not this test's to choose; what the image needs is.
        then = "df() { echo Avail; echo 1000000; }\npackage_build"
        failed = run(place, recipe(place), then, address=address)
        assert seen.fetched == {}
    assert failed.returncode == 1
    assert "MB below" in failed.stderr
    assert "there are 1 MB" in failed.stderr


def test_a_registry_that_wants_a_login_gets_the_inventorys(
    place: Place, tmp_path: Path, make_agent: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxhermes.hermes import registry as logins

    file = tmp_path / "htpasswd"
    file.write_bytes(b"joe:" + bcrypt.hashpw(b"s3cret-word", bcrypt.gensalt(4)) + b"\n")
    layout = Layout(tmp_path / "layout")
    layout.image(ARCHITECTURE, [("gzip", archive([Entry("bin/true", "x")]))])
    monkeypatch.setenv("REGISTRY_PASSWORD", "s3cret-word")
    with registry(tmp_path / "private", file) as address:
        layout.push(address, f"{NAME}:0.22.2", "--dest-creds=joe:s3cret-word")
        runtime = {
            "type": "native",
            "registry_auth": {address: {"username": "joe", "password": {"env": "REGISTRY_PASSWORD"}}},
        }
        ((name, (content, mode)),) = logins.bundle(make_agent(runtime=runtime)).items()  # type: ignore[operator]
        assert mode == 0o600
        refused = run(place, recipe(place), "registries=$registries\npackage_facts", address=address)
        told = run(place, recipe(place), "package_facts", address=address, **{name: content})
    assert "service.image_error=" in refused.stdout
    assert "unauthorized" in refused.stdout
    assert "service.image_told=sha256:" in told.stdout
    assert "s3cret-word" not in told.stdout + told.stderr + refused.stdout + refused.stderr
