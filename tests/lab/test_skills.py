"""Skills: from a folder, from git and from Hermes' hub; the agent lists and reads them, and ours alone leave again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.node.lab import Lab

pytestmark = pytest.mark.soak

VMID = 173
HOME = "/opt/hermes/data"
REPOSITORY = "/srv/skills.git"
ONE = "---\nname: {name}\ndescription: What is said of {name}.\n---\nThe word of {name} is {word}.\n"
SKILLS: dict[str, Any] = {
    "house-style": {"path": "house-style"},
    "release": {"git": f"file://{REPOSITORY}", "ref": "main", "subdir": "skills/release"},
    "dice": {"hub": "official/games/dice"},
}
guest = partial(Operator.guest, vmid=VMID)
ask = partial(Operator.ask, vmid=VMID)
GIT = "git -c user.name=a -c user.email=a@lan -c safe.directory='*'"


@pytest.fixture(scope="module")
def someone(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator with a skill beside the inventory; in the guest a repository, and Hermes' optional skills."""
    someone = Operator(lab, tmp_path_factory.mktemp("skills"))
    for name, text in (("SKILL.md", written("house-style", "SMALL-LETTERS")), ("scripts/check.sh", "#!/bin/sh\n")):
        (someone.folder / "house-style" / name).parent.mkdir(parents=True, exist_ok=True)
        (someone.folder / "house-style" / name).write_text(text)
    (someone.folder / "house-style" / "scripts" / "check.sh").chmod(0o755)
    give(someone, {})
    someone.run("up", "--no-verify")
    yield someone
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def written(name: str, word: str) -> str:
    return ONE.format(name=name, word=word)


def give(operator: Operator, skills: dict[str, Any]) -> None:
    hermes = {"skills": skills, "environment": {"HERMES_OPTIONAL_SKILLS": "/data/optional"}}
    given = WITH_DOCKER | {"messaging": {}, "hermes": hermes}
    operator.write(lambda document: agent(document, VMID, **given) and None)


def commit(operator: Operator, word: str) -> str:
    """Another commit on the branch; the first time, with the repository."""
    script = f"""
      install -d /srv/work/skills/release && cd /srv/work
      [ -d .git ] || git init -q -b main
      cat >skills/release/SKILL.md
      {GIT} add -A && {GIT} commit -qm {word}
      [ -d {REPOSITORY} ] || git clone -q --bare . {REPOSITORY}
      {GIT} push -q {REPOSITORY} main
      git rev-parse HEAD"""
    done = operator.lab.guest(VMID, ["sh", "-euc", script], stdin=written("release", word))
    return str(done.stdout).split()[-1]


def bootstrap(operator: Operator, *options: str) -> dict[str, Any]:
    (result,) = operator.json("bootstrap", *options)["agents"]
    return dict(result)


def subjects(result: dict[str, Any]) -> set[str]:
    return {change["subject"].removeprefix(f"{HOME}/") for change in result["changes"]}


def word(operator: Operator, name: str) -> str:
    """What the running agent reads when it opens the skill."""
    return ask(operator, f'Call the tool skill_view with {{"name": "{name}"}}')


def test_a_repository_that_is_not_there_stops_the_run_before_the_agent_is_changed(someone: Operator) -> None:
    """But git is there then, which the guest is asked for it with."""
    give(someone, SKILLS)
    done = someone.run("bootstrap", code=None)
    assert done.returncode != 0 and f"file://{REPOSITORY}" in done.stderr
    assert "house-style" not in guest(someone, f"ls {HOME}/skills", check=False)
    assert "git version" in guest(someone, "git --version")


def test_all_of_them_come_without_a_restart_and_a_second_run_changes_nothing(someone: Operator) -> None:
    commit(someone, "TAG-IT")
    script = "install -d /data/optional/games/dice && cat >/data/optional/games/dice/SKILL.md"
    someone.lab.guest(VMID, ["sh", "-euc", script], stdin=written("dice", "SIX"))
    started = guest(someone, "docker inspect -f '{{.State.StartedAt}}' hermes")
    planned = {change["subject"] for change in someone.json("plan", code=3)["agents"][0]["changes"]}
    assert {"skill release", "skill dice", f"{HOME}/skills/house-style/SKILL.md"} <= planned
    assert subjects(bootstrap(someone)) == {
        "skills/house-style/SKILL.md",
        "skills/house-style/scripts/check.sh",
        "skills/release/SKILL.md",
        "skill dice",
    }
    assert guest(someone, "docker inspect -f '{{.State.StartedAt}}' hermes") == started
    assert bootstrap(someone)["changes"] == []
    listed = f"cd {HOME}/skills; stat -c '%n %a %u:%g' house-style/scripts/check.sh release/SKILL.md"
    assert guest(someone, listed).splitlines() == [
        "house-style/scripts/check.sh 750 10000:10000",
        "release/SKILL.md 640 10000:10000",
    ]


def test_the_agent_lists_and_reads_them(someone: Operator) -> None:
    (result,) = someone.json("verify", str(VMID), "--only", "hermes.skills", "--only", "hermes.documents")["agents"]
    assert {check["verdict"] for check in result["checks"]} == {"pass"}
    for name, said in (("house-style", "SMALL-LETTERS"), ("release", "TAG-IT"), ("dice", "SIX")):
        assert said in word(someone, name)


def test_a_branch_is_followed_and_what_the_agent_changed_stays_until_it_is_forced(someone: Operator) -> None:
    newer = commit(someone, "BRANCH-IT")
    (change,) = (each for each in someone.json("plan", code=3)["agents"][0]["changes"] if each["layer"] == "hermes")
    assert change["subject"] == "skill release" and newer[:12] in change["after"]
    assert subjects(bootstrap(someone)) == {"skills/release/SKILL.md"}
    assert "BRANCH-IT" in word(someone, "release")
    guest(someone, f"echo mine >>{HOME}/skills/release/SKILL.md")
    done = someone.run("verify", str(VMID), "--only", "hermes.skills")
    assert "release: the agent changed SKILL.md" in done.stderr
    commit(someone, "PUBLISH-IT")
    result = bootstrap(someone)
    assert result["changes"] == [] and "--force-documents" in result["left_alone"][0]["blocked"]
    assert subjects(bootstrap(someone, "--force-documents")) == {"skills/release/SKILL.md"}
    assert "PUBLISH-IT" in word(someone, "release")


def test_a_repository_that_is_away_changes_nothing(someone: Operator) -> None:
    guest(someone, f"mv {REPOSITORY} /srv/gone.git")
    done = someone.run("bootstrap")
    assert "skill release:" in done.stderr and "it stays at" in done.stderr
    assert bootstrap(someone)["changes"] == []
    guest(someone, f"mv /srv/gone.git {REPOSITORY}")


def test_one_of_the_hub_that_is_not_there_is_told_in_hermes_own_words(someone: Operator) -> None:
    give(someone, SKILLS | {"nosuch": {"hub": "official/games/nosuch"}})
    done = someone.run("bootstrap", code=None)
    assert done.returncode != 0 and "skill nosuch: `hermes skills install`: Error: Could not" in done.stderr


def test_ours_alone_leave_with_the_inventory(someone: Operator) -> None:
    own = written("own", "MINE")
    script = f"install -d -o 10000 -g 10000 {HOME}/skills/own && cat >{HOME}/skills/own/SKILL.md"
    someone.lab.guest(VMID, ["sh", "-euc", script], stdin=own)
    give(someone, {})
    assert {"skill dice", "skills/release/SKILL.md", "skills/house-style/SKILL.md"} <= subjects(bootstrap(someone))
    left = guest(someone, f"cd {HOME}/skills; find . -name SKILL.md; ls {HOME}/../skills").split()
    assert "./own/SKILL.md" in left
    assert not {"./release/SKILL.md", "./house-style/SKILL.md", "./games/dice/SKILL.md", "release"} & {*left}
    assert json.loads(guest(someone, f"cat {HOME}/.proxhermes/hub")) == {}
    assert bootstrap(someone)["changes"] == []
    assert "MINE" in word(someone, "own")
