"""The documents lead to each other, and what they show of an inventory is accepted."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxhermes.inventory import load

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCKS = ("hermes", "runtime", "network", "engine", "guest")
"""Blocks of an agent that an example shows by themselves."""


def _blocks(file: Path) -> list[str]:
    return [textwrap.dedent(block) for block in re.findall(r"^```yaml\n(.*?)^```", file.read_text(), re.M | re.S)]


SMALLEST, *_ = _blocks(DOCS[0])
EXAMPLES = [pytest.param(block, id=f"{file.name}-{n}") for file in DOCS for n, block in enumerate(_blocks(file))]


def test_every_link_leads_somewhere_and_every_document_is_linked_from_the_readme() -> None:
    for file in DOCS:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text()):
            assert (file.parent / link).exists(), f"{file.name} leads to {link}"
    readme = DOCS[0].read_text()
    assert [str(file) for file in DOCS[1:] if f"]({file.relative_to(ROOT)}" not in readme] == []


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_is_accepted(block: str, tmp_path: Path) -> None:
    tree = yaml.safe_load(SMALLEST.replace("AB:CD:…", ":".join(["AB"] * 32)))
    given = yaml.safe_load(block)
    if "version" not in given:
        agent = {"hermes": {"secrets": given}} if not {"agents", "litellm", *_BLOCKS} & {*given} else given
        over(tree if {"agents", "litellm"} & {*given} else tree["agents"][118], agent)
    for name in ("common.yaml", "SOUL.md", "notes.py", "docs/AGENTS.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a: 1\n")
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(tree))
    assert load(tmp_path / "inventory.yaml", {}).warnings == ()


def over(below: dict[Any, Any], above: dict[Any, Any]) -> None:
    """Join blocks; a reference to a secret replaces another one."""
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict) and key != "api_key":
            over(below[key], value)
        else:
            below[key] = value
