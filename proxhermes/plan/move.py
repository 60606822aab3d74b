"""The agent goes over to another runtime, or to other folders: what ends, and what moves. Pure.

The old service ends and is taken away before its folders move, so that no two gateways ever share a home; the image or
the package of the new one is fetched before that, for it is what fails most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts, Place
from proxhermes.hermes import layout, placement, unit
from proxhermes.hermes.files import decoded
from proxhermes.hermes.placement import Placement
from proxhermes.inventory.models import Agent
from proxhermes.plan.hermes_model import change
from proxhermes.plan.model import Change, Effect

_SERVICES: Final = {
    "unit_folder": f"the service {layout.UNIT}",
    "docker_folder": f"Docker's container {layout.CONTAINER}",
    "podman_folder": f"Podman's container {layout.CONTAINER}",
}
"""Facts of guest-facts.sh, and whose folder each is."""
_FOLDERS: Final = {"home": "HERMES_HOME", "user_home": "HOME", "workspace": "workspace"}


@dataclass(frozen=True, slots=True)
class Move:
    """What a change of the runtime asks for, besides the new service.

    retire: the placement whose service ends; None where it stays the same one. moves: (from, to), in this order.
    """

    changes: tuple[Change, ...] = ()
    retire: Placement | None = None
    moves: tuple[tuple[str, str], ...] = ()


def plan_move(agent: Agent, facts: GuestFacts) -> Move:
    """What has to move. Raises Refused where something is in the new place already, or the agent is in another one."""
    _refuse_elsewhere(agent, facts)
    wanted, present = placement.of(agent), _present(agent, facts)
    if present is None or present == wanted:
        return Move()
    changes: list[Change] = []
    retire = present if present.service != wanted.service else None
    if retire:
        before, after = (_name(each) for each in (present, wanted))
        changes.append(_change("runtime", before, f"{after}: the old service ends and is removed"))
        if present.type == "persistent":
            changes.append(_change("runtime: what the agent installed into its container", present.type, None))
    moves = _moves(present, wanted)
    for name, (_, new) in moves.items():
        _refuse_full(agent, getattr(present, name), new, _now(new, present, wanted), facts)
        if facts.places.get(getattr(present, name), Place.NOTHING) is not Place.NOTHING:
            changes.append(_change(_FOLDERS[name], getattr(present, name), f"{new} (moved)"))
    return Move(tuple(changes), retire, tuple(moves.values()))


def _present(agent: Agent, facts: GuestFacts) -> Placement | None:
    """Where the agent is; None for one that was never set up."""
    if (content := facts.readable("runtime", placement.NAME)) is not None:
        return placement.parse(decoded(content, placement.NAME))
    return placement.first(agent) if "compose" in facts.files else None


def _refuse_elsewhere(agent: Agent, facts: GuestFacts) -> None:
    """What is remembered of the agent lies in its data_dir: with another one it would be taken for a new agent."""
    for name, service in _SERVICES.items():
        folder = facts.service.facts.get(name)
        if folder and not (name == "unit_folder" and _stays(agent, facts)):
            raise Refused(
                f"{service} in CT {agent.vmid} has its data_dir in {folder}, and the inventory has "
                f"{agent.hermes.data_dir}: it would go on running beside a new one that knows nothing",
                hint=f"hermes.data_dir: {folder}; only a native agent's can change, in a run before all else",
            )


def _stays(agent: Agent, facts: GuestFacts) -> bool:
    """Whether the unit that is there stays a unit, with the same home: then the code alone goes elsewhere."""
    line = f"\nEnvironment={unit.assignment('HERMES_HOME', placement.of(agent).home)}\n"
    return agent.runtime.type == "native" and line in decoded(facts.content("unit") or b"", "the unit")


def _moves(present: Placement, wanted: Placement) -> dict[str, tuple[str, str]]:
    """By name, which folder goes where. A folder within the home goes along with it, and out of it afterwards."""
    moves: dict[str, tuple[str, str]] = {}
    if present.home != wanted.home:
        moves["home"] = (present.home, wanted.home)
    for name in ("user_home", "workspace"):
        old, new = getattr(present, name), getattr(wanted, name)
        if old.startswith(f"{present.home}/"):
            old = wanted.home + old.removeprefix(present.home)
        if old != new:
            moves[name] = (old, new)
    return moves


def _now(path: str, present: Placement, wanted: Placement) -> str:
    """Where something is as long as the home has not moved, which it will be at `path` in once it has."""
    return present.home + path.removeprefix(wanted.home) if path.startswith(f"{wanted.home}/") else path


def _refuse_full(agent: Agent, old: str, new: str, now: str, facts: GuestFacts) -> None:
    """Refuse where both are there. now: where that which would be in the way at `new` is for the time being."""
    in_the_way = next((path for path in (new, now) if path != old and facts.places.get(path) is Place.FULL), None)
    if facts.places.get(old) is Place.FULL and in_the_way:
        raise Refused(
            f"{in_the_way} is there already in CT {agent.vmid}, and {old} would move to {new}",
            hint=f"look at both, and move one of them away: in the guest, mv {in_the_way} {in_the_way}-old",
        )


def _name(each: Placement) -> str:
    return each.type if each.engine in ("", "docker") else f"{each.type} ({each.engine})"


def _change(subject: str, before: str | None, after: str | None) -> Change:
    return change(subject, before, after, Effect.RECREATE_SERVICE)
