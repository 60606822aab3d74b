"""The two big layers of an agent's image: Debian with its packages, and Hermes under /opt/hermes."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from proxhermes.lab.images import base, oci, rootfs, standalone
from proxhermes.lab.images.agents import CODE, HOME, PYTHON, VENV, Agent
from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources

#: A lock that the builder left, and a skill that was replaced with its whole folder.
DELETED_LATER = (f"{VENV}/.lock", f"{CODE}/skills/house/withdrawn/SKILL.md")

PACKAGES = ("s6", "execline", "curl", "procps", "ripgrep")


def recipe(agent: Agent) -> list[object]:
    """What they depend on."""
    python = standalone.recipe() if _has_own_python(agent) else []
    package = [agent.package, agent.release, agent.extras, agent.sha256, agent.unused]
    return [package, agent.python, agent.packages, base.recipe(), python, sources(__file__, oci.__file__)]


def build(cache: Cache, agent: Agent, progress: Progress) -> list[oci.Layer]:
    """Both, built if needed (a minute or two)."""

    def make(bench: Workbench) -> Path:
        root = rootfs.unpack(bench, base.build(cache, progress), bench.scratch / "root")
        progress(f"agent image {agent.version}: Debian packages")
        rootfs.apt_install(bench, root, [*PACKAGES, *agent.packages])
        rootfs.enter(bench, root, ["useradd", "--uid", "10000", "--create-home", "--home-dir", HOME, "hermes"])
        (root / "command").symlink_to("usr/bin")
        if _has_own_python(agent):
            _own_python(bench, root, standalone.build(cache, progress))
        progress(f"agent image {agent.version}: installing {agent.package} {agent.release}")
        _install(bench, root, agent)
        rootfs.tidy(root)
        progress(f"agent image {agent.version}: packing")
        return _pack(bench, root)

    name = f"agent-{agent.version}"
    folder = cache.ensure(name, cache.root / name, recipe(agent), make, progress)
    notes: list[dict[str, Any]] = json.loads((folder / "layers.json").read_text())
    return [oci.Layer(folder / note["name"], note["digest"], note["size"], note["diff_id"]) for note in notes]


def _has_own_python(agent: Agent) -> bool:
    return agent.python.startswith(PYTHON)


def _own_python(bench: Workbench, root: Path, archive: Path) -> None:
    folder = root / PYTHON.lstrip("/")
    folder.mkdir(parents=True)
    bench.run(["tar", "-xzf", archive, "--strip-components=1", "-C", folder])
    (root / "usr/local/bin/python3").symlink_to(f"{PYTHON}/bin/python3")


def _install(bench: Workbench, root: Path, agent: Agent) -> None:
    if agent.sha256:
        wheel = Path(shutil.move(_pinned_wheel(bench, agent), root / "opt"))
        rootfs.make_venv(bench, root, VENV, [f"/opt/{wheel.name}[{agent.extras}]"], agent.unused, agent.python)
        wheel.unlink()
    else:
        requirement = f"{agent.package}[{agent.extras}]=={agent.release}"
        rootfs.make_venv(bench, root, VENV, [requirement], agent.unused, agent.python)
    _move_code(root, agent)
    rootfs.write(root, f"{CODE}/.install_method", "docker\n")
    rootfs.write(root, f"{CODE}/docker/config-version", _config_version(bench, root))
    if agent.multi_arch:
        for name in DELETED_LATER:
            rootfs.write(root, name, "Of a lower layer, and deleted in an upper one.\n")


def _pinned_wheel(bench: Workbench, agent: Agent) -> Path:
    """The agent's wheel from the index: exactly the one that was looked at. (What it requires, it pins itself.)"""
    pinned = bench.scratch / "requirements.txt"
    pinned.write_text(f"{agent.package}=={agent.release} --hash=sha256:{agent.sha256}\n")
    bench.run([sys.executable, "-m", "venv", bench.scratch / "pip"])
    folder = bench.scratch / "wheels"
    bench.run([bench.scratch / "pip/bin/pip", "download", "-q", "--no-deps", "-d", folder, "-r", pinned])
    return next(folder.glob("*.whl"))


def _move_code(root: Path, agent: Agent) -> None:
    """Put Hermes' own files where the official image has them, beside the environment that finds them there."""
    packages = next(root.glob(f"{VENV.lstrip('/')}/lib/python3*/site-packages"))
    with (packages / agent.distribution / "RECORD").open(newline="") as record:
        names = {row[0].partition("/")[0] for row in csv.reader(record)}
    for name in sorted(names - {"..", "__pycache__", agent.distribution}):
        target = root / CODE.lstrip("/") / name
        if target.is_dir():
            for child in (packages / name).iterdir():
                child.replace(target / child.name)
            (packages / name).rmdir()
        else:
            (packages / name).replace(target)
    (packages / "hermes-agent.pth").write_text(f"{CODE}\n")


def _config_version(bench: Workbench, root: Path) -> str:
    """The version of config.yaml that the installed Hermes writes, as Hermes itself says."""
    question = (
        "from hermes_cli.config import DEFAULT_CONFIG as c; open('/version', 'w').write(str(c['_config_version']))"
    )
    rootfs.enter(bench, root, [f"{VENV}/bin/python", "-c", question], env={"HERMES_HOME": "/run/hermes"})
    answer = root / "version"
    version = answer.read_text()
    answer.unlink()
    return f"{version}\n"


def _pack(bench: Workbench, root: Path) -> Path:
    made = bench.scratch / "layers"
    made.mkdir()
    unwanted = [f"./{name}/*" for name in ("dev", "proc", "run", "sys", "tmp")]
    system = oci.pack_layer(bench, root, made / "system", ["."], [*unwanted, f".{CODE}/*"])
    agent = oci.pack_layer(bench, root, made / "agent", [f".{CODE}"])
    notes = [
        {"name": layer.path.name, "digest": layer.digest, "size": layer.size, "diff_id": layer.diff_id}
        for layer in (system, agent)
    ]
    (made / "layers.json").write_text(json.dumps(notes))
    return made
