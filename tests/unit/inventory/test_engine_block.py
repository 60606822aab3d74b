"""`runtime.engine` as a block says what `engine` says."""

from __future__ import annotations

from typing import Any

import pytest

ENGINE = "    engine: {source: distro}\n"


@pytest.mark.parametrize(
    ("written", "name", "source"),
    [
        ("    runtime: {engine: {address_pools: [10.201.0.0/16]}}\n", "docker", "auto"),
        ("    runtime: {engine: {name: podman, address_pools: [10.201.0.0/16]}}\n", "podman", "auto"),
        (ENGINE + "    runtime: {type: persistent, engine: {address_pools: [10.201.0.0/16]}}\n", "docker", "distro"),
        (ENGINE + "    runtime: {engine: {source: auto, address_pools: [10.201.0.0/16]}}\n", "docker", "auto"),
        ("defaults: {runtime: {engine: {name: podman, address_pools: [10.201.0.0/16]}}}\n", "podman", "auto"),
        (
            (
                "    runtime: {engine: docker}\n"
                "defaults: {runtime: {engine: {name: podman, address_pools: [10.201.0.0/16]}}}\n"
            ),
            "docker",
            "auto",
        ),
    ],
)
def test_a_block_is_taken_apart(read: Any, smallest: str, written: str, name: str, source: str) -> None:
    agent = read(smallest + written).agents[118]
    assert (agent.runtime.engine, agent.engine.source) == (name, source)
    assert agent.engine.address_pools == ("10.201.0.0/16",)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("{address_pools: [10.201.0.1/16]}", "agents.118.runtime.engine.address_pools[0]"),
        ("{address_pool: [10.201.0.0/16]}", "agents.118.runtime.engine.address_pool"),
        ("{name: lxd}", "agents.118.runtime.engine.name"),
    ],
)
def test_a_mistake_in_it_is_told_at_its_place(problems: Any, smallest: str, written: str, path: str) -> None:
    found = problems(f"{smallest}    runtime: {{engine: {written}}}\n")
    assert [problem.path for problem in found] == [path]
