"""Where a node is: its name, the folder before all its paths, and how long it waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proxhermes.lab.pve.files import locked

_BOOKKEEPING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Waits in seconds, as Proxmox has them; tests make them short."""

    auth_delay: float = 3.0
    config_lock: float = 10.0
    statistics: float = 10.0
    """How often the node takes stock for `/cluster/resources` (pvestatd)."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a node keeps its files (`root` is `/` on the node itself) and what it is called."""

    root: Path
    name: str
    limits: Limits = field(default_factory=Limits)
    interfaces: str = "/etc/network/interfaces"
    version: str = "8.4.21"
    repoid: str = "2606ac850d46da29"
    appliances: str = ""
    """URL of the folder with the appliance index and its templates; empty where there is none to reach."""
    certificate: str = "/etc/pve/local/pve-ssl.pem"

    def real(self, path: str | Path) -> Path:
        """A path of the node as a path of this machine."""
        return self.root / str(path).lstrip("/")

    @contextmanager
    def lock(self, path: str) -> Iterator[None]:
        """A lock of the node's own bookkeeping."""
        with locked(self.real(path), path, _BOOKKEEPING_SECONDS):
            yield
