"""What every bundle for the guest begins with: the agent's names, what scripts share, and its runtime's functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxhermes.hermes import assignments
from proxhermes.transport.scripts import script

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent
    from proxhermes.transport.pct import Bundle

_SHARED: Final = ("guest-common.sh", "guest-call.sh")
_RUNTIMES: Final = {
    "docker": ("guest-runtime-compose.sh",),
    "persistent": (
        *("guest-package.sh", "guest-image.sh", "guest-closure.sh"),
        *("guest-runtime-compose.sh", "guest-runtime-persistent.sh"),
    ),
    "native": ("guest-package.sh", "guest-image.sh", "guest-runtime-native.sh"),
}
"""By the type of a runtime, the scripts whose functions make it up; a later one goes before an earlier one."""
_PYTHON: Final = ("guest-image.py", "image_layers.py", "image_code.py", "image_libraries.py", "python-prove.py")
_BESIDE: Final = {
    "docker": ("container-finish.sh",),
    "persistent": ("persistent-entrypoint.sh", *_PYTHON),
    "native": _PYTHON,
}
"""By the type of a runtime, what its functions put into the guest or compare with what is there."""
RUNTIME: Final = "runtime.sh"


def frame(agent: Agent, *entries: str) -> Bundle:
    """The common files, and the scripts `entries`, one of which is going to be run."""
    bundle = {name: (script(name), 0o700) for name in (*_SHARED, *entries)}
    bundle[assignments.NAME] = (assignments.render(assignments.assignments(agent)), 0o600)
    bundle |= assignments.proxy(agent)
    bundle[RUNTIME] = (functions(agent.runtime.type), 0o600)
    bundle |= {name: (script(name), 0o600) for name in _BESIDE.get(agent.runtime.type, ())}
    return bundle


def functions(runtime: str) -> bytes:
    """The shell functions of a type of runtime, for `runtime.sh`."""
    return b"\n".join(script(name) for name in _RUNTIMES[runtime])
