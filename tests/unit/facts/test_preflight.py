"""Which privileges are missing, all at once: held against what a real node recorded."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proxhermes.errors import PermissionDenied
from proxhermes.facts import preflight
from proxhermes.facts.preflight import Permissions, effective, missing, wanted
from proxhermes.hints import GUEST_PRIVILEGES
from proxhermes.inventory.models import Agent

RECORDINGS = Path(__file__).parents[2] / "data" / "pve-recordings.json"
ZONE = "/sdn/zones/localnetwork"


def agent(**changed: Any) -> Agent:
    plain: dict[str, Any] = {
        "vmid": 118,
        "node": "vm",
        "hostname": "hermes",
        "litellm": {"base_url": "http://10.1.10.22:4000/v1", "api_key": {"env": "KEY"}, "model": "m"},
        "network": {"bridge": "intra01"},
        "disk": {"storage": "local"},
    }
    return Agent.model_validate(plain | changed)


def everything(who: Agent | None = None, download: bool = False) -> tuple[preflight.Need, ...]:
    options = ["hostname", "memory", "swap", "tags", "description", "unprivileged", "features"]
    return wanted(who or agent(), options=options, create=True, download=download, power=True)


def least(vm: str = "/vms", sdn: str = ZONE) -> dict[str, dict[str, int]]:
    return {
        vm: dict.fromkeys(GUEST_PRIVILEGES, 1),
        "/storage/local": {"Datastore.AllocateSpace": 1},
        sdn: {"SDN.Use": 1},
    }


def recorded(scenario: str, who: str) -> Permissions:
    """What a real node answered to `GET /access/permissions` by `who`."""
    for each in json.loads(RECORDINGS.read_text())["scenarios"]:
        for step in each["steps"] if each["name"] == scenario else ():
            if step["as"] == who and step["request"]["path"] == "/access/permissions" and not step["request"]["params"]:
                data: Permissions = step["response"]["body"]["data"]
                return data
    raise LookupError(scenario)


@pytest.mark.parametrize(
    ("scenario", "who"),
    [("privileges-minimal", "role:RecMin"), ("access-permissions", "hermes"), ("access-permissions", "root-token")],
)
def test_a_token_that_could_do_it_lacks_nothing(scenario: str, who: str) -> None:
    assert missing(recorded(scenario, who), everything()) == ()


def test_a_separated_token_lacks_everything() -> None:
    lacking = missing(recorded("access-permissions", "privsep-token"), everything())
    assert lacking == everything()
    assert {need.privilege for need in lacking if need.path == "/vms/118"} == GUEST_PRIVILEGES


@pytest.mark.parametrize("privilege", sorted(GUEST_PRIVILEGES))
def test_each_one_left_out_is_the_one_that_is_named(privilege: str) -> None:
    permissions = least()
    del permissions["/vms"][privilege]
    assert {(need.path, need.privilege) for need in missing(permissions, everything())} == {("/vms/118", privilege)}


def test_the_least_is_enough_wherever_it_is_granted() -> None:
    assert missing(least(), everything()) == ()
    assert missing(least("/vms/118", f"{ZONE}/intra01"), everything()) == ()
    assert missing(least("/vms/119"), everything())[0].path == "/vms/118"
    assert missing(least("/vms", f"{ZONE}/vmbr0"), everything()) == everything()[-1:]


def test_a_pool_will_do_for_an_agent_in_it() -> None:
    assert missing(least("/pool/agents"), everything(agent(pool="agents"))) == ()
    assert missing(least("/pool/other"), everything(agent(pool="agents"))) != ()
    assert missing(least("/pool/agents"), everything()) != ()


def test_a_vnet_of_another_zone_will_do() -> None:
    assert missing(least(sdn="/sdn/zones/office"), everything()) == ()
    assert missing(least(sdn="/sdn/zones/office/intra01"), everything()) == ()
    assert missing(least(sdn="/sdn/zones/office/other"), everything()) != ()


def test_a_vlan_may_be_granted_by_itself() -> None:
    tagged = agent(network={"bridge": "vmbr0", "vlan": 7})
    assert missing(least(sdn=f"{ZONE}/vmbr0/7"), everything(tagged)) == ()
    assert missing(least(sdn=f"{ZONE}/vmbr0/8"), everything(tagged)) != ()


def test_templates() -> None:
    permissions = least() | {"/storage/nas": {"Datastore.Audit": 1}}
    who = agent(template_storage="nas")
    assert missing(permissions, everything(who)) == ()
    volume = agent(template="nas:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst")
    assert everything(volume) == everything(who)
    (need,) = missing(permissions, everything(who, download=True))
    assert (need.path, need.privilege) == ("/storage/nas", "Datastore.AllocateTemplate")


def test_what_exists_needs_only_what_changes() -> None:
    def names(**todo: Any) -> set[str]:
        return {need.privilege for need in wanted(agent(), **todo)}

    assert names() == {"VM.Audit"}
    assert names(options=["cores"]) == {"VM.Audit", "VM.Config.CPU"}
    assert names(options=["net0"]) == {"VM.Audit", "VM.Config.Network", "SDN.Use"}
    assert names(options=["mp0"]) == {"VM.Audit", "VM.Config.Disk"}
    assert names(power=True) == {"VM.Audit", "VM.PowerMgmt"}
    assert names(grow=True) == {"VM.Audit", "VM.Config.Disk", "VM.Config.Options", "Datastore.AllocateSpace"}


def test_no_need_is_named_twice() -> None:
    keys = [(need.path, need.privilege) for need in everything(download=True)]
    assert len(keys) == len(set(keys))


def test_what_a_path_inherits() -> None:
    permissions = {"/": {"VM.Audit": 1, "Sys.Audit": 0}, "/vms/118": {"VM.PowerMgmt": 0}}
    assert effective(permissions, "/") == {"VM.Audit", "Sys.Audit"}
    assert effective(permissions, "/vms/119") == {"VM.Audit"}  # what does not propagate stays above
    assert effective(permissions, "/vms/118") == {"VM.PowerMgmt"}  # its own rule hides the ones above
    assert effective({}, "/vms/118") == frozenset()


class Pve:
    """Answers the one call."""

    name = "gihyeon"
    node = SimpleNamespace(token="hermes@pve!proxhermes")

    def __init__(self, permissions: Permissions) -> None:
        self.permissions = permissions
        self.asked: list[str] = []

    def get(self, path: str) -> Permissions:
        self.asked.append(path)
        return self.permissions


def test_the_error_names_all_and_grants_all() -> None:
    permissions = least()
    del permissions["/vms"]["VM.PowerMgmt"], permissions["/vms"]["VM.Config.CPU"], permissions[ZONE]
    pve = Pve(permissions)
    with pytest.raises(PermissionDenied) as caught:
        preflight.check(pve, everything())  # type: ignore[arg-type]
    assert pve.asked == ["/access/permissions"]
    head, *lines = caught.value.message.splitlines()
    assert head == "the token hermes@pve!proxhermes lacks 3 privileges on gihyeon; nothing was changed:"
    assert lines == [
        "  VM.Config.CPU on /vms/118 to set cores",
        "  VM.PowerMgmt on /vms/118 to start and stop it",
        f"  SDN.Use on {ZONE}/intra01 to join its network",
    ]
    assert caught.value.hint is not None
    assert f"pveum acl modify {ZONE}/intra01 --roles Proxhermes --users hermes@pve" in caught.value.hint
    assert "pveum acl modify /vms/118 " in caught.value.hint


def test_nothing_missing_is_no_error() -> None:
    preflight.check(Pve(least()), everything())  # type: ignore[arg-type]


def test_a_refused_look_names_all_that_is_missing() -> None:
    refusal = PermissionDenied("Permission check failed (/vms/118, VM.Audit)", status=403)
    with pytest.raises(PermissionDenied, match="lacks 10 privileges"), preflight.naming_all(Pve({}), agent()):  # type: ignore[arg-type]
        raise refusal
    with pytest.raises(PermissionDenied, match=r"VM\.Audit") as caught, preflight.naming_all(Pve(least()), agent()):  # type: ignore[arg-type]
        raise refusal
    assert caught.value is refusal
