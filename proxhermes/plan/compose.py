"""The agent as a service of compose (`docker` and `persistent`): its file and its container. Pure.

A changed definition makes the container anew, which compose decides; an image with a moving tag (`latest`) is pulled
when it is missing, and never by itself.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from proxhermes.errors import Refused
from proxhermes.facts.guest import DockerContainer, GuestFacts, Place
from proxhermes.hermes import compose, layout, masks
from proxhermes.hermes.merge import leaves
from proxhermes.hermes.ports import api_port
from proxhermes.inventory.models import Agent
from proxhermes.plan import pools
from proxhermes.plan.hermes_model import ServicePlan, change, owner_changed, unfinished
from proxhermes.plan.model import Change, Effect, worst

_SHOWN: Final = 12


def plan_compose(agent: Agent, facts: GuestFacts, so_far: Effect) -> ServicePlan:
    """What is different about the service. Raises Refused for a container of that name that is not ours."""
    refuse_foreign(agent, facts.container)
    refuse_missing(agent, facts)
    text = rendered(agent, facts)
    changes, content = compose_file(facts, text)
    changes = [_with_versions(found, facts) for found in changes]
    finish = facts.service.facts.get("finish")
    if finish != "same":
        before = "of another version" if finish else None
        changes.append(change(compose.FINISH, before, "written", Effect.RESTART_SERVICE))
    changes += _container(agent, facts, max(so_far, worst(changes)))
    return ServicePlan(tuple(changes), {} if content is None else {compose.NAME: content})


def rendered(agent: Agent, facts: GuestFacts) -> str:
    """compose.yaml for this guest. Raises Refused where its network would cover what the agent has to reach."""
    chosen = pools.of(agent, facts)
    subnet = str(chosen.service) if chosen else None
    return compose.render(agent, mtu=facts.mtu, api_port=api_port(agent), subnet=subnet)


def refuse_foreign(agent: Agent, container: DockerContainer | None) -> None:
    """Raises Refused for a container of the agent's name that proxhermes did not make."""
    if container and (container.project, container.folder) != (layout.CONTAINER, layout.folder(agent)):
        engine = compose.contained(agent).engine
        made = f"compose project {container.project!r} in {container.folder}" if container.project else f"{engine} run"
        raise Refused(
            f"CT {agent.vmid} has a {engine.capitalize()} container named {layout.CONTAINER} already, made by {made}",
            hint=f"look at it, then rename or remove it: {engine} rename {layout.CONTAINER} {layout.CONTAINER}-old",
        )


def refuse_missing(agent: Agent, facts: GuestFacts) -> None:
    """A volume's folder that is not there would stop the start, after the old container has ended."""
    missing = [path for path in compose.folders(agent) if facts.places.get(path) is Place.NOTHING]
    if missing:
        raise Refused(
            f"runtime.extra_volumes: {', '.join(missing)}: not there in CT {agent.vmid}",
            hint="make it there, or have it mounted from the node (mounts); nothing was changed",
        )


def compose_file(
    facts: GuestFacts, text: str, effect: Effect = Effect.RECREATE_SERVICE
) -> tuple[list[Change], bytes | None]:
    """The changes of compose.yaml, each with `effect`, and its new content if it has to be written."""
    content = facts.readable("compose", compose.NAME)
    if content is None:
        return [change(compose.NAME, None, "written", effect)], text.encode()
    if content.decode() == text:
        return [], None
    before, after = _flat(compose.service_of(content.decode())), _flat(compose.service_of(text))
    changes: list[Change] = []
    for path in dict.fromkeys([*after, *before]):
        old, new = before.get(path), after.get(path)
        if old != new:
            subject = f"{compose.NAME}: {path}"
            changes.append(change(subject, masks.masked(old, path), masks.masked(new, path), effect))
    if not changes:
        changes.append(change(compose.NAME, "written by another version", "the same, written anew", Effect.NONE))
    return changes, text.encode()


def _flat(document: Any) -> dict[str, str]:
    """A compose file's values by short paths, as text; each volume for itself, by where the agent sees it."""
    flat: dict[str, str] = {}
    for path, value in leaves(document):
        name = ".".join(map(str, path)).removeprefix(f"services.{layout.CONTAINER}.")
        if name == "volumes" and isinstance(value, list):
            flat |= {f"volume {volume.get('target')}": _volume(volume) for volume in value if isinstance(volume, dict)}
        else:
            flat[name] = json.dumps(value, ensure_ascii=False).strip('"').replace("$$", "$")
    return flat


def _volume(volume: dict[str, Any]) -> str:
    rest = {key: value for key, value in volume.items() if key not in ("type", "source", "target")}
    plain = {"bind": {"create_host_path": False}}
    return str(volume.get("source")) + ("" if rest == plain else f" {json.dumps(rest)}")


def _with_versions(found: Change, facts: GuestFacts) -> Change:
    """A change of the image's name, with what the names mean now: which Hermes, and which build of it."""
    if found.subject != f"{compose.NAME}: image":
        return found
    before = facts.container and f"{found.before} ({_build(facts, facts.container.image)})"
    after = facts.image_id and f"{found.after} ({_build(facts, facts.image_id)})"
    return replace(found, before=before or found.before, after=after or found.after)


def _build(facts: GuestFacts, image_id: str) -> str:
    """An image by its Hermes' version, where that is known, and the beginning of its id."""
    code, short = facts.codes.get(image_id), image_id.removeprefix("sha256:")[:_SHOWN]
    return f"{code.version}, {short}" if code else short


def _container(agent: Agent, facts: GuestFacts, so_far: Effect) -> list[Change]:
    """What is different about the running container itself, where the files do not say it already."""
    changes = owner_changed(agent, facts, Effect.RECREATE_SERVICE)
    subject = f"container {layout.CONTAINER}"
    container = facts.container
    if container is None:
        build = _build(facts, facts.image_id) if facts.image_id else "pulled"
        after = f"{compose.contained(agent).image} ({build})"
        return [*changes, change(subject, None, after, Effect.RECREATE_SERVICE)]
    if container.status != "running":
        changes.append(change(subject, container.status, "running", Effect.RESTART_SERVICE))
    if so_far < Effect.RECREATE_SERVICE:
        if facts.compose_hash and facts.compose_hash != container.hash:
            before = "made from an older compose.yaml"
            changes.append(change(subject, before, "recreated", Effect.RECREATE_SERVICE))
        elif facts.image_id and facts.image_id != container.image:
            old, new = _build(facts, container.image), _build(facts, facts.image_id)
            name = compose.contained(agent).image
            changes.append(change(f"{subject}: image {name}", old, new, Effect.RECREATE_SERVICE))
    return changes + unfinished(facts, subject, changes, so_far, up=Effect.RECREATE_SERVICE)
