"""The ways of an agent out of its container, as other people's networks and gateways are: real LiteLLM, real Docker."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from agents import until
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.images.litellm import CONFIG_FILE
from proxhermes.lab.node.lab import Lab
from proxhermes.lab.node.paths import LITELLM_ADDRESS

pytestmark = pytest.mark.soak

VMID = 171
LITELLM = 117
COVERED = "172.18.0.5"
ALIAS = "\nrouter_settings:\n  model_group_alias:\n    team-sonnet: {model: claude-sonnet, hidden: true}\n"
ASKED = ("hermes.litellm-reached", "hermes.litellm-key", "hermes.litellm-model", "hermes.answer")


@pytest.fixture
def someone(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose one agent goes with the test."""
    operator = Operator(lab, tmp_path_factory.mktemp("ways"))
    yield operator
    operator.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def write(operator: Operator, litellm: dict[str, Any] | None = None, **change: Any) -> None:
    def changed(document: dict[str, Any]) -> None:
        agent(document, VMID, **({"messaging": {}} | WITH_DOCKER | change))
        document["litellm"].update(litellm or {})

    operator.write(changed)


def verified(operator: Operator, code: int | None = 0) -> dict[str, str]:
    """Verdicts of what asks LiteLLM, and of the agent's own answer."""
    only = [word for check in ASKED for word in ("--only", check)]
    told = operator.json("verify", *only, code=code)
    (report,) = told["agents"]
    return {check["id"]: check["verdict"] for check in report["checks"]}


@contextmanager
def configured(lab: Lab, more: str) -> Iterator[None]:
    """LiteLLM with `more` in its configuration."""
    before = lab.guest(LITELLM, ["cat", CONFIG_FILE]).stdout

    def restart(text: str) -> None:
        lab.guest(LITELLM, ["tee", CONFIG_FILE], stdin=text)
        lab.guest(LITELLM, ["systemctl", "restart", "litellm"])
        alive = ["curl", "-fsS", "-m", "2", "http://127.0.0.1:4000/health/liveliness"]
        until(lambda: lab.guest(LITELLM, alive, check=False).returncode == 0, lambda: "LiteLLM")

    try:
        restart(before + more)
        yield
    finally:
        restart(before)


@contextmanager
def reached_at(lab: Lab, address: str) -> Iterator[None]:
    """LiteLLM at another address behind the guests' default gateway."""
    rules = (
        ["PREROUTING", "-d", address, "-p", "tcp", "--dport", "4000", "-j", "DNAT", "--to", f"{LITELLM_ADDRESS}:4000"],
        ["POSTROUTING", "-d", LITELLM_ADDRESS, "-p", "tcp", "--dport", "4000", "-j", "MASQUERADE"],
    )
    for rule in rules:
        lab.run(["iptables", "-t", "nat", "-I", *rule])
    try:
        yield
    finally:
        for rule in rules:
            lab.run(["iptables", "-t", "nat", "-D", *rule])


def test_a_hidden_alias_is_served_and_a_model_that_is_none_is_refused(someone: Operator) -> None:
    with configured(someone.lab, ALIAS):
        write(someone, {"model": "team-sonnet"})
        someone.run("up", "--no-verify")
        assert set(verified(someone).values()) == {"pass"}
        write(someone, {"model": "team-sonet"})
        refused = someone.run("plan", code=1).stderr
        assert "no model 'team-sonet'" in refused and "claude-sonnet" in refused


def test_a_litellm_in_dockers_own_networks_is_not_covered(someone: Operator) -> None:
    with reached_at(someone.lab, COVERED):
        write(someone, {"base_url": f"http://{COVERED}:4000/v1"})
        someone.run("up", "--no-verify")
        assert set(verified(someone).values()) == {"pass"}
        shown = someone.guest("ip -o -4 route show", vmid=VMID)
        networks = [
            ipaddress.ip_network(line.split()[0]) for line in shown.splitlines() if not line.startswith("default")
        ]
        assert not any(ipaddress.ip_address(COVERED) in network for network in networks)
        assert someone.run("plan").returncode == 0


def test_a_network_that_covers_it_already_is_exchanged(someone: Operator) -> None:
    write(someone)
    someone.run("up", "--no-verify")
    inspect = "docker network inspect hermes_default --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}'"
    covering = ipaddress.ip_network(someone.guest(inspect, vmid=VMID).strip())
    address = str(covering[5])
    with reached_at(someone.lab, address):
        write(someone, {"base_url": f"http://{address}:4000/v1"})
        someone.run("up", "--no-verify")
        assert not ipaddress.ip_network(someone.guest(inspect, vmid=VMID).strip()).overlaps(covering)
        assert set(verified(someone).values()) == {"pass"}
        (planned,) = someone.json("plan", code=None)["agents"]
        assert planned["changes"] == []


def test_addresses_of_both_families_and_a_gateway_outside_the_network(someone: Operator) -> None:
    network = {
        "bridge": "intra01", "ip": "203.0.113.7/32", "gateway": "10.1.10.1", "ip6": "fd00:10::50/64", "hwaddr": None,
    }  # fmt: skip
    write(someone, network={key: value for key, value in network.items() if value})
    someone.run("create")
    shown = someone.guest("ip -o address show dev eth0; ip -4 route", vmid=VMID)
    assert "203.0.113.7/32" in shown and "fd00:10::50/64" in shown and "default via 10.1.10.1" in shown
    (found,) = json.loads(someone.run("verify", "--only", "container.address", "--json").stdout)["agents"]
    assert found["checks"][0]["verdict"] == "pass"


def test_a_mirror_and_a_proxy_are_there_before_apt_is_asked(someone: Operator) -> None:
    """Neither exists, so that apt fails for them, and for nothing else."""
    guest = {"http_proxy": "http://10.1.10.250:3128", "apt_mirror": "http://10.1.10.251/debian"}
    write(someone, template="debian-13", guest=guest)
    someone.run("create")
    failed = someone.run("bootstrap", code=1, timeout=900).stderr
    assert "apt" in failed and "Traceback" not in failed
    conf = someone.guest("cat /etc/apt/apt.conf.d/50proxhermes; cat /var/lib/proxhermes/apt/mirror", vmid=VMID)
    assert 'Proxy "http://10.1.10.250:3128"' in conf and conf.endswith("http://10.1.10.251")
