"""Skills in the inventory: each from one place, with one name, in a folder that is nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from proxhermes.inventory import Inventory
from proxhermes.inventory.hermes import Hermes
from proxhermes.inventory.problems import Problem

GIT = "https://git.lan/skills.git"


def refused(**skills: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Hermes.model_validate({"skills": skills})
    (error,) = caught.value.errors()
    return f"{error['msg']}: {error['ctx']['allowed']}"


@pytest.mark.parametrize(
    ("skill", "words"),
    [
        ({}, "exactly one place"),
        ({"path": "a", "hub": "official/x"}, "exactly one place"),
        ({"git": GIT}, "`git` needs the `ref`"),
        ({"path": "a", "ref": "v1"}, "belong to `git`"),
        ({"hub": "official/x", "subdir": "a"}, "belong to `git`"),
        ({"git": "https://me:secret@git.lan/x.git", "ref": "v1"}, "the URL holds a password"),
        ({"git": "https://ghp_abc123@git.lan/x.git", "ref": "v1"}, "or a token"),
        ({"git": "ssh://git:secret@git.lan/x.git", "ref": "v1"}, "the URL holds a password"),
        ({"git": "ext::sh -c x", "ref": "v1"}, "not the URL of a git repository"),
        ({"git": GIT, "ref": "--upload-pack=x"}, "a tag, branch or commit"),
        *(({"git": GIT, "ref": "v1", "subdir": to}, "not a folder in") for to in ("/a", "../a", "a/../b", ".git", "")),
        *(({"hub": hub}, "does not name one skill") for hub in ("dice", "--force", "a b/c", "official/../x", "/x/y")),
    ],
)  # fmt: skip
def test_a_skill_comes_from_one_place(skill: dict[str, Any], words: str) -> None:
    assert words in refused(x=skill)


@pytest.mark.parametrize("name", ["House", "a b", ".hub", "a/b", "-a", "a-", "x" * 65])
def test_names_are_those_that_hermes_takes(name: str) -> None:
    assert "the name of a skill" in refused(**{name: {"hub": "official/x"}})


def test_places_that_are_taken() -> None:
    given = {
        "wiki": {"path": "skills/wiki"},
        "release": {"git": "git@git.lan:ops/skills.git", "ref": "main", "subdir": "skills/release notes"},
        "dice": {"hub": "official/games/dice"},
        "page": {"hub": "https://example.com/skills/SKILL.md"},
        "tool": {"hub": "owner/repo/skills/tool"},
    }
    assert Hermes.model_validate({"skills": given}).skills.keys() == given.keys()


def test_a_skill_of_the_hub_has_the_hubs_name_and_no_home_file_lies_in_a_skill(
    problems: Callable[..., list[Problem]], read: Callable[..., Inventory], smallest: str
) -> None:
    wrong = """\
    hermes:
      skills: {cubes: {hub: official/games/dice}, wiki: {path: wiki}}
      home_files: {skills/wiki/notes.md: "x", skills/wiki2/SKILL.md: "x"}
"""
    named, taken = sorted(problems(smallest + wrong), key=lambda problem: problem.message)
    assert (named.message, named.allowed) == (
        "Hermes calls official/games/dice 'dice'",
        "`dice:` in the place of `cubes:`",
    )
    assert taken.message == "`hermes.skills.wiki` has this folder" and (taken.line, named.line) == (21, 20)
    fine = "    hermes: {skills: {page: {hub: 'https://example.com/x/SKILL.md'}, dice: {hub: a/dice/SKILL.md}}}\n"
    assert read(smallest + fine).warnings == ()
