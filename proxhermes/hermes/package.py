"""The agent's own code, for the runtimes that install it: which version is meant, and how it is built. Pure.

A version is an environment in `<data_dir>/versions/<id>`; the id is a readable word and a hash over all that it
is built from, so the same inventory is the same version, and any difference is another one. It is `guest-package.sh`
that builds it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shlex
import zipfile
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from proxhermes import upstream
from proxhermes.errors import Refused, UsageError
from proxhermes.hermes import podman, python, skills
from proxhermes.hermes.python import Interpreter, System
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.models import Agent
from proxhermes.inventory.package import Package
from proxhermes.inventory.runtime import InstalledRuntime, PersistentRuntime

SCHEMA: Final = 1
"""Another one makes every version another: for a change of how a version is built."""
NAME: Final = "package.sh"
REQUIREMENTS: Final = "package.requirements"
HASHES: Final = "package.hashes"
_HASH_LENGTH: Final = 10
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_LARGEST_METADATA: Final = 1 << 20
_FIRST_YEAR: Final = 2000
"""Hermes has tags by date, too (v2026.8.31), which say nothing of its version."""

Source = Literal["pypi", "wheel", "git", "image"]
Closure = Literal["guest", "own"]
"""`guest`: it runs with the guest's libraries; `own`: with copies, and needs nothing of the system that it runs in."""


@dataclass(frozen=True, slots=True)
class Files:
    """What the inventory names of the operator's own files: the wheel, pip's requirements with their hashes."""

    wheel: bytes | None = field(default=None, repr=False)
    hashes: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    """What only the guest can tell: the commit that `ref` of a repository is, or the digest that an image's tag is."""

    kind: Literal["git", "image"]
    subject: str
    ref: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a version is built from.

    source: pypi, wheel, git or image. subject: the requirement without its extras, the wheel's file name, git's URL or
    the image's name. ref: the branch or tag that is meant; commit: git's, or the image's digest. system: of the guest
    ("debian 13"), for another release has another Python.
    """

    source: Source
    subject: str
    label: str
    ref: str = ""
    commit: str = ""
    extras: tuple[str, ...] = ()
    python_packages: tuple[str, ...] = ()
    closure: Closure = "guest"
    system: str = ""
    interpreter: Interpreter = field(default_factory=Interpreter)
    files_given: Files = field(default_factory=Files)

    @property
    def id(self) -> str:
        """Name of the version's folder: a word for the eye, and a hash over everything that goes in."""
        inputs: list[object] = [
            SCHEMA,
            *(self.source, self.subject, self.commit, _sha256(self.files_given.wheel)),
            *(sorted(set(self.extras)), sorted(set(self.python_packages)), self.closure, self.system),
        ]
        # Later ones count where they are used: the versions that are built without them keep their names.
        later = {"python": self.interpreter.identity, "hashes": _sha256(self.files_given.hashes)}
        if used := {name: value for name, value in later.items() if value}:
            inputs.append(used)
        found = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:_HASH_LENGTH]
        return f"{self.label}-{found}"

    @property
    def files(self) -> dict[str, bytes]:
        """What guest-package.sh wants beside it: its names, pip's requirements, the wheel and the like."""
        values = {
            "package_id": self.id,
            "package_source": self.source,
            "package_subject": self.subject,
            "package_ref": self.ref,
            "package_commit": self.commit,
            "python_path": self.interpreter.path,
            "python_url": self.interpreter.url,
            "python_sha256": self.interpreter.sha256,
        }
        agent = self._requirement()
        lines = [*([agent] if agent else []), *self.python_packages]
        found = {
            NAME: "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()).encode(),
            REQUIREMENTS: "".join(f"{line}\n" for line in lines).encode(),
            self.subject: self.files_given.wheel,
            HASHES: self.files_given.hashes,
        }
        return {name: content for name, content in found.items() if content is not None}

    def _requirement(self) -> str:
        """The agent itself, for pip; nothing where it comes out of an image."""
        extras = f"[{','.join(sorted(set(self.extras)))}]" if self.extras else ""
        match self.source:
            case "image":
                return ""
            case "pypi":
                name, version = _split(self.subject)
                return f"{name}{extras}{version}"
            case "wheel":  # a path of the script's own folder
                return f"./{self.subject}{extras}"
            case "git":  # run from where its files are; pip puts the variable's value in
                return f"-e ${{PACKAGE_FOLDER}}/source{extras}"


def recipe(agent: Agent, files: Files = Files(), *, commit: str | None = None, system: System = System()) -> Recipe:
    """What the inventory wants. commit: what a `ref` of git's or an image's tag is; system: the guest.

    Raises Refused for a `ref` or a tag that there is not, and where no Python fits; UsageError for a broken wheel.
    """
    runtime = _installed(agent)
    package = runtime.package
    if package.image is not None:
        return _from_image(agent, runtime, package.image, commit)
    plain = Recipe(
        source="pypi",
        subject="",
        label="",
        extras=runtime.extras,
        python_packages=runtime.extra_python_packages,
        closure="own" if isinstance(runtime, PersistentRuntime) else "guest",
        system=system.release,
        files_given=files,
    )
    found, requires = _declared(agent, plain, package, commit)
    what = f"{package.pypi or found.subject} {found.ref}".strip()
    return replace(found, interpreter=python.choose(runtime, system, what=what, requires=requires))


def _declared(agent: Agent, plain: Recipe, package: Package, commit: str | None) -> tuple[Recipe, str | None]:
    """What pip is to install, and the Python that this needs, where that is known beforehand."""
    if package.pypi is not None:
        return _from_pypi(plain, package.pypi), _by_version(package.pypi)
    if package.wheel is not None:
        name, content = package.wheel.path.name, plain.files_given.wheel or b""
        return replace(plain, source="wheel", subject=name, label=_word(name.split("-")[1])), _of_wheel(name, content)
    return _from_git(agent, plain, package, commit), _by_version(f"hermes-agent=={package.ref}")


def _from_pypi(plain: Recipe, requirement: str) -> Recipe:
    """Its own extras are added to the others; the label is its version, where it names exactly one."""
    name, rest = _split(requirement)
    named, version = rest[1:].split("]", 1) if rest.startswith("[") else ("", rest)
    label = version.removeprefix("==") if re.fullmatch(r"==[\w.+!]+", version) else name
    extras = (*plain.extras, *filter(None, named.split(",")))
    return replace(plain, subject=name + version, label=_word(label), extras=extras)


def _from_git(agent: Agent, plain: Recipe, package: Package, commit: str | None) -> Recipe:
    url, ref = str(package.git), str(package.ref)
    commit = _named(agent) or commit
    if not commit:
        raise Refused(
            f"{url} has no {ref}, as seen from CT {agent.vmid}",
            hint="runtime.package.ref is a tag, a branch, or a whole commit of it",
        )
    label = commit[:12] if ref == commit else _word(f"{ref}-{commit[:7]}")
    return replace(plain, source="git", subject=url, ref=ref, label=label, commit=commit)


def _from_image(agent: Agent, runtime: InstalledRuntime, image: str, digest: str | None) -> Recipe:
    """Nothing of the guest goes into it, so its release does not count."""
    name, tag, _ = image_parts(image)
    digest = _named(agent) or digest
    if not digest:
        raise Refused(
            f"the registry has no {name}:{tag}, as seen from CT {agent.vmid}",
            hint="runtime.package.image is NAME:TAG or NAME@sha256:DIGEST; runtime.registry_auth is for private ones",
        )
    return Recipe(
        source="image",
        subject=name,
        ref=tag,
        commit=digest,
        label=_word(tag or digest.removeprefix("sha256:")[:12]),
        python_packages=runtime.extra_python_packages,
        closure="own",
    )


def image_parts(image: str) -> tuple[str, str, str]:
    """An image's full name, its tag (`latest` where neither tag nor digest is written), and its digest or nothing."""
    rest, _, digest = image.partition("@")
    folder, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    return podman.qualified(f"{folder}{slash}{last}"), tag or ("" if digest else "latest"), digest


def _by_version(requirement: str) -> str | None:
    """The Python that a pinned version of Hermes needs, as the table of releases has it; None for anything else."""
    found = re.fullmatch(r"hermes-agent[\w.-]*(?:\[[^\]]*\])?==(v?[0-9][\w.]*)", requirement)
    version = upstream.parse(found[1]) if found else None
    if found is None or version is None or version[0] >= _FIRST_YEAR:
        return None
    return upstream.release(found[1]).python


def _of_wheel(name: str, content: bytes) -> str | None:
    """The Python that a wheel says it needs, if it does (core metadata: Requires-Python). Raises UsageError."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inner = next(each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each))
            if archive.getinfo(inner).file_size > _LARGEST_METADATA:
                raise ValueError(inner)
            text = archive.read(inner).decode()
    except (zipfile.BadZipFile, StopIteration, ValueError):
        raise UsageError(f"runtime.package.wheel: {name} is not a wheel: it has no readable METADATA") from None
    found = re.search(r"^Requires-Python: *([0-9.,<>=!~* ]{1,80})$", text.partition("\n\n")[0], re.MULTILINE)
    return found[1].strip() if found else None


def _word(text: str) -> str:
    """Text as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9._+]+", "-", text)


def _sha256(content: bytes | None) -> str:
    return hashlib.sha256(content).hexdigest() if content is not None else ""


def _named(agent: Agent) -> str | None:
    """The commit or digest that the inventory names itself; None where somebody has to be asked, or there is none."""
    package = _installed(agent).package
    if package.image is not None:
        return image_parts(package.image)[2] or None
    return package.ref if package.ref and _COMMIT.fullmatch(package.ref) else None


def question(agent: Agent) -> Question | None:
    """What the guest has to be asked before it is known which version is meant."""
    package = agent.runtime.package if isinstance(agent.runtime, InstalledRuntime) else None
    if package is None or _named(agent):
        return None
    if package.image is not None:
        name, tag, _ = image_parts(package.image)
        return Question("image", name, tag)
    return Question("git", package.git, str(package.ref)) if package.git is not None else None


def answer(asked: Question, told: str | None) -> str | None:
    """A commit or digest as the guest tells it; None for anything that is not one."""
    pattern = _COMMIT if asked.kind == "git" else _DIGEST
    return told if told and pattern.fullmatch(told) else None


def local_files(agent: Agent) -> dict[str, LocalPath]:
    """The operator's files that the inventory names for it, by their keys in `runtime.package`."""
    package = agent.runtime.package if isinstance(agent.runtime, InstalledRuntime) else None
    found = {"wheel": package.wheel, "require_hashes": package.require_hashes} if package else {}
    return {key: file for key, file in found.items() if file is not None}


def given(agent: Agent) -> Files:
    """The same, read. Raises UsageError for one that cannot be."""
    content = {key: file.read(f"runtime.package.{key}") for key, file in local_files(agent).items()}
    return Files(wheel=content.get("wheel"), hashes=content.get("require_hashes"))


def build_packages(agent: Agent) -> tuple[str, ...]:
    """Debian packages that the guest needs for building it, and with `native` for running it."""
    runtime = agent.runtime
    if not isinstance(runtime, InstalledRuntime):
        return ()
    wanted = ["ca-certificates", "curl"]
    if runtime.package.image is not None:
        wanted += ["patchelf", "python3", "skopeo", "zstd"]
    else:
        wanted += ["python3-venv", *(["git"] if runtime.package.git else [])]
    if isinstance(runtime, PersistentRuntime):
        # Docker's init comes with it.
        wanted += ["patchelf", *(["catatonit"] if runtime.engine == "podman" else [])]
    else:
        wanted += [*tools(runtime), *runtime.extra_packages]
    return tuple(dict.fromkeys(wanted))


def tools(runtime: InstalledRuntime) -> tuple[str, ...]:
    """What the agent's own tools call (its file search, skills, voice), as in the official image: Debian's packages."""
    return (
        ("git", "ripgrep") if runtime.tools == "minimal" else ("git", "ripgrep", "ffmpeg", "nodejs", "openssh-client")
    )


def needed_packages(agent: Agent) -> tuple[str, ...]:
    """All Debian packages that the guest needs for the agent's code and its skills, beside the engine's own."""
    return tuple(dict.fromkeys((*build_packages(agent), *skills.packages(agent))))


def names(agent: Agent) -> dict[str, str]:
    """What the guest's scripts need to know of it for their facts. Names of Debian packages are without a version."""
    asked = question(agent)
    packages = (each.partition("=")[0] for each in needed_packages(agent))
    return {
        "asked_kind": asked.kind if asked else "",
        "asked_subject": asked.subject if asked else "",
        "asked_ref": asked.ref if asked else "",
        "registries": podman.registries(agent.engine) if agent.engine.registry_mirrors else "",
        "debian_packages": " ".join(packages),
    }


def _installed(agent: Agent) -> InstalledRuntime:
    if not isinstance(agent.runtime, InstalledRuntime):
        raise ValueError(f"{agent.runtime.type} has no package of its own")
    return agent.runtime


def _split(requirement: str) -> tuple[str, str]:
    """A requirement without extras: its name, and what it says of the version."""
    name = re.match(r"[\w.-]*[\w]", requirement)
    end = name.end() if name else 0
    return requirement[:end], requirement[end:]
