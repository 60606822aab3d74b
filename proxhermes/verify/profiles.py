"""Does the gateway serve the profiles that the inventory has, and no other?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxhermes.inventory import profiles
from proxhermes.plan.model import Layer
from proxhermes.verify import service
from proxhermes.verify.model import Check, Finding, failed, passed, skipped

if TYPE_CHECKING:
    from proxhermes.verify.scene import Scene


def _profiles(scene: Scene) -> Finding:
    wanted = profiles.of(scene.agent)
    if not wanted:
        return skipped("the inventory has no profiles")
    told = (scene.guest.json("state") or {}).get("served_profiles")
    served = {name for name in told if isinstance(name, str)} if isinstance(told, list) else set()
    absent = [profile.name for profile in wanted if profile.enabled and profile.name not in served]
    if absent:
        return failed(f"the gateway does not serve {', '.join(absent)}", service.log(scene))
    uncalled = [profile.name for profile in wanted if not profile.enabled and profile.name in served]
    if uncalled:
        return failed(f"the gateway serves {', '.join(uncalled)}", f"proxhermes up {scene.agent.vmid}")
    lines = [f"{profile.name}: {'served' if profile.enabled else 'not served, as declared'}" for profile in wanted]
    return passed("; ".join(lines))


CHECKS = (Check("hermes.profiles", Layer.HERMES, "Does the gateway serve the declared profiles?", _profiles),)
