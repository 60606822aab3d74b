"""The agent's own code, for the runtimes that install it: which version is meant, and how it is built. Pure.

A version is an environment in `<data_dir>/versions/<id>`; the id is a readable word and a hash over all that it
is built from, so the same inventory is the same version, and any difference is another one. It is `guest-package.sh`
that builds it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from proxhermes.errors import Refused
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import InstalledRuntime, PersistentRuntime

SCHEMA: Final = 1
"""Another one makes every version another: for a change of how a version is built."""
NAME: Final = "package.sh"
REQUIREMENTS: Final = "package.requirements"
_HASH_LENGTH: Final = 10

Interpreter = Literal["guest", "own"]
"""`guest`: the guest's Python; `own`: a copy that needs nothing of the system that it runs in."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a version is built from.

    source: pypi, wheel or git. subject: the requirement without its extras, the wheel's file name, or git's URL.
    commit: git's; system: of the guest ("debian 13"), for another release has another Python.
    """

    source: Literal["pypi", "wheel", "git"]
    subject: str
    label: str
    commit: str = ""
    extras: tuple[str, ...] = ()
    python_packages: tuple[str, ...] = ()
    interpreter: Interpreter = "guest"
    system: str = ""
    wheel: bytes | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """Name of the version's folder: a word for the eye, and a hash over everything that goes in."""
        digest = hashlib.sha256(self.wheel).hexdigest() if self.wheel is not None else ""
        inputs = (
            SCHEMA,
            *(self.source, self.subject, self.commit, digest),
            *(sorted(set(self.extras)), sorted(set(self.python_packages)), self.interpreter, self.system),
        )
        found = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:_HASH_LENGTH]
        return f"{self.label}-{found}"

    @property
    def files(self) -> dict[str, bytes]:
        """What guest-package.sh wants beside it: its names, pip's requirements, and the wheel."""
        extras = f"[{','.join(sorted(set(self.extras)))}]" if self.extras else ""
        if self.source == "pypi":
            name, version = _split(self.subject)
            agent = f"{name}{extras}{version}"
        else:  # a path of the script's own folder, where git's files will be, too
            agent = f"./{self.subject if self.source == 'wheel' else 'source'}{extras}"
        values = {
            "package_id": self.id,
            "package_source": self.source,
            "package_subject": self.subject,
            "package_commit": self.commit,
        }
        found = {
            NAME: "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()).encode(),
            REQUIREMENTS: "".join(f"{line}\n" for line in (agent, *self.python_packages)).encode(),
        }
        return found if self.wheel is None else {**found, self.subject: self.wheel}


def recipe(agent: Agent, *, wheel: bytes | None = None, commit: str | None = None, system: str = "") -> Recipe:
    """What the inventory wants. wheel: the file's content, where it names one; commit: what git's `ref` stands for.

    Raises Refused for a `ref` that stands for nothing.
    """
    runtime = agent.runtime
    if not isinstance(runtime, InstalledRuntime):
        raise ValueError(f"{runtime.type} has no package of its own")
    package = runtime.package
    plain = Recipe(
        source="pypi",
        subject="",
        label="",
        extras=runtime.extras,
        python_packages=runtime.extra_python_packages,
        interpreter="own" if isinstance(runtime, PersistentRuntime) else "guest",
        system=system,
    )
    if package.pypi is not None:
        return _from_pypi(plain, package.pypi)
    if package.wheel is not None:
        name = package.wheel.path.name
        return replace(plain, source="wheel", subject=name, label=_word(name.split("-")[1]), wheel=wheel or b"")
    return _from_git(agent, plain, str(package.git), str(package.ref), git_commit(agent) or commit)


def _from_pypi(plain: Recipe, requirement: str) -> Recipe:
    """Its own extras are added to the others; the label is its version, where it names exactly one."""
    name, rest = _split(requirement)
    named, version = rest[1:].split("]", 1) if rest.startswith("[") else ("", rest)
    label = version.removeprefix("==") if re.fullmatch(r"==[\w.+!]+", version) else name
    extras = (*plain.extras, *filter(None, named.split(",")))
    return replace(plain, subject=name + version, label=_word(label), extras=extras)


def _from_git(agent: Agent, plain: Recipe, url: str, ref: str, commit: str | None) -> Recipe:
    if not commit:
        raise Refused(
            f"{url} has no {ref}, as seen from CT {agent.vmid}",
            hint="runtime.package.ref is a tag, a branch, or a whole commit of it",
        )
    label = commit[:12] if ref == commit else _word(f"{ref}-{commit[:7]}")
    return replace(plain, source="git", subject=url, label=label, commit=commit)


def _word(text: str) -> str:
    """Text as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9._+]+", "-", text)


def git_commit(agent: Agent) -> str | None:
    """The commit that the inventory names itself; None where the repository has to be asked, or there is none."""
    package = agent.runtime.package if isinstance(agent.runtime, InstalledRuntime) else None
    return package.ref if package and package.ref and re.fullmatch(r"[0-9a-f]{40}", package.ref) else None


def git_question(agent: Agent) -> tuple[str, str]:
    """(URL, ref) that the guest has to resolve; empty ones for nothing."""
    package = agent.runtime.package if isinstance(agent.runtime, InstalledRuntime) else None
    if package is None or package.git is None or git_commit(agent):
        return "", ""
    return package.git, str(package.ref)


def wheel(agent: Agent) -> bytes | None:
    """The content of the wheel that the inventory names; None where it names none. Raises UsageError without it."""
    package = agent.runtime.package if isinstance(agent.runtime, InstalledRuntime) else None
    return package.wheel.read("runtime.package.wheel") if package and package.wheel else None


def build_packages(agent: Agent) -> tuple[str, ...]:
    """Debian packages that the guest needs for building it, and with `native` for running it."""
    runtime = agent.runtime
    if not isinstance(runtime, InstalledRuntime):
        return ()
    git = ("git",) if runtime.package.git else ()
    if isinstance(runtime, PersistentRuntime):
        init = ("catatonit",) if runtime.engine == "podman" else ()  # Docker's comes with it
        return ("ca-certificates", "curl", "patchelf", "python3-venv", *git, *init)
    wanted = ("ca-certificates", "curl", "python3-venv", *tools(runtime), *runtime.extra_packages)
    return tuple(dict.fromkeys(wanted))


def tools(runtime: InstalledRuntime) -> tuple[str, ...]:
    """What the agent's own tools call (its file search, skills, voice), as in the official image: Debian's packages."""
    return (
        ("git", "ripgrep") if runtime.tools == "minimal" else ("git", "ripgrep", "ffmpeg", "nodejs", "openssh-client")
    )


def names(agent: Agent) -> dict[str, str]:
    """What the guest's scripts need to know of it for their facts. Names of Debian packages are without a version."""
    url, ref = git_question(agent)
    packages = (each.partition("=")[0] for each in build_packages(agent))
    return {"package_url": url, "package_ref": ref, "debian_packages": " ".join(packages)}


def _split(requirement: str) -> tuple[str, str]:
    """A requirement without extras: its name, and what it says of the version."""
    name = re.match(r"[\w.-]*[\w]", requirement)
    end = name.end() if name else 0
    return requirement[:end], requirement[end:]
