"""Builders that several rooms' tests share: an agent as the inventory gives it, and who hears what is reported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from proxhermes.events import Event, Events
from proxhermes.inventory.models import Agent

MakeAgent = Callable[..., Agent]

# How long a machine takes says nothing about what it computes.
settings.register_profile("proxhermes", deadline=None)
settings.load_profile("proxhermes")


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_machines() -> Iterator[None]:
    """What is exported where the tests run (an inventory, after `make demo`) is not what they are about."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("PROXHERMES", "PROXMOX"))]:
            environment.delenv(name)
        yield


@pytest.fixture
def heard() -> list[Event]:
    """What was reported during the test."""
    return []


@pytest.fixture
def events(heard: list[Event]) -> Events:
    return Events([heard.append])


@pytest.fixture
def make_agent() -> MakeAgent:
    """An agent like the design's: CT 118 with two mounts; keywords override its fields."""

    def make(**fields: Any) -> Agent:
        written: dict[str, Any] = {
            "vmid": 118,
            "node": "gihyeon",
            "hostname": "hermes",
            "litellm": {
                "base_url": "http://10.1.10.22:4000/v1",
                "api_key": {"env": "LITELLM_API_KEY"},
                "model": "claude-sonnet",
            },
            "network": {"bridge": "intra01"},
            "mounts": [
                {"host": "/mnt/pve/hdd/hermes", "guest": "/data"},
                {"host": "/media/2tb/hermes", "guest": "/fast"},
            ],
        }
        return Agent.model_validate(written | fields)

    return make
