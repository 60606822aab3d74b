"""Every extension of an environment, loaded for real by its own Python, draws in nothing from outside of it.

One that cannot be loaded is named, and no more: it may be of a library that whoever made the environment did not have.

python-prove.py FOLDER     the version that it is all in
"""

from __future__ import annotations

import ctypes
import pathlib
import sqlite3  # noqa: F401 - the two are what is missing first
import ssl  # noqa: F401
import sys

version = pathlib.Path(sys.argv[1]).resolve()
failed = []
for path in sorted({*pathlib.Path(sys.prefix).rglob("*.so*"), *pathlib.Path(sys.base_prefix, "lib").rglob("*.so*")}):
    if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF":
        try:
            ctypes.CDLL(str(path))
        except OSError as error:
            failed.append(str(error))
maps = pathlib.Path("/proc/self/maps").read_text().split("\n")
loaded = {line.split(maxsplit=5)[5] for line in maps if line.count(" /") and ".so" in line}
outside = sorted(name for name in loaded if not pathlib.Path(name).resolve().is_relative_to(version))
print("outside of the environment:", *outside, sep="\n  ")
print("cannot be loaded:", *failed, sep="\n  ")
sys.exit(bool(outside))
