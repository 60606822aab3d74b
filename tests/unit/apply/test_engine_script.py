"""guest-engine.sh run for real, with stand-ins for the programs of a guest that it calls."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from proxhermes.transport.scripts import script

LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 217 (apt-get)"
UNREACHED = "E: Failed to fetch http://deb.debian.org/debian/dists/trixie/InRelease  Could not connect"


def run(folder: Path, *updates: str) -> subprocess.CompletedProcess[str]:
    """Install curl in a guest whose first `apt-get update`s fail with `updates`."""
    programs = folder / "bin"
    programs.mkdir()
    for number, said in enumerate(updates):
        (folder / f"update.{number}").write_text(said + "\n")
    texts = {
        "apt-get": f"""
            case " $* " in *" update "*) ;; *) echo installing; exit 0 ;; esac
            for said in {folder}/update.*; do
                [ -f "$said" ] || exit 0
                cat "$said" >&2; rm "$said"; exit 100
            done""",
        "systemctl": "echo active",
    }
    for name in ("apt-get", "systemctl", "dpkg", "docker", "sleep"):
        program = programs / name
        program.write_text(f"#!/bin/sh\n{texts.get(name, ':')}\n")
        program.chmod(0o755)
    entry = folder / "guest-engine.sh"
    for name in ("guest-engine.sh", "guest-common.sh", "guest-apt.sh"):
        (folder / name).write_bytes(script(name))
    (folder / "engine.sh").write_bytes(script("guest-engine-docker.sh"))
    path = f"{programs}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", str(entry), "none", "curl"],
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_another_apt_that_reads_the_lists_is_waited_for(tmp_path: Path) -> None:
    done = run(tmp_path, LOCKED, LOCKED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("waiting for another apt") == 1
    assert "changed: packages: curl" in done.stdout


def test_sources_out_of_reach_are_not_waited_for(tmp_path: Path) -> None:
    done = run(tmp_path, UNREACHED)
    assert done.returncode == 1 and "waiting" not in done.stdout
    assert UNREACHED in done.stderr and "failed: apt-get update failed" in done.stderr
