"""Does the agent's service run: its container, or with `native` its unit of systemd?"""

from __future__ import annotations

from datetime import UTC, datetime

from proxhermes.hermes import layout
from proxhermes.inventory.runtime import NativeRuntime
from proxhermes.plan.model import Layer
from proxhermes.verify.model import Check, Finding, failed, passed, warned
from proxhermes.verify.scene import Scene

STEADY_SECONDS = 24 * 3600
"""Up for so long, a service that once died is worth a look, but no failure any more."""


def log(scene: Scene) -> str:
    """Where the agent's own last words are."""
    if isinstance(scene.agent.runtime, NativeRuntime):
        return f"in the guest: journalctl -u {layout.UNIT}"
    return f"in the guest: {scene.agent.runtime.engine} logs {layout.CONTAINER}"


def restart(scene: Scene) -> str:
    """The command that restarts it, for the container's root."""
    if isinstance(scene.agent.runtime, NativeRuntime):
        return f"`systemctl restart {layout.UNIT}`"
    return f"`{scene.agent.runtime.engine} restart {layout.CONTAINER}`"


def renewal(scene: Scene) -> str:
    """How the installed code becomes the one that runs. A container of the official image keeps the image it has."""
    bootstrap = f"proxhermes bootstrap {scene.agent.vmid}"
    return bootstrap if scene.agent.runtime.type == "docker" else f"in the guest: {restart(scene)}"


def _service(scene: Scene) -> Finding:
    return _unit(scene) if isinstance(scene.agent.runtime, NativeRuntime) else _container(scene)


def _container(scene: Scene) -> Finding:
    answer = scene.guest.answer("inspect")
    if not answer.ok:
        return failed(
            f"no container {layout.CONTAINER}: {answer.last_words}", f"proxhermes bootstrap {scene.agent.vmid}"
        )
    running, restarts, since, image, *_ = (answer.out.split("|") + [""] * 5)[:5]
    if running != "true":
        return failed(f"{layout.CONTAINER} is not running", log(scene))
    try:
        started = datetime.fromisoformat(since[:19] + "+00:00").timestamp()
    except ValueError:
        started = None
    if restarts != "0":
        return _died(scene, restarts, started, since[:19])
    return passed(f"{image}, up since {since[:19]}, no restarts")


def _unit(scene: Scene) -> Finding:
    again = f"proxhermes bootstrap {scene.agent.vmid}"
    lines = scene.guest.answer("unit").out.splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    if found.get("LoadState") != "loaded":
        return failed(f"there is no {layout.UNIT}", again)
    if found.get("ActiveState") != "active":
        return failed(f"{layout.UNIT} is {found.get('ActiveState')}: {found.get('Result')}", log(scene))
    started = int(found.get("ActiveEnterTimestamp", "").removeprefix("@") or 0)
    since, restarts = datetime.fromtimestamp(started, UTC).isoformat()[:19], found.get("NRestarts", "0")
    if restarts != "0":
        return _died(scene, restarts, started, since)
    if found.get("UnitFileState") != "enabled":
        return failed(f"{layout.UNIT} does not start at boot", again)
    if found.get("NeedDaemonReload") == "yes":
        return failed("the unit on the disk is not the one that runs", again)
    version = scene.guest.answer("package").out.strip().rpartition("/")[2]
    return passed(f"{version} as {found.get('User')}, up since {since}, no restarts")


def _died(scene: Scene, restarts: str, started: float | None, since: str) -> Finding:
    """It has died: a failure, unless it has been up for long since, by the guest's own clock."""
    now = scene.guest.text("now")
    steady = started is not None and now.isdigit() and int(now) - started >= STEADY_SECONDS
    return (warned if steady else failed)(
        f"it died and was restarted {restarts} times, last at {since}", f"{log(scene)}; {restart(scene)} counts anew"
    )


CHECKS = (Check("hermes.service", Layer.HERMES, "Does the agent's service run, without restarts?", _service),)
