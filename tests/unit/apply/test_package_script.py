"""guest-package.sh for real, with a pip of the test's own: versions, links, and what a failure leaves."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxhermes.hermes.package import Recipe

SCRIPTS = Path(__file__).parents[3] / "host_scripts"
ONE = Recipe("pypi", "hermes-agent==1.0", "1.0")
TWO = Recipe("pypi", "hermes-agent==2.0", "2.0")
THREE = Recipe("pypi", "hermes-agent==3.0", "3.0")
# The environment's python is one whose `-m pip install` makes a `hermes` that tells its version.
PYTHON = r"""
package_python() {
  mkdir -p "$1/bin"
  cat >"$1/bin/python" <<'EOF'
#!/bin/sh
bin=${0%/*}
grep -q 6.6.6 package.requirements && { echo "no such version" >&2; exit 1; }
printf '#!/bin/sh\necho "Hermes Agent v1"\n' >"$bin/hermes"
if grep -q 7.7.7 package.requirements; then printf '#!/bin/sh\necho broken\n' >"$bin/hermes"; fi
chmod 0755 "$bin/hermes"
if grep -q 8.8.8 package.requirements; then kill -9 $PPID; fi
EOF
  chmod 0755 "$1/bin/python"
}
as_agent() { "$@"; }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "hermes"


def build(project: Path, recipe: Recipe, then: str = "package_switch\npackage_up") -> subprocess.CompletedProcess[str]:
    bundle = project.parent / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir()
    for name in ("guest-common.sh", "guest-package.sh"):
        shutil.copy(SCRIPTS / name, bundle)
    for name, content in recipe.files.items():
        (bundle / name).write_bytes(content)
    names = f"project={project}\nasked_kind=\n"
    script = f"set -eu\n{names}. ./guest-common.sh\n. ./guest-package.sh\n{PYTHON}\npackage_build\n{then}\n"
    return subprocess.run(["sh", "-c", script], cwd=bundle, capture_output=True, text=True, timeout=30, check=False)


def versions(project: Path) -> list[str]:
    return sorted(path.name for path in (project / "versions").iterdir())


def link(project: Path, name: str) -> str:
    return str((project / name).readlink())


def test_a_version_is_built_once_and_becomes_the_current_one(project: Path) -> None:
    first = build(project, ONE)
    assert first.returncode == 0, first.stderr
    assert versions(project) == [ONE.id]
    assert link(project, "current") == f"versions/{ONE.id}"
    again = build(project, ONE)
    assert (again.returncode, again.stdout) == (0, "")


def test_two_generations_are_kept(project: Path) -> None:
    for recipe in (ONE, TWO, THREE):
        assert build(project, recipe).returncode == 0
    assert versions(project) == sorted([TWO.id, THREE.id])
    assert (link(project, "current"), link(project, "previous")) == (f"versions/{THREE.id}", f"versions/{TWO.id}")


def test_versions_that_never_came_up_do_not_push_out_the_one_that_worked(project: Path) -> None:
    build(project, ONE)
    for recipe in (TWO, THREE):
        assert build(project, recipe, "package_switch").returncode == 0
    assert (link(project, "current"), link(project, "previous")) == (f"versions/{THREE.id}", f"versions/{ONE.id}")
    assert "building" not in build(project, ONE).stdout
    assert versions(project) == [ONE.id]


def test_the_way_back_builds_nothing(project: Path) -> None:
    for recipe in (ONE, TWO):
        build(project, recipe)
    back = build(project, ONE)
    assert "building" not in back.stdout
    assert (link(project, "current"), link(project, "previous")) == (f"versions/{ONE.id}", f"versions/{TWO.id}")


@pytest.fixture
def running(project: Path) -> Iterator[None]:
    """Something that runs from the first version."""
    assert build(project, ONE).returncode == 0
    program = project / "versions" / ONE.id / "bin" / "sleeper"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        yield
        process.kill()


def test_what_still_runs_is_not_taken_away(project: Path, running: None) -> None:
    for recipe in (TWO, THREE):
        assert build(project, recipe).returncode == 0
    assert ONE.id in versions(project)


@pytest.mark.parametrize(("version", "words"), [("6.6.6", "no such version"), ("7.7.7", "broken")])
def test_a_failure_leaves_what_runs_alone(project: Path, version: str, words: str) -> None:
    build(project, ONE)
    failed = build(project, replace(TWO, subject=f"hermes-agent=={version}"))
    assert failed.returncode == 1
    assert words in failed.stderr
    assert "was left alone" in failed.stderr
    assert versions(project) == [ONE.id]
    assert link(project, "current") == f"versions/{ONE.id}"
    assert sorted(path.name for path in (project / "versions").glob(".*")) == []


def test_a_version_that_was_cut_off_is_none_and_is_built_anew(project: Path) -> None:
    cut = replace(TWO, subject="hermes-agent==8.8.8")
    assert build(project, cut).returncode != 0
    assert (project / "versions" / cut.id).is_symlink()  # which is no version
    assert build(project, ONE).returncode == 0
    assert versions(project) == [ONE.id]


def test_what_the_system_says_of_its_network_reaches_pip(project: Path, tmp_path: Path) -> None:
    lines = (
        'https_proxy="http://proxy.example:3128"\n'
        "export PIP_INDEX_URL=https://pypi.example/simple\n"
        "PATH=/nowhere\nLD_PRELOAD=/x.so\nPIP_A;B=1\nPIP_CERT=$(touch made)\n# PIP_NO\n"
    )
    (tmp_path / "environment").write_text(lines)
    then = f"surroundings={tmp_path}/environment\npackage_surroundings\nenv"
    found = dict(line.split("=", 1) for line in build(project, ONE, then).stdout.splitlines() if "=" in line)
    assert found["https_proxy"] == "http://proxy.example:3128"
    assert found["PIP_INDEX_URL"] == "https://pypi.example/simple"
    assert found["PIP_CERT"] == "$(touch made)"
    assert found["PATH"] != "/nowhere"
    assert "LD_PRELOAD" not in found
    assert not (tmp_path / "bundle" / "made").exists()
