"""Podman in the guest, with the compose that Docker has: what is missing there. Pure.

Debian's docker-compose speaks to Podman's socket as it does to Docker's. podman-compose, the other one that Podman
knows, is a program with rules of its own for what it makes anew, and brings Python along.
"""

from __future__ import annotations

from typing import Final

from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes import podman
from proxhermes.hermes.files import decoded
from proxhermes.inventory import stopping
from proxhermes.inventory.models import Agent, Engine
from proxhermes.inventory.runtime_rules import PODMAN_ON_DEBIAN
from proxhermes.plan import pools
from proxhermes.plan.engine_model import EnginePlan, change, newer_than, silent
from proxhermes.plan.model import Change, Effect

_PACKAGES: Final = ("podman", "docker-compose", "aardvark-dns", "catatonit", "nftables", "ca-certificates", "curl")
"""aardvark-dns: names in compose's networks; catatonit: `init: true`; nftables: the network; curl: asks the gateway."""
_ASKED: Final = tuple(name for name in _PACKAGES if name != "ca-certificates")


def plan_podman(agent: Agent, facts: GuestFacts | None) -> EnginePlan:
    """The difference between the Podman that is wanted and the one that is. facts: None for a container not made yet.

    Raises Refused for a guest that is not Debian 13 or later.
    """
    if facts is None:
        pools.of(agent, GuestFacts())  # what is declared wrongly is told before the container is made
        return EnginePlan((change("Podman", None, "distro, running", Effect.NONE),))
    if facts.os_id != "debian" or not newer_than(facts.os_version, PODMAN_ON_DEBIAN):
        system = f"{facts.os_id or 'an unknown system'} {facts.os_version}".strip()
        raise Refused(
            f"CT {agent.vmid} runs {system}; Podman is set up on Debian {PODMAN_ON_DEBIAN} and later",
            hint="runtime.engine: docker, or a template of Debian 13",
        )
    packages, changes = _packages(facts)
    files = {}
    for name, path, text, says in _wanted(agent, facts):
        existing = facts.content(name)
        if existing is None or decoded(existing, path) != text:
            changes.append(change(path, None if existing is None else "other content", says, Effect.NONE))
            files[f"{name}.conf"] = text.encode()
    changes += _state(facts)
    notes = (_VFS,) if facts.podman and facts.podman.driver == "vfs" else ()
    return EnginePlan(tuple(changes), "distro" if packages else "none", packages, files, notes)


_VFS: Final = (
    "Podman uses the storage driver vfs, which copies the whole image for every layer and container: the root "
    "disk is on a file system that carries no overlay (ZFS before 2.2?); LVM-thin or ext4 below would do"
)


def _packages(facts: GuestFacts) -> tuple[tuple[str, ...], list[Change]]:
    if facts.podman is None:
        return _PACKAGES, [change("Podman", None, f"distro: {' '.join(_PACKAGES)}", Effect.NONE)]
    missing = tuple(name for name in _ASKED if name not in facts.packages)
    return missing, [change(f"package {name}", None, "installed", Effect.NONE) for name in missing]


def _wanted(agent: Agent, facts: GuestFacts) -> tuple[tuple[str, str, str, str], ...]:
    """The files: their names in the facts and (with .conf) in the bundle, their paths, texts, and what they say."""
    engine, seconds = agent.engine, stopping.engine(stopping.gateway(agent))
    # Docker drops what is forwarded and not its own, in tables that Podman's own kind of rule does not come by. Once
    # rules are written there, they are taken away there, too: the driver stays.
    beside = facts.docker is not None or podman.IPTABLES.encode() in (facts.content("containers") or b"")
    chosen = pools.of(agent, facts)
    text = podman.containers(engine, agent.guest, iptables=beside, network=pools.podman(chosen) if chosen else ())
    files = [
        ("containers", podman.CONTAINERS, text, _says(engine, beside, chosen)),
        ("restart", podman.RESTART, podman.restart(seconds), f"starts what is not stopped at boot, {seconds} s to end"),
    ]
    if engine.registry_mirrors or facts.content("registries") is not None:
        mirrors = " ".join(str(mirror) for mirror in engine.registry_mirrors)
        files.append(("registries", podman.REGISTRIES, podman.registries(engine), mirrors or "no mirror"))
    return tuple(files)


def _says(engine: Engine, beside: bool, chosen: pools.Pools | None) -> str:
    says = [f"log driver {podman.LOG_DRIVERS[engine.log_driver]}"]
    says += ["network rules beside Docker's"] if beside else []
    says += [f"networks out of {', '.join(map(str, chosen.bases))}"] if chosen else []
    return ", ".join(says)


def _state(facts: GuestFacts) -> list[Change]:
    """What does not run, or would not after a boot."""
    changes = []
    if facts.dpkg_broken:
        changes.append(change("dpkg", "an installation was cut off", "finished", Effect.NONE))
    if facts.podman and not facts.podman.server:
        changes.append(change("podman", silent(facts.podman), "answers", Effect.NONE))
    elif facts.podman and not facts.podman.enabled:
        before = "not started at boot"
        changes.append(change("podman.socket, podman-restart.service", before, "started at boot", Effect.NONE))
    return changes
