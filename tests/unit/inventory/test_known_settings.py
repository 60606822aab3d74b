"""The settings that Hermes lists itself, by version."""

from __future__ import annotations

import pytest

from proxhermes.inventory import known_settings
from proxhermes.inventory.known_settings import Unlisted, unlisted


@pytest.mark.parametrize(
    ("path", "versions"),
    [
        ("security.tirith_path", ["0.18.0", "0.19.0", "0.20.1", "0.21.4"]),
        ("agent.stall_guards", ["0.20.1", "0.21.4", "0.22.2.post1", "0.23.4", "9.0"]),
        ("agent.max_turns", ["0.18.0", "0.19.0", "0.20.1", "0.21.4", "0.22.2.post1", "0.23.4", "9.0"]),
    ],
)
def test_a_version_that_was_not_read_may_have_what_those_around_it_have(path: str, versions: list[str]) -> None:
    every = ["0.18.0", "0.19.0", "0.20.1", "0.21.4", "0.22.2.post1", "0.23.4", "9.0"]
    assert [version for version in every if unlisted(path.split("."), version) is None] == versions
    assert unlisted(path.split(".")) is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("agent.max_turn", Unlisted(("agent", "max_turn"), "agent.max_turns")),
        ("agent.max_turn.x", Unlisted(("agent", "max_turn"), "agent.max_turns.x")),
        ("agnet.max_turns", Unlisted(("agnet",), "agent.max_turns")),
        ("agent.nothing_like_it_at_all", Unlisted(("agent", "nothing_like_it_at_all"), None)),
        ("gateway.discord.reply_to_mode", Unlisted(("gateway", "discord"), "discord.reply_to_mode")),
    ],
)
def test_the_nearest_is_named(path: str, found: Unlisted) -> None:
    assert unlisted(path.split(".")) == found


@pytest.mark.parametrize(
    "path", ["quite_my_own.x", "_config_version", "_x.y", "mcp_servers.a.b.c", "timezone.x", "agent"]
)
def test_what_is_left_to_the_user_is_not_judged(path: str) -> None:
    assert unlisted(path.split(".")) is None


def test_the_lists_are_small_and_of_the_versions_that_are_tried() -> None:
    assert known_settings._data()["versions"] == ["0.19", "0.22"]
    assert 100 < len(known_settings._data()["keys"]) < 200
