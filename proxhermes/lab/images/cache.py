"""Built once, shared by every lab instance: artefacts kept under one folder, each with the recipe it was made from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CACHE_ROOT = Path("/var/cache/proxhermes-lab")

Progress = Callable[[str], None]

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""Before a command: the kernel ends it with the thread that started it, so a killed build leaves nobody at work."""


class BuildError(RuntimeError):
    """An artefact could not be built; the message carries the command's last output lines."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """What a build function gets: an empty scratch folder, a log file, and somebody to tell."""

    scratch: Path
    log: BinaryIO
    progress: Progress

    def run(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        """Run a command with its output in the log.

        :param env: the command's whole environment (default: this process's own); the place for a URL with credentials
        :raises BuildError: non-zero exit, with the tail of what the command printed
        """
        words = [str(word) for word in argv]
        self.log.write(f"+ {' '.join(words)}\n".encode())
        self.log.flush()
        start = self.log.tell()
        done = subprocess.run(
            [*DIES_WITH_US, *words],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=dict(env if env is not None else os.environ),
            cwd=cwd,
            check=False,
        )
        if done.returncode:
            raise BuildError(f"{words[0]} ended with {done.returncode}:\n{self._tail(start)}\n(log: {self.log.name})")

    def _tail(self, start: int, lines: int = 15) -> str:
        with Path(self.log.name).open("rb") as log:
            log.seek(start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


@dataclass(frozen=True, slots=True)
class Cache:
    """The lab's cache folder."""

    root: Path = CACHE_ROOT

    @property
    def templates(self) -> Path:
        """Folder of guest templates, ready to be a storage's `template/cache`."""
        return self.root / "template"

    @property
    def registry(self) -> Path:
        """Storage of the OCI registry."""
        return self.root / "registry"

    def is_fresh(self, name: str, product: Path, recipe: object) -> bool:
        """Whether `product` exists and was built from exactly this recipe."""
        stamp = self._stamp(name)
        return product.exists() and stamp.exists() and stamp.read_text() == recipe_hash(recipe)

    def ensure(
        self, name: str, product: Path, recipe: object, build: Callable[[Workbench], Path], progress: Progress
    ) -> Path:
        """Return `product`, building it first if it is absent or was made from another recipe.

        Two processes that ask at once build once: the second waits for the lock and finds the work done.

        :param name: artefact's name; one lock, one stamp, one log and one scratch folder each
        :param recipe: anything JSON can hold; another value means another product
        :param build: makes the product inside the scratch folder and returns its path there
        :raises BuildError: from the build; the former product, if any, is still in place
        """
        if self.is_fresh(name, product, recipe):
            return product
        with self._lock(name):
            if self.is_fresh(name, product, recipe):
                return product
            scratch = self.root / "work" / name
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            logs = self.root / "log"
            logs.mkdir(exist_ok=True)
            with (logs / f"{name}.log").open("wb") as log:
                made = build(Workbench(scratch, log, progress))
            self._put(name, made, product, recipe)
            shutil.rmtree(scratch)
        return product

    def _put(self, name: str, made: Path, product: Path, recipe: object) -> None:
        # The stamp goes first and comes last, so that being killed in between means "build again".
        stamp = self._stamp(name)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        product.parent.mkdir(parents=True, exist_ok=True)
        if product.is_dir():
            shutil.rmtree(product)
        made.replace(product)
        stamp.write_text(recipe_hash(recipe))

    def _stamp(self, name: str) -> Path:
        return self.root / "recipes" / name

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def recipe_hash(recipe: object) -> str:
    """A recipe's fingerprint: SHA-256 over its canonical JSON, in hex."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def sources(*modules: str) -> list[str]:
    """The text of modules (their `__file__`), for a recipe that includes how a thing is built."""
    return [Path(module).read_text() for module in modules]
