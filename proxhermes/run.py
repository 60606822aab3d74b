"""The order of things: which layer follows which, for one agent.

Each stage reads the facts, plans, shows the plan, and carries it out. A second run finds no difference and does
nothing; a run that was cut off anywhere is mended by the next one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from proxhermes import upstream
from proxhermes.apply.container import apply_container, bring_up, note_version
from proxhermes.apply.guest import Stale, apply_engine, apply_hermes, apply_prepared, apply_tools
from proxhermes.apply.host import apply_host
from proxhermes.errors import CommandFailed, ConnectError, DeadlineExceeded, ProxhermesError
from proxhermes.events import Events, Kind
from proxhermes.facts import preflight
from proxhermes.facts.container import ContainerFacts, read_container
from proxhermes.facts.guest import GuestFacts, read_guest
from proxhermes.facts.host import read_host
from proxhermes.facts.registry import newer
from proxhermes.facts.templates import read_templates
from proxhermes.hermes.environment import litellm_key
from proxhermes.hermes.image import Unanswered
from proxhermes.hermes.route import route
from proxhermes.hermes.wanted import Wanted, gather
from proxhermes.inventory.models import Agent
from proxhermes.plan import migration
from proxhermes.plan.container import ContainerPlan, plan_container, refuse_foreign
from proxhermes.plan.engine import EnginePlan, plan_engine
from proxhermes.plan.hermes import HermesPlan, plan_hermes
from proxhermes.plan.host import HostPlan, plan_host
from proxhermes.plan.image import asked, moved
from proxhermes.plan.model import Change, Effect, pending
from proxhermes.plan.notes import read as read_notes
from proxhermes.plan.profiles import looked_at
from proxhermes.plan.template import storage_of

if TYPE_CHECKING:
    from proxhermes.transport.doors import Doors


CHANCES: Final = 3
"""How often a plan is carried out whose files were changed by somebody else in between."""


@dataclass(frozen=True, slots=True)
class OuterPlan:
    """The two outer layers of an agent: its container, and what the node's root does for it."""

    facts: ContainerFacts
    container: ContainerPlan
    host: HostPlan

    @property
    def changes(self) -> tuple[Change, ...]:
        return (*self.container.changes, *self.host.changes)

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.container.notes, *self.host.notes)


@dataclass(frozen=True, slots=True)
class InnerPlan:
    """The two inner layers of an agent: Docker in its container, and Hermes in it."""

    engine: EnginePlan
    hermes: HermesPlan

    @property
    def changes(self) -> tuple[Change, ...]:
        return (*self.engine.changes, *self.hermes.changes)

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.engine.notes, *self.hermes.notes)


def show(changes: Iterable[Change], notes: Iterable[str], events: Events) -> None:
    """Tell every change before it happens, with the door that it goes through and the command where there is one.

    notes: what the operator should know besides; told as warnings, after the changes.
    """
    for change in changes:
        if change.blocked:
            events.warning(f"{change.subject}: {change.before} stays, not {change.after}: {change.blocked}")
            continue
        events.emit(Kind.PLAN, str(change), layer=change.layer.value, effect=change.effect.name.lower())
    for note in notes:
        events.warning(note)


def plan_outer(agent: Agent, doors: Doors, events: Events, *, take_ownership: bool = False) -> OuterPlan:
    """Read the container and its host folders, and plan. Refuses what is not ours before anything else is read."""
    with events.step(f"look at CT {agent.vmid} on {agent.node}"), preflight.naming_all(doors.pve, agent):
        facts = read_container(doors.pve, agent.node, agent.vmid, events)
        refuse_foreign(facts)
        templates = None if facts.exists else read_templates(doors.pve, agent.node, storage_of(agent))
        container = plan_container(agent, facts, templates)
        folders = [mount.host for mount in agent.mounts]
        host = plan_host(agent, facts, read_host(doors.ssh, folders, agent.node), take_ownership=take_ownership)
    return OuterPlan(facts, container, host)


def create(
    agent: Agent, doors: Doors, events: Events, *, take_ownership: bool = False, target: Target | None = None
) -> OuterPlan:
    """Bring the container and the node to what the inventory says, and the container up.

    target: what is going to be put into it; what is wrong with that is told before the container is made. Returns what
    was planned, all of it done.
    """
    plan = plan_outer(agent, doors, events, take_ownership=take_ownership)
    if target is not None and not plan.facts.exists:
        plan_inner(target, None)
    show(plan.changes, plan.notes, events)
    if pending(plan.changes):
        _preflight(agent, plan, doors, events)
        apply_container(agent, plan.container, doors, events)
        apply_host(agent, plan.host, doors, events)
    bring_up(agent, plan.container, plan.host, doors, events)
    return plan


def _preflight(agent: Agent, plan: OuterPlan, doors: Doors, events: Events) -> None:
    """Refuse before anything is touched, naming all that the token lacks."""
    container = plan.container
    options = {*container.update, *container.delete, *(("description",) if container.block else ())}
    if agent.protection or plan.host.unprotect:
        options.add("protection")
    create = container.create is not None
    needs = preflight.wanted(
        agent,
        options=options | {*(container.create or ())} - {"vmid", "pool"},
        create=create,
        download=bool(container.template and container.template.download),
        grow=container.grow is not None,
        power=container.start or container.reboot or plan.host.reboot,
    )
    with events.step(f"check what the token may do on {agent.node}"):
        preflight.check(doors.pve, needs)


def plan_all(
    agent: Agent,
    doors: Doors,
    events: Events,
    *,
    take_ownership: bool = False,
    force_documents: bool = False,
    recreate: bool = False,
) -> tuple[Change, ...]:
    """What `create` and `bootstrap` would change, with nothing changed. Tells what would be left alone, and notes."""
    target = Target(agent, gather(agent), force_documents, recreate)  # what is missing is told before anything is asked
    outer = plan_outer(agent, doors, events, take_ownership=take_ownership)
    facts, inner = _looked(target, doors, events) if outer.facts.running else (None, plan_inner(target, None))
    tag_notes = _moved_tag(agent, facts, doors, events) if facts else ()
    changes = (*outer.changes, *inner.changes)
    left_alone = [change for change in changes if change.blocked]
    show(left_alone, (*outer.notes, *inner.notes, *tag_notes), events)
    return changes


def _moved_tag(agent: Agent, facts: GuestFacts, doors: Doors, events: Events) -> tuple[str, ...]:
    """A note of what the tag of the agent's image means now, where that is another image than the guest has."""
    name = asked(agent, facts)
    if name is None:
        return ()
    with events.step(f"ask what {name} means now"):
        try:
            build = newer(agent, doors.guest(agent.vmid), facts)
        except (Unanswered, CommandFailed, ConnectError, DeadlineExceeded) as error:  # which says nothing of the agent
            events.note(f"the registry could not be asked what {name} means now: {error.message}")
            return ()
    return (moved(agent, facts, build),) if build else ()


@dataclass(frozen=True, slots=True)
class Target:
    """An agent with all that the inventory gives it, its files and secrets read.

    force_documents: documents that the agent changed are replaced, too. recreate: its container, once.
    """

    agent: Agent
    wanted: Wanted
    force_documents: bool = False
    recreate: bool = False


def plan_inner(target: Target, facts: GuestFacts | None) -> InnerPlan:
    """Plan the engine and Hermes. facts: None for a container that is not there or not running yet."""
    agent, fresh_key = target.agent, secrets.token_hex(32)
    engine = plan_engine(agent, facts)
    hermes = plan_hermes(
        agent, facts, target.wanted, fresh_key, force_documents=target.force_documents, recreate=target.recreate
    )
    return InnerPlan(engine, hermes)


def _look_into(target: Target, doors: Doors, events: Events) -> InnerPlan:
    """Read the guest in one round trip, and plan."""
    return _looked(target, doors, events)[1]


def _looked(target: Target, doors: Doors, events: Events) -> tuple[GuestFacts, InnerPlan]:
    """The same, with what was read."""
    agent = target.agent
    with events.step(f"look into CT {agent.vmid}"):
        look = looked_at(agent, target.wanted)
        way = route(agent, target.wanted, upstream.RELEASES[-1].reading)
        facts = read_guest(agent, doors.guest(agent.vmid), litellm_key(agent), look, way)
        return facts, plan_inner(target, facts)


def bootstrap(
    agent: Agent, doors: Doors, events: Events, *, force_documents: bool = False, recreate: bool = False
) -> InnerPlan:
    """Bring the engine and Hermes in the agent's running container to what the inventory says, and the gateway up.

    Returns what was planned, all of it done. Raises Refused for a container that proxhermes did not make, before
    anything in it is looked at, and ProxhermesError where none runs.
    """
    with events.step(f"look at CT {agent.vmid} on {agent.node}"), preflight.naming_all(doors.pve, agent):
        facts = read_container(doors.pve, agent.node, agent.vmid, events)
        refuse_foreign(facts)
    if not facts.running:
        how = "does not run" if facts.exists else "does not exist"
        raise ProxhermesError(f"CT {agent.vmid} on {agent.node} {how}", hint=f"proxhermes create {agent.vmid}")
    target = Target(agent, gather(agent), force_documents, recreate)  # what it lacks is told before the guest is asked
    return _bootstrap(target, doors, events, facts)


def _bootstrap(target: Target, doors: Doors, events: Events, facts: ContainerFacts) -> InnerPlan:
    """The same for a container that is known to be the agent's and to run. One round trip if nothing is to be done.

    facts: of the container, as it was found.
    """
    agent, guest = target.agent, doors.guest(target.agent.vmid)
    # What LiteLLM refuses, or a broken file, stops the run here, before anything is touched.
    plan = _look_into(target, doors, events)
    show(plan.engine.changes, plan.engine.notes, events)
    if plan.engine.needed:
        if not plan.hermes.asked:
            apply_tools(agent, plan.engine, guest, events)
            _look_into(target, doors, events)  # which stops here with a key that LiteLLM refuses
        apply_engine(agent, plan.engine, guest, events)
        plan = replace(plan, hermes=_look_into(target, doors, events).hermes)
    done = _set_up(target, plan.hermes, doors, events)
    noted = read_notes(facts.config.get("description", ""))
    if done.code and (noted is None or noted.hermes != done.code.version):
        note_version(agent, done.code.version, doors.pve, events)
    return replace(plan, hermes=done)


def _set_up(target: Target, plan: HermesPlan, doors: Doors, events: Events) -> HermesPlan:
    """Carry the plan out, and look again once the gateway is up: Hermes itself may have rewritten what it was given.

    Returns the plan with all that was done. Raises Stale for a file that others change each time.
    """
    agent, done = target.agent, list[Change]()
    _tell_migration(plan, events)  # of a run that did not get to see it
    for chances in reversed(range(CHANCES)):
        plan = _prepared(target, plan, doors, events)
        show(plan.changes, plan.notes, events)
        try:
            apply_hermes(agent, plan, doors.guest(agent.vmid), events)
        except Stale as stale:  # the agent, or somebody else, wrote to a file that had been read
            if not chances:
                raise
            events.warning(f"{stale.path} was changed in the meantime: planning again")
            plan = _look_into(target, doors, events).hermes
            continue
        done += plan.changes
        target = replace(target, recreate=False)
        if plan.effect < Effect.RESTART_SERVICE:
            break
        plan = replace(_look_into(target, doors, events).hermes, notes=())
        _tell_migration(plan, events)
        if not plan.needed:
            break
        if not chances:
            _tell_left(plan, events)
            break
        if plan.rewritten:
            events.note("Hermes changed at its start what it was given: putting it back")
    return replace(plan, changes=tuple(done))


def _tell_migration(plan: HermesPlan, events: Events) -> None:
    for line in migration.reported(plan.configs):
        events.note(line)


def _prepared(target: Target, plan: HermesPlan, doors: Doors, events: Events) -> HermesPlan:
    """The plan once all is there that has to be fetched first. What is to be fetched may be another one by then."""
    for _ in range(CHANCES):
        if not plan.prepare:
            break
        apply_prepared(target.agent, plan, doors.guest(target.agent.vmid), events)
        plan = _look_into(target, doors, events).hermes
    return plan


def _tell_left(plan: HermesPlan, events: Events) -> None:
    """Warn of what still differs once all chances have gone."""
    others = [change for change in pending(plan.changes) if change not in plan.rewritten]
    for what, changes in (
        ("Hermes changes this at each start, and it was left as it is now", plan.rewritten),
        ("this changed while the agent was set up, and is left to the next run", others),
    ):
        if changes:
            events.warning(f"{what}: {', '.join(change.subject for change in changes)}")


def up(
    agent: Agent,
    doors: Doors,
    events: Events,
    *,
    take_ownership: bool = False,
    force_documents: bool = False,
    recreate: bool = False,
) -> tuple[Change, ...]:
    """`create` and `bootstrap`; returns what was planned, all of it done.

    Secrets and files are read first: one that is missing should not be found out once the container is made.
    """
    target = Target(agent, gather(agent), force_documents, recreate)
    outer = create(agent, doors, events, take_ownership=take_ownership, target=target)
    return (*outer.changes, *_bootstrap(target, doors, events, outer.facts).changes)
