"""A node: its files on disk, its runtime, and the one door through which the API daemon and the tools ask it.

`pct`, `pvesh`, `pveum` and the rest are separate processes from the API daemon; on a real node all of them call the
same methods, and so it is here: everything goes through `Node.call`, and all state is in files under `Site.root`.

    node = Node(Site(root=Path("/"), name="gihyeon"), runtime)
    node.call(ROOT, "GET", "/nodes/gihyeon/lxc/118/config", {})
    node.call(ROOT, "PUT", "/nodes/gihyeon/lxc/118/config", {"features": "nesting=1,keyctl=1"})
    node.call(ROOT, "POST", "/nodes/gihyeon/lxc/118/status/start", {}, console=print)   # the task runs here and now
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxhermes.lab.pve.identity import Identity
from proxhermes.lab.pve.runtime import ContainerSpec, Log, Runtime


@dataclass(frozen=True, slots=True)
class Limits:
    """Waits in seconds, as Proxmox has them; tests make them short."""

    auth_delay: float = 3.0
    config_lock: float = 10.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where a node keeps its files (`root` is `/` on the node itself) and what it is called."""

    root: Path
    name: str
    limits: Limits = field(default_factory=Limits)

    def real(self, path: str | Path) -> Path:
        """A path of the node as a path of this machine."""
        return self.root / str(path).lstrip("/")


class Node:
    """See the module's docstring. Safe for several threads and several processes at once."""

    def __init__(self, site: Site, runtime: Runtime) -> None:
        self.site = site
        self.runtime = runtime

    def call(
        self, who: Identity, method: str, path: str, params: Mapping[str, Any], *, console: Log | None = None
    ) -> Any:
        """One API call (`path` relative to /api2/json) and its `data`.

        Raises PveError with what Proxmox says. A call that starts a task returns its UPID at once; with `console`,
        as the command line tools do it, the task runs before the return, its log lines go to `console` as well as to
        its log, and its failure is raised as a PveError.
        """
        raise NotImplementedError

    def spec(self, vmid: int) -> ContainerSpec:
        """What the configuration file says, as the runtime wants it. Raises PveError for an unknown container."""
        raise NotImplementedError

    def apply_pending(self, vmid: int) -> None:
        """Make pending changes part of the configuration: for a guest that rebooted itself (start does it alone)."""
        raise NotImplementedError
