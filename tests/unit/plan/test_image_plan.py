"""A tag that means another image now: when a registry is asked, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes.image import Build
from proxhermes.plan.image import asked, moved
from proxhermes.upstream import Code

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NAME = "nousresearch/hermes-agent"


def facts(*digests: str, **fields: Any) -> GuestFacts:
    return GuestFacts(image_id="sha256:1", image_digests=digests, **fields)


@pytest.mark.parametrize(
    ("runtime", "name"),
    [
        ({}, f"{NAME}:latest"),
        ({"image": "ghcr.io/a/b:1"}, "ghcr.io/a/b:1"),
        ({"type": "persistent"}, "debian:13"),
        ({"image": f"{NAME}:1@{NEW}"}, None),
        ({"image": f"{NAME}@{NEW}"}, None),
        ({"type": "native"}, None),
    ],
)
def test_a_registry_is_asked_of_a_tag_alone(make_agent: Any, runtime: dict[str, Any], name: str | None) -> None:
    assert asked(make_agent(runtime=runtime), facts()) == name


def test_a_registry_is_not_asked_of_an_image_that_is_not_there_yet(make_agent: Any) -> None:
    assert asked(make_agent(), GuestFacts()) is None


def test_what_it_means_now_is_said_with_what_is_there_and_what_to_write(make_agent: Any) -> None:
    known = facts(f"ghcr.io/other@{NEW}", f"docker.io/{NAME}@{OLD}", codes={"sha256:1": Code("0.22.2", 50)})
    assert moved(make_agent(), known, Build(NEW, "0.23.4", "2026-11-20")) == (
        f"{NAME}:latest now means sha256:bbbbbbbbbbbb (0.23.4, made 2026-11-20); "
        "CT 118 has sha256:aaaaaaaaaaaa (0.22.2): it stays, for a tag is pulled when it is missing and never by "
        f"itself. For the new one: runtime.image: {NAME}:latest@{NEW}"
    )


def test_what_is_not_known_is_left_out(make_agent: Any) -> None:
    agent = make_agent(runtime={"type": "persistent", "image": "debian:13"})
    assert moved(agent, facts(), Build(NEW)).startswith(
        "debian:13 now means sha256:bbbbbbbbbbbb; CT 118 has an image of no registry: it stays"
    )


def test_what_it_says_to_write_is_an_image_by_digest(make_agent: Any) -> None:
    written = moved(make_agent(), facts(), Build(NEW)).rpartition("runtime.image: ")[2]
    assert asked(make_agent(runtime={"image": written}), facts()) is None
