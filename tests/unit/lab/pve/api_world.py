"""What stood around the recorded exchanges: who the askers were, and what the recorder did between them."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from fake_runtime import FakeRuntime

from proxhermes.lab.pve import files
from proxhermes.lab.pve.access import Token, User
from proxhermes.lab.pve.auth import make_ticket
from proxhermes.lab.pve.identity import ROOT
from proxhermes.lab.pve.node import Node
from proxhermes.lab.pve.tasks import parse_upid

OT = "local:vztmpl/debian-12-docker_12.11-1_amd64.tar.gz"
PASSWORD = "a-password-for-tests"
WRONG = "00000000-0000-0000-0000-000000000000"
_REC = "rec@pve"
_ZONE = "/sdn/zones/localnetwork"
_MINIMUM = {
    *("VM.Allocate", "VM.Audit", "VM.Config.CPU", "VM.Config.Disk", "VM.Config.Memory", "VM.Config.Network"),
    *("VM.Config.Options", "VM.PowerMgmt"),
}


@dataclass
class Answer:
    """What came back over HTTP."""

    status: int
    reason: str
    body: Any
    headers: dict[str, str]


@dataclass
class World:
    """A served node, its askers' credentials, and the state that the next recorded step expects."""

    node: Node
    runtime: FakeRuntime
    connection: HTTPConnection
    secrets: dict[str, str] = field(default_factory=dict)
    upids: dict[str, str] = field(default_factory=dict)
    ticket: str = ""
    role: str = ""

    def ask(self, request: dict[str, Any], headers: dict[str, str]) -> Answer:
        """Send a recorded request with these credentials."""
        method, path, params = request["method"], request["path"], request.get("params") or {}
        kind, body = "application/x-www-form-urlencoded", None
        if "raw-body" in request:
            body = request["raw-body"].encode()
        elif request.get("content-type") == "json":
            kind, body = "application/json", json.dumps(params).encode()
        elif method in ("POST", "PUT", "PATCH"):
            body = urlencode(params).encode()
        elif params:
            path += "?" + urlencode(params)
        if body is not None:
            headers = {**headers, "Content-Type": kind}
        self.connection.request(method, "/api2/json" + path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        reason = answer.reason.encode("latin-1").decode()
        return Answer(answer.status, reason, json.loads(text) if is_json else text, dict(answer.getheaders()))

    def credentials(self, who: str, given: dict[str, str]) -> dict[str, str]:
        """The headers of an asker; recorded ones with this node's secrets in them."""
        if given:
            return {name: self._revealed(name, value, who) for name, value in given.items()}
        if who == "none":
            return {}
        if who.endswith("-ticket"):
            ticket = make_ticket(self.node.vault, "root@pam") if who == "root-ticket" else ("", "")
            cookie, csrf = (self.ticket.split("|", 1)) if who == "user-ticket" else ticket
            return {"Cookie": f"PVEAuthCookie={cookie}", "CSRFPreventionToken": csrf}
        names = {"hermes": "hermes@pve!prov", "privsep-token": "hermes@pve!sep", "root-token": "root@pam!test"}
        name = names.get(who) or ("recpool@pve!t1" if who == "pool-token" else "rec@pve!t1")
        return {"Authorization": f"PVEAPIToken={name}={self.secrets.get(name, WRONG)}"}

    def _revealed(self, name: str, value: str, who: str) -> str:
        if name == "Cookie" and who == "root-ticket":
            return value.replace("<secret>", make_ticket(self.node.vault, "root@pam")[0])
        return value.replace("<secret>", self.secrets["hermes@pve!prov"]).replace("<wrong secret>", WRONG)

    # The recorder's own hand

    def found_users(self) -> None:
        """Users, tokens, rules and files as they were before the first exchange."""
        with self.node.changing_users() as users:
            users.pools.clear()
            users.users["root@pam"].tokens["test"] = Token(privsep=False)
            users.users["hermes@pve"].tokens |= {"prov": Token(privsep=False), "sep": Token(privsep=True)}
            # Left over from an earlier recording; the realm does not exist.
            users.users["rec@nosuch"] = User()
        for path, text in {"/etc/resolv.conf": "nameserver 192.0.2.53\n", "/dev/net/tun": "", "/dev/null": ""}.items():
            self.node.site.real(path).parent.mkdir(parents=True, exist_ok=True)
            self.node.site.real(path).write_text(text)
        for name in ("root@pam!test", "hermes@pve!prov", "hermes@pve!sep"):
            self.secrets[name] = self.node.vault.new_token(name)

    def take_role(self, who: str) -> None:
        """Give rec@pve the rights that `role:…` names."""
        if who == self.role:
            return
        self.role = who
        what = who.removeprefix("role:")
        with self.node.changing_users() as users:
            users.roles["RecMin"], users.roles["RecStore"] = set(_MINIMUM), {"Datastore.AllocateSpace"}
            users.roles["RecSDN"] = {"SDN.Use"}
            scoped = what.startswith("RecMin-on-")
            for path in list(users.acl):
                if not (scoped and path.startswith(_ZONE)):
                    users.acl[path].get("user", {}).pop(_REC, None)
            rules = {"/vms": "RecMin", "/storage/local": "RecStore", _ZONE: "RecSDN"}
            if what.startswith("RecMin-without-"):
                users.roles["RecMin"] = _MINIMUM - {what.removeprefix("RecMin-without-")}
            elif what.startswith("storage-only-"):
                users.roles["RecStore"] = {what.removeprefix("storage-only-")} - {"nothing"}
            elif what == "no-sdn":
                del rules[_ZONE]
            elif what.startswith("sdn-on-"):
                del rules[_ZONE]
                rules[what.removeprefix("sdn-on-")] = "RecSDN"
            elif scoped:
                rules = {what.removeprefix("RecMin-on-"): "RecMin", "/storage/local": "RecStore"}
            for path, role in rules.items():
                users.acl.setdefault(path, {}).setdefault("user", {})[_REC] = {role: True}

    def make_pool_user(self) -> None:
        """recpool@pve with rights on a pool, a storage and a zone."""
        with self.node.changing_users() as users:
            users.users["recpool@pve"] = User(tokens={"t1": Token(privsep=False)})
            rules = {"/pool/recpool": "PVEVMAdmin", "/storage/local": "PVEDatastoreUser", _ZONE: "PVESDNUser"}
            for path, role in rules.items():
                users.acl.setdefault(path, {}).setdefault("user", {})["recpool@pve"] = {role: True}
            users.pools["recpool"].comment = "x"
        self.secrets["recpool@pve!t1"] = self.node.vault.new_token("recpool@pve!t1")

    def drop_pool_user(self) -> None:
        """recpool@pve is removed when its scenario is over."""
        self.root("DELETE", "/access/users/recpool@pve")

    def root(self, method: str, path: str, **params: Any) -> Any:
        """A call as root on the node; what it starts is waited for."""
        answer = self.node.call(ROOT, method, path, params)
        if isinstance(answer, str) and answer.startswith("UPID:"):
            self.wait(answer)
        return answer

    def wait(self, upid: str) -> dict[str, Any]:
        """A task's final status."""
        deadline = time.monotonic() + 10
        while (status := self.node.tasks.status(parse_upid(upid)))["status"] == "running":
            assert time.monotonic() < deadline, upid
            time.sleep(0.005)
        return status

    def wait_all(self) -> None:
        """Until no task runs."""
        for upid in self.node.tasks.active():
            self.wait(upid.text)

    def remove(self, vmid: int) -> None:
        """Destroy a container, if there is one."""
        self.wait_all()
        if self.node.containers.exists(vmid):
            self.edit(vmid, {"lock": None, "protection": None})
            self.root("DELETE", f"/nodes/vm/lxc/{vmid}", force=1)

    def edit(self, vmid: int, options: dict[str, str | None]) -> None:
        """Change the configuration file by hand; None drops an option."""
        config = self.node.containers.load(vmid)
        merged = {**config.options, **options}
        self.node.containers.save(vmid, config.changed({n: v for n, v in merged.items() if v is not None}))

    def make_320(self) -> None:
        """The container that root made for the scenarios about privileges."""
        self.remove(320)
        options = {"vmid": 320, "ostemplate": OT, "hostname": "rec-320", "cores": 1, "memory": 512, "swap": 0}
        options |= {"rootfs": "local:4", "net0": "name=eth0,bridge=intra01,ip=dhcp", "onboot": 0}
        options |= {"unprivileged": 1, "features": "nesting=1", "nameserver": "10.1.10.1", "timezone": "UTC"}
        options |= {"searchdomain": "lab.example", "tags": "hermes", "description": "d", "startup": "order=3"}
        self.root("POST", "/nodes/vm/lxc", **options)

    def hot_plug_that_failed(self) -> None:
        """A PUT of net0 that the recording machine's kernel could not carry out left the card pending."""
        config = self.node.containers.load(301)
        options = {name: value for name, value in config.options.items() if name != "net0"}
        waiting = {**config.pending, "net0": "name=eth0,bridge=intra01,ip=10.1.10.237/24,gw=10.1.10.1"}
        self.node.containers.save(301, config.changed(options, pending=waiting))

    @contextmanager
    def lock_held(self, vmid: int, seconds: float | None) -> Iterator[None]:
        """Another process holds the configuration lock, for so long or until the end of the block."""
        path = self.node.site.real(f"/run/lock/lxc/pve-config-{vmid}.lock")
        with path.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            timer = threading.Timer(seconds or 0, lambda: fcntl.flock(stream, fcntl.LOCK_UN))
            if seconds:
                timer.start()
            yield
            if seconds:
                timer.join()

    def released_once_waited_for(self) -> None:
        """Let what is held go on as soon as the next request waits for its lock."""

        def sleep(seconds: float) -> None:
            patch.undo()
            self.runtime.gate.release()
            time.sleep(seconds)

        patch = pytest.MonkeyPatch()
        patch.setattr(files, "time", SimpleNamespace(**{**vars(time), "sleep": sleep}))


def guest_cards(stage: str, hwaddr: str, address: str) -> list[dict[str, Any]]:
    """`ip -j addr` in a guest: `bare`, `link-local`, `addressed`, `docker`."""
    inet = {"family": "inet", "local": address.split("/")[0], "prefixlen": 24}
    local = {"family": "inet6", "local": "fe80::1", "prefixlen": 64}
    loop = [
        {"family": "inet", "local": "127.0.0.1", "prefixlen": 8},
        {"family": "inet6", "local": "::1", "prefixlen": 128},
    ]
    entries = {"bare": [], "link-local": [local]}.get(stage, [inet, local])
    cards = [
        {"ifname": "lo", "address": "00:00:00:00:00:00", "addr_info": [] if stage == "bare" else loop},
        {"ifname": "eth0", "address": hwaddr.lower(), "addr_info": entries},
    ]
    docker = {"family": "inet", "local": "172.17.0.1", "prefixlen": 16}
    last = {"ifname": "docker0", "address": "02:42:f3:73:c1:86", "addr_info": [docker]}
    return [*cards, last] if stage == "docker" else cards
