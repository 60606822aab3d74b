"""What a build takes over from this machine: its Debian mirror, its extra authorities, its package index."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where Debian's packages come from, as base URLs."""

    main: str
    security: str


#: Debian's own front, for a machine whose configuration names no network mirror (installed from a medium).
DEBIAN_FRONT = Mirror("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")

_RELEASES = {"stable", "oldstable", "testing", "unstable", "bookworm", "trixie", "forky", "sid"}


def debian_mirror(apt_dir: Path = Path("/etc/apt")) -> Mirror:
    """The mirror this machine uses for Debian, read from sources.list and sources.list.d (both formats)."""
    sources = list(_apt_sources(apt_dir))
    main = next((uri for uri, suite in sources if suite in _RELEASES), DEBIAN_FRONT.main)
    security = next((uri for uri, suite in sources if suite.endswith("-security")), DEBIAN_FRONT.security)
    return Mirror(main.rstrip("/"), security.rstrip("/"))


def _apt_sources(apt_dir: Path) -> Iterator[tuple[str, str]]:
    """Every (http URI, suite) of entries that look like Debian's own: those with the component `main`."""
    lists = [apt_dir / "sources.list", *sorted((apt_dir / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            yield from _one_line_sources(path.read_text())
    for path in sorted((apt_dir / "sources.list.d").glob("*.sources")):
        yield from _deb822_sources(path.read_text())


def _one_line_sources(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", "", line.partition("#")[0]).split()
        if len(words) > 3 and words[0] == "deb" and words[1].startswith("http") and "main" in words[3:]:
            yield words[1], words[2]


def _deb822_sources(text: str) -> Iterator[tuple[str, str]]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = {key.strip().lower(): value.split() for key, _, value in (line.partition(":") for line in lines)}
        if "deb" not in fields.get("types", []) or "main" not in fields.get("components", []):
            continue
        for uri in fields.get("uris", []):
            if uri.startswith("http"):
                yield from ((uri, suite) for suite in fields.get("suites", []))


@cache
def extra_authorities(
    bundle: Path = Path("/etc/ssl/certs/ca-certificates.crt"),
    shipped: Path = Path("/usr/share/ca-certificates"),
) -> tuple[str, ...]:
    """Certificates this machine trusts beyond those that Debian ships, as PEM texts (a company's, usually)."""
    if not bundle.is_file():
        return ()
    known = {pem for path in shipped.rglob("*.crt") for pem in _certificates(path.read_text())}
    return tuple(sorted(set(_certificates(bundle.read_text())) - known))


def _certificates(text: str) -> Iterable[str]:
    return (match.group(0).replace("\r\n", "\n") for match in _PEM.finditer(text))


def pip_environment(
    environ: Mapping[str, str] = os.environ,
    files: Iterable[Path] = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf")),
) -> dict[str, str]:
    """The variables that make pip in a guest's root file system use this machine's package index."""
    settings = configparser.RawConfigParser()
    settings.read([path.expanduser() for path in files])
    found = {}
    for option in ("index-url", "extra-index-url", "trusted-host"):
        variable = f"PIP_{option.upper().replace('-', '_')}"
        value = environ.get(variable) or settings.get("global", option, fallback=None) or ""
        # An index in a folder of this machine does not exist in there.
        words = [word for word in value.split() if not word.startswith(("file:", "/"))]
        if words:
            found[variable] = " ".join(words)
    return found
