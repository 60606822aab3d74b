"""With `persistent`: is the container the one that is meant, and does its layer have the tools that were promised?"""

from __future__ import annotations

from typing import Final

from proxhermes.hermes import layout, persistent
from proxhermes.inventory.runtime import PersistentRuntime
from proxhermes.plan.model import Layer
from proxhermes.verify.model import Check, Finding, failed, passed, skipped, warned
from proxhermes.verify.scene import Scene

_SHOWN: Final = 12


def _layer(scene: Scene) -> Finding:
    agent = scene.agent
    if not isinstance(agent.runtime, PersistentRuntime):
        return skipped(f"the runtime is {agent.runtime.type}")
    found, wanted = scene.guest.text("identity"), persistent.identity(agent)
    if found != wanted:
        return failed(
            f"the container is {found[:_SHOWN] or 'none of ours'}, the inventory means {wanted[:_SHOWN]}",
            f"proxhermes plan {agent.vmid} says what is different, and what is lost",
        )
    version = scene.guest.text("package").rpartition("/")[2]
    shown = f"identity {wanted[:_SHOWN]}, code {version}"
    if reason := scene.guest.text("provision_failed"):
        return warned(
            f"{shown}; its tools are not all there: {reason.splitlines()[-1]}",
            f"in the guest, to try again: {agent.runtime.engine} restart {layout.CONTAINER}",
        )
    if not scene.guest.text("provisioned"):
        return failed(f"{shown}; its tools were never provisioned", f"proxhermes bootstrap {agent.vmid}")
    return passed(f"{shown}, tools provisioned")


CHECKS = (
    Check("hermes.layer", Layer.HERMES, "Is the container's layer the one that is meant, with its tools?", _layer),
)
