"""The functions of the persistent runtime run for real, with a Docker that says what a test wants it to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from guest_bundle import lay_out

IDENTITY = "0123456789abcdef"
STARTING = "1 /sbin/docker-init -- /opt/hermes/layer/entrypoint\n7 /bin/sh /opt/hermes/layer/entrypoint"
PODMAN = "/run/podman-init -- /opt/hermes/layer/entrypoint \n/bin/sh /opt/hermes/layer/entrypoint \nsleep 1 "
STARTED = (
    "1 /sbin/docker-init -- /opt/hermes/layer/entrypoint\n7 python /opt/hermes/current/bin/hermes gateway run --replace"
)


def call(folder: Path, words: str, docker: str) -> subprocess.CompletedProcess[str]:
    """A function of the runtime's. docker: what its `docker` does, as shell."""
    bundle = lay_out(folder / "bundle", folder, runtime="persistent", docker=docker)
    script = f'PATH="$PWD:$PATH"; . ./agent.sh; project={folder}; . ./guest-common.sh; . ./runtime.sh; {words}'
    return subprocess.run(["sh", "-eu", "-c", script], cwd=bundle, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("processes", "busy"), [(STARTING, True), (PODMAN, True), (STARTED, False), ("", False)])
def test_it_is_busy_until_the_entrypoint_has_become_the_gateway(tmp_path: Path, processes: str, busy: bool) -> None:
    listed = processes.replace("/opt/hermes/layer", str(tmp_path / "layer"))
    done = call(tmp_path, "rt_busy", f"cat <<'END'\n{listed}\nEND")
    assert (done.returncode == 0) is busy, done.stderr


@pytest.mark.parametrize(
    ("label", "option"), [(IDENTITY, "--no-recreate"), ("another", "--force-recreate"), ("", "--force-recreate")]
)
def test_the_identity_alone_makes_a_container_anew(tmp_path: Path, label: str, option: str) -> None:
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  hermes:\n    labels:\n      io.proxhermes.identity: {IDENTITY}\n"
    )
    assert call(tmp_path, "rt_recreate", f"echo {label}").stdout.strip() == option


def test_a_restart_policy_is_changed_in_place(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  hermes:\n    restart: always\n")
    (tmp_path / "current").symlink_to("versions/1")
    done = call(tmp_path, "rt_files", f'echo "$*" >>{tmp_path}/asked; echo unless-stopped')
    assert done.returncode == 0, done.stderr
    assert "container update --restart always hermes" in (tmp_path / "asked").read_text()
    assert (tmp_path / "layer" / "entrypoint").stat().st_mode & 0o777 == 0o755
