"""The agent's OCI image: Debian and the real `hermes-agent`, laid out and starting as the official image does.

Same user (hermes, 10000), volume (/opt/data), paths, environment and supervision; without the official image's browser,
compilers and Node.js. What happens at start is in the scripts under `agent/`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from proxhermes.lab.images import base, oci, rootfs
from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources
from proxhermes.lab.images.push import push

VERSION = "0.19.0"
REPOSITORY = "nousresearch/hermes-agent"

#: A second build of the same version, for what happens when an image changes.
REBUILD = f"{VERSION}-2"
TAGS = ("latest", VERSION, REBUILD)

HOME = "/opt/data"
CODE = "/opt/hermes"
VENV = f"{CODE}/.venv"
REQUIREMENTS = (f"hermes-agent[cron,cli,pty,mcp,web,messaging]=={VERSION}",)
PACKAGES = ("python3", "python3-venv", "s6", "execline", "curl", "procps", "ripgrep")

#: What is only read by parts that need Node.js or speech, which the image does not have.
UNUSED = ("hermes_cli/tui_dist",)

SCRIPTS = Path(__file__).with_name("agent")
#: Script in `agent/` -> path in the image.
PROGRAMS = {
    "init": "/init",
    "with-contenv": "/usr/bin/with-contenv",
    "boot": f"{CODE}/docker/boot",
    "main-wrapper.sh": f"{CODE}/docker/main-wrapper.sh",
    "stage2-hook.sh": f"{CODE}/docker/stage2-hook.sh",
    "migrate": f"{CODE}/docker/migrate",
    "hermes-shim": f"{CODE}/bin/hermes",
    "seed/env.example": f"{CODE}/docker/seed/env.example",
    "seed/cli-config.yaml.example": f"{CODE}/docker/seed/cli-config.yaml.example",
    "seed/SOUL.md": f"{CODE}/docker/seed/SOUL.md",
}

CREATED = "2026-07-20T00:00:00Z"
#: Note in the storage that the push is done.
PUSHED = "pushed.json"


def run_config(build: str) -> dict[str, object]:
    """What Docker runs, and with which environment; as the official image, with s6's init as its entry point."""
    environment = {
        "PATH": f"{CODE}/bin:{VENV}/bin:{HOME}/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HERMES_HOME": HOME,
        "HERMES_WRITE_SAFE_ROOT": HOME,
        "HERMES_DISABLE_LAZY_INSTALLS": "1",
    }
    return {
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Entrypoint": ["/init", f"{CODE}/docker/main-wrapper.sh"],
        "WorkingDir": CODE,
        "Volumes": {HOME: {}},
        "Labels": {
            "org.opencontainers.image.title": "hermes-agent",
            "org.opencontainers.image.version": build,
            "org.opencontainers.image.description": "Hermes Agent, built for the proxhermes lab",
        },
    }


def layers_recipe() -> list[object]:
    """What the two big layers depend on."""
    return [base.recipe(), sources(__file__)]


def recipe() -> list[object]:
    """What the image depends on."""
    scripts = {name: (SCRIPTS / name).read_text() for name in PROGRAMS}
    return [layers_recipe(), scripts]


def build(cache: Cache, progress: Progress) -> Path:
    """Build what is missing and push it into the registry's storage; returns that storage's folder."""

    def make(bench: Workbench) -> Path:
        layers = _layers(cache, progress)
        progress("agent image: scripts and manifest")
        layout = bench.scratch / "layout"
        _assemble(bench, layers, layout)
        progress("agent image: pushing to the registry")
        push(bench, cache.registry, layout, REPOSITORY, TAGS)
        done = bench.scratch / PUSHED
        done.write_text(json.dumps({"repository": REPOSITORY, "tags": TAGS}) + "\n")
        return done

    # The product is the note that the push is done, kept inside the storage: with the storage, the note is gone too.
    cache.ensure("agent-image", cache.registry / PUSHED, recipe(), make, progress)
    return cache.registry


def _layers(cache: Cache, progress: Progress) -> list[oci.Layer]:
    """The big layers: Debian with its packages, and Hermes in its virtual environment."""

    def make(bench: Workbench) -> Path:
        root = rootfs.unpack(bench, base.build(cache, progress), bench.scratch / "root")
        progress("agent image: Debian packages")
        rootfs.apt_install(bench, root, PACKAGES)
        rootfs.enter(bench, root, ["useradd", "--uid", "10000", "--create-home", "--home-dir", HOME, "hermes"])
        progress(f"agent image: installing hermes-agent {VERSION}")
        rootfs.make_venv(bench, root, VENV, REQUIREMENTS, unused=UNUSED)
        packages = next(root.glob(f"{VENV.lstrip('/')}/lib/python3*/site-packages"))
        for folder in (root / CODE.lstrip("/"), packages):
            (folder / ".install_method").write_text("docker\n")
        rootfs.write(root, f"{CODE}/docker/config-version", _config_version(bench, root))
        (root / "command").symlink_to("usr/bin")
        rootfs.tidy(root)
        progress("agent image: packing")
        made = bench.scratch / "layers"
        made.mkdir()
        unwanted = [f"./{name}/*" for name in ("dev", "proc", "run", "sys", "tmp")]
        system = oci.pack_layer(bench, root, made / "system", ["."], [*unwanted, f".{CODE}/*"])
        agent = oci.pack_layer(bench, root, made / "agent", [f".{CODE}"])
        (made / "layers.json").write_text(json.dumps([_note(layer) for layer in (system, agent)]))
        return made

    folder = cache.ensure("agent-layers", cache.root / "agent-layers", layers_recipe(), make, progress)
    notes: list[dict[str, Any]] = json.loads((folder / "layers.json").read_text())
    return [oci.Layer(folder / note["name"], note["digest"], note["size"], note["diff_id"]) for note in notes]


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


def _note(layer: oci.Layer) -> dict[str, object]:
    return {"name": layer.path.name, "digest": layer.digest, "size": layer.size, "diff_id": layer.diff_id}


def _assemble(bench: Workbench, layers: list[oci.Layer], folder: Path) -> None:
    """Write the layout: the big layers, one with the start scripts, and for the rebuild one more with its number."""
    layout = oci.Layout(folder)
    scripts = bench.scratch / "scripts"
    for name, target in PROGRAMS.items():
        mode = (SCRIPTS / name).stat().st_mode & 0o111
        rootfs.write(scripts, target, (SCRIPTS / name).read_text(), mode=0o755 if mode else 0o644)
    first = oci.pack_layer(
        bench, scripts, bench.scratch / "scripts.layer", sorted(f"./{name}" for name in _files(scripts))
    )
    for tag in ("latest", VERSION):
        layout.add_image(tag, [*layers, first], run_config(VERSION), CREATED)
    rebuild = bench.scratch / "rebuild"
    rootfs.write(rebuild, f"{CODE}/docker/build", f"{REBUILD}\n")
    second = oci.pack_layer(bench, rebuild, bench.scratch / "rebuild.layer", [f".{CODE}/docker/build"])
    layout.add_image(REBUILD, [*layers, first, second], run_config(REBUILD), CREATED)


def _files(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
