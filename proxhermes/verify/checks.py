"""All checks, in the order in which they are asked."""

from __future__ import annotations

from proxhermes.verify import container, crons, engine, hermes, host, layer, mcp, profiles, service, skills, state
from proxhermes.verify.model import Check

# The files that root and the agent wrote are looked at once the agent has written its own: one look for all.
CHECKS: tuple[Check, ...] = (
    *container.CHECKS,
    *engine.CHECKS,
    *service.CHECKS,
    *layer.CHECKS,
    *hermes.CHECKS[:-2],
    *state.CHECKS,
    *mcp.CHECKS,
    *profiles.CHECKS,
    *skills.CHECKS,
    *crons.CHECKS,
    *host.CHECKS,
    *hermes.CHECKS[-2:],
)
