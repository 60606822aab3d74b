"""What apt says when it fails, and what is said about it."""

from __future__ import annotations

import pytest

from proxhermes.plan import traps

DEBIAN = "http://deb.debian.org/debian trixie InRelease"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        # apt 3.0 of Debian 13, apt 2.6 of Debian 12, 2.7 of Ubuntu 24.04
        (
            (
                "E: Release file for http://deb.debian.org/debian/dists/trixie/InRelease is not valid yet (invalid for "
                "another 3h 2min 1s). Updates for this repository will not be applied."
            ),
            "clock is behind",
        ),
        (
            (
                f"W: OpenPGP signature verification failed: {DEBIAN}: Sub-process /usr/bin/sqv returned an error code "
                "(1), error message is: Verifying signature: Not live until 2026-11-27T00:00:00Z\nE: The repository "
                f"'{DEBIAN}' is not signed."
            ),
            "clock is behind",
        ),
        (
            "E: Release file for http://deb.debian.org/debian/dists/trixie/InRelease is expired (invalid since 5d).",
            "clock is ahead",
        ),
        (
            (
                "W: GPG error: https://repo.example.com stable InRelease: The following signatures couldn't be "
                "verified because the public key is not available: NO_PUBKEY 7EA0A9C3F273FCD8\nE: The repository "
                "'https://repo.example.com stable InRelease' is not signed."
            ),
            "key of repo.example.com",
        ),
        (
            "W: GPG error: http://x.lan a InRelease: The following signatures were invalid: EXPKEYSIG 1234 Joe",
            "key of x.lan",
        ),
        (
            (
                "E: Malformed entry 1 in list file /etc/apt/sources.list.d/mine.list (Suite)\n"
                "E: The list of sources could not be read."
            ),
            "/etc/apt/sources.list.d/mine.list",
        ),
        (
            (
                "E: Conflicting values set for option Signed-By regarding source https://download.docker.com/linux "
                "trixie: a != b\nE: The list of sources could not be read."
            ),
            "a list of sources",
        ),
        (
            "E: The repository 'https://repo.example.com/apt stable Release' does not have a Release file.",
            "repo.example.com alone",
        ),
        (
            (
                "E: Failed to fetch http://ppa.example.com/x/InRelease  404  Not Found [IP: 1.2.3.4 80]\n"
                "E: Some index files failed to download."
            ),
            "ppa.example.com alone",
        ),
        (
            (
                "W: Failed to fetch http://deb.debian.org/debian/dists/trixie/InRelease  Temporary failure resolving "
                "'deb.debian.org'\nE: Package 'curl' has no installation candidate"
            ),
            "does not reach its package sources",
        ),
        (
            (
                "E: Failed to fetch http://ppa.example.com/x/InRelease  Could not connect\n"
                "E: Failed to fetch http://deb.debian.org/debian/dists/trixie/InRelease  Could not connect"
            ),
            "does not reach its package sources",
        ),
        (
            "E: Failed to fetch http://deb.debian.org/debian/dists/InRelease  407  Proxy Authentication Required",
            "proxy",
        ),
        ("E: Write error - write (28: No space left on device)", "disk.size"),
    ],
)
def test_what_apt_failed_for_is_told_apart(said: str, advice: str) -> None:
    found = traps.advice(said)
    assert found is not None and advice in found, found
    assert "reach its package sources" in advice or "reach its package sources" not in found


@pytest.mark.parametrize("said", ["dial tcp: no such host", "the repository 'x' is not signed", "E: odd"])
def test_who_is_not_apt_is_not_taken_for_it(said: str) -> None:
    assert "apt" not in (traps.advice(said) or "")
