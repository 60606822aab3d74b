"""What the gateway says of its jobs and skills through its own API (`host_scripts/gateway-probe.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent
    from proxhermes.verify.scene import Scene

PROBE: Final = "gateway-probe.py"


def scripts(agent: Agent) -> tuple[str, ...]:
    """What guest-verify.sh needs to ask it; nothing where the inventory has nothing that it would know."""
    return (PROBE,) if agent.hermes.crons or agent.hermes.skills else ()


def said(scene: Scene) -> Mapping[str, Any]:
    """`jobs` and `skills` as it told them; `error` where it did not."""
    found = (scene.guest.json("api") or {}).get("default")
    return found if isinstance(found, dict) else {"error": scene.guest.answer("api").last_words}
