"""A bundle as it lies in the guest, on folders of a test's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from proxhermes.facts.frame import functions
from proxhermes.hermes import assignments
from proxhermes.inventory.models import Agent


def lay_out(bundle: Path, project: Path, *, runtime: str = "docker", uid: int = 10000, **tools: str) -> Path:
    """A bundle with all scripts for an agent in `project`; tools: commands put in the place of the real ones."""
    bundle.mkdir(mode=0o700, exist_ok=True)
    for path in (Path(__file__).parents[2] / "host_scripts").glob("*"):
        shutil.copy(path, bundle / path.name)
    written = {
        "vmid": 118, "node": "node", "hostname": "hermes", "network": {"bridge": "vmbr0"}, "runtime": {"type": runtime},
        "litellm": {"base_url": "http://127.0.0.1:9/v1", "api_key": {"env": "KEY"}, "model": "model"},
        "hermes": {"uid": uid or 10000, "gid": uid or 10000},
    }  # fmt: skip
    names = assignments.assignments(Agent.model_validate(written)) | {"uid": str(uid), "gid": str(uid)}
    names = {name: re.sub("^/opt/hermes(?=/data|$)", str(project), value) for name, value in names.items()}
    (bundle / assignments.NAME).write_bytes(assignments.render(names))
    (bundle / "runtime.sh").write_bytes(functions(runtime))
    for tool, text in tools.items():
        (bundle / tool).write_text(f"#!/bin/sh\n{text}\n")
        (bundle / tool).chmod(0o700)
    return bundle


def run(bundle: Path, entry: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run one of its scripts as the guest's door does, with the bundle's own commands first on PATH."""
    environment = os.environ | {"PATH": f"{bundle}:{os.environ['PATH']}"}
    words = ("sh", f"./{entry}", *args)
    return subprocess.run(words, cwd=bundle, env=environment, capture_output=True, text=True, timeout=30, check=False)
