"""What the agent is given, where it goes in each runtime, and who may read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from proxhermes.errors import UsageError
from proxhermes.hermes import documents, labels, layout, modes, workplace
from proxhermes.hermes.layout import Layout
from proxhermes.inventory.models import Agent

NATIVE = {"type": "native"}
PERSISTENT = {"type": "persistent"}


def plugin(folder: Path) -> Path:
    (folder / "greeter" / "tools").mkdir(parents=True)
    for name in ("plugin.yaml", "__init__.py", "tools/run.sh"):
        (folder / "greeter" / name).write_text(f"{name}\n")
    (folder / "greeter" / "tools" / "run.sh").chmod(0o755)
    (folder / "greeter" / "__pycache__").mkdir()
    (folder / "greeter" / "__pycache__" / "x.pyc").write_bytes(b"\0")
    return folder / "greeter"


def test_texts_files_and_plugins_are_read(make_agent: Any, tmp_path: Path) -> None:
    (tmp_path / "logo.bin").write_bytes(b"\0\xff")
    agent = make_agent(
        hermes={
            "documents": {"AGENTS.md": "hällo\n", "img/logo.bin": {"file": str(tmp_path / "logo.bin")}},
            "home_files": {"SOUL.md": {"text": "me"}, "hooks/greet/handler.py": "x = 1\n"},
            "plugins": {"greeter": {"path": str(plugin(tmp_path))}},
        }
    )
    found = {(file.place, file.path): file for file in documents.given(agent)}
    assert {key: file.content for key, file in found.items() if "plugins" not in key[1]} == {
        ("workspace", "AGENTS.md"): "hällo\n".encode(),
        ("workspace", "img/logo.bin"): b"\0\xff",
        ("home", "SOUL.md"): b"me",
        ("home", "hooks/greet/handler.py"): b"x = 1\n",
    }
    assert {path: file.mode for (_, path), file in found.items() if path.startswith("plugins")} == {
        "plugins/greeter/__init__.py": 0o640,
        "plugins/greeter/plugin.yaml": 0o640,
        "plugins/greeter/tools/run.sh": 0o750,
    }
    # Code is read when the service starts, all else for each conversation.
    assert {path for (_, path), file in found.items() if not file.effective} == {
        "hooks/greet/handler.py",
        *(path for _, path in found if path.startswith("plugins")),
    }
    off = make_agent(hermes={"plugins": {"greeter": {"path": str(tmp_path / "greeter"), "enabled": False}}})
    assert all(file.effective for file in documents.given(off))


SKILL = "---\nname: wiki\ndescription: x\n---\nLook there.\n"


def test_a_skill_is_read_and_restarts_nothing(make_agent: Any, tmp_path: Path) -> None:
    for path, text in (("SKILL.md", SKILL), ("scripts/look.sh", "#!/bin/sh\n"), ("references/a.md", "a\n")):
        (tmp_path / "wiki" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "wiki" / path).write_text(text)
    (tmp_path / "wiki" / "scripts" / "look.sh").chmod(0o755)
    found = documents.given(make_agent(hermes={"skills": {"wiki": {"path": str(tmp_path / "wiki")}}}))
    assert {file.path: file.mode for file in found} == {
        "skills/wiki/SKILL.md": 0o640,
        "skills/wiki/references/a.md": 0o640,
        "skills/wiki/scripts/look.sh": 0o750,
    }
    assert all(file.effective and file.place == "home" for file in found)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (SKILL, True),
        (SKILL.replace("\n", "\r\n"), True),
        (SKILL.replace("name: wiki", "name: 'wiki' "), True),
        (SKILL.replace("name: wiki\n", ""), True),
        ("No front matter\nname: other\n", True),
        (SKILL.replace("name: wiki", "name: other"), False),
    ],
)
def test_a_skill_is_called_what_its_key_is(make_agent: Any, tmp_path: Path, text: str, fits: bool) -> None:
    (tmp_path / "SKILL.md").write_bytes(text.encode())
    agent = make_agent(hermes={"skills": {"wiki": {"path": str(tmp_path)}}})
    if fits:
        assert len(documents.given(agent)) == 1
    else:
        with pytest.raises(UsageError, match=r"skills\.wiki\.path: its SKILL\.md calls it 'other', not 'wiki'"):
            documents.given(agent)


def test_what_cannot_be_read_is_told_with_its_option(make_agent: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for hermes, words in (
        (
            {"documents": {"A.md": {"file": "/nowhere"}}},
            r"agents\.118\.hermes\.documents\.A\.md: /nowhere: No such file",
        ),
        ({"home_files": {"A.md": {"file": str(tmp_path)}}}, r"home_files\.A\.md: .*: Is a directory"),
        ({"plugins": {"x": {"path": "/nowhere"}}}, r"plugins\.x\.path: /nowhere: this is not a folder"),
        (
            {"plugins": {"x": {"path": str(tmp_path / "empty")}}},
            r"has no plugin\.yaml or plugin\.yml and no __init__\.py",
        ),
    ):
        with pytest.raises(UsageError, match=words):
            documents.given(make_agent(hermes=hermes))


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({}, "/data"),
        ({"mounts": []}, "/opt/hermes/data/workspace"),
        ({"mounts": [], "runtime": NATIVE}, "/var/lib/hermes/workspace"),
        ({"mounts": [], "runtime": PERSISTENT}, "/var/lib/hermes/workspace"),
        ({"hermes": {"working_directory": "/data/work"}}, "/data/work"),
        ({"hermes": {"working_directory": "/opt/data/workspace/x"}}, "/opt/hermes/data/workspace/x"),
        ({"hermes": {"working_directory": "/opt/data/notes"}}, "/opt/hermes/data/notes"),
        ({"hermes": {"working_directory": "/srv/x"}, "runtime": NATIVE}, "/srv/x"),
        (
            {"hermes": {"working_directory": "/models/x"}, "runtime": {"extra_volumes": ["/srv/models:/models"]}},
            "/srv/models/x",
        ),
    ],
)
def test_the_working_directory_as_the_guest_sees_it(make_agent: Any, fields: dict[str, Any], place: str) -> None:
    agent = make_agent(**fields)
    assert workplace.find(agent) == place
    path = documents.label(agent, documents.Given("workspace", "notes/a.md", b""))
    assert labels.path(layout.of(agent), path) == f"{place}/notes/a.md"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hermes": {"working_directory": "/elsewhere"}}, "within the Docker container alone"),
        (
            {"hermes": {"working_directory": "/x"}, "runtime": {"extra_volumes": ["/srv/x:/x:ro"]}},
            "read-only",
        ),
        ({"hermes": {"working_directory": "/v"}, "runtime": {"extra_volumes": ["named:/v"]}}, "container alone"),
        (
            {
                "hermes": {"working_directory": "/data/x"},
                "mounts": [{"host": "/mnt/x", "guest": "/data", "read_only": True}],
            },
            "read-only",
        ),
    ],
)
def test_documents_without_a_place_are_refused(make_agent: Any, fields: dict[str, Any], words: str) -> None:
    hermes = {**fields.get("hermes", {}), "documents": {"A.md": "x"}}
    with pytest.raises(UsageError, match=words):
        documents.given(make_agent(**{**fields, "hermes": hermes}))
    assert documents.given(make_agent(**fields)) == ()  # without one, it is nobody's business


def test_what_the_agent_writes_in_outside_of_its_own_folders(make_agent: Any) -> None:
    mounts = [{"host": "/mnt/a", "guest": "/data"}, {"host": "/mnt/b", "guest": "/models", "read_only": True}]
    runtime = {"extra_volumes": ["/srv/x:/x", "/srv/y:/y:ro", "named:/z"]}
    agent = make_agent(mounts=mounts, runtime=runtime, hermes={"working_directory": "/x/work"})
    assert workplace.writable(agent) == ("/data", "/srv/x", "/srv/x/work")


def test_a_declared_working_directory_is_made_but_no_mount_is(make_agent: Any) -> None:
    def made(agent: Agent) -> set[str]:
        return {rule.label for rule in modes.table(agent) if rule.made}

    plain = made(make_agent())
    assert "/data" not in plain and "home:cron" in plain
    assert made(make_agent(hermes={"working_directory": "/data/work"})) - plain == {"/data/work"}
    assert made(make_agent(hermes={"working_directory": "/data"})) == plain
    native = made(make_agent(runtime=NATIVE))
    assert native - plain == {"/var/lib/hermes"}


def test_the_table_is_the_modules(make_agent: Any) -> None:
    for runtime in ({}, NATIVE, PERSISTENT):
        table = modes.table(make_agent(runtime=runtime))
        folders = {rule.mode for rule in table if rule.kind == "folder" and rule.label != modes.TOKENS}
        files = {rule.label: rule.mode for rule in table if rule.kind == "file"}
        assert folders == {0o750}
        assert (files["home:.env"], files["home:auth.json"], files["home:config.yaml"]) == (0o600, 0o600, 0o640)
        assert not any(mode & 0o027 for rule in table for mode in (rule.mode, *rule.also))


PATHS = st.lists(st.sampled_from(["home", "workspace", ".hermes", "data", "x y", "a=b"]), max_size=4).map("/".join)


@forall(PATHS)
def test_a_label_leads_back_to_its_path(rest: str) -> None:
    for place in (
        Layout("/opt/h", "/opt/h/data", "/opt/data", "/opt/h/data/home", "x", "/opt/h/data/workspace", "x"),
        Layout("/opt/h", "/var/lib/h/.hermes", "x", "/var/lib/h/home", "x", "/var/lib/h/workspace", "x"),
    ):
        for folder in (place.home, place.user_home, place.workspace, "/data"):
            path = f"{folder}/{rest}".rstrip("/")
            assert labels.path(place, labels.label(place, path)) == path


def test_a_label_outlives_a_change_of_the_runtime(make_agent: Any) -> None:
    old, new = layout.of(make_agent()), layout.of(make_agent(runtime=NATIVE))
    label = labels.label(old, "/opt/hermes/data/workspace/notes.md")
    assert labels.path(new, label) == "/var/lib/hermes/workspace/notes.md"
