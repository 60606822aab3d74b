"""The order of things: what is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from proxhermes import run
from proxhermes.errors import ProxhermesError, Refused
from proxhermes.events import Events
from proxhermes.facts.container import ContainerFacts
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes

MakeAgent = Callable[..., Agent]


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({"exists": True, "running": True}, Refused, "not made by proxhermes"),
        ({"exists": False, "held_by": "a virtual machine"}, Refused, "belongs to a virtual machine"),
        ({"exists": False}, ProxhermesError, "does not exist"),
        ({"exists": True, "config": "ours"}, ProxhermesError, "does not run"),
    ],
)
def test_bootstrap_goes_into_no_container_but_its_own(
    make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], kind: type[Exception], words: str
) -> None:
    agent = make_agent()
    ours = MappingProxyType({"tags": "proxhermes", "description": notes.render(agent)})
    if facts.get("config"):
        facts = facts | {"config": ours}
    monkeypatch.setattr(run, "read_container", lambda *_: ContainerFacts("gihyeon", 118, **facts))
    monkeypatch.setattr(run.preflight, "naming_all", lambda *_: nullcontext())
    closed: Any = SimpleNamespace(pve=None)  # has no door to the guest
    with pytest.raises(kind, match=words):
        run.bootstrap(agent, closed, Events())
