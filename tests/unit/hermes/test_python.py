"""Which Python runs the agent's code: (inventory, guest, requirement) -> the system's, a path, or a download."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from proxhermes.errors import Refused
from proxhermes.hermes.python import DISTRIBUTIONS, Interpreter, System, choose, fits
from proxhermes.inventory.pythons import BUILDS, MINORS
from proxhermes.inventory.runtime import InstalledRuntime

NEW, OLD = ">=3.14,<3.15", ">=3.11,<3.14"
WHAT = "hermes-agent 0.22.2"
DEBIAN_13 = System("debian 13", "3.13.5", "amd64")


def runtime(make_agent: Any, **options: Any) -> InstalledRuntime:
    return make_agent(runtime={"type": "native"} | options).runtime  # type: ignore[no-any-return]


def chosen(make_agent: Any, system: System, requires: str | None, **options: Any) -> Interpreter:
    return choose(runtime(make_agent, **options), system, what=WHAT, requires=requires)


@pytest.mark.parametrize(
    ("system", "requires", "version"),
    [
        (DEBIAN_13, OLD, "3.13"),
        (DEBIAN_13, None, "3.13"),
        (System("debian 13"), OLD, "3.13"),
        (System("ubuntu 26.04", "3.14.2"), NEW, "3.14"),
        (System("haiku 1"), NEW, ""),  # nobody knows: pip will tell
    ],
)
def test_the_systems_is_taken_where_it_fits(
    make_agent: Any, system: System, requires: str | None, version: str
) -> None:
    assert chosen(make_agent, system, requires) == Interpreter(version=version)


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", "x86_64"), ("", "x86_64"), ("arm64", "aarch64")])
def test_else_the_newest_that_fits_is_downloaded_by_its_hash(make_agent: Any, architecture: str, machine: str) -> None:
    found = chosen(make_agent, System("debian 13", "3.13.5", architecture), NEW)
    build = BUILDS["3.14", architecture or "amd64"]
    assert (found.kind, found.version, found.sha256) == ("archive", build.version, build.sha256)
    assert found.url.startswith("https://github.com/astral-sh/python-build-standalone/releases/download/2026")
    assert f"-{machine}-unknown-linux-gnu-" in found.url
    assert chosen(make_agent, System("ubuntu 22.04", "3.10.12"), OLD).version.startswith("3.13.")


def test_a_mirror_has_the_same_files(make_agent: Any) -> None:
    build = BUILDS["3.14", "amd64"]
    found = chosen(make_agent, DEBIAN_13, NEW, python_mirror="http://mirror.lan/pbs/")
    assert found.url == f"http://mirror.lan/pbs/{build.path}"


def test_a_version_is_the_systems_or_a_download(make_agent: Any) -> None:
    assert chosen(make_agent, DEBIAN_13, None, python="3.13") == Interpreter(version="3.13")
    assert chosen(make_agent, DEBIAN_13, None, python="3.12").sha256 == BUILDS["3.12", "amd64"].sha256


def test_a_path_and_an_archive_of_ones_own_are_taken_as_they_are(make_agent: Any) -> None:
    assert chosen(make_agent, DEBIAN_13, NEW, python="/opt/python/bin/python3") == Interpreter(
        "path", path="/opt/python/bin/python3"
    )
    archive = {"url": "http://mirror.lan/python.tar.gz", "sha256": "0" * 64}
    assert chosen(make_agent, DEBIAN_13, NEW, python_archive=archive) == Interpreter("archive", **archive)


def test_what_cannot_be_met_is_told_with_what_would_do(make_agent: Any) -> None:
    with pytest.raises(
        Refused, match=r"hermes-agent 0\.22\.2 needs Python >=3\.14,<3\.15, and runtime\.python is 3\.13"
    ) as caught:
        chosen(make_agent, DEBIAN_13, NEW, python="3.13")
    hint = caught.value.hint or ""
    assert 'runtime.python: "3.14"` (downloaded)' in hint
    assert "package: {image:" in hint
    with pytest.raises(Refused, match=r"needs Python >=3\.14,<3\.15; the container has 3\.13.*for riscv64") as caught:
        chosen(make_agent, System("debian 13", "3.13.5", "riscv64"), NEW)
    assert "python_archive" in (caught.value.hint or "")
    with pytest.raises(Refused, match="none that fits is known"):
        chosen(make_agent, DEBIAN_13, ">=3.99")


_CLAUSE = st.builds(
    lambda sign, minor, last: sign + f"3.{minor}{last}",
    st.sampled_from([">=", "<", "<=", ">", "==", "!=", "~="]),
    st.integers(9, 16),
    st.sampled_from(["", ".0", ".*"]),
)


@given(
    st.integers(9, 16), st.lists(_CLAUSE.filter(lambda text: text[:2] in ("==", "!=") or "*" not in text), max_size=3)
)
def test_it_fits_where_pip_finds_a_release_of_it_that_does(minor: int, clauses: list[str]) -> None:
    requires = ",".join(clauses)
    if any(clause[:2] in ("==", "!=", "<=", "~=") and not clause.endswith(".*") for clause in clauses):
        return  # of single releases, which nobody says of Python
    releases = [f"3.{minor}.{micro}" for micro in range(30)]
    assert fits(f"3.{minor}", requires) == any(SpecifierSet(requires).contains(each) for each in releases)


@pytest.mark.parametrize(
    ("version", "requires", "expected"),
    [("3.11", ">=3.11.4", True), ("3.12", "!=3.12.1,>=3.10", True), ("3.14", "", True), ("3.14", "nonsense", True),
     ("3.14", "~=3.11", True), ("3.14", "~=3.11.0", False), ("3.14", "<3.14.0", False)],
)  # fmt: skip
def test_of_a_version_its_newest_release_counts(version: str, requires: str, expected: bool) -> None:
    assert fits(version, requires) is expected


def test_every_pinned_build_has_a_hash_of_its_own() -> None:
    hashes = [build.sha256 for build in BUILDS.values()]
    assert len(set(hashes)) == len(hashes) == 2 * len(MINORS)
    assert all(len(each) == 64 for each in hashes)
    assert set(DISTRIBUTIONS.values()) - {"3.10"} <= set(MINORS)
