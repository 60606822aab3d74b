"""A real image registry on the loopback, and images to put into it."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import shutil
import socket
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOOLS = ("docker-registry", "skopeo", "zstd", "patchelf")
"""Debian's, of the lab's packages (`proxhermes lab packages`)."""
needs_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS) or not Path("/usr/bin/python3").exists(),
    reason=f"needs {', '.join(TOOLS)} and the system's Python",
)
_OCI = "application/vnd.oci.image"


@dataclass(frozen=True)
class Entry:
    """What a layer has at a path: text or bytes, a Path (copied with its mode), or a link."""

    path: str
    content: str | bytes | Path = ""
    link: str = ""
    hard: str = ""
    folder: bool = False
    mode: int = 0o644


def archive(entries: Iterable[Entry]) -> bytes:
    """A layer's tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for each in entries:
            info, content = tarfile.TarInfo(each.path), b""
            info.mode = each.mode
            if each.link or each.hard:
                info.type = tarfile.SYMTYPE if each.link else tarfile.LNKTYPE
                info.linkname = each.link or each.hard
            elif each.folder:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(each.content, Path):
                content, info.mode = each.content.read_bytes(), each.content.stat().st_mode & 0o7777
            else:
                content = each.content.encode() if isinstance(each.content, str) else each.content
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-3"], input=content, capture_output=True, check=True).stdout


class Layout:
    """An OCI layout in a folder: an index of images for several architectures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self._manifests: list[dict[str, object]] = []

    def blob(self, kind: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    def image(self, architecture: str, layers: Sequence[tuple[str, bytes]], **said: object) -> list[str]:
        """layers: `gzip` or `zstd`, and the tar; returns their digests. said: keys of its configuration."""
        config = {
            "architecture": architecture,
            "os": "linux",
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for _, tar in layers],
            },
            **said,
        }
        pack = {"gzip": gzip.compress, "zstd": zstd}
        blobs = [self.blob(f"{_OCI}.layer.v1.tar+{how}", pack[how](tar)) for how, tar in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self.blob(f"{_OCI}.config.v1+json", json.dumps(config).encode()),
            "layers": blobs,
        }
        entry = self.blob(f"{_OCI}.manifest.v1+json", json.dumps(manifest).encode())
        self._manifests.append({**entry, "platform": {"architecture": architecture, "os": "linux"}})
        return [str(each["digest"]) for each in blobs]

    def push(self, address: str, name: str, *words: str) -> str:
        """Put the index there, under its name and tag; returns its digest."""
        index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": self._manifests}
        entry = self.blob(f"{_OCI}.index.v1+json", json.dumps(index).encode())
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        subprocess.run(
            ["skopeo", "copy", "-q", "--all", "--insecure-policy", "--dest-tls-verify=false", *words,
             f"oci:{self.folder}", f"docker://{address}/{name}"],
            check=True, timeout=60,
        )  # fmt: skip
        return str(entry["digest"])


def copied(source: str, target: str, *, source_login: str = "", target_login: str = "") -> str:
    """Copy an image, whole, from a registry without TLS to another, or to another tag; its digest."""
    words = ["skopeo", "copy", "-q", "--all", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"]
    words += [f"--src-creds={source_login}"] if source_login else []
    words += [f"--dest-creds={target_login}"] if target_login else []
    subprocess.run([*words, f"docker://{source}", f"docker://{target}"], check=True)
    asked = ["skopeo", "inspect", "--raw", "--tls-verify=false"] + ([f"--creds={target_login}"] if target_login else [])
    found = subprocess.run([*asked, f"docker://{target}"], capture_output=True, check=True)
    return f"sha256:{hashlib.sha256(found.stdout).hexdigest()}"


@contextmanager
def registry(
    folder: Path, password_file: Path | None = None, *, host: str = "127.0.0.1", storage: Path | None = None
) -> Iterator[str]:
    """A registry on `host`; yields HOST:PORT. password_file: htpasswd's, of who may ask. storage: one that is there."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind((host, 0))
        address = f"{host}:{probe.getsockname()[1]}"
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage or folder / "storage")}},
        "http": {"addr": address},
    }
    if password_file is not None:
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(password_file)}}
    (folder / "config.yml").write_text(json.dumps(config))
    with subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _answers(f"http://{address}/v2/"))
            yield address
        finally:
            process.terminate()


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, and fail where it does not come."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:  # it wants a login
        return True
    except OSError:
        return False
    return True


@dataclass
class Between:
    """A way to a registry that counts the blobs that are fetched whole, and can hold one of them back for ever."""

    address: str
    held: str = ""
    fetched: Counter[str] = field(default_factory=Counter)
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: bool = False

    def release(self) -> None:
        """Hold nothing back any more."""
        self.held = ""
        with self.changed:
            self.changed.notify_all()

    def wait(self) -> None:
        """Until the blob that is held back is asked for."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.waiting, timeout=180)


@contextmanager
def between(address: str, host: str = "127.0.0.1") -> Iterator[tuple[str, Between]]:
    """On `host`; yields its HOST:PORT, and what it saw."""
    state = Between(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            digest = self.path.rpartition("/")[2] if "/blobs/" in self.path else ""
            if digest and digest == state.held:
                with state.changed:
                    state.waiting = True
                    state.changed.notify_all()
                    state.changed.wait_for(lambda: not state.held)
                self.close_connection = True
                return
            upstream = http.client.HTTPConnection(state.address, timeout=30)
            upstream.putrequest("GET", self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # some come several times
                upstream.putheader(name, value)
            upstream.endheaders()
            answer = upstream.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            if digest:
                with state.changed:
                    state.fetched[digest] += 1
                    state.changed.notify_all()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{host}:{server.server_port}", state
    finally:
        state.release()
        server.shutdown()
        server.server_close()
