"""Documents in the inventory: which names are taken, which are another option's, and whose files are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from proxhermes.errors import UsageError
from proxhermes.inventory.documents import Document
from proxhermes.inventory.hermes import Hermes
from proxhermes.inventory.local import LARGEST, LocalPath
from proxhermes.inventory.secrets import SecretSource


def refused(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Hermes.model_validate(fields)
    (error,) = caught.value.errors()
    return f"{error['msg']}: {error['ctx']['allowed']}"


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../b", "a//b", "./a", "a/", "a\nb", "a\\b", ""])
def test_a_document_lies_below_its_folder(path: str) -> None:
    assert "not a path below the folder" in refused(documents={path: "x"})


@pytest.mark.parametrize(
    ("path", "option"),
    [
        ("config.yaml", "hermes.settings"),
        (".env", "hermes.secrets"),
        ("auth.json", "hermes.auth_file"),
        ("mcp-tokens/lab.json", "hermes.mcp_tokens"),
        ("plugins/x/plugin.yaml", "hermes.plugins"),
        ("workspace/a.md", "hermes.documents"),
        (".managed", "hermes.managed"),
    ],
)
def test_what_another_option_writes_is_refused_with_it(path: str, option: str) -> None:
    assert option in refused(home_files={path: "x"})


@pytest.mark.parametrize(
    "path",
    ["state.db", "state.db-wal", "gateway.pid", "gateway_state.json", "auth.lock", "cron/jobs.json", "sessions/x",
     "logs/x", ".proxhermes/files", "home/x", "kanban.db"],
)  # fmt: skip
def test_the_agents_own_state_is_refused(path: str) -> None:
    assert "the agent's own state" in refused(home_files={path: "x"})


def test_other_names_are_taken() -> None:
    names = {"SOUL.md": "x", "memories/USER.md": "x", "skills/a/SKILL.md": "x", "hooks/h/HOOK.yaml": "x"}
    assert set(Hermes.model_validate({"home_files": names}).home_files) == set(names)
    assert Hermes.model_validate(
        {"documents": {"config.yaml": "x", ".env": "y"}}
    )  # of the workspace: the agent's to use


def test_no_file_lies_in_another() -> None:
    assert "'a' is a file, and 'a/b/c' would lie in it" in refused(documents={"a": "x", "a/b/c": "y"})


def test_a_document_has_one_content() -> None:
    for content in ({}, {"text": "x", "file": "y"}):
        with pytest.raises(ValidationError, match="exactly one content"):
            Document.model_validate(content)


def test_a_path_is_relative_to_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "soul.md").write_text("me")
    source = SecretSource(tmp_path, {})
    document = Document.model_validate({"file": "soul.md"}, context=source)
    assert document.file is not None and document.file.read() == b"me"
    assert Document.model_validate({"file": str(tmp_path / "soul.md")}).file.read() == b"me"  # type: ignore[union-attr]


def test_what_is_no_file_of_a_usual_size_is_refused(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UsageError, match=r"hermes\.x: .*/big: this is larger than 64 MiB"):
        LocalPath("big", big).read("hermes.x")


def test_a_folder_is_walked_in_order_without_what_tools_leave(tmp_path: Path) -> None:
    for name in ("b/z.py", "b/a.py", "a.md", ".git/HEAD", "b/__pycache__/z.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [file.written for file in LocalPath("folder", tmp_path).walk()] == [
        "folder/a.md",
        "folder/b/a.py",
        "folder/b/z.py",
    ]


def test_a_soul_where_nobody_reads_it_is_told_with_its_place(read: Any, smallest: str) -> None:
    text = smallest + "    hermes:\n      documents:\n        USER.md: u\n        SOUL.md: s\n        a/SOUL.md: t\n"
    found = [each for each in read(text).warnings if "HERMES_HOME alone" in each.message]
    assert [each.path for each in found] == [
        "agents.118.hermes.documents.SOUL.md",
        "agents.118.hermes.documents.a/SOUL.md",
    ]
    assert all("home_files" in each.allowed for each in found)
    line = text.splitlines().index("        SOUL.md: s") + 1
    assert found[0].line == line
    assert not read(smallest + "    hermes: {home_files: {SOUL.md: s}}\n").warnings
