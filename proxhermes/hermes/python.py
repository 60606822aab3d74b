"""Which Python runs the agent's code: the system's where it fits, else one that is downloaded. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from proxhermes.errors import Refused
from proxhermes.inventory.pythons import BUILDS, MINORS
from proxhermes.inventory.runtime import InstalledRuntime

DISTRIBUTIONS: Final = {
    "debian 12": "3.11",
    "debian 13": "3.13",
    "ubuntu 22.04": "3.10",
    "ubuntu 24.04": "3.12",
    "ubuntu 26.04": "3.14",
}
"""The Python of each release, for a guest that has none installed yet."""
IMAGE_HINT: Final = 'or `package: {image: "nousresearch/hermes-agent:TAG"}`, which brings its own'


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python. version: empty where it is not known. path: of one in the guest; url, sha256: of an archive."""

    kind: Literal["system", "path", "archive"] = "system"
    version: str = ""
    path: str = ""
    url: str = ""
    sha256: str = ""

    @property
    def identity(self) -> str:
        """What makes a version of the agent's code that was built with it another one; nothing for the system's."""
        return self.path or self.sha256


@dataclass(frozen=True, slots=True)
class System:
    """What is known of the guest. release: "debian 13"; python: its python3's version; architecture: dpkg's."""

    release: str = ""
    python: str = ""
    architecture: str = ""

    @property
    def minor(self) -> str:
        """Its Python's version without the last number; empty where nobody knows."""
        return _minor(self.python) or DISTRIBUTIONS.get(self.release, "")


def choose(runtime: InstalledRuntime, system: System, *, what: str, requires: str | None) -> Interpreter:
    """The Python for `what` ("hermes-agent 0.22.2"), which needs `requires` (as pip has it; None: nobody knows).

    Raises Refused where there is none, or another one is declared, with what would do.
    """
    if runtime.python_archive is not None:
        return Interpreter("archive", url=runtime.python_archive.url, sha256=runtime.python_archive.sha256)
    if runtime.python.startswith("/"):
        return Interpreter("path", path=runtime.python)
    wanted = runtime.python if runtime.python != "auto" else ""
    if wanted and requires and not fits(wanted, requires):
        raise Refused(
            f"{what} needs Python {requires}, and runtime.python is {wanted}", hint=_way_out(requires, system)
        )
    if not (system.minor and _wrong(system.minor, wanted, requires)):
        return Interpreter(version=system.minor)
    minor = wanted or next((each for each in reversed(MINORS) if fits(each, requires or "")), "")
    build = BUILDS.get((minor, system.architecture or "amd64"))
    if build is None:
        raise Refused(
            f"{what} needs Python {wanted or requires}; the container has {system.minor}, and none that fits is known "
            f"for {system.architecture or 'amd64'}",
            hint=f"`runtime.python_archive`, or the path of one in `runtime.python`, {IMAGE_HINT}",
        )
    return Interpreter("archive", build.version, url=f"{runtime.python_mirror}/{build.path}", sha256=build.sha256)


def _wrong(minor: str, wanted: str, requires: str | None) -> bool:
    """Whether the system's Python is not the one that is wanted, or not one that fits."""
    return minor != wanted if wanted else not fits(minor, requires or "")


def _way_out(requires: str, system: System) -> str:
    fitting = [each for each in MINORS if fits(each, requires)]
    ways = [f'`runtime.python: "{each}"`' + ("" if each == system.minor else " (downloaded)") for each in fitting[-1:]]
    return f"{', '.join([*ways, 'or `auto`'])}, {IMAGE_HINT}"


def fits(version: str, requires: str) -> bool:
    """Whether a Python 3.N is one that `requires` asks for: `>=3.14,<3.15`, as in Requires-Python (PEP 440).

    Of 3.N the newest there is counts: `>=3.11.4` and `!=3.12.1` are met by 3.11 and 3.12. What cannot be read is met;
    pip knows better.
    """
    return all(_meets(_numbers(version), clause) for clause in requires.split(","))


def _meets(version: tuple[int, ...], clause: str) -> bool:
    found = re.fullmatch(r"\s*(>=|<=|==|!=|~=|>|<)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?\s*", clause)
    if not found:
        return True
    sign, bound = found[1], _numbers(found[2])
    while sign != "~=" and len(bound) > len(version) and bound[-1] == 0:
        bound = bound[:-1]
    newest = (*version, 99) if len(bound) > len(version) else version
    same = version[: len(bound)] == bound[: len(version)]
    match sign:
        case ">=":
            return newest >= bound
        case ">":
            return (*version, 99) > bound
        case "<=":
            return version <= bound
        case "<":
            return version < bound
        case "==":
            return same
        case "!=":
            return not same or len(bound) > len(version)
        case _:  # ~=: at least this one, and the same but for its last number
            return newest >= bound and version[: len(bound) - 1] == bound[:-1][: len(version)]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _minor(version: str) -> str:
    found = re.match(r"([0-9]{1,2}\.[0-9]{1,2})(?:\.|$)", version)
    return found[1] if found else ""
