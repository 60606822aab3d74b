"""A Python newer than Debian 13's that needs nothing of the system but its C library, as the official image keeps one.

Debian testing's own interpreter with the libraries beside it, in the shape of python-build-standalone's archives: one
folder `python`, wherever it is unpacked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from proxhermes.lab.images import base, rootfs
from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources

VERSION = "3.14"
NAME = f"cpython-{VERSION}-x86_64-unknown-linux-gnu-install_only.tar.gz"

PACKAGES = (f"python{VERSION}", f"python{VERSION}-venv", "patchelf")

# What a program needs at run time is found from where it is ($ORIGIN, ld.so(8)), not from where it was built. The
# C library itself stays the system's.
_STAGE = rf"""
python=/opt/python
mkdir -p "$python/bin" "$python/lib"
cp /usr/bin/python{VERSION} "$python/bin/"
ln -s python{VERSION} "$python/bin/python3"
ln -s python{VERSION} "$python/bin/python"
cp -rL /usr/lib/python{VERSION} "$python/lib/"
cd "$python/lib/python{VERSION}"
rm -rf test idlelib turtledemo config-* EXTERNALLY-MANAGED
find . -name __pycache__ -prune -exec rm -r {{}} +

# pip for its virtual environments comes out of the wheel that Debian keeps apart.
wheel=$(basename /usr/share/python-wheels/pip-*.whl)
mkdir ensurepip/_bundled
cp "/usr/share/python-wheels/$wheel" ensurepip/_bundled/
pip=${{wheel#pip-}}
sed -i "s/^_PIP_VERSION = .*/_PIP_VERSION = \"${{pip%%-*}}\"/" ensurepip/__init__.py

ldd "$python/bin/python{VERSION}" lib-dynload/*.so | awk '$2 == "=>" && $3 ~ /^\// {{ print $3 }}' | sort -u |
  grep -Ev '/(libc|libm|libdl|libpthread|librt)\.so' | xargs cp -L -t "$python/lib"
patchelf --set-rpath '$ORIGIN/../lib' "$python/bin/python{VERSION}"
patchelf --set-rpath '$ORIGIN/../..' lib-dynload/*.so
patchelf --set-rpath '$ORIGIN' "$python"/lib/*.so*
"""

#: Symbols of a C library newer than Debian 13's, and what the same functions are called in all of them. They are those
#: that set the speed of a serial line (glibc 2.42 lets them take any number), which nothing here does.
NEWER, OLDEST = b"GLIBC_2.42", b"GLIBC_2.2.5"


def recipe() -> list[object]:
    """What the archive depends on."""
    return [base.recipe(rootfs.TESTING), sources(__file__)]


def build(cache: Cache, progress: Progress) -> Path:
    """The archive, built if needed (about a minute with its base)."""

    def make(bench: Workbench) -> Path:
        root = rootfs.unpack(bench, base.build(cache, progress, rootfs.TESTING), bench.scratch / "root")
        progress(f"Python {VERSION}: packages")
        rootfs.apt_install(bench, root, PACKAGES)
        progress(f"Python {VERSION}: staging")
        rootfs.enter(bench, root, ["sh", "-euc", _STAGE])
        for file in _programs(root / "opt/python"):
            file.write_bytes(with_older_symbols(file.read_bytes()))
        bench.run(["tar", "--numeric-owner", "--sort=name", "-C", root / "opt", "-czf", bench.scratch / NAME, "python"])
        return bench.scratch / NAME

    return cache.ensure("python", cache.root / NAME, recipe(), make, progress)


def _programs(folder: Path) -> Iterator[Path]:
    yield folder / "bin" / f"python{VERSION}"
    yield from (path for path in folder.rglob("*.so*") if path.is_file())


def with_older_symbols(program: bytes) -> bytes:
    """An ELF file (64 bits, little endian) that asks for `OLDEST` wherever it asked the C library for `NEWER`.

    :raises ValueError: it asks for the new name and has nowhere the old one
    Source: System V ABI, "Sections"; LSB 5.0, "Symbol Versioning".
    """
    patched = bytearray(program)
    table, entry_size, count = *struct.unpack_from("<Q", program, 0x28), *struct.unpack_from("<2H", program, 0x3A)
    headers = [struct.unpack_from("<2I4Q2I2Q", program, table + number * entry_size) for number in range(count)]
    for header in headers:
        if header[1] != _VERSIONS_NEEDED:
            continue
        names, size = headers[header[6]][4:6]
        for position, name in _needed(program, header[4], names):
            if name == NEWER:
                older = program.index(b"\0" + OLDEST + b"\0", names, names + size) + 1
                struct.pack_into("<I", patched, position, _elf_hash(OLDEST))
                struct.pack_into("<I", patched, position + 8, older - names)
    return bytes(patched)


_VERSIONS_NEEDED = 0x6FFFFFFE


def _needed(program: bytes, section: int, names: int) -> Iterator[tuple[int, bytes]]:
    """Every version that is asked of a library: where its entry is, and its name."""
    library = section
    while True:
        _, count, _, first, following = struct.unpack_from("<2H3I", program, library)
        entry = library + first
        for _ in range(count):
            name, skip = struct.unpack_from("<2I", program, entry + 8)
            yield entry, program[names + name : program.index(b"\0", names + name)]
            entry += skip
        if not following:
            return
        library += following


def _elf_hash(name: bytes) -> int:
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high
    return value
