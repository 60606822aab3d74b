"""What goes wrong at the doors: one clear message, its exit code, and nothing half-done.

What goes wrong with folders, bridges, templates and foreign containers is in test_create.py; inside the guest, in
test_bootstrap.py.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Operator, agent

VMID = 141


@pytest.fixture
def small(operator: Operator) -> Operator:
    """An operator whose only agent is small, and not there yet."""
    operator.write(_small)
    assert operator.lab.run(["pct", "status", str(VMID)], check=False).returncode != 0
    return operator


def _small(document: dict[str, Any]) -> dict[str, Any]:
    entry = agent(document, VMID, memory=512, disk={"size": 4})
    entry.pop("messaging", None)
    return entry


def node(document: dict[str, Any]) -> dict[str, Any]:
    return document["nodes"]["gihyeon"]  # type: ignore[no-any-return]


def refused(operator: Operator, done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One message that holds `words`, no traceback, no container, and no folder on the node."""
    assert done.stderr.count("Error: ") == 1
    for word in words:
        assert word in done.stderr, done.stderr
    assert "→ " in done.stderr or "allowed: " in done.stderr, "it says what to do"
    assert "Traceback" not in done.stderr
    assert operator.lab.run(["pct", "status", str(VMID)], check=False).returncode != 0
    assert operator.lab.run(["ls", f"/mnt/pve/hdd/agent-{VMID}"], check=False).returncode != 0


def test_a_wrong_token(small: Operator) -> None:
    secret = small.folder / "wrong"
    secret.write_text("00000000-0000-0000-0000-000000000000\n")
    secret.chmod(0o600)

    def wrong(document: dict[str, Any]) -> None:
        _small(document)
        node(document)["token_secret"] = {"file": str(secret)}

    small.write(wrong)
    refused(small, small.run("up", code=1), "hermes@pve!proxhermes", "gihyeon")


def test_a_token_whose_rights_come_from_a_pool(small: Operator) -> None:
    lab = small.lab
    lab.run(["pveum", "pool", "add", "agents"])
    lab.run(["pveum", "user", "add", "pooled@pve"])
    for path in ("/pool/agents", "/storage", "/sdn/zones"):
        lab.run(["pveum", "acl", "modify", path, "--users", "pooled@pve", "--roles", "Proxhermes"])
    made = lab.run(["pveum", "user", "token", "add", "pooled@pve", "t1", "--privsep", "0", "--output-format", "json"])
    secret = small.folder / "pooled"
    secret.write_text(json.loads(made.stdout)["value"])
    secret.chmod(0o600)

    def pooled(document: dict[str, Any]) -> None:
        _small(document)["pool"] = "agents"
        node(document).update(token="pooled@pve!t1", token_secret={"file": str(secret)})

    small.write(pooled)
    try:
        small.run("create")
        small.run("create")
    finally:
        small.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data")
        lab.run(["pveum", "user", "delete", "pooled@pve"])
        lab.run(["pveum", "pool", "delete", "agents"])


@pytest.fixture
def poor_token(small: Operator) -> Iterator[Path]:
    """A token that may look and make containers, but neither give them disks nor a network."""
    lab = small.lab
    lab.run(["pveum", "role", "add", "Poor", "--privs", "VM.Audit VM.Allocate VM.Config.CPU VM.Config.Memory"])
    lab.run(["pveum", "user", "add", "poor@pve"])
    lab.run(["pveum", "acl", "modify", "/vms", "--users", "poor@pve", "--roles", "Poor"])
    made = lab.run(["pveum", "user", "token", "add", "poor@pve", "t1", "--privsep", "0", "--output-format", "json"])
    secret = small.folder / "poor"
    secret.write_text(json.loads(made.stdout)["value"])
    secret.chmod(0o600)
    yield secret
    lab.run(["pveum", "user", "delete", "poor@pve"])
    lab.run(["pveum", "role", "delete", "Poor"])


def test_missing_privileges_are_all_named_with_the_way_to_grant_them(small: Operator, poor_token: Path) -> None:
    def poor(document: dict[str, Any]) -> None:
        _small(document)
        node(document).update(token="poor@pve!t1", token_secret={"file": str(poor_token)})

    small.write(poor)
    done = small.run("create", code=1)
    refused(small, done, "VM.Config.Network", "VM.PowerMgmt", "Datastore.AllocateSpace", "SDN.Use", "pveum ")
    grants = [line.strip(" →") for line in done.stderr.splitlines() if line.strip(" →").startswith("pveum ")]
    assert grants
    for line in grants:
        small.lab.run(["sh", "-c", line])
    try:
        small.run("create")
    finally:
        # The role stays: it is the one that the lab's own token has, too.
        small.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data")


def test_an_unknown_host_key_is_shown_and_refused(small: Operator) -> None:
    known = small.folder / "known_hosts"
    known.write_text("")

    def unknown(document: dict[str, Any]) -> None:
        _small(document)
        node(document)["ssh"]["known_hosts"] = str(known)

    small.write(unknown)
    done = small.run("create", code=1)
    refused(small, done, "SHA256:", str(known))
    assert known.read_text() == "", "it recorded nothing by itself"


def test_a_wrong_certificate_is_shown_and_refused(small: Operator) -> None:
    def pinned(document: dict[str, Any]) -> None:
        _small(document)
        node(document)["tls"] = {"fingerprint": ":".join(["00"] * 32)}

    small.write(pinned)
    fingerprint = (small.lab.client / "fingerprint").read_text().strip()
    refused(small, small.run("create", code=1), fingerprint)


def test_a_node_that_is_not_there(small: Operator) -> None:
    def gone(document: dict[str, Any]) -> None:
        _small(document)
        node(document)["api"] = f"https://{small.lab.address}:8999"

    small.write(gone)
    refused(small, small.run("create", code=1), "8999")


def test_a_broken_inventory_names_every_mistake(small: Operator) -> None:
    text = small.inventory.read_text().replace("guest: /data", "guest: /etc").replace("memory: 512", "memroy: 512")
    small.inventory.write_text(text)
    done = small.run("up", code=2)
    refused(small, done, "inventory.yaml:", "memory", "/etc", f"agents.{VMID}.mounts[0].guest")


def test_a_secret_that_is_not_there(small: Operator) -> None:
    def lost(document: dict[str, Any]) -> None:
        _small(document)
        document["litellm"]["api_key"] = {"env": "NO_SUCH_VARIABLE"}

    small.write(lost)
    done = small.run("up", code=2)
    refused(small, done, "NO_SUCH_VARIABLE")


def test_ctrl_c_stops_at_the_next_safe_point_and_says_where(small: Operator) -> None:
    run = small.start("create")
    assert run.stderr is not None
    told = [next(line for line in run.stderr if f"created CT {VMID}" in line)]
    run.send_signal(signal.SIGINT)
    told += run.stderr
    assert run.wait(60) == 130, "".join(told)
    assert "! stopping at the next safe point" in "".join(told)
    assert told[-1].startswith("Error: stopped as asked, after “")
    assert "the same command goes on from here" in told[-1]
    assert "status: stopped" in small.lab.run(["pct", "status", str(VMID)]).stdout
    try:
        small.run("create")
        assert "nothing to change" in small.run("create").stderr
    finally:
        small.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data")


def test_a_foreign_container_is_left_alone(small: Operator) -> None:
    before = small.lab.run(["cat", "/etc/pve/lxc/117.conf"]).stdout
    small.write(lambda document: agent(document, 117))
    for command in (["create"], ["up"], ["destroy", "117", "--yes"]):
        done = small.run(*command, code=1)
        assert "117" in done.stderr
        assert "Traceback" not in done.stderr
    assert small.lab.run(["cat", "/etc/pve/lxc/117.conf"]).stdout == before


def test_an_unknown_agent_and_a_wrong_option(small: Operator) -> None:
    assert f"it has: {VMID}" in small.run("create", "999", code=2).stderr
    assert "No such option" in small.run("create", "--nonsense", code=2).stderr
    small.inventory.unlink()
    assert "inventory" in small.run("create", code=2).stderr
