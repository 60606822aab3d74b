"""The appliance index (`/var/lib/pve-manager/apl-info/`) and downloads with wget's lines in their log."""

from __future__ import annotations

import hashlib
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.files import read_text, write_text
from proxhermes.lab.pve.runtime import Log
from proxhermes.lab.pve.site import Site

INDEX = "/var/lib/pve-manager/apl-info"
SOURCES = ("download.proxmox.com", "releases.turnkeylinux.org")
"""The files that Proxmox expects in that folder, named after where they come from."""
INDEX_FILE = "aplinfo.dat"
LOG = "/var/log/pveam.log"
_CHUNK = 1024 * 1024
_DOT = 32 * 1024
_LINE_DOTS = 96
"""One line of wget's `--progress=dot:mega` style: 3 MiB, in groups of 16 dots of 32 KiB."""
_KEYS = {"Package": "package", "Location": "location", "ManageUrl": "manageurl", "OS": "os", "InfoPage": "infopage"}


def update_index(site: Site) -> bool:
    """Fetch the index anew, as `pveam update` does; False when it cannot be: the old one stays, LOG says why."""
    url = f"{site.appliances}/{INDEX_FILE}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the node's own setting
            text = answer.read().decode()
        write_text(site.real(f"{INDEX}/{SOURCES[0]}"), text, 0o644)
        said = "update successful"
    except (OSError, ValueError) as error:
        said = f"update failed: {error}"
    log = site.real(LOG)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        stream.write(f"{_now()} {url}: {said}\n")
    return said == "update successful"


def read_index(site: Site) -> dict[str, dict[str, str]]:
    """Templates by file name, from every file of the index folder.

    The format is Proxmox' own: blocks of `Key: value` lines, a description on indented lines.
    """
    found: dict[str, dict[str, str]] = {}
    folder = site.real(INDEX)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        for block in re.split(r"\n\s*\n", read_text(path)):
            entry = _entry(block)
            if entry.get("location") and "://" not in entry["location"]:
                entry["location"] = f"{site.appliances}/{entry['location']}"
            if entry.get("location") and entry.get("template"):
                found[entry["template"]] = entry
    return found


def complaints(site: Site) -> list[str]:
    """What Proxmox says of the sources that were never fetched."""
    files = (f"{INDEX}/{name}" for name in SOURCES)
    missing = (file for file in files if not site.real(file).exists())
    return [f"unable to open file '{file}' - No such file or directory" for file in missing]


def _entry(block: str) -> dict[str, str]:
    values: dict[str, str] = {}
    key = ""
    for line in block.splitlines():
        head = re.fullmatch(r"([A-Za-z][\w-]*):\s*(.*?)\s*", line)
        if head:
            key = _KEYS.get(head[1], head[1].lower().replace("-", ""))
            values[key] = head[2]
        elif key and line.strip():
            values[key] = f"{values[key]}\n{line.strip()}".strip()
    if "description" in values:
        values["headline"], _, rest = values["description"].partition("\n")
        values["description"] = rest or values["headline"]
    if "location" in values:
        values["template"] = values["location"].rsplit("/", 1)[-1]
        values.setdefault("type", "lxc")
        values.setdefault("source", "http://download.proxmox.com/images")
    return values


@dataclass(frozen=True, slots=True)
class Download:
    """A file to fetch: from `url` to `path`, which the node calls `shown`."""

    url: str
    path: Path
    shown: str
    checksum: str | None = None
    algorithm: str | None = None

    def is_done(self) -> bool:
        """Whether the file is there with the checksum that is asked for."""
        if not self.path.exists() or not self.checksum or not self.algorithm:
            return False
        return _digest(self.path, self.algorithm) == self.checksum


def run(job: Download, log: Log) -> None:
    """Fetch the file, check it, put it in its place; PveError as the task ends."""
    temporary = job.path.with_name(f"{job.path.name}.tmp_dwnl.{time.monotonic_ns() % 100000}")
    shown = f"{job.shown}.tmp_dwnl.{temporary.name.rsplit('.', 1)[-1]}"
    job.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _fetch(job.url, temporary, shown, log)
        if job.checksum and job.algorithm:
            _verify(temporary, job, log)
        temporary.replace(job.path)
    finally:
        temporary.unlink(missing_ok=True)
    log(f"download of '{job.url}' to '{job.shown}' finished")


def _verify(path: Path, job: Download, log: Log) -> None:
    got = _digest(path, job.algorithm or "sha512")
    if got != job.checksum:
        log("calculating checksum...")
        raise PveError(f"checksum mismatch: got '{got}' != expect '{job.checksum}'")
    log("calculating checksum...OK, checksum verified")


def _fetch(url: str, path: Path, shown: str, log: Log) -> None:
    place = urllib.parse.urlsplit(url)
    address = f"{place.hostname}:{place.port or (443 if place.scheme == 'https' else 80)}"
    log(f"--{_now()}--  {url}")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - the parameter's pattern is http(s)
            log(f"Connecting to {address}... connected.")
            log(f"HTTP request sent, awaiting response... {answer.status} {answer.reason}")
            length = int(answer.headers.get("Content-Length") or 0)
            log(f"Length: {length} [{answer.headers.get_content_type()}]")
            log(f"Saving to: '{shown}'")
            began = time.monotonic()
            with path.open("wb") as target:
                size = _copy(answer, target, length, log)
            rate = _rate(size, time.monotonic() - began)
            log(f"{_now()} ({rate}) - '{shown}' saved [{size}/{length or size}]")
    except urllib.error.HTTPError as error:
        log(f"Connecting to {address}... connected.")
        log(f"HTTP request sent, awaiting response... {error.code} {error.reason}")
        log(f"{_now()} ERROR {error.code}: {error.reason}.")
        raise PveError("download failed: exit code 8") from None
    except OSError as error:
        log(f"Connecting to {address}... failed: {getattr(error, 'reason', error)}.")
        raise PveError("download failed: exit code 4") from None


def _copy(source: IO[bytes], target: IO[bytes], length: int, log: Log) -> int:
    """Copy with a line for every 3 MiB: how far it is, dots, per cent, rate, time left."""
    began, size, line = time.monotonic(), 0, 0
    step = _DOT * _LINE_DOTS
    report: Callable[[int], None] = lambda start: log(_progress(start, size, length, time.monotonic() - began))  # noqa: E731
    while chunk := source.read(_CHUNK):
        target.write(chunk)
        size += len(chunk)
        while size - line >= step:
            report(line)
            line += step
    if size > line or size == 0:
        report(line)
    return size


def _progress(start: int, size: int, length: int, seconds: float) -> str:
    reached = min(size, start + _DOT * _LINE_DOTS)
    dots = "".join("." if start + _DOT * (number + 1) <= reached else " " for number in range(_LINE_DOTS))
    groups = " ".join(dots[at : at + 16] for at in range(0, _LINE_DOTS, 16))
    percent = f"{100 * reached // length:3d}%" if length else "    "
    rate = _rate(size, seconds).replace(" MB/s", "M").replace(" KB/s", "K")
    left = "=" + _seconds(seconds) if size >= length else " " + _seconds((length - reached) * seconds / max(reached, 1))
    return f"{start // 1024:6d}K {groups} {percent} {rate}{left}"


def _rate(size: int, seconds: float) -> str:
    per_second = size / max(seconds, 1e-6)
    return f"{per_second / 2**20:.1f} MB/s" if per_second >= 2**20 else f"{per_second / 1024:.0f} KB/s"


def _seconds(seconds: float) -> str:
    return "0s" if seconds < 0.05 else f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
