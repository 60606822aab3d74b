"""Docker in the guest: what is missing there, and where it is taken from. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, Literal

from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes import daemon, masks
from proxhermes.hermes.files import decoded
from proxhermes.hermes.merge import ABSENT
from proxhermes.inventory import stopping
from proxhermes.inventory.models import Agent
from proxhermes.plan import pools
from proxhermes.plan.engine_model import EnginePlan, change, newer_than, silent
from proxhermes.plan.model import Change, Effect

Source = Literal["distro", "docker-ce"]

# By the distribution's release from which on its own packages bring compose v2.
_DISTRO: Final = {
    "debian": (13, ("docker.io", "docker-cli", "docker-compose")),
    "ubuntu": (22.04, ("docker.io", "docker-compose-v2")),
}
_DOCKER_CE: Final = ("docker-ce", "docker-ce-cli", "containerd.io", "docker-compose-plugin")
# apparmor: without its parser, Docker starts no container on a node with AppArmor. curl: asks the gateway and LiteLLM.
_COMMON: Final = ("apparmor", "ca-certificates", "curl")


def plan_docker(agent: Agent, facts: GuestFacts | None) -> EnginePlan:
    """The difference between the Docker that is wanted and the one that is. facts: None for a container not made yet.

    Raises Refused for a guest that no Docker comes for, UnusableFile for a daemon.json that cannot be read.
    """
    if facts is None:
        pools.of(agent, GuestFacts())  # what is declared wrongly is told before the container is made
        return EnginePlan((change("Docker", None, f"{agent.engine.source}, running", Effect.NONE),))
    source, packages, changes = _packages(agent, facts)
    existing = facts.content("daemon")
    chosen = pools.of(agent, facts)
    wanted = daemon.wanted(agent.engine, agent.guest) | (pools.daemon(chosen) if chosen else {})
    update = daemon.update(None if existing is None else decoded(existing, daemon.NAME), wanted)
    server = facts.docker.server if facts.docker else None
    effect = Effect.RESTART_SERVICE if server else Effect.NONE
    for found in update.differences:
        changes.append(
            change(f"daemon.json: {'.'.join(found.path)}", _shown(found.before), _shown(found.after), effect)
        )
    files = {"daemon.json": update.text.encode()} if update.differences else {}
    seconds, unit = stopping.engine(stopping.gateway(agent)), facts.content("docker_unit")
    if unit is None or decoded(unit, daemon.UNIT) != daemon.unit(seconds):
        before = None if unit is None else "other content"
        changes.append(change(daemon.UNIT, before, f"{seconds} s for the containers to end", Effect.NONE))
        files["docker.conf"] = daemon.unit(seconds).encode()
    if facts.dpkg_broken:
        changes.append(change("dpkg", "an installation was cut off", "finished", Effect.NONE))
    if facts.docker and not server:
        changes.append(change("docker.service", silent(facts.docker), "running", Effect.NONE))
    elif facts.docker and not facts.docker.enabled:
        changes.append(change("docker.service", "not started at boot", "started at boot", Effect.NONE))
    return EnginePlan(
        tuple(changes),
        source if packages else "none",
        packages,
        files,
        tuple(_notes(facts)),
    )


def _packages(agent: Agent, facts: GuestFacts) -> tuple[Source, tuple[str, ...], list[Change]]:
    """Where Docker comes from, what of it is missing, and the changes for it."""
    installed = _installed(facts)
    wanted = agent.engine.source
    changes: list[Change] = []
    if installed and wanted not in ("auto", installed):
        changes.append(
            change(
                "Docker", installed, wanted, Effect.NONE, blocked="remove the other one's packages in the guest first"
            )
        )
    source = installed or _source(agent, facts)
    if facts.docker is None:
        packages = (*(_DISTRO[facts.os_id][1] if source == "distro" else _DOCKER_CE), *_COMMON)
        return source, packages, [*changes, change("Docker", None, f"{source}: {' '.join(packages)}", Effect.NONE)]
    missing: list[str] = []
    if facts.docker.server and not facts.docker.compose:
        missing += ["docker-compose-plugin"] if source == "docker-ce" else [_distro(facts)[-1]]
    if "curl" not in facts.packages:
        missing.append("curl")
    changes += [change(f"package {name}", None, "installed", Effect.NONE) for name in missing]
    return source, tuple(missing), changes


def _installed(facts: GuestFacts) -> Source | None:
    if "docker-ce" in facts.packages:
        return "docker-ce"
    return "distro" if "docker.io" in facts.packages else None


def _source(agent: Agent, facts: GuestFacts) -> Source:
    """`auto`: the distribution's where it brings compose v2."""
    if facts.os_id not in _DISTRO:
        raise Refused(
            f"CT {agent.vmid} runs {facts.os_id or 'an unknown system'}; Docker is installed on Debian and Ubuntu",
            hint="another template, or install Docker and its compose plugin in the container yourself",
        )
    if agent.engine.source != "auto":
        if agent.engine.source == "distro":
            _distro(facts)
        return agent.engine.source
    return "distro" if _has_compose(facts) else "docker-ce"


def _distro(facts: GuestFacts) -> tuple[str, ...]:
    """The distribution's packages. Raises Refused where they bring no compose v2."""
    if not _has_compose(facts):
        raise Refused(
            f"the packages of {facts.os_id} {facts.os_version} bring no compose v2, which proxhermes needs",
            hint="engine.source: auto (or docker-ce), or a newer template",
        )
    return _DISTRO[facts.os_id][1]


def _has_compose(facts: GuestFacts) -> bool:
    return facts.os_id in _DISTRO and newer_than(facts.os_version, _DISTRO[facts.os_id][0])


def _notes(facts: GuestFacts) -> Iterable[str]:
    if facts.docker and facts.docker.driver == "vfs":
        yield (
            "Docker uses the storage driver vfs, which copies the whole image for every layer and container: the root "
            "disk is on a file system that carries no overlay (ZFS before 2.2?); LVM-thin or ext4 below would do"
        )


def _shown(value: object) -> str | None:
    return None if value is ABSENT else json.dumps(masks.masked(value), ensure_ascii=False)
