"""Where the agent's own code comes from, for the types of runtime that install it; and which Python runs it."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from proxhermes.inventory.fields import Matching, Model, mistake, split_url
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.pythons import MINORS

NEWEST_ON_PYPI: Final = "hermes-agent==0.19.0"
"""The last release that PyPI has: later ones are published as images and in git alone."""
OFFICIAL_IMAGE: Final = "nousresearch/hermes-agent"


def _image(value: str) -> str:
    name = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
    pattern = rf"(?:[A-Za-z0-9.-]+(?::\d+)?/)?{name}(?:/{name})*(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
    if not re.fullmatch(pattern, value, re.ASCII):
        raise mistake(f"{value!r} is not the name of an image", "[REGISTRY/]NAME[:TAG][@sha256:DIGEST]")
    return value


def _requirement(value: str) -> str:
    if not re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9._,-]+\])?(?:[<>=!~]=?[A-Za-z0-9.*+!,<>=~-]+)?", value
    ):
        raise mistake(
            f"{value!r} is not a Python requirement", "without blanks, as in `pandas==2.2.3` or `httpx[http2]>=0.27`"
        )
    return value


def _wheel(value: LocalPath) -> LocalPath:
    # PEP 427: pip takes name, version and what it fits from the file's name.
    if not re.fullmatch(r"[\w.]+-[\w.!+]+(?:-\d[\w.]*)?-[\w.]+-[\w.]+-[\w.]+\.whl", value.path.name, re.ASCII):
        raise mistake(
            f"{value.path.name!r} is not the name of a wheel", "as it was built: hermes_agent-0.19.0-py3-none-any.whl"
        )
    return value


def _repository(value: str) -> str:
    if not re.fullmatch(r"(?:https?|ssh|git|file)://[^\s'\"\\]+|[\w.-]+@[\w.-]+:[\w./~-]+", value, re.ASCII):
        raise mistake(f"{value!r} is not the URL of a git repository", "https://…, ssh://…, git@HOST:PATH or file:///…")
    if re.search(r"://[^/@]*:[^/@]*@|^https?://[^/@]*@", value):
        raise mistake(
            "the URL holds a password or a token, which the agent could read, and the container's process list shows",
            "a URL without it, and git's own credential store or an SSH key of root in the container",
        )
    return value


def _unquoted(value: object) -> object:
    if isinstance(value, float):
        raise mistake("a version is text: as a number, 3.10 would be 3.1", f'`python: "{value}"`, in quotes')
    return value


def _python(value: str) -> str:
    known = f"`auto`, {', '.join(f'`{minor}`' for minor in MINORS)} or the path of a Python in the container"
    if re.fullmatch(r"3\.[0-9]{1,2}", value):
        if value not in MINORS:
            raise mistake(f"no Python {value} is known that could be downloaded", f"{known}; or `python_archive`")
    elif value != "auto" and not (re.fullmatch(r"(?:/[A-Za-z0-9._+-]+)+", value) and "/.." not in value):
        raise mistake(f"{value!r} is not a Python", known)
    return value


def _download(value: str) -> str:
    return split_url(value, ("http", "https"), "https://mirror.lan/python-build-standalone")


Image = Annotated[str, AfterValidator(_image)]
Requirement = Annotated[str, AfterValidator(_requirement)]
Python = Annotated[
    str, BeforeValidator(_unquoted), AfterValidator(_python), WithJsonSchema({"type": "string"}, mode="validation")
]
DownloadUrl = Annotated[str, AfterValidator(_download)]
Sha256 = Annotated[str, Matching(r"[0-9a-f]{64}", "a SHA-256 hash", "64 hex digits, as `sha256sum` prints them")]
Repository = Annotated[str, AfterValidator(_repository)]
Ref = Annotated[
    str, Matching(r"[A-Za-z0-9][A-Za-z0-9._/+-]*", "a tag, branch or commit", "as in `v0.19.0`, `main` or a commit")
]


class Package(Model):
    """Where the agent's code comes from: exactly one of an image, PyPI, a wheel, a git repository."""

    image: Image | None = Field(
        default=None,
        description=f"Image that the code is taken out of, with its Python, as in `{OFFICIAL_IMAGE}:0.23.4`.",
    )
    pypi: Requirement | None = Field(default=None, description=f"Requirement for PyPI, as in `{NEWEST_ON_PYPI}`.")
    wheel: Annotated[LocalPath, AfterValidator(_wheel)] | None = Field(
        default=None, description="Wheel file, relative to the inventory."
    )
    git: Repository | None = Field(default=None, description="URL of a git repository, as the container reaches it.")
    ref: Ref | None = Field(default=None, description="Tag, branch or commit, with `git`.")
    require_hashes: LocalPath | None = Field(
        default=None,
        description="File of pip requirements with hashes for all that is installed; nothing else is.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.image, self.pypi, self.wheel, self.git)) != 1:
            raise mistake(
                "a package comes from exactly one place",
                "{image: NAME:TAG}, {pypi: …}, {wheel: FILE} or {git: URL, ref: …}",
            )
        if self.ref is not None and self.git is None:
            raise mistake("`ref` belongs to `git`", "{git: URL, ref: TAG}")
        if self.git is not None and self.ref is None:
            # Without one, the same inventory would be another agent tomorrow.
            raise mistake("`git` needs the `ref` that is meant", "{git: URL, ref: TAG-OR-COMMIT}")
        if self.image is not None and self.require_hashes is not None:
            raise mistake("an image's digest is its hash: pip installs nothing of it", "{image: NAME@sha256:DIGEST}")
        return self


class PythonArchive(Model):
    """A Python for the agent's code, packed as python-build-standalone packs them: one folder `python`."""

    url: DownloadUrl = Field(description="URL of the .tar.gz, as the container reaches it.")
    sha256: Sha256 = Field(description="Its hash.")
