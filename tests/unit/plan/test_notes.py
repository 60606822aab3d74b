"""The block in the notes, and whose container it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.facts.container import ContainerFacts
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes
from proxhermes.plan.notes import Ownership


def test_the_block_says_what_it_must_and_no_secret(make_agent: Callable[..., Agent]) -> None:
    text = notes.render(make_agent())
    assert "`/mnt/pve/hdd/hermes` on the node is `/data`" in text
    assert "not in backups or snapshots" in text
    block = notes.read(text)
    assert block and (block.vmid, block.creating) == (118, False)
    assert block.spec == notes.spec_hash(make_agent())
    assert block.mounts == (("/mnt/pve/hdd/hermes", "/data"), ("/media/2tb/hermes", "/fast"))
    assert len(text.encode()) < 8192  # what Proxmox takes


def test_the_hash_follows_the_inventory(make_agent: Callable[..., Agent]) -> None:
    assert notes.spec_hash(make_agent()) == notes.spec_hash(make_agent())
    assert notes.spec_hash(make_agent()) != notes.spec_hash(make_agent(cores=3))


def test_the_version_of_hermes_is_noted_and_nothing_else_changed(make_agent: Callable[..., Agent]) -> None:
    text = f"mine\n\n{notes.render(make_agent())}after\n"
    named = notes.naming(text, "0.19.0")
    assert notes.naming(named, "0.22.2.post1") == notes.naming(text, "0.22.2.post1")
    assert named == f"mine\n\n{notes.render(make_agent(), hermes='0.19.0')}after\n"
    found = notes.read(named)
    assert found and (found.hermes, found.spec) == ("0.19.0", notes.spec_hash(make_agent()))
    bare = notes.read(text)
    assert bare and bare.hermes is None
    assert notes.naming("mine", "0.19.0") == "mine"
    assert notes.naming(notes.mark(118), "0.19.0") == notes.mark(118), "one that somebody put there by hand"


@given(before=st.text(max_size=40), after=st.text(max_size=40))
def test_text_around_the_block_stays(before: str, after: str) -> None:
    old = "<!-- proxhermes agent 118 creating -->\nold\n<!-- /proxhermes -->"
    new = "<!-- proxhermes agent 118 -->\nnew\n<!-- /proxhermes -->\n"
    merged = notes.merge(before + old + after, new)
    assert merged == before + new.rstrip("\n") + after
    assert notes.merge(merged, new) == merged


def test_the_block_comes_after_other_people_s_notes() -> None:
    block = "<!-- proxhermes agent 118 -->\nnew\n<!-- /proxhermes -->\n"
    assert notes.merge("mine\n", block) == f"mine\n\n{block}"
    assert notes.merge("", block) == block
    assert notes.merge(f"a\n{block}b\n{block}", block).count("/proxhermes") == 1


OURS = "<!-- proxhermes agent 118 -->\n<!-- /proxhermes -->"
CREATING = "<!-- proxhermes agent 118 creating -->\n<!-- /proxhermes -->"
CLONE = "<!-- proxhermes agent 117 -->\n<!-- /proxhermes -->"


@pytest.mark.parametrize(
    ("description", "tags", "owner", "why"),
    [
        (OURS, "ai;proxhermes", Ownership.OURS, None),
        (CREATING, "proxhermes", Ownership.OURS, None),
        (CREATING, "", Ownership.UNFINISHED, None),
        (OURS, "ai", Ownership.FOREIGN, "not the tag"),
        (CLONE, "proxhermes", Ownership.FOREIGN, "copy of agent 117"),
        ("my notes", "proxhermes", Ownership.FOREIGN, "not made by proxhermes"),
        ("", "", Ownership.FOREIGN, "not made by proxhermes"),
    ],
)
def test_whose_it_is(description: str, tags: str, owner: Ownership, why: str | None) -> None:
    facts = ContainerFacts("gihyeon", 118, True, config={"description": description, "tags": tags})
    assert notes.ownership(facts) is owner
    if why:
        assert why in notes.why_foreign(facts)


def test_a_vmid_that_something_else_holds_is_foreign() -> None:
    assert notes.ownership(ContainerFacts("gihyeon", 118, False)) is Ownership.ABSENT
    held = ContainerFacts("gihyeon", 118, False, held_by="a virtual machine")
    assert notes.ownership(held) is Ownership.FOREIGN
    assert "a virtual machine" in notes.why_foreign(held)
