"""The agents' OCI images: Debian and a real `hermes-agent`, laid out and starting as the official images do.

Same user (hermes, 10000), volume (/opt/data), paths, environment and supervision; without the official image's browser,
compilers and Node.js. What happens at start is in the scripts under `agent/`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from proxhermes.lab.images import agent_layers, agents, oci, rootfs
from proxhermes.lab.images.agents import AGENTS, CODE, NEWEST, VENV, Agent
from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources
from proxhermes.lab.images.push import push

REPOSITORY = "nousresearch/hermes-agent"

SCRIPTS = Path(__file__).with_name("agent")
#: Script in `agent/` -> path in the image.
PROGRAMS: Final = {
    "init": "/init",
    "with-contenv": "/usr/bin/with-contenv",
    "boot": f"{CODE}/docker/boot",
    "main-wrapper.sh": f"{CODE}/docker/main-wrapper.sh",
    "entrypoint-dispatch.sh": f"{CODE}/docker/entrypoint-dispatch.sh",
    "stage2-hook.sh": f"{CODE}/docker/stage2-hook.sh",
    "migrate": f"{CODE}/scripts/docker_config_migrate.py",
    "hermes-shim": f"{CODE}/bin/hermes",
    "seed/env.example": f"{CODE}/.env.example",
    "seed/cli-config.yaml.example": f"{CODE}/cli-config.yaml.example",
    "seed/SOUL.md": f"{CODE}/docker/SOUL.md",
    "web/index.html": f"{CODE}/hermes_cli/web_dist/index.html",
    "skills/house/read-the-room/SKILL.md": f"{CODE}/skills/house/read-the-room/SKILL.md",
    "skills/house/tidy-notes/SKILL.md": f"{CODE}/skills/house/tidy-notes/SKILL.md",
}

CREATED = "2026-07-20T00:00:00Z"
#: Note in the storage that the push is done.
PUSHED = "pushed.json"


def tags(agent: Agent) -> tuple[str, ...]:
    """The tags of an agent's image; the rebuild's comes last."""
    return (*(["latest"] if agent is NEWEST else []), agent.version, agent.rebuild)


def recipe() -> list[object]:
    """What the images depend on."""
    scripts = {name: (SCRIPTS / name).read_text() for name in PROGRAMS}
    layers = [agent_layers.recipe(agent) for agent in AGENTS]
    return [layers, scripts, sources(__file__, agents.__file__, oci.__file__)]


def build(cache: Cache, progress: Progress) -> Path:
    """Build what is missing and push it into the registry's storage; returns that storage's folder."""

    def make(bench: Workbench) -> Path:
        pushed: list[str] = []
        for agent in AGENTS:
            layers = agent_layers.build(cache, agent, progress)
            progress(f"agent image {agent.version}: scripts and manifest")
            folder = bench.scratch / agent.version
            _Assembly(bench, agent, folder).write(layers, folder / "layout")
            progress(f"agent image {agent.version}: pushing to the registry")
            push(bench, cache.registry, folder / "layout", REPOSITORY, tags(agent))
            pushed += tags(agent)
        done = bench.scratch / PUSHED
        done.write_text(json.dumps({"repository": REPOSITORY, "tags": pushed}) + "\n")
        return done

    # The product is the note that the push is done, kept inside the storage: with the storage, the note is gone too.
    cache.ensure("agent-image", cache.registry / PUSHED, recipe(), make, progress)
    return cache.registry


class _Assembly:
    """What lies on an agent's big layers: the start scripts, and for the rebuild a file with its number."""

    def __init__(self, bench: Workbench, agent: Agent, folder: Path) -> None:
        self._bench = bench
        self._agent = agent
        self._folder = folder

    def write(self, layers: list[oci.Layer], folder: Path) -> None:
        layout = oci.Layout(folder)
        rebuild = self._agent.rebuild
        first = [*layers, self._scripts()]
        second = [*first, self._layer("rebuild", {f"{CODE}/docker/build": f"{rebuild}\n"})]
        # Nobody here can run it; it is there to be passed over by who pulls for this machine.
        other = [self._layer("arm64", {"/etc/architecture": "arm64\n"})]
        for tag in tags(self._agent):
            mine = second if tag == rebuild else first
            config = self._agent.run_config(rebuild if tag == rebuild else self._agent.version)
            if self._agent.multi_arch:
                layout.add_index(tag, [oci.Image(other, config, "arm64"), oci.Image(mine, config)], CREATED)
            else:
                layout.add_image(tag, mine, config, CREATED)

    def _scripts(self) -> oci.Layer:
        """Packed the older way, and with what takes files of the layers below away, as in the official image."""
        files = {target: (SCRIPTS / name).read_text() for name, target in PROGRAMS.items()}
        files |= {f"{CODE}/docker/build": f"{self._agent.version}\n"}
        if self._agent.multi_arch:
            files |= _identity(self._agent)
            files |= {f"{VENV}/{oci.WHITEOUT.format('.lock')}": "", f"{CODE}/skills/{oci.OPAQUE}": ""}
        programs = {PROGRAMS[name] for name in PROGRAMS if (SCRIPTS / name).stat().st_mode & 0o111}
        return self._layer("scripts", files, programs, "gzip" if self._agent.multi_arch else "zstd")

    def _layer(
        self,
        name: str,
        files: dict[str, str],
        programs: set[str] | frozenset[str] = frozenset(),
        compression: oci.Compression = "zstd",
    ) -> oci.Layer:
        root = self._folder / name
        for target, text in files.items():
            rootfs.write(root, target, text, mode=0o755 if target in programs else 0o644)
        return oci.pack_layer(self._bench, root, self._folder / f"{name}.layer", ["."], compression=compression)


def _identity(agent: Agent) -> dict[str, str]:
    """What the official image says of itself: in its code (Hermes 0.22: hermes_cli/version_info.py) and outside of it
    (hermes_cli/image_provenance.py).

    From which commit a repackaging was made it does not say; its own hash takes that place.
    """
    commit = (agent.sha256 or "0" * 40)[:40]
    stamp = {
        "schemaVersion": 2,
        "baseVersion": agent.version,
        "displayVersion": agent.version,
        "distance": 0,
        "commit": commit,
        "distribution": "docker",
        "source": "ci",
        "updateMechanism": "external",
    }
    provenance = {
        "schema": 1,
        "deployment_kind": "image",
        "manager": "docker",
        "image": REPOSITORY,
        "version": agent.version,
        "revision": commit,
    }
    return {
        f"{CODE}/install-stamp.json": json.dumps(stamp) + "\n",
        "/etc/hermes/image-provenance.json": json.dumps(provenance) + "\n",
    }
