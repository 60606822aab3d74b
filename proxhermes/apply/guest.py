"""Carries out what is to be done in the guest: Docker, then Hermes, each in one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from proxhermes.apply.telling import standing, tell
from proxhermes.errors import CommandFailed, Refused
from proxhermes.events import Events
from proxhermes.facts.frame import frame, functions
from proxhermes.facts.guest import parse
from proxhermes.hermes import assignments, messaging, placement, registry
from proxhermes.hermes.skills import SCRIPTS as SKILLS
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime
from proxhermes.plan import guest_apt
from proxhermes.plan.engine_model import EnginePlan
from proxhermes.plan.hermes import HermesPlan
from proxhermes.plan.model import Door, Effect
from proxhermes.plan.traps import advice
from proxhermes.transport.scripts import script

if TYPE_CHECKING:
    from proxhermes.transport.command import CommandResult
    from proxhermes.transport.pct import Bundle, Guest

ENGINE_S: Final = 1200.0
HERMES_S: Final = 3600.0
"""Mostly for the image: more than 5 GB over a home's line; also for what a new layer is provisioned with."""
GATEWAY_S: Final = 240
"""How long the gateway may take to answer after a start; the first one sets up the agent's home."""
LONGEST_WAIT_S: Final = 3000.0
"""The same with large databases, which a newer Hermes brings up to date first: guest-wait.sh has it, too."""
_WAIT: Final = "guest-wait.sh"
_REASON: Final = "failed: "
"""Begins the line on standard error in which a script says why it failed; the others are what the tools said."""
_STALE: Final = "stale: "
_STALE_RC: Final = 75
_ACTION: Final = {
    Effect.NONE: "none",
    Effect.RESTART_SERVICE: "restart",
    Effect.RECREATE_SERVICE: "up",
    Effect.REBOOT_CONTAINER: "up",
}


def apply_engine(agent: Agent, plan: EnginePlan, guest: Guest, events: Events) -> None:
    """Install and configure the engine, and have it run. Raises CommandFailed with what apt or the engine said."""
    if not plan.needed:
        return
    _engine(agent, "none" if isinstance(agent.runtime, NativeRuntime) else agent.runtime.engine, plan, guest, events)


def apply_tools(agent: Agent, plan: EnginePlan, guest: Guest, events: Events) -> None:
    """Install what LiteLLM can be asked with, on the way of `plan`, and nothing else.

    Raises CommandFailed with what apt said.
    """
    way = {name: content for name, content in plan.files.items() if name in guest_apt.FILES}
    _engine(agent, "none", EnginePlan(packages=("ca-certificates", "curl"), files=way), guest, events)


def _engine(agent: Agent, engine: str, plan: EnginePlan, guest: Guest, events: Events) -> None:
    name = "packages" if engine == "none" else engine.capitalize()
    bundle = {each: (script(each), 0o700) for each in ("guest-engine.sh", "guest-common.sh", "guest-apt.sh")}
    bundle["engine.sh"] = (script(f"guest-engine-{engine}.sh"), 0o700)
    bundle |= {each: (content, 0o600) for each, content in plan.files.items()} | assignments.proxy(agent)
    doing = f"{'installing' if plan.packages else 'configuring'} {name} in CT {agent.vmid}"
    with events.step(doing), standing(events, f"{name} in CT {agent.vmid} is not ready yet"):
        _run(guest, bundle, "guest-engine.sh", [plan.source, *plan.packages], events, timeout=ENGINE_S, doing=doing)


def apply_prepared(agent: Agent, plan: HermesPlan, guest: Guest, events: Events) -> None:
    """Get the agent's image or build its package, and leave all that runs alone. Raises CommandFailed."""
    doing = f"preparing Hermes in CT {agent.vmid}"
    with events.step(doing), standing(events, f"Hermes in CT {agent.vmid} is not set up yet"):
        _run(guest, _bundle(agent, plan), "guest-hermes.sh", ["prepare"], events, timeout=HERMES_S, doing=doing)


def apply_hermes(agent: Agent, plan: HermesPlan, guest: Guest, events: Events) -> None:
    """Put Hermes' files in place and its container up, and wait for the gateway; nothing if all of it is so already.

    A platform that does not connect is told as a warning. Raises CommandFailed with the gateway's last log
    lines, Refused if a mount is missing.
    """
    if plan.unmounted:
        raise Refused(
            f"{', '.join(plan.unmounted)}: not mounted in CT {agent.vmid}; the agent would fill its root disk",
            doing=f"setting up Hermes in CT {agent.vmid}",
            hint=f"proxhermes create {agent.vmid}",
        )
    platforms = plan.platforms
    args = [str(GATEWAY_S), *platforms]
    if plan.needed:
        bundle = _bundle(agent, plan)
        doing = f"setting up Hermes in CT {agent.vmid}"
        with events.step(doing), standing(events, f"Hermes in CT {agent.vmid} is not up yet"):
            args = [_ACTION[plan.effect], *args]
            limit = HERMES_S + LONGEST_WAIT_S
            result = _run(guest, bundle, "guest-hermes.sh", args, events, timeout=limit, doing=doing)
        if plan.effect is Effect.NONE:  # it went on running, and was asked nothing
            return
    elif not plan.healthy:
        doing = f"waiting for the gateway in CT {agent.vmid}"
        with events.step(doing):
            result = _run(guest, frame(agent, _WAIT), _WAIT, args, events, timeout=HERMES_S, doing=doing)
    else:
        return
    _tell_platforms(parse(result.stdout).gateway_state, platforms, events)


class Stale(CommandFailed):
    """A file was no longer what had been read when it was to be replaced; it was left alone. path: which one."""

    path = ""


def _bundle(agent: Agent, plan: HermesPlan) -> Bundle:
    """What guest-hermes.sh needs beside itself."""
    bundle = {
        **frame(agent, "guest-hermes.sh", "guest-files.sh", "guest-files-write.sh", "agent-steps.py", *SKILLS, _WAIT),
        **registry.bundle(agent),
        "runtime": (placement.render(placement.of(agent)), 0o600),
    }
    bundle |= {name: (content, 0o600) for name, content in plan.files.items()}
    if plan.move.moves:
        bundle["moves"] = ("".join(f"{old}\t{new}\n" for old, new in plan.move.moves).encode(), 0o600)
    if present := plan.move.retire:
        bundle["previous-agent.sh"] = (assignments.render({"engine": present.engine}), 0o600)
        bundle["previous.sh"] = (functions(present.type), 0o600)
    return bundle


def _run(
    guest: Guest, bundle: Bundle, entry: str, args: Sequence[str], events: Events, *, timeout: float, doing: str
) -> CommandResult:
    """Run it with its lines told as they come. A failure carries what was said, and the advice for a known trap."""

    def line(text: str) -> None:
        if not text.startswith(("gateway.", "file.")):  # facts are not for the eye
            tell(text, Door.GUEST, events)

    result = guest.run(bundle, entry, args, timeout=timeout, check=False, doing=doing, on_line=line)
    if result.ok:
        return result
    said = [line for line in result.stderr.splitlines() if line.strip()]
    reasons = [line.removeprefix(_REASON) for line in said if line.startswith(_REASON)]
    said = [line for line in said if not line.startswith(_REASON)]
    lines = result.stdout.splitlines() if result.rc == _STALE_RC else []
    stale = [line.removeprefix(_STALE) for line in lines if line.startswith(_STALE)]
    if stale:
        reasons.append(f"{stale[0]} was changed meanwhile, and left as it is")
    error = (Stale if stale else CommandFailed)(
        f"{doing}: {'; '.join(reasons) or f'{entry} ended with code {result.rc}'}",
        command=f"{entry} {' '.join(args)}",
        rc=result.rc,
        stderr="\n".join(said),
        hint=advice(result.stderr),
    )
    if isinstance(error, Stale):
        error.path = stale[0]
    raise error


def _tell_platforms(state: Mapping[str, Any], platforms: Sequence[str], events: Events) -> None:
    """Warn of every platform that should be connected and is not."""
    known = messaging.standings(state)
    for name in platforms:
        platform = known.get(name, messaging.Standing("unknown"))
        if not platform.connected:
            events.warning(f"{name} is not connected ({platform.state}): {platform.error or 'no reason given'}")
