"""A bundle as it lies in the guest, on folders of a test's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from proxhermes.facts.frame import functions
from proxhermes.hermes import assignments
from proxhermes.transport.scripts import script


def lay_out(
    bundle: Path, project: Path, *entries: str, runtime: str = "docker", uid: int = 10000, **tools: str
) -> Path:
    """A bundle with these scripts for an agent in `project`; tools: commands put in the place of the real ones."""
    bundle.mkdir(mode=0o700, exist_ok=True)
    for name in ("guest-common.sh", "guest-call.sh", *entries):
        (bundle / name).write_bytes(script(name))
    home = project / "data"
    names = {
        "runtime": runtime, "engine": "docker", "image": "image", "container": "hermes", "unit": "hermes-agent.service",
        "project": str(project), "home": str(home), "inner_home": "/opt/data", "user_home": str(home / "home"),
        "inner_user_home": "/opt/data/home", "workspace": str(home / "workspace"),
        "inner_workspace": "/opt/data/workspace", "uid": str(uid), "gid": str(uid), "api_port": "8642",
        "litellm": "http://127.0.0.1:9/v1", "python": "/opt/hermes/.venv/bin/python", "folders": "",
    }  # fmt: skip
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
