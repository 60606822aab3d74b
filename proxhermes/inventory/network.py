"""The container's network card: what Proxmox takes for it, and no rule beside Proxmox's own.

Values as in Proxmox's API (`net[n]`: ip is `pve-ipv4-config`, ip6 is `pve-ipv6-config`; prefixes from 8 on, see
PVE::JSONSchema, pve_verify_cidrv4 and pve_verify_cidrv6). A gateway outside the address's network is one of them: the
node writes a route to it (PVE::LXC::Setup::Debian), as hosters want it with a /32.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from proxhermes.inventory.fields import Bridge, Mac, Model, mistake

DHCP: Final = "dhcp"
AUTO: Final = "auto"
MANUAL: Final = "manual"
_SHORTEST_PREFIX: Final = 8
_LONGEST_POOL: Final = 27
"""Two networks have to come out of it: the engine's bridge, and the agent's own."""
_EXAMPLE: Final = {4: "10.1.10.50/24", 6: "2001:db8::50/64"}
_OTHER: Final = {4: "ip6", 6: "ip"}


def _config(value: str, version: int, words: tuple[str, ...]) -> str:
    allowed = ", ".join(f"`{word}`" for word in words) + f", or an IPv{version} address with its prefix, as in "
    allowed += f"`{_EXAMPLE[version]}`"
    if value in words:
        return value
    address, slash, prefix = value.partition("/")
    try:
        interface = ipaddress.ip_interface(address)
    except ValueError:
        raise mistake(f"{value!r} is not an address for the container", allowed) from None
    if interface.version != version:
        raise mistake(f"{value!r} is an IPv{interface.version} address", f"`{_OTHER[version]}` in its place")
    if not slash or not re.fullmatch(r"[0-9]{1,3}", prefix):
        raise mistake(f"{value!r} has no prefix length", allowed)
    if not _SHORTEST_PREFIX <= int(prefix) <= interface.max_prefixlen or "%" in address:
        raise mistake(
            f"{value!r} is not an address with a prefix that Proxmox takes",
            f"a prefix from {_SHORTEST_PREFIX} to {interface.max_prefixlen}",
        )
    return f"{interface.ip}/{int(prefix)}"


def _gateway(value: str, version: int, example: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        address = None
    if address is None or address.version != version or "%" in value:
        raise mistake(f"{value!r} is not an IPv{version} address", f"an address alone, as in `{example}`")
    return str(address)


IpConfig = Annotated[str, AfterValidator(lambda value: _config(value, 4, (DHCP, MANUAL)))]
Ip6Config = Annotated[str, AfterValidator(lambda value: _config(value, 6, (AUTO, DHCP, MANUAL)))]
IPv4 = Annotated[str, AfterValidator(lambda value: _gateway(value, 4, "10.1.10.1"))]
IPv6 = Annotated[str, AfterValidator(lambda value: _gateway(value, 6, "fe80::1"))]


def _pool(value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError:
        network = None
    if network is None or not _SHORTEST_PREFIX <= network.prefixlen <= _LONGEST_POOL or "/" not in value:
        raise mistake(
            f"{value!r} is not a network to take others out of",
            f"an IPv4 network with a prefix from {_SHORTEST_PREFIX} to {_LONGEST_POOL}, as in `10.201.0.0/16`",
        )
    return str(network)


AddressPools = Annotated[tuple[Annotated[str, AfterValidator(_pool)], ...], Field(strict=False)]


class Network(Model):
    """The container's one network card, eth0."""

    bridge: Bridge = Field(description="Bridge or SDN vnet.")
    ip: IpConfig = Field(
        default=DHCP,
        description="IPv4: `dhcp`, an address with its prefix, or `manual` (none by Proxmox).",
        examples=["203.0.113.7/32"],
    )
    gateway: IPv4 | None = Field(
        default=None, description="Default gateway, with a fixed address; it may lie outside the address's network."
    )
    ip6: Ip6Config | None = Field(
        default=None,
        description="IPv6: `auto` (SLAAC), `dhcp`, an address with its prefix, or `manual`; left alone by default.",
        examples=["auto"],
    )
    gateway6: IPv6 | None = Field(
        default=None, description="Default gateway of IPv6, with a fixed `ip6`.", examples=["fe80::1"]
    )
    vlan: int | None = Field(default=None, ge=1, le=4094, description="VLAN tag.")
    firewall: bool = Field(default=False, description="Apply the Proxmox firewall to the card.")
    mtu: int | None = Field(default=None, ge=576, le=65535, description="MTU; the bridge's by default.")
    hwaddr: Mac | None = Field(default=None, description="MAC address; Proxmox chooses one by default, and it is kept.")

    @field_validator("gateway", "gateway6")
    @classmethod
    def _with_an_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        key = "ip" if info.field_name == "gateway" else "ip6"
        if value is not None and key in info.data and not fixed(info.data[key]):
            raise mistake(
                "a gateway goes with a fixed address; without one, Proxmox does nothing with it",
                f"`{key}: ADDRESS/PREFIX` beside it, or no `{info.field_name}`",
            )
        return value

    @property
    def families(self) -> frozenset[int]:
        """The versions of IP that the card is to get an address of: 4, 6, both, or none that Proxmox sees to."""
        wanted = {4: self.ip, 6: self.ip6}
        return frozenset(version for version, config in wanted.items() if config not in (None, MANUAL))

    def lacking(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """What was asked for and is not among the card's `addresses`: `dhcp`, `auto`, or the address itself."""
        found = [ipaddress.ip_address(address) for address in addresses if _is_address(address)]
        missing = []
        for version, config in ((4, self.ip), (6, self.ip6)):
            if version not in self.families or config is None:
                continue
            wanted = ipaddress.ip_interface(config).ip if fixed(config) else None
            if not any(each.version == version and wanted in (None, each) for each in found):
                missing.append(config if wanted else f"IPv{version} by {config}")
        return tuple(missing)


def fixed(config: str | None) -> bool:
    """Whether a value of `ip` or `ip6` is an address."""
    return config is not None and config not in (DHCP, AUTO, MANUAL)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
