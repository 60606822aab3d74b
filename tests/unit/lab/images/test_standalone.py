from __future__ import annotations

import struct
from pathlib import Path

import pytest

from proxhermes.lab.images import standalone

#: Any program that was linked against a C library with versions.
PROGRAM = Path("/bin/cat").read_bytes()


def asked_for(program: bytes) -> list[bytes]:
    """The versions that the loader would look for; it goes by their hashes, which must be those of the names."""
    table, size, count = *struct.unpack_from("<Q", program, 0x28), *struct.unpack_from("<2H", program, 0x3A)
    headers = [struct.unpack_from("<2I4Q2I2Q", program, table + number * size) for number in range(count)]
    (section,) = [header for header in headers if header[1] == 0x6FFFFFFE]
    found = list(standalone._needed(program, section[4], headers[section[6]][4]))
    for position, name in found:
        assert struct.unpack_from("<I", program, position)[0] == sysv_hash(name), name
    return [name for _, name in found]


def sysv_hash(name: bytes) -> int:
    value = 0
    for byte in name:
        value = (value << 4) + byte
        value ^= (value & 0xF0000000) >> 24
        value &= 0x0FFFFFFF
    return value


def test_what_is_asked_of_a_newer_library_is_asked_under_its_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = next(name for name in asked_for(PROGRAM) if name != standalone.OLDEST)
    monkeypatch.setattr(standalone, "NEWER", newer)
    patched = standalone.with_older_symbols(PROGRAM)
    assert len(patched) == len(PROGRAM)
    assert newer not in asked_for(patched)
    assert standalone.OLDEST in asked_for(patched)
    assert standalone.with_older_symbols(patched) == patched


def test_a_program_that_asks_for_nothing_newer_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standalone, "NEWER", b"GLIBC_9.99")
    assert standalone.with_older_symbols(PROGRAM) == PROGRAM
