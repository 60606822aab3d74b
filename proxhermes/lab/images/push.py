"""Putting an image into the registry's storage: a registry of our own for as long as the push takes."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from proxhermes.lab.images.cache import DIES_WITH_US, BuildError, Workbench
from proxhermes.lab.images.registry import PROGRAM, render_config

_READY_SECONDS = 15.0


def push(bench: Workbench, storage: Path, layout: Path, repository: str, tags: Iterable[str]) -> None:
    """Copy the tags of an OCI layout, with all their architectures, into a registry's storage folder.

    Safe beside other registries on the same storage: blobs are only ever added.

    :raises BuildError: the registry did not start, or a copy failed
    """
    storage.mkdir(parents=True, exist_ok=True)
    with _registry(bench, storage) as address:
        for tag in tags:
            bench.run(["skopeo", "copy", "--all", "--insecure-policy", "--dest-tls-verify=false", f"oci:{layout}:{tag}",
                       f"docker://{address}/{repository}:{tag}"])  # fmt: skip


@contextmanager
def _registry(bench: Workbench, storage: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = bench.scratch / "registry.yml"
    config.write_text(render_config(storage, address))
    process = subprocess.Popen([*DIES_WITH_US, PROGRAM, "serve", str(config)], stdout=bench.log, stderr=bench.log)
    try:
        _wait_ready(process, f"http://{address}/v2/")
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 — our own registry on the loopback
                return
        except (urllib.error.URLError, OSError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BuildError(f"the registry for the push did not start: {error}") from error
        time.sleep(0.05)
