"""guest-skills.sh run for real: what is fetched from a repository, told, and left alone; whatever is in it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from guest_bundle import lay_out, run

from proxhermes.facts import skills as facts
from proxhermes.facts.guest import parse
from proxhermes.facts.skills import Fetched
from proxhermes.hermes import skills
from proxhermes.inventory.models import Agent
from proxhermes.plan.entries import sha256

BEGIN = "set -eu; . ./agent.sh; . ./guest-common.sh; . ./runtime.sh; . ./guest-skills.sh\n"
SKILL = "---\nname: release\ndescription: How we release.\n---\nTag it.\n"


@dataclass
class World:
    """A guest, and a repository that it reaches."""

    root: Path
    make_agent: Any

    @property
    def repository(self) -> Path:
        return self.root / "repository"

    @property
    def there(self) -> Path:
        return self.root / "project" / "skills"

    def git(self, *words: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.root), "GIT_CONFIG_NOSYSTEM": "1"}
        who = ("-c", "user.name=me", "-c", "user.email=me@lan")
        argv = ("git", "-C", str(self.repository), *who, *words)
        return subprocess.run(argv, check=True, capture_output=True, text=True, env=environment).stdout.strip()

    def commit(self, **files: str) -> str:
        """A commit with these files; `__` in a name stands for `/`."""
        for name, text in files.items():
            path = self.repository / name.replace("__", "/").replace("_md", ".md")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def agent(self, **skill: Any) -> Agent:
        given = {"git": f"file://{self.repository}", "ref": "main"} | skill
        return self.make_agent(hermes={"skills": {"release": given}})  # type: ignore[no-any-return]

    def call(self, agent: Agent, command: str, meant: str | None = None) -> subprocess.CompletedProcess[str]:
        bundle = lay_out(self.root / "bundle", self.root / "project")
        for name, content in skills.bundle(agent, {"release": meant} if meant else None).items():
            (bundle / name).write_bytes(content)
        (bundle / "entry.sh").write_text(BEGIN + command)
        return run(bundle, "entry.sh")

    def facts(self, agent: Agent) -> Fetched:
        done = self.call(agent, "skills_facts")
        assert done.returncode == 0, done.stderr
        return facts.parse(done.stdout)["release"]

    def prepare(self, agent: Agent, meant: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.call(agent, "skills_prepare", meant)


@pytest.fixture
def world(make_agent: Any) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), make_agent)
        world.repository.mkdir()
        (world.root / "project").mkdir()
        world.git("init", "-q", "-b", "main")
        yield world


def test_what_a_branch_stands_for_is_fetched_and_told_and_then_left_alone(world: World) -> None:
    first = world.commit(SKILL_md=SKILL, scripts__tag_sh="#!/bin/sh\n", other_md="x")
    (world.repository / "scripts/tag_sh").chmod(0o755)
    second = world.commit(other_md="y")
    agent = world.agent()
    assert world.facts(agent) == Fetched(None, second)
    done = world.prepare(agent, second)
    assert done.returncode == 0 and f"changed: skill release: {second} fetched" in done.stdout, done.stderr
    found = world.facts(agent)
    assert (found.commit, found.meant) == (second, second) and first != second
    assert found.files["SKILL.md"] == facts.Blob(0o644, len(SKILL), sha256(SKILL.encode()))
    assert found.files["scripts/tag_sh"].mode == 0o755 and found.files.keys() == {
        "SKILL.md",
        "scripts/tag_sh",
        "other.md",
    }
    look = (world.root / "bundle" / "look.skills").read_text().splitlines()
    assert "home:skills/release/SKILL.md" in look
    assert world.prepare(agent, second).stdout == ""


def test_a_commit_is_asked_of_nobody_once_it_is_there(world: World) -> None:
    commit = world.commit(SKILL_md=SKILL)
    world.commit(SKILL_md=SKILL + "more\n")
    agent = world.agent(ref=commit)
    assert world.prepare(agent).returncode == 0
    world.repository.rename(world.root / "gone")
    assert world.facts(agent).commit == commit and world.prepare(agent).stdout == ""


def test_a_tag_with_a_message_stands_for_its_commit(world: World) -> None:
    commit = world.commit(SKILL_md=SKILL)
    world.git("tag", "-a", "v1", "-m", "first")
    assert world.facts(world.agent(ref="v1")).meant == commit


def test_a_folder_of_a_repository(world: World) -> None:
    commit = world.commit(README_md="x", skills__the_release__SKILL_md=SKILL)
    agent = world.agent(subdir="skills/the_release")
    assert world.prepare(agent, commit).returncode == 0
    assert world.facts(agent).files.keys() == {"SKILL.md"}
    # Another folder of the same commit is another skill.
    assert world.facts(world.agent()) == Fetched(None, commit)
    done = world.prepare(world.agent(subdir="skills"), commit)
    assert done.returncode == 1 and "there is no SKILL.md in that folder" in done.stderr
    assert world.facts(agent).commit == commit


def test_why_nothing_is_known_is_told(world: World) -> None:
    world.commit(SKILL_md=SKILL)
    assert world.facts(world.agent(ref="v9")).error == "it has no v9"
    away = world.facts(world.agent(git=f"file://{world.root}/nowhere")).error
    assert away == f"'{world.root}/nowhere' does not appear to be a git repository"
    done = world.prepare(world.agent(ref="0" * 40))
    assert done.returncode == 1 and f"the commit {'0' * 40} of file://" in done.stderr
    assert not (world.there / "release").exists()


def test_one_that_is_called_otherwise_is_refused(world: World) -> None:
    for called in ("name: deploy", "name: 'deploy'  "):
        commit = world.commit(SKILL_md=SKILL.replace("name: release", called))
        done = world.prepare(world.agent(), commit)
        assert done.returncode == 1 and "its SKILL.md calls it deploy" in done.stderr
    commit = world.commit(SKILL_md=SKILL.replace("name: release", 'name: "release"'))
    assert world.prepare(world.agent(), commit).returncode == 0
    commit = world.commit(SKILL_md="No front matter.\nname: deploy\n")
    assert world.prepare(world.agent(), commit).returncode == 0


def test_links_in_it_are_left_out_and_lead_nowhere(world: World) -> None:
    (world.repository / "secret").symlink_to("/etc/hostname")
    (world.repository / "folder").symlink_to("/etc")
    commit = world.commit(SKILL_md=SKILL)
    assert world.prepare(world.agent(), commit).returncode == 0
    assert world.facts(world.agent()).files.keys() == {"SKILL.md"}
    done = world.prepare(world.agent(subdir="folder"), commit)
    assert done.returncode == 1 and "there is no SKILL.md" in done.stderr


def test_names_that_no_line_can_hold_and_too_many_files_are_refused(world: World) -> None:
    (world.repository / "a\nb").write_text("x")
    commit = world.commit(SKILL_md=SKILL)
    done = world.prepare(world.agent(), commit)
    assert done.returncode == 1 and "whose name is not plain text" in done.stderr
    (world.repository / "a\nb").unlink()
    for number in range(2000):
        (world.repository / f"{number}").touch()
    commit = world.commit(SKILL_md=SKILL)
    done = world.prepare(world.agent(), commit)
    assert done.returncode == 1 and "more than 2000 files" in done.stderr
    assert not (world.there / "release").exists()


def test_nothing_in_it_is_run(world: World) -> None:
    """Neither a hook, nor what an attribute of its files asks for."""
    (world.repository / ".gitattributes").write_text("* filter=evil\n")
    commit = world.commit(SKILL_md=SKILL)
    hook = world.repository / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {world.root}/ran\n")
    hook.chmod(0o755)
    assert world.prepare(world.agent(), commit).returncode == 0
    assert not (world.root / "ran").exists()


def test_what_nobody_asks_for_any_more_is_dropped(world: World, make_agent: Any) -> None:
    commit = world.commit(SKILL_md=SKILL)
    assert world.prepare(world.agent(), commit).returncode == 0
    assert world.call(world.agent(), "skills_sweep").stdout == ""
    (world.root / "bundle" / "skills").unlink()
    assert world.call(make_agent(), "skills_sweep").stdout == f"changed: {world.there}/release: removed\n"


@pytest.mark.parametrize(
    "line",
    [
        "skill.x.file/a=644 1 nonsense",
        "skill.x.file/a=9 9",
        "skill.x.commit=../..",
        "skill.x.meant=HEAD",
        "skill.",
        "skill.x",
    ],
)
def test_what_is_no_such_fact_is_passed_over(line: str) -> None:
    assert facts.parse(line).get("x", Fetched()) == Fetched()


def test_a_file_whose_name_looks_like_a_fact_is_a_file() -> None:
    """The guest's other facts are read from the same lines."""
    line = f"skill.x.file/os.id:b64=%=644 3 {'0' * 64}\nskill.x.commit={'1' * 40}"
    found = parse(f"{line}\nos.id=debian\n")
    assert found.os_id == "debian" and [*found.skills["x"].files] == ["os.id:b64=%"]
