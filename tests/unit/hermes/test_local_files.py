"""The operator's files that the inventory names: each mistake in them is told at the place where they are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxhermes.hermes import local_files
from proxhermes.inventory import load
from proxhermes.inventory.problems import InventoryError, Problem

HEAD = """\
version: 1
nodes: {n: {api: "https://h:8006", token: u@pve!tok, token_secret: {env: S}}}
litellm: {base_url: "http://l:4000/v1", api_key: {env: K}, model: m}
agents:
  118:
    node: n
    hostname: h
    network: {bridge: b}
"""


def check(folder: Path, more: str) -> tuple[Problem, ...]:
    (folder / "inventory.yaml").write_text(HEAD + more)
    try:
        load(folder / "inventory.yaml", {}, files=local_files.check)
    except InventoryError as error:
        return error.problems
    return ()


def hermes(folder: Path, more: str) -> tuple[Problem, ...]:
    return check(folder, f"    hermes:\n      {more}\n")


@pytest.mark.parametrize(
    ("more", "path", "words"),
    [
        ("environment_files: [nope.env]", "environment_files[0]", "nope.env: No such file"),
        ("environment_files: [good.env, bad.env]", "environment_files[1]", "bad.env:2: this is not KEY=VALUE"),
        ("environment_files: [again.env, good.env]", "environment_files[0]", "A names a variable"),
        ("environment_files: [open.env]", "environment_files[0]", "can be read by everybody"),
        ("environment_files: [ours.env]", "environment_files[0]", "HERMES_UID is said elsewhere"),
        ("documents: {A.md: {file: nope.md}}", "documents.A.md.file", "nope.md: No such file"),
        ("documents: {'a: b': {file: folder}}", "documents.a: b.file", "folder: Is a directory"),
        ("home_files: {A.md: {file: nope.md}}", "home_files.A.md.file", "nope.md: No such file"),
        ("plugins: {mine: {path: nope}}", "plugins.mine.path", "nope: this is not a folder"),
        ("plugins: {mine: {path: folder}}", "plugins.mine.path", "folder has no plugin.yaml or plugin.yml and no"),
        ("skills: {mine: {path: nope}}", "skills.mine.path", "nope: this is not a folder"),
        ("skills: {mine: {path: folder}}", "skills.mine.path", "folder has no SKILL.md"),
        (
            "crons: {x: {schedule: every 2h, prompt: {file: nope.md}}}",
            "crons.x.prompt.file",
            "nope.md: No such file",
        ),
        ("auth_file: nope.json", "auth_file", "nope.json cannot be read: No such file"),
        ("auth_file: good.env", "auth_file", "{file: good.env} is not a JSON object"),
        ("mcp_tokens: {lab: {token: {env: T}, client: nope.json}}", "mcp_tokens.lab.client", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_where_it_is_named(tmp_path: Path, more: str, path: str, words: str) -> None:
    files = {
        "good.env": "B=1\n", "bad.env": "B=${B}\nwords\n", "again.env": "A=ab${B}\n", "open.env": "A_TOKEN=zQ7zQ7\n",
        "ours.env": "HERMES_UID=5\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644 if name == "open.env" else 0o600)
    (tmp_path / "folder").mkdir()
    (problem,) = hermes(tmp_path, more)
    assert (problem.path, problem.line) == (f"agents.118.hermes.{path}", 10)
    assert words in problem.message and "agents.118" not in problem.message and "zQ7" not in str(problem)


def test_a_missing_wheel_is_told(tmp_path: Path) -> None:
    wheel = "hermes_agent-0.19.0-py3-none-any.whl"
    (problem,) = check(tmp_path, f"    runtime: {{type: native, package: {{wheel: {wheel}}}}}\n")
    assert problem.path == "agents.118.runtime.package.wheel"
    assert problem.message == f"{tmp_path / wheel}: No such file or directory"


def test_every_file_is_looked_at_and_no_secret_is_looked_up(tmp_path: Path) -> None:
    assert len(hermes(tmp_path, "documents: {A.md: {file: a}, B.md: {file: b}}\n      environment_files: [c, d]")) == 4
    assert hermes(tmp_path, "auth_file: {file: nope}\n      secrets: {A: {env: NOPE}}") == ()


def test_a_command_that_needs_no_such_file_does_not_fail_without_it(tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text(HEAD + "    hermes: {documents: {A.md: {file: nope.md}}}\n")
    assert 118 in load(tmp_path / "inventory.yaml", {}).agents
