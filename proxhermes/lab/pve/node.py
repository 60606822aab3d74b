"""A node: its files on disk, its runtime, and the one door through which the API daemon and the tools ask it.

`pct`, `pvesh`, `pveum` and the rest are separate processes from the API daemon; on a real node all of them call the
same methods, and so it is here: everything goes through `Node.call`, and all state is in files under `Site.root`.

    node = Node(Site(root=Path("/"), name="gihyeon"), runtime)
    node.call(ROOT, "GET", "/nodes/gihyeon/lxc/118/config", {})
    node.call(ROOT, "PUT", "/nodes/gihyeon/lxc/118/config", {"features": "nesting=1,keyctl=1"})
    node.call(ROOT, "POST", "/nodes/gihyeon/lxc/118/status/start", {}, console=print)   # the task runs here and now
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from proxhermes.lab.pve import access, api_access, api_cluster, api_lxc, api_nodes, api_storage, api_tasks
from proxhermes.lab.pve.access import UserConfig
from proxhermes.lab.pve.api import Listing, Request, Router
from proxhermes.lab.pve.auth import Vault
from proxhermes.lab.pve.change import Changer
from proxhermes.lab.pve.cli.getopt import Kind
from proxhermes.lab.pve.containers import Containers
from proxhermes.lab.pve.create import Creator
from proxhermes.lab.pve.disks import Disks
from proxhermes.lab.pve.errors import PveError
from proxhermes.lab.pve.files import read_text, write_text
from proxhermes.lab.pve.identity import Identity
from proxhermes.lab.pve.lifecycle import Lifecycle
from proxhermes.lab.pve.rights import Rights
from proxhermes.lab.pve.runtime import ContainerSpec, Log, Runtime
from proxhermes.lab.pve.schema import INDEXED, check
from proxhermes.lab.pve.site import Limits, Site
from proxhermes.lab.pve.status import container_status
from proxhermes.lab.pve.storage import Storages
from proxhermes.lab.pve.tasks import Tasks

__all__ = ["Limits", "Node", "Site"]

ROUTER = Router.of(
    [
        *api_access.METHODS,
        *api_cluster.METHODS,
        *api_lxc.METHODS,
        *api_nodes.METHODS,
        *api_storage.METHODS,
        *api_tasks.METHODS,
    ]
)


class Node:
    """See the module's docstring. Safe for several threads and several processes at once."""

    def __init__(self, site: Site, runtime: Runtime) -> None:
        self.site = site
        self.runtime = runtime
        self.storages = Storages(site)
        self.containers = Containers(site, self.storages)
        self.tasks = Tasks(site)
        self.vault = Vault(site)
        self.disks = Disks(self.storages, runtime)
        self.changer = Changer(self.containers, self.disks, runtime)
        self.creator = Creator(self.changer, self._join_pool)
        self.lifecycle = Lifecycle(self.changer, self._forget)
        self.notice: Log | None = None
        """Hears what a call without a task says while it works (`trying to acquire lock...`): the tools' stderr."""
        self._observed: dict[int, dict[str, Any]] | None = None

    def call(
        self, who: Identity, method: str, path: str, params: Mapping[str, Any], *, console: Log | None = None
    ) -> Any:
        """One API call (`path` relative to /api2/json) and its `data`.

        Raises PveError with what Proxmox says. A call that starts a task returns its UPID at once; with `console`,
        as the command line tools do it, the task runs before the return, its log lines go to `console` as well as to
        its log, and its failure is raised as TaskFailed.
        """
        answer = self.answer(who, method, path, params, console=console)
        return answer.data if isinstance(answer, Listing) else answer

    def answer(
        self, who: Identity, verb: str, path: str, params: Mapping[str, Any], *, console: Log | None = None
    ) -> Any:
        """As `call`, but a Listing keeps its total and a Text says that it is text."""
        path = "/" + path.strip("/")
        method, in_path = ROUTER.find(verb, path)
        given = {**params, **in_path}
        request = Request(self, Rights(who, self.users()), given, console)
        if console is None:
            # The tools call the methods themselves; only the API daemon asks first whether that is allowed.
            method.check_allowed(request)
        target = in_path.get("node", "localhost")
        if target not in (self.site.name, "localhost"):
            reason = f"failed to get address info for: {target}: Name or service not known"
            raise PveError(f"hostname lookup '{target}' failed - {reason}")
        checked = check(given, method.table)
        return method.handler(Request(self, request.rights, checked, console))

    def template(self, verb: str, path: str) -> str | None:
        """The path as the API names it (`/nodes/{node}/lxc`) of what a call would reach; None when nothing."""
        try:
            return ROUTER.find(verb, "/" + path.strip("/"))[0].path
        except PveError:
            return None

    def options(self, verb: str, template: str) -> dict[str, Kind]:
        """The parameters of a method as options of a command line tool, indexed ones one by one."""
        method = ROUTER.get(verb, template)
        found: dict[str, Kind] = {}
        for name, param in (method.table if method else {}).items():
            kind = Kind.BOOLEAN if param.kind == "boolean" else Kind.VALUE
            if (param.format or "").endswith("-list"):
                kind = Kind.LIST
            base = name.removesuffix("[n]")
            names = [name] if base == name else [f"{base}{number}" for number in range(INDEXED[base])]
            found |= dict.fromkeys(names, kind)
        return found

    def fingerprint(self) -> str:
        """The SHA-256 fingerprint of the API's certificate; empty when there is none."""
        path = self.site.real(self.site.certificate)
        if not path.exists():
            return ""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).digest().hex(":").upper()

    def users(self) -> UserConfig:
        """Users, roles and rules as they stand now."""
        return access.parse(read_text(self.site.real("/etc/pve/user.cfg")))

    @contextmanager
    def changing_users(self) -> Iterator[UserConfig]:
        """Change users, roles and rules: what the block does to the value is written when it ends well."""
        with self.site.lock("/run/lock/pve-user.cfg.lock"):
            users = self.users()
            yield users
            write_text(self.site.real("/etc/pve/user.cfg"), access.render(users))

    def spec(self, vmid: int) -> ContainerSpec:
        """What the configuration file says, as the runtime wants it. Raises PveError for an unknown container."""
        return self.containers.spec(vmid, self.containers.load(vmid))

    def observe(self) -> None:
        """Take stock of all containers, as pvestatd does every ten seconds, for `/cluster/resources`."""
        seen = {}
        for vmid in self.containers.ids():
            try:
                config = self.containers.load(vmid)
            except PveError:
                continue  # destroyed meanwhile
            if config.get("lock") != "create":
                seen[vmid] = container_status(self, vmid, config)
        self._observed = seen

    def observed(self, vmid: int) -> dict[str, Any] | None:
        """What the last stock-taking saw of a container; the first one happens when it is first asked for."""
        if self._observed is None:
            self.observe()
        return (self._observed or {}).get(vmid)

    def _join_pool(self, pool: str, vmid: int) -> None:
        with self.changing_users() as users:
            if pool in users.pools:
                users.pools[pool].vms.add(vmid)

    def _forget(self, vmid: int) -> None:
        with self.changing_users() as users:
            for pool in users.pools.values():
                pool.vms.discard(vmid)
            users.forget_path(f"/vms/{vmid}")
        if self._observed:
            self._observed.pop(vmid, None)
