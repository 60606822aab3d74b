"""What the gateway says of its jobs and skills through its own API (`host_scripts/agent-probe.py known`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent
    from proxhermes.verify.scene import Scene


def bundle(agent: Agent) -> dict[str, bytes]:
    """The profiles that guest-verify.sh asks it for; nothing where the inventory has nothing that it would know."""
    return {"profiles": b"default"} if agent.hermes.crons or agent.hermes.skills else {}


def said(scene: Scene) -> Mapping[str, Any]:
    """`jobs` and `skills` as it told them; `error` where it did not."""
    found = (scene.guest.json("known") or {}).get("default")
    return found if isinstance(found, dict) else {"error": scene.guest.answer("known").last_words}
