"""Which addresses the container engine may give away in the guest: none that the agent has to reach. Pure.

Docker takes its networks out of 172.16.0.0/12 first, Podman out of 10.88.0.0/15 (their defaults). Either looks at the
routes that it finds, not at what lies behind the default gateway: a LiteLLM there would be covered for good.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts
from proxhermes.inventory import named
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime

Network = ipaddress.IPv4Network

_DEFAULTS: Final = {"docker": Network("172.16.0.0/12"), "podman": Network("10.88.0.0/15")}
_CANDIDATES: Final = (
    *(Network(f"172.{number}.0.0/16") for number in range(31, 16, -1)),
    *(Network(f"10.{number}.0.0/16") for number in range(255, 199, -1)),
    *(Network(f"192.168.{number}.0/20") for number in range(240, -1, -16)),
)
_SIZE: Final = 24
_ENGINES_OWN: Final = re.compile(r"docker\d+|br-[0-9a-f]{12}|podman\d+|cni-podman\d+")
_BASE: Final = re.compile(r'"?base"?\s*[:=]\s*"([0-9./]+)"')


@dataclass(frozen=True, slots=True)
class Pools:
    """bases: out of which every network is taken; of the first one, the bridge and the agent's own network are cut."""

    bases: tuple[Network, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Prefix of the networks that are cut out of each."""
        return tuple(max(_SIZE, base.prefixlen + 1) for base in self.bases)

    @property
    def bridge(self) -> Network:
        """The engine's own network: docker0."""
        return next(self._cut())

    @property
    def service(self) -> Network:
        """The network of the agent's compose service."""
        cut = self._cut()
        next(cut)
        return next(cut)

    @property
    def gateway(self) -> str:
        """docker0's own address, with its prefix: `bip`."""
        return f"{self.bridge.network_address + 1}/{self.bridge.prefixlen}"

    def _cut(self) -> Iterator[Network]:
        return self.bases[0].subnets(new_prefix=self.sizes[0])


def of(agent: Agent, facts: GuestFacts) -> Pools | None:
    """The pools that are declared, or that have to be chosen; None where the engine's own will do, or there is none.

    Raises Refused for declared ones that cover what the agent has to reach, and where nothing is clear of it.
    """
    runtime = agent.runtime
    if isinstance(runtime, NativeRuntime):
        return None
    reached = (*named.of(agent).networks, *_resolved(facts), *_routes(facts))
    if agent.engine.address_pools:
        pools = Pools(tuple(map(Network, agent.engine.address_pools)))
        if covered := _overlap(pools.bases, reached):
            raise Refused(
                f"engine.address_pools: {covered[0]} covers {covered[1]}, which CT {agent.vmid} has to reach",
                hint="another network, as 10.201.0.0/16; nothing was changed",
            )
        return pools
    there = _there(facts)
    chosen = Pools(there[:1]) if there and there[0].prefixlen < 30 else None
    ours = chosen is not None and chosen.gateway in _written(facts)
    if not ours and _overlap((_DEFAULTS[runtime.engine],), reached) is None:
        return None
    if chosen is not None and _overlap(there, reached) is None:
        return chosen
    clear = [base for base in _CANDIDATES if _overlap((base,), reached) is None]
    # A range is where something may be; one may have all private networks in it.
    better = [base for base in clear if _overlap((base,), named.of(agent).ranges) is None]
    free = next(iter([*better, *clear]), None)
    if free is None:
        raise Refused(
            f"every network that {runtime.engine} could have in CT {agent.vmid} covers what it has to reach",
            hint="engine.address_pools names one that does not",
        )
    return Pools((free,))


def covering(agent: Agent, facts: GuestFacts, host: str) -> str | None:
    """The engine's bridge in the guest whose network has the address that `host` is, or stands for."""
    try:
        addresses = [Network(host)]
    except ValueError:
        addresses = list(_resolved(facts))
    bridges = [(card, _network(route)) for route, card in facts.routes if _ENGINES_OWN.fullmatch(card)]
    covered = (f"{card} ({network})" for card, network in bridges if network and _overlap((network,), addresses))
    return next(covered, None)


def _routes(facts: GuestFacts) -> Iterable[Network]:
    """The networks that the guest is in or has a way to, without those that the engine has made there."""
    for route, card in facts.routes:
        network = _network(route)
        if network is not None and network.prefixlen and not _ENGINES_OWN.fullmatch(card):
            yield network


def _resolved(facts: GuestFacts) -> tuple[Network, ...]:
    return tuple(network for address in facts.resolved if (network := _network(address)))


def _network(text: str) -> Network | None:
    try:
        return Network(text, strict=False)
    except ValueError:
        return None


def _overlap(bases: Iterable[Network], reached: Iterable[Network]) -> tuple[Network, Network] | None:
    reached = tuple(reached)
    return next(((base, each) for base in bases for each in reached if base.overlaps(each)), None)


def _written(facts: GuestFacts) -> str:
    """What the engine is configured with, as it is written."""
    return b"\n".join(facts.content(name) or b"" for name in ("daemon", "containers")).decode(errors="replace")


def _there(facts: GuestFacts) -> tuple[Network, ...]:
    return tuple(network for base in _BASE.findall(_written(facts)) if (network := _network(base)))


def daemon(pools: Pools) -> dict[str, object]:
    """The keys of Docker's daemon.json."""
    bases = zip(pools.bases, pools.sizes, strict=True)
    return {
        "bip": pools.gateway,
        "default-address-pools": [{"base": str(base), "size": size} for base, size in bases],
    }


def podman(pools: Pools) -> tuple[str, ...]:
    """Lines of containers.conf, below `[network]`. The remark is by what the pools are known again as ours."""
    bases = ", ".join(
        f'{{"base" = "{base}", "size" = {size}}}' for base, size in zip(pools.bases, pools.sizes, strict=True)
    )
    return (
        f'default_subnet = "{pools.bridge}" # {pools.gateway}',
        f"default_subnet_pools = [{bases}]",
    )
