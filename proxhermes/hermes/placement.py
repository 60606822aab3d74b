"""Which runtime has the agent, and where its folders are: remembered in the guest, for the next run may want another.

`<data_dir>/.proxhermes-runtime` is root's; the agent's folders move, so it cannot stand in one of them.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Final

from proxhermes.hermes import layout
from proxhermes.hermes.files import UnusableFile
from proxhermes.inventory.models import Agent
from proxhermes.inventory.runtime import NativeRuntime

NAME: Final = ".proxhermes-runtime"
_HEADER: Final = "# Written by proxhermes: which runtime has the agent, and where its folders are.\n"


@dataclass(frozen=True, slots=True)
class Placement:
    """A type of runtime with its engine (empty for none), and the agent's folders in the guest."""

    type: str
    engine: str
    home: str
    user_home: str
    workspace: str

    @property
    def service(self) -> tuple[str, str]:
        """What has to end when it becomes another."""
        return self.type, self.engine


def of(agent: Agent) -> Placement:
    """What the inventory wants."""
    place = layout.of(agent)
    engine = "" if isinstance(agent.runtime, NativeRuntime) else agent.runtime.engine
    return Placement(agent.runtime.type, engine, place.home, place.user_home, place.workspace)


def first(agent: Agent) -> Placement:
    """Where an agent is that was set up before this was remembered: there was one runtime only."""
    home = f"{agent.hermes.data_dir}/data"
    return Placement("docker", "docker", home, f"{home}/home", f"{home}/workspace")


def render(placement: Placement) -> bytes:
    """The file."""
    return (_HEADER + "".join(f"{name}={value}\n" for name, value in asdict(placement).items())).encode()


def parse(text: str) -> Placement:
    """What the file says. Raises UnusableFile for one that proxhermes did not write."""
    found = dict(re.findall(r"^([a-z_]+)=(.*)$", text, re.MULTILINE))
    try:
        return Placement(**{name: found[name] for name in Placement.__dataclass_fields__})
    except KeyError as error:
        raise UnusableFile(NAME, f"proxhermes did not write this file (no {error.args[0]} in it)") from None
