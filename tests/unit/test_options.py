"""docs/options.md is what the models say; each option of the NixOS module has a counterpart with tests, or a reason."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from proxhermes.inventory.schema import json_schema

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "docs" / "options.py"))

MODULE = """
enable package user group createUser stateDir workingDirectory configFile settings environment environmentFiles
authFile authFileForceOverwrite documents hermesHomeFiles* extraArgs extraPackages extraPlugins* extraPythonPackages*
extraDependencyGroups* restart restartSec addToSystemPackages backend.mode* backend.host* backend.port*
backend.waitFor* backend.interfaceName* backend.waitTimeout* backend.extraArgs* backend.sessionTokenFile*
container.enable container.backend container.image container.extraVolumes
container.extraOptions container.hostUsers*
"""
PROFILE = """
workingDirectory configFile settings environment environmentFiles authFile authFileForceOverwrite documents
hermesHomeFiles mcpServers extraPlugins extraArgs restart restartSec gateway.enable
"""
"""profileOptions of nix/moduleCommon.nix."""
SERVER = """
command args env url headers auth enabled timeout connect_timeout tools.include tools.exclude sampling.enabled
sampling.model sampling.max_tokens_cap sampling.timeout sampling.max_rpm sampling.max_tool_rounds
sampling.allowed_models sampling.log_level
"""


def test_the_document_is_up_to_date() -> None:
    written = (ROOT / "docs" / "options.md").read_text()
    assert written == TOOL["document"](), "make docs"


def test_every_option_of_the_module_is_there() -> None:
    expected = {*MODULE.split(), *(f"mcpServers.<name>.{name}" for name in SERVER.split())}
    expected |= {f"profiles.<name>.{name}*" for name in PROFILE.split()}
    assert {each.option + "*" * each.newer for each in TOOL["MODULE"]} == expected


@pytest.mark.parametrize("each", TOOL["MODULE"], ids=lambda each: each.option)
def test_a_counterpart_is_an_option_and_tested_or_there_is_a_reason(each: Any) -> None:
    assert set(each.ours) <= TOOL["paths"]()
    assert bool(each.ours) == bool(each.tests)
    assert each.ours or each.note
    for test in each.tests:
        file, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"no test {test}"


def test_every_key_that_the_schema_knows_is_there() -> None:
    schema = json_schema()
    keys = {key for name, block in schema["$defs"].items() if name != "Document" for key in block.get("properties", ())}
    rows = [row for row in TOOL["document"]().splitlines() if row.startswith(("| `", "## `"))]
    told = {row.split("`")[1].rpartition(".")[2] for row in rows}
    assert keys - told == set()


def test_what_two_types_of_runtime_have_in_common_is_told_once() -> None:
    rows = [row for row in TOOL["document"]().splitlines() if row.startswith("| `")]
    assert sorted(set(rows)) == sorted(rows)


def test_every_option_says_what_it_means() -> None:
    rows = [row for row in TOOL["document"]().splitlines() if row.startswith("| `")]
    assert [row for row in rows if "|  |  |" in row.replace("required", "")] == []
