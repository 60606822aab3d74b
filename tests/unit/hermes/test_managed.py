"""How the agent learns who manages it."""

from __future__ import annotations

import re

from proxhermes.hermes import managed
from proxhermes.inventory.models import Agent


def agent(**hermes: object) -> Agent:
    return Agent.model_validate({
        "vmid": 118, "node": "node", "hostname": "hermes", "network": {"bridge": "vmbr0"}, "hermes": hermes,
        "litellm": {"base_url": "http://10.1.10.22:4000/v1", "api_key": {"env": "KEY"}, "model": "model"},
    })  # fmt: skip


def test_its_words_name_proxhermes_the_inventory_and_the_command() -> None:
    words = managed.environment(agent())["HERMES_MANAGED"]
    assert [part for part in ("proxhermes", "agent 118", "inventory", "proxhermes up 118") if part not in words] == []
    # Hermes takes these for other managers (0.19: hermes_cli/config.py).
    assert words.lower() not in {"true", "1", "yes", "brew", "homebrew", "nix", "nixos"}
    # What compose, systemd or a shell in double quotes would read as something else.
    assert not re.search(r"[$%`\"'\\\n]", words)


def test_an_agent_that_is_left_free_hears_nothing() -> None:
    assert managed.environment(agent(managed=False)) == {}
