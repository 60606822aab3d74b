"""Which networks the engine in the guest may have: none that the agent has to reach."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxhermes.errors import Refused
from proxhermes.facts.guest import Docker, File, GuestFacts, parse
from proxhermes.hermes.daemon import unit
from proxhermes.inventory import named
from proxhermes.plan import compose, pools
from proxhermes.plan.engine import plan_engine

PODMAN = {"runtime": {"engine": "podman"}}
ROUTES = (("10.1.10.0/24", "eth0"), ("172.17.0.0/16", "docker0"), ("172.18.0.0/16", "br-0123456789ab"))


def at(make_agent: Any, url: str = "http://172.18.0.5:4000/v1", **more: Any) -> Any:
    given = make_agent().litellm.model_dump(exclude_none=True)
    return make_agent(litellm={**given, "base_url": url}, **more)


def guest(**more: Any) -> GuestFacts:
    text = {"daemon": '{"log-driver": "local"}', "docker_unit": unit(90)}
    files = {name: File(0, 0, 0o644, "regular file", content.encode()) for name, content in text.items()}
    settled = {
        "os_id": "debian", "os_version": "13", "packages": {"docker.io": "26.1.5", "curl": "8"}, "files": files,
        "docker": Docker("26.1.5", "overlay2", "2.26.1", True), "routes": ROUTES,
    }  # fmt: skip
    return GuestFacts(**(settled | more))


def daemon(agent: Any, facts: GuestFacts) -> dict[str, Any] | None:
    content = plan_engine(agent, facts).files.get("daemon.json")
    return json.loads(content) if content else None


def after(facts: GuestFacts, settings: dict[str, Any]) -> GuestFacts:
    file = File(0, 0, 0o644, "regular file", json.dumps(settings).encode())
    return replace(facts, files={**facts.files, "daemon": file})


def test_the_engine_chooses_where_nothing_is_in_its_way(make_agent: Any) -> None:
    assert pools.of(make_agent(), guest()) is None
    assert plan_engine(make_agent(), guest()).changes == ()
    assert pools.of(make_agent(runtime={"type": "native"}), guest()) is None


def test_a_litellm_in_dockers_own_networks_is_not_covered(make_agent: Any) -> None:
    agent = at(make_agent)
    written = daemon(agent, guest())
    assert written == {
        "log-driver": "local",
        "bip": "172.31.0.1/24",
        "default-address-pools": [{"base": "172.31.0.0/16", "size": 24}],
    }
    document = yaml.safe_load(compose.rendered(agent, guest()))
    assert document["networks"] == {"default": {"ipam": {"config": [{"subnet": "172.31.1.0/24"}]}}}
    assert plan_engine(agent, after(guest(), written)).changes == ()


@pytest.mark.parametrize(
    "more",
    [
        {"nameserver": ["172.19.0.1"]},
        {"engine": {"registry_mirrors": ["http://172.19.0.1:5000"]}},
        {"hermes": {"mcp_servers": {"wiki": {"url": "http://172.19.0.1/mcp"}}}},
        {"hermes": {"settings": {"mcp_servers": {"wiki": {"url": "http://172.19.0.1/mcp"}}}}},
        {"hermes": {"environment": {"HTTPS_PROXY": "http://172.19.0.1:3128"}}},
        {"network": {"bridge": "b", "ip": "172.19.0.7/24", "gateway": "172.19.0.1"}},
        {"messaging": {"telegram": {"token": {"env": "T"}, "allowed_users": [1], "base_url": "http://172.19.0.1/bot"}}},
    ],
)
def test_every_address_that_the_inventory_names_is_kept_clear(make_agent: Any, more: dict[str, Any]) -> None:
    found = pools.of(make_agent(**more), guest())
    assert found is not None and not any(base.overlaps(ipaddress.IPv4Network("172.19.0.0/16")) for base in found.bases)


def test_a_range_is_kept_clear_where_that_can_be(make_agent: Any) -> None:
    """`NO_PROXY` often has all private networks."""
    every = "localhost,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
    lines = {"hermes": {"environment": {"NO_PROXY": every}}}
    assert pools.of(make_agent(**lines), guest()) is None
    assert pools.of(at(make_agent, **lines), guest()) is not None
    some = pools.of(at(make_agent, hermes={"environment": {"NO_PROXY": "172.16.0.0/12"}}), guest())
    assert some is not None and str(some.bases[0]) == "10.255.0.0/16"


def test_what_a_name_stands_for_in_the_guest_is_kept_clear_too(make_agent: Any) -> None:
    agent = at(make_agent, "http://litellm.lan:4000/v1")
    assert named.of(agent).hosts == ("litellm.lan",)
    assert pools.of(agent, guest()) is None
    assert pools.of(agent, guest(resolved=("172.18.0.5",))) is not None


def test_a_way_of_the_guests_is_kept_clear_and_the_engines_own_is_not_one(make_agent: Any) -> None:
    routes = (*ROUTES, ("172.31.0.0/16", "wg0"))
    found = pools.of(make_agent(), guest(routes=routes))
    assert found is not None and str(found.bases[0]) == "172.30.0.0/16"


def test_podman_and_persistent_are_kept_clear_as_well(make_agent: Any) -> None:
    agent = at(make_agent, "http://10.89.0.5:4000/v1", **PODMAN)
    facts = guest(packages={}, docker=None)
    text = plan_engine(agent, facts).files["containers.conf"].decode()
    assert 'default_subnet = "172.31.0.0/24"' in text and '"base" = "172.31.0.0/16"' in text
    assert pools.of(at(make_agent, **PODMAN), guest()) is None
    file = File(0, 0, 0o644, "regular file", text.encode())
    again = plan_engine(agent, replace(facts, files={**facts.files, "containers": file}))
    assert "containers.conf" not in again.files
    assert pools.of(at(make_agent, runtime={"type": "persistent"}), guest()) is not None


def test_a_choice_stays_also_where_its_reason_is_not_seen_any_more(make_agent: Any) -> None:
    """A name that does not resolve just now gives no other network."""
    agent = at(make_agent, "http://litellm.lan:4000/v1")
    first = daemon(agent, guest(resolved=("172.18.0.5",)))
    assert first is not None
    assert pools.of(agent, after(guest(), first)) == pools.of(agent, guest(resolved=("172.18.0.5",)))
    moved = pools.of(agent, after(guest(resolved=("172.31.0.9",)), first))
    assert moved is not None and str(moved.bases[0]) == "172.30.0.0/16"


def test_declared_pools_are_taken_and_refused_where_they_cover_something(make_agent: Any) -> None:
    engine = {"engine": {"address_pools": ["10.201.0.0/16", "10.202.0.0/24"]}}
    written = daemon(make_agent(**engine), guest())
    assert written is not None and written["bip"] == "10.201.0.1/24"
    assert written["default-address-pools"] == [
        {"base": "10.201.0.0/16", "size": 24},
        {"base": "10.202.0.0/24", "size": 25},
    ]
    for facts in (guest(), None):  # before there is a container, too
        with pytest.raises(Refused, match=r"10\.201\.0\.0/16 covers 10\.201\.7\.5/32"):
            plan_engine(at(make_agent, "http://10.201.7.5:4000/v1", **engine), facts)


@given(st.lists(st.ip_addresses(v=4), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_has_to_be_reached_is_clear_of_all_three(make_agent: Any, addresses: list[Any]) -> None:
    resolved = tuple(map(str, addresses))
    found = pools.of(at(make_agent), guest(resolved=resolved))
    assert found is not None
    for network in (*found.bases, found.bridge, found.service):
        assert not any(address in network for address in addresses)
    assert found.bridge.subnet_of(found.bases[0]) and not found.bridge.overlaps(found.service)


@pytest.mark.parametrize("url", ["http://172.18.0.5:4000/v1", "http://litellm.lan/v1"])
def test_a_bridge_that_covers_litellm_is_named(make_agent: Any, url: str) -> None:
    host = url.split("/")[2].split(":")[0]
    assert (
        pools.covering(at(make_agent, url), guest(resolved=("172.18.0.5",)), host) == "br-0123456789ab (172.18.0.0/16)"
    )
    assert pools.covering(at(make_agent, url), guest(routes=()), host) is None


def test_the_guests_ways_are_read_strictly() -> None:
    said = "default via 10.1.10.1 dev eth0\n10.1.10.0/24 dev eth0 proto kernel\nnonsense\n172.17.0.0/16 dev docker0 x\n"
    import base64

    encoded = base64.b64encode(said.encode()).decode()
    names = base64.b64encode(b"10.1.1.1\n::1\nx 1.2.3.4\n10.1.1.1\n").decode()
    facts = parse(f"routes:b64={encoded}\nresolved:b64={names}\nfacts=complete\n")
    assert facts.routes == (("10.1.10.0/24", "eth0"), ("172.17.0.0/16", "docker0"))
    assert facts.resolved == ("10.1.1.1",)
