"""Podman's configuration: three files of proxhermes' own, in folders where Podman and systemd look for more of it.

Checked with Podman 5.4 of Debian 13 in an unprivileged container.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from proxhermes.inventory.guest import Guest, variables
from proxhermes.inventory.models import Engine
from proxhermes.inventory.runtime import ContainedRuntime

CONTAINERS: Final = "/etc/containers/containers.conf.d/50-proxhermes.conf"
REGISTRIES: Final = "/etc/containers/registries.conf.d/50-proxhermes.conf"
RESTART: Final = "/etc/systemd/system/podman-restart.service.d/50-proxhermes.conf"
LOG_DRIVERS: Final = {"local": "k8s-file", "json-file": "k8s-file", "journald": "journald", "none": "none"}
"""Docker's log drivers -> Podman's. `json-file` is a name for `k8s-file` there; syslog it has none for."""
IPTABLES: Final = 'firewall_driver = "iptables"'
_HEADER: Final = "# Written by proxhermes: changes here are lost. Yours go into a file with a higher number.\n"
_LOG_BYTES: Final = 100 * 1024 * 1024  # what Docker's `local` keeps: five files of 20 MB


def containers(engine: Engine, guest: Guest, *, iptables: bool, network: Sequence[str] = ()) -> str:
    """The text of CONTAINERS. iptables: write rules where Docker writes its own, which else drop all of Podman's.

    guest: the proxy through which it pulls. network: lines about its networks' addresses.
    """
    lines = [
        "[containers]",
        "# As with Docker, no bound on processes but the Proxmox container's own.",
        "pids_limit = 0",
        f'log_driver = "{LOG_DRIVERS[engine.log_driver]}"',
    ]
    if engine.log_driver == "local":
        lines.append(f"log_size_max = {_LOG_BYTES}")
    lines += [
        "",
        "[engine]",
        "# The compose that Docker has: it knows by itself whether a service has changed.",
        'compose_providers = ["/usr/bin/docker-compose"]',
        "compose_warning_logs = false",
    ]
    if proxy := variables(guest):
        lines.append(f"env = {json.dumps([f'{name}={value}' for name, value in proxy.items()])}")
    if iptables or network:
        lines += ["", "[network]", *([IPTABLES] if iptables else []), *network]
    return _HEADER + "\n".join(lines) + "\n"


def registries(engine: Engine) -> str:
    """The text of REGISTRIES: Docker Hub with its mirrors, asked first and in this order."""
    text = _HEADER + '[[registry]]\nlocation = "docker.io"\n'
    for mirror in engine.registry_mirrors:
        url = urlsplit(str(mirror))
        text += f'\n[[registry.mirror]]\nlocation = "{url.netloc}{url.path.rstrip("/")}"\n'
        text += "insecure = true\n" if url.scheme == "http" else ""
    return text


def restart(seconds: int) -> str:
    """The text of RESTART: at boot, Podman 5 starts containers with `restart: always` alone, and it ends no others.

    seconds: that systemd waits for them to end when the guest shuts down.

    `unless-stopped` then means the same: Podman does not tell who stopped a container.
    """
    policy = "--all --filter restart-policy=unless-stopped"
    return (
        f"{_HEADER}[Service]\nExecStart=/usr/bin/podman $LOGGING start {policy}\n"
        f"ExecStop=/usr/bin/podman $LOGGING stop {policy}\nTimeoutStopSec={seconds}\n"
    )


def image(runtime: ContainedRuntime) -> str:
    """The name of the runtime's image that its engine understands."""
    return qualified(runtime.image) if runtime.engine == "podman" else runtime.image


def qualified(name: str) -> str:
    """An image's full name: Podman has no Docker Hub that a short one would mean.

    A first part with a dot or a port, or `localhost`, is a registry (as Docker reads names).
    """
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"
