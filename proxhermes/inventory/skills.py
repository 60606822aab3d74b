"""Skills that the agent is given (`hermes.skills.NAME`): a folder of the operator's, of a git repository, or one of the
hub that Hermes has for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from proxhermes.inventory.fields import Matching, Model, mistake
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.package import Ref, Repository

SkillName = Annotated[
    str,
    Matching(
        r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?", "the name of a skill", "small letters, digits, - and _: `house-style`"
    ),
]


def _subdir(value: str) -> str:
    if not re.fullmatch(r"(?:[A-Za-z0-9_.][A-Za-z0-9_. -]*/)*[A-Za-z0-9_.][A-Za-z0-9_. -]*", value) or {
        *(".", "..", ".git")
    } & {*value.split("/")}:
        raise mistake(f"{value!r} is not a folder in a repository", "as in `skills/release`")
    return value


def is_identifier(value: str) -> bool:
    """Whether it can be one of a skill of the hub: no option of a command, no way out of a folder."""
    found = re.fullmatch(r"[A-Za-z0-9][\w.:@+~-]*(?:/[\w.:@+~-]*)+", value, re.ASCII)
    return found is not None and ".." not in value.split("/")


def _identifier(value: str) -> str:
    if not is_identifier(value):
        raise mistake(
            f"{value!r} does not name one skill of the hub", "as `hermes skills search` shows it: `official/…`"
        )
    return value


class Skill(Model):
    """One skill: a folder with SKILL.md in it, from exactly one place."""

    path: LocalPath | None = Field(default=None, description="Folder with SKILL.md, relative to the inventory.")
    git: Repository | None = Field(default=None, description="URL of a git repository, as the container reaches it.")
    ref: Ref | None = Field(default=None, description="Tag, branch or commit, with `git`.")
    subdir: Annotated[str, AfterValidator(_subdir)] | None = Field(
        default=None, description="Folder of the repository that has SKILL.md; its uppermost by default."
    )
    hub: Annotated[str, AfterValidator(_identifier)] | None = Field(
        default=None, description="Skill of Hermes' own hub, which the agent's `hermes skills install` installs."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.path, self.git, self.hub)) != 1:
            raise mistake("a skill comes from exactly one place", "{path: FOLDER}, {git: URL, ref: …} or {hub: ID}")
        if self.git is None and (self.ref is not None or self.subdir is not None):
            raise mistake("`ref` and `subdir` belong to `git`", "{git: URL, ref: TAG, subdir: FOLDER}")
        if self.git is not None and self.ref is None:
            # Without one, the same inventory would be another skill tomorrow.
            raise mistake("`git` needs the `ref` that is meant", "{git: URL, ref: TAG-OR-COMMIT}")
        return self


Skills = Mapping[SkillName, Skill]
