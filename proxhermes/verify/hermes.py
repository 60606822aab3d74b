"""Does the agent run, does it read what we wrote, does it get answers, and is it closed to the outside?"""

from __future__ import annotations

from typing import Final

from proxhermes import upstream
from proxhermes.hermes import litellm, messaging, ports
from proxhermes.plan.model import Layer
from proxhermes.verify import configuration, files, service
from proxhermes.verify.model import Check, Finding, failed, hindered, passed, skipped, warned
from proxhermes.verify.scene import HERMES_PORTS, Scene, listeners

_NEWEST: Final = upstream.shown(upstream.NEWEST_SEEN)
_OLDEST: Final = upstream.shown(upstream.RELEASES[0].since)
_DEAF: Final = (litellm.Standing.UNREACHABLE, litellm.Standing.KEY_REFUSED)


def _gateway(scene: Scene) -> Finding:
    gateway = scene.probe.gateway
    state = scene.guest.json("state") or {}
    said = f"its own state is {state.get('gateway_state')!r}"
    if gateway.status != 200:
        why = f"HTTP {gateway.status}" if gateway.status else gateway.error
        return failed(f"its API does not answer ({why}); {said}", service.log(scene))
    if state.get("gateway_state") not in upstream.SERVING:
        return failed(f"{said}: {state.get('exit_reason') or 'no reason given'}", service.log(scene))
    degraded = state.get("gateway_state") != "running"
    return passed(f"its API answers, {said}" + (": not every platform works, see hermes.platforms" if degraded else ""))


def _version(scene: Scene) -> Finding:
    gateway, installed = scene.probe.gateway, scene.installed
    if gateway.status != 200:
        return hindered(scene, "hermes.gateway", "the gateway does not answer")
    running = gateway.version
    if upstream.parse(running) is None:  # a checkout that no stamp came with calls itself "unknown" or "dev"
        return skipped(f"the gateway does not say its version; {_installed(installed)}")
    if upstream.orphans_wal(running):
        return warned(
            f"{running}: a second hermes process beside the gateway may lose messages",
            "any version but 0.21.0 to 0.21.2; until then call no `hermes` while the gateway runs",
        )
    if installed is not None and upstream.parse(installed.version) is None:
        installed = None
    if installed is not None and upstream.parse(running) != upstream.parse(installed.version):
        return failed(f"{running} runs; {_installed(installed)}", service.renewal(scene))
    if upstream.older(running):
        return warned(
            f"{running} is older than all that this proxhermes knows, from {_OLDEST} on",
            "a newer one: `runtime.image` or `runtime.package` in the inventory",
        )
    if installed is None:
        return passed(f"{running} runs; {_installed(installed)}")
    newer = f", newer than {_NEWEST}: taken for that" if upstream.unknown(running) else ""
    bare = ", which brings no bundled skills" if scene.guest.text("bundled_skills") == "0" else ""
    return passed(f"{running}{newer}{bare}")


def _installed(code: upstream.Code | None) -> str:
    return f"{code.version} is installed" if code else "the installed code does not tell which one it is"


def _platforms(scene: Scene) -> Finding:
    state = scene.guest.json("state")
    if state is None:
        return failed("the gateway left no readable state", service.log(scene))
    known = messaging.standings(state)
    wanted = messaging.enabled(scene.agent.messaging)
    # One that was taken out of the configuration stays in the gateway's state, as the last shutdown left it.
    others = [name for name, platform in known.items() if platform.state != "disconnected"]
    platforms = {name: known.get(name, messaging.Standing("absent")) for name in (*wanted, *others)}
    lines = [
        f"{name} {platform.state}" + (f" ({platform.error})" if platform.error and not platform.connected else "")
        for name, platform in platforms.items()
    ]
    if not all(platform.connected for platform in platforms.values()):
        return failed("; ".join(lines), "is the bot's token right, and does the guest reach the platform?")
    return passed("; ".join(lines)) if lines else skipped("no platform is enabled")


def _verdict(scene: Scene) -> litellm.Verdict:
    return scene.probe.litellm.verdict(scene.agent.litellm.model)


def _unreached(scene: Scene) -> Finding | None:
    """What to say in the place of all else where LiteLLM could not be asked, or does not answer."""
    if scene.probe.litellm.unasked:
        return skipped(scene.probe.litellm.unasked)
    if _verdict(scene).standing is litellm.Standing.UNREACHABLE:
        return hindered(scene, "hermes.litellm-reached", "LiteLLM was not reached")
    return None


def _litellm_reached(scene: Scene) -> Finding:
    url, verdict = scene.agent.litellm.base_url, _verdict(scene)
    if scene.probe.litellm.unasked:
        return skipped(scene.probe.litellm.unasked)
    if verdict.standing is litellm.Standing.UNREACHABLE:
        return failed(f"{url}: {verdict.reason}", _way_out(verdict.reason))
    return passed(f"{url} answers, asked as the agent asks")


def _way_out(reason: str) -> str:
    if "CERTIFICATE" in reason.upper():
        return "`litellm.ca_file` names the authority that signed its certificate"
    return "is it running, routed from the agent's network, and right in HTTPS_PROXY and NO_PROXY?"


def _litellm_key(scene: Scene) -> Finding:
    if not scene.probe.litellm.has_key:
        return failed("the agent has no key: LITELLM_API_KEY is not in its .env")
    if unreached := _unreached(scene):
        return unreached
    verdict = _verdict(scene)
    if verdict.standing is litellm.Standing.KEY_REFUSED:
        return failed(verdict.reason, "check litellm.api_key; a key that LiteLLM does not know answers 400 or 401")
    return passed("the key is accepted")


def _litellm_closed(scene: Scene) -> Finding:
    if unreached := _unreached(scene):
        return unreached
    bare = scene.probe.litellm.bare
    if bare == 200:
        return warned("LiteLLM answers without a key", "set general_settings.master_key in LiteLLM")
    if bare not in litellm.REFUSED:
        return warned(f"asked without a key, it neither answered nor refused: HTTP {bare}")
    return passed(f"without a key: HTTP {bare}")


def _litellm_model(scene: Scene) -> Finding:
    if scene.probe.litellm.unasked or _verdict(scene).standing in _DEAF:
        return _unheard(scene)
    verdict, wanted = _verdict(scene), scene.agent.litellm.model
    if verdict.standing is litellm.Standing.MODEL_UNKNOWN:
        return failed(verdict.reason, "litellm.model")
    if verdict.standing is litellm.Standing.DOUBTFUL:
        return warned(verdict.reason, "is the model behind it up?")
    count = scene.probe.litellm.count
    return passed(f"{wanted} is one of {count}" if verdict.listed else f"{wanted} answers, and is not listed")


def _unheard(scene: Scene) -> Finding:
    """LiteLLM does not talk to the agent: which check says why."""
    return _unreached(scene) or hindered(scene, "hermes.litellm-key", "LiteLLM does not take the agent's key")


def _silent(scene: Scene) -> Finding | None:
    """Why the agent cannot answer, as was seen already: without its model, it takes Hermes minutes to say so."""
    if scene.probe.gateway.status != 200:
        return hindered(scene, "hermes.gateway", "the gateway does not answer")
    deaf = _verdict(scene).standing in _DEAF and not scene.probe.litellm.unasked
    return _unheard(scene) if deaf else None


def _answer(scene: Scene) -> Finding:
    if silent := _silent(scene):
        return silent
    reply = scene.reply("answer")
    if reply is None:
        return failed("it was not asked")
    if not reply.answered:
        why = f"HTTP {reply.status}: {reply.error}" if reply.status else f"no answer in time: {reply.error}"
        return failed(why, "is the model behind LiteLLM slow or down?")
    if scene.word not in reply.text:
        return warned(f"it answered, but not what it was asked for: {reply.text[-120:]!r}", "a weak model, perhaps")
    return passed(f"asked for {scene.word}, answered {reply.text.strip().splitlines()[-1].strip()!r}")


def _tool(scene: Scene) -> Finding:
    if scene.tool_mount is None:
        return skipped("the inventory has no writable mount on which the node could see a file")
    if silent := _silent(scene):
        return silent
    number, mount = scene.tool_mount
    reply = scene.reply("tool")
    if reply is None:
        return hindered(scene, "hermes.answer", "the agent did not answer")
    seen = scene.node.text(f"tool.{number}").splitlines()
    if not seen:
        why = f"the agent said {reply.text[-120:]!r}" if reply.answered else f"HTTP {reply.status}: {reply.error}"
        return failed(f"no file of the agent appeared in {mount.host} on the node; {why}", "does the model call tools?")
    owner = ":".join(seen[0].split("|")[:2])
    if len(seen) < 2 or seen[1].strip() != scene.nonce:
        return failed(f"the agent's file in {mount.host} does not hold what it was asked to write")
    return passed(f"the agent's tool call wrote a file that the node sees in {mount.host}, owned by {owner}")


def _closed(scene: Scene) -> Finding:
    if scene.address is None:
        return skipped("the guest has no address to try")
    opened = {int(port) for port in scene.node.text("open").split()}
    published = ports.expected(scene.agent)
    names = dict(listeners(scene.guest.text("listeners")))
    # The guest's own services (a template's sshd) are the operator's business, and are named.
    own = {port for port in opened - {*HERMES_PORTS} if names.get(port) not in (None, "unknown", "docker-proxy")}
    stray = sorted(opened - published - own)
    if stray:
        return failed(
            f"reachable from the node without being published: {', '.join(map(str, stray))}",
            "remove it from compose, or list it under runtime.ports if it is wanted",
        )
    if scene.guest.answer("listeners").rc not in (0, None):
        why = scene.guest.answer("listeners").last_words
        return warned(f"only Hermes' own ports were tried, for the guest does not tell which ones are open: {why}")
    told = [f"{port} ({names.get(port, 'published')})" for port in sorted(opened)]
    return passed("reachable from the node: " + (", ".join(told) or "nothing"))


def _asks(scene: Scene) -> Finding:
    pages = ports.closed_pages(scene.agent)
    if not pages or scene.address is None:
        return skipped("neither the API nor the dashboard is published")
    codes = {page: scene.node.text(f"page.{page}") for page in pages}
    told = ", ".join(f"{page}: HTTP {code}" for page, code in codes.items())
    if any(code == "200" for code in codes.values()):
        return failed(f"it answers anybody: {told}", "take the port out of runtime.ports until this is mended")
    if not all(code in ("401", "403") for code in codes.values()):
        return warned(f"asked from the node without a key, it neither answered nor refused: {told}")
    return passed(f"without a key: {told}")


CHECKS = (
    Check("hermes.gateway", Layer.HERMES, "Is the gateway itself up?", _gateway),
    Check("hermes.version", Layer.HERMES, "Is the gateway that runs the installed version?", _version),
    Check("hermes.platforms", Layer.HERMES, "Is every enabled platform connected?", _platforms),
    *configuration.CHECKS,
    *files.CHECKS,
    Check("hermes.litellm-reached", Layer.HERMES, "Does the agent reach LiteLLM?", _litellm_reached),
    Check("hermes.litellm-key", Layer.HERMES, "Does LiteLLM accept its key?", _litellm_key),
    Check("hermes.litellm-closed", Layer.HERMES, "Does LiteLLM refuse without a key?", _litellm_closed),
    Check("hermes.litellm-model", Layer.HERMES, "Does LiteLLM serve the model?", _litellm_model),
    Check("hermes.answer", Layer.HERMES, "Does a prompt come back answered through LiteLLM?", _answer),
    Check("hermes.tool", Layer.HERMES, "Does a file that the agent writes appear on the node?", _tool),
    Check("hermes.ports", Layer.HERMES, "Is nothing reachable that is not published?", _closed),
    Check("hermes.asks", Layer.HERMES, "Does what is published ask who is there?", _asks),
)
