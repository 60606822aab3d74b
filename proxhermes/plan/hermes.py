"""Hermes in the guest: LiteLLM's answer, its files, its service, and what a change of them asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from proxhermes import upstream
from proxhermes.errors import Refused
from proxhermes.facts.guest import GuestFacts
from proxhermes.facts.profiles import of_agent
from proxhermes.hermes import litellm, messaging, route
from proxhermes.inventory.models import HERMES_SMALLEST_CONTEXT, Agent
from proxhermes.inventory.profiles import of as profiles_of
from proxhermes.inventory.runtime import InstalledRuntime
from proxhermes.plan import ending, entries, migration, pools
from proxhermes.plan.home import plan_home
from proxhermes.plan.migration import Texts
from proxhermes.plan.model import Change, Effect, pending, worst
from proxhermes.plan.move import Move, plan_move
from proxhermes.plan.package import plan_package
from proxhermes.plan.profiles import plan_profiles
from proxhermes.plan.service import plan_service

if TYPE_CHECKING:
    from proxhermes.hermes.wanted import Wanted


@dataclass(frozen=True, slots=True)
class HermesPlan:
    """What is to be done. files: name in the bundle -> content; the manifest with its contents, the service's files.

    prepare: the image or the package is not there yet, and what the files should be depends on which Hermes it is.
    code: which one it is, where that is known.
    move: what a change of the runtime asks for. asked: LiteLLM was asked; a guest without curl cannot.
    healthy: the gateway answered when the facts were read. unmounted: mounts that are plain folders in the container.
    configs: config.yaml of the agent (named ``) and of its profiles. notes: what the operator should know besides.
    """

    changes: tuple[Change, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    prepare: bool = False
    code: upstream.Code | None = None
    move: Move = field(default_factory=Move)
    asked: bool = False
    healthy: bool = False
    platforms: tuple[str, ...] = ()
    unmounted: tuple[str, ...] = ()
    configs: Mapping[str, Texts] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def effect(self) -> Effect:
        return worst(self.changes)

    @property
    def rewritten(self) -> tuple[Change, ...]:
        """Those of the changes that are of config.yaml and .env, the files that Hermes itself writes at its start."""
        return tuple(change for home in self.configs.values() for change in pending(home.changes))

    @property
    def needed(self) -> bool:
        return bool(pending(self.changes))


def plan_hermes(
    agent: Agent,
    facts: GuestFacts | None,
    wanted: Wanted,
    fresh_key: str,
    *,
    force_documents: bool = False,
    recreate: bool = False,
) -> HermesPlan:
    """The difference between the Hermes that is wanted and the one that is. facts: None for a container not made yet.

    wanted: from `gather`. fresh_key: for the gateway's own API, used if .env has none yet. force_documents: replace
    documents that the agent changed, too. recreate: the agent's container is to be another one in any case.
    Raises UnusableFile for a file that someone else broke; Refused where LiteLLM refuses the key, does not list the
    model, or has too small a context for Hermes (before anything is touched), and for a foreign container.
    """
    facts = facts or GuestFacts()
    contexts, notes = _all_asked(agent, facts)
    move = plan_move(agent, facts)
    package = plan_package(agent, facts, wanted.package) if isinstance(agent.runtime, InstalledRuntime) else None
    installed = facts.image_id if package is None else package.id
    code = facts.codes.get(installed or "")
    home = plan_home(
        agent,
        wanted,
        of_agent(facts),
        context_length=contexts[""],
        fresh_key=fresh_key,
        force_documents=force_documents,
        code=code,
    )
    others = plan_profiles(
        agent,
        wanted,
        facts,
        contexts=contexts,
        fresh_key=fresh_key,
        force_documents=force_documents,
        code=code,
    )
    changes = [*move.changes, *home.changes, *others.changes]
    service = plan_service(agent, facts, move, worst(changes), package, recreate=recreate)
    configs = {**home.configs, **others.configs}
    starts = worst((*changes, *service.changes)) >= Effect.RESTART_SERVICE
    given = migration.remembered(configs.values(), code, starts=starts)
    manifest = entries.bundle((*home.entries, *others.entries, *given.entries))
    notes += [*_version_notes(code), *_way_notes(agent, wanted, code), *home.notes, *others.notes, *service.notes]
    return HermesPlan(
        changes=(*changes, *service.changes, *given.changes, *home.later, *others.later),
        files={**manifest, **service.files, **home.files, **others.files},
        prepare=home.prepare or (code is None and (installed is None or bool(package and package.files))),
        code=code,
        move=move,
        asked=facts.litellm is not None,
        healthy=facts.health == 200,
        platforms=messaging.enabled(agent.messaging),
        unmounted=tuple(mount.guest for mount in agent.mounts if facts.mounted.get(mount.guest) is False),
        configs=configs,
        notes=(*notes, *ending.hurried(agent, facts, home.entries, code)),
    )


def _version_notes(code: upstream.Code | None) -> tuple[str, ...]:
    if code is not None and upstream.unknown(code.version):
        how, known = "newer", upstream.NEWEST_SEEN
    elif code is not None and upstream.older(code.version):
        how, known = "older", upstream.RELEASES[0].since
    else:
        return ()
    return (
        f"Hermes {code.version} is {how} than all that this proxhermes knows: it is treated as {upstream.shown(known)}",
    )


def _way_notes(agent: Agent, wanted: Wanted, code: upstream.Code | None) -> tuple[str, ...]:
    """LiteLLM was asked on the way of the newest Hermes; an older one may take another."""
    if code is None or code.release.reading.ranges:
        return ()
    asked, way = (route.route(agent, wanted, each.reading) for each in (upstream.RELEASES[-1], code.release))
    if asked.proxy == way.proxy:
        return ()
    host = urlsplit(agent.litellm.base_url).hostname
    return (f"Hermes {code.version} reads no ranges in NO_PROXY, and asks LiteLLM through the proxy: add {host} to it",)


def _all_asked(agent: Agent, facts: GuestFacts) -> tuple[dict[str, int | None], list[str]]:
    """What LiteLLM tells of the context of the agent's model (named ``) and of its profiles', and each note once."""
    asked = {"": _asked(agent, facts), **{each.name: _asked(each, facts) for each in profiles_of(agent)}}
    notes = dict.fromkeys(note for _, told in asked.values() for note in told)
    return {name: length for name, (length, _) in asked.items()}, list(notes)


def _asked(agent: Agent, facts: GuestFacts) -> tuple[int | None, list[str]]:
    """The model's context as LiteLLM tells it, and notes. Raises Refused for what cannot work."""
    if facts.litellm is None:
        return None, []
    doing = f"asking LiteLLM from inside CT {agent.vmid}, before anything is set up there"
    verdict = litellm.judge(facts.litellm, agent.litellm.model)
    if verdict.standing is litellm.Standing.UNREACHABLE:
        where = f"asked at {agent.litellm.base_url}"
        bridge = pools.covering(agent, facts, urlsplit(agent.litellm.base_url).hostname or "")
        why = f"; that address is in the network of {bridge} in the container itself" if bridge else ""
        return None, [f"{verdict.reason} ({where}{why}); Hermes is set up, but will not answer until it does"]
    if verdict.standing in (litellm.Standing.KEY_REFUSED, litellm.Standing.MODEL_UNKNOWN):
        hint = (
            "see litellm.api_key in the inventory: it must be a key of this proxy"
            if verdict.standing is litellm.Standing.KEY_REFUSED
            else "litellm.model in the inventory must be one that it serves; a key may be limited to some models"
        )
        raise Refused(verdict.reason, doing=doing, hint=hint)
    length = agent.litellm.context_length or verdict.context_length
    if length is not None and length < HERMES_SMALLEST_CONTEXT:
        raise Refused(
            f"{agent.litellm.model} has a context of {length} tokens; Hermes needs {HERMES_SMALLEST_CONTEXT}",
            doing=doing,
            hint="another model, or correct max_input_tokens in LiteLLM; litellm.context_length goes before it",
        )
    notes = [verdict.reason] if verdict.standing is litellm.Standing.DOUBTFUL else []
    if length is None and not verdict.listed:
        notes.append(
            f"LiteLLM does not tell the context of {agent.litellm.model}, which it does not list: Hermes takes one of "
            "its own unless litellm.context_length says it"
        )
    return verdict.context_length, notes
