"""An agent that goes over to another runtime: one home, one gateway, and nothing lost, wherever the run was killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from conftest import WITH_DOCKER, Operator, agent

VMID = 163
DATA = "/opt/hermes/data"
STATE = "/var/lib/hermes"
APART = {"home": f"{STATE}/.hermes", "user_home": f"{STATE}/home", "workspace": f"{STATE}/workspace"}
PLACES = {
    "docker": {"home": DATA, "user_home": f"{DATA}/home", "workspace": f"{DATA}/workspace"},
    "native": APART,
    "persistent": APART,
}
UNIT = "systemctl is-enabled hermes-agent.service"
CONTAINER = "docker inspect hermes"
GATEWAYS = "ps -eo args | grep -c '[h]ermes gateway run' || :"


@pytest.fixture(scope="module")
def traveller(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator with an agent under Docker, which has something of its own in each of its folders."""
    someone = Operator(lab, tmp_path_factory.mktemp("runtimes"))
    write(someone, "docker")
    someone.run("up", "--no-verify")
    for name, folder in PLACES["docker"].items():
        as_agent = "setpriv --reuid 10000 --regid 10000 --clear-groups"
        guest(someone, f"{as_agent} sh -c 'echo my own >{folder}/kept-{name}'")
    yield someone
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def write(operator: Operator, kind: str, **options: Any) -> None:
    operator.write(lambda document: mine(document, kind, options))


def mine(document: dict[str, Any], kind: str, options: dict[str, Any]) -> None:
    agent(document, VMID, **WITH_DOCKER, messaging={}, runtime={"type": kind, **options})


guest = partial(Operator.guest, vmid=VMID)


def changes(operator: Operator) -> list[str]:
    (result,) = operator.json("bootstrap")["agents"]
    return [change["subject"] for change in result["changes"]]


def settled(operator: Operator, kind: str) -> None:
    """All is where it should be, once, and the next run finds nothing to do."""
    for name, folder in PLACES[kind].items():
        assert guest(operator, f"cat {folder}/kept-{name}") == "my own\n"
        assert guest(operator, f"stat -c %u:%g {folder}").strip() == "10000:10000"
    homes = {places["home"] for places in PLACES.values()}
    there = [home for home in sorted(homes) if guest(operator, f"test -e {home} && echo yes || :")]
    assert there == [PLACES[kind]["home"]]
    assert guest(operator, f"test -e {PLACES[kind]['home']}/state.db && echo there").strip() == "there"
    assert guest(operator, GATEWAYS).strip() == "1"
    assert changes(operator) == []


def has(operator: Operator, service: str) -> bool:
    return guest(operator, f"{service} >/dev/null 2>&1 && echo yes || :").strip() == "yes"


def test_to_native_killed_on_the_way(traveller: Operator) -> None:
    killed_on_the_way(traveller, "native", f"test -e {STATE}/.hermes")


def test_from_native_to_persistent_the_folders_stay(traveller: Operator) -> None:
    write(traveller, "persistent")
    assert "HERMES_HOME" not in changes(traveller)
    settled(traveller, "persistent")
    assert has(traveller, CONTAINER)
    assert not has(traveller, UNIT)


def test_and_back_killed_on_the_way(traveller: Operator) -> None:
    killed_on_the_way(traveller, "docker", f"test ! -e {STATE}/.hermes")


def killed_on_the_way(traveller: Operator, kind: str, moment: str) -> None:
    """Go over to another runtime, end the run and its script once `moment` has come, and run again."""
    write(traveller, kind)
    run = traveller.start("bootstrap")
    deadline = time.monotonic() + 300
    while guest(traveller, f"{moment} && echo now || :").strip() != "now":
        assert time.monotonic() < deadline, "the home did not move"
        assert run.poll() is None, "".join(run.communicate())
    guest(traveller, "pkill -KILL -f '[g]uest-hermes.sh' || :")
    run.send_signal(signal.SIGKILL)
    run.communicate()
    changes(traveller)
    settled(traveller, kind)
    assert not has(traveller, {"docker": UNIT, "native": CONTAINER}[kind])


def test_two_homes_are_refused_and_the_agent_goes_on(traveller: Operator) -> None:
    guest(traveller, f"mkdir -p {STATE}/.hermes; echo another >{STATE}/.hermes/SOUL.md")
    write(traveller, "native")
    done = traveller.run("bootstrap", code=1)
    assert f"{STATE}/.hermes is there already" in done.stderr
    assert guest(traveller, GATEWAYS).strip() == "1"
    guest(traveller, f"rm -r {STATE}/.hermes")
    write(traveller, "docker")
    settled(traveller, "docker")
