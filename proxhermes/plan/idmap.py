"""Which user of the node a user of the container is. Pure.

An unprivileged container's ids are shifted: the owner on the node is the map's base plus the id in the guest.
Without `lxc.idmap` lines Proxmox maps 0..65535 to 100000..165535; any such line replaces that wholly
(PVE: LXC.pm, parse_id_maps).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from proxhermes.errors import Refused

Kind = Literal["u", "g"]


@dataclass(frozen=True, slots=True)
class Range:
    """`length` consecutive ids: in the guest from `guest`, on the node from `host`. kind: u (users), g (groups)."""

    kind: Kind
    guest: int
    host: int
    length: int


@dataclass(frozen=True, slots=True)
class IdMap:
    """A container's id map."""

    ranges: tuple[Range, ...]

    def to_host(self, kind: Kind, guest_id: int) -> int:
        """The id on the node. Raises Refused where the guest's id is not mapped: nobody could own the folder."""
        for each in self.ranges:
            if each.kind == kind and each.guest <= guest_id < each.guest + each.length:
                return each.host + guest_id - each.guest
        what = "user" if kind == "u" else "group"
        raise Refused(
            f"{what} {guest_id} of the guest is nobody on the node: the container's lxc.idmap lines leave it out",
            hint="choose another `owner` for the mount, or extend the lxc.idmap lines in the container's configuration",
        )

    def to_guest(self, kind: Kind, host_id: int) -> int | None:
        """The id in the guest, None where the node's id is outside the map (the guest sees 65534, nobody)."""
        for each in self.ranges:
            if each.kind == kind and each.host <= host_id < each.host + each.length:
                return each.guest + host_id - each.host
        return None


DEFAULT = IdMap((Range("u", 0, 100000, 65536), Range("g", 0, 100000, 65536)))


def from_lxc(lines: Iterable[tuple[str, str]]) -> IdMap:
    """The map of a container whose raw LXC lines are `lines` (`("lxc.idmap", "u 0 100000 1000")`)."""
    ranges: list[Range] = []
    for key, value in lines:
        words = value.split()
        if key not in ("lxc.idmap", "lxc.id_map") or len(words) != 4:
            continue
        guest, host, length = (int(word) for word in words[1:])
        kinds: tuple[Kind, ...] = ("u", "g") if words[0] == "b" else ("u",) if words[0] == "u" else ("g",)
        ranges += [Range(kind, guest, host, length) for kind in kinds]
    return IdMap(tuple(ranges)) if ranges else DEFAULT
