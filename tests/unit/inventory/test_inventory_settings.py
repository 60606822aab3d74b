"""Settings files and sections: merged in their order, and every mistake told with its own file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SECTIONS = """\
    messaging: {telegram: {token: {env: T}, base_url: http://h:1/bot}}
"""
BASE = "agent: {max_turns: 60, verbose: true}\nskills:\n  disabled: [a, b]\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def writer(**files: str) -> None:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)

    return writer


def with_hermes(smallest: str, text: str, more: str = "") -> str:
    return smallest + f"    hermes:\n{text}{more}"


def test_files_lie_in_their_order_beneath_the_settings(smallest: str, read: Any, write: Any) -> None:
    write(base=BASE, more="agent: {verbose: null}\nskills: {disabled: [c]}\nx: {command: a}\n", empty="# nothing\n")
    text = with_hermes(
        smallest.replace("agents:\n", "defaults: {hermes: {settings: {x: {env: b}, agent: {mode: y}}}}\nagents:\n"),
        "      settings_files: [base.yaml, more.yaml, empty.yaml]\n      settings: {agent: {max_turns: 90}}\n",
    )
    agent = read(text).agents[118]
    assert agent.hermes.settings == {
        "agent": {"max_turns": 90, "verbose": None, "mode": "y"},
        "skills": {"disabled": ["c"]},
        "x": {"command": "a", "env": "b"},
    }


def test_a_value_is_found_where_it_is_written(smallest: str, read: Any, write: Any, tmp_path: Path) -> None:
    write(base=BASE)
    text = with_hermes(
        smallest,
        "      settings_files: [base.yaml]\n      settings:\n        agent: {max_turns: 90}\n"
        "      mcp_servers:\n        lab:\n          command: npx\n          args: [x, '${Y}']\n",
    )
    hermes = read(text).agents[118].hermes
    line = text.count("\n")
    assert hermes.place(("skills", "disabled", "1")) == f"{tmp_path}/base.yaml:3"
    assert hermes.place(("agent", "max_turns")) == f"{tmp_path}/inventory.yaml:{line - 4}"
    assert hermes.place(("mcp_servers", "lab", "args", "1")) == f"{tmp_path}/inventory.yaml:{line}"
    assert hermes.place(("model", "default")) is None


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("a: [1\n", 2, "not closed"),
        ("- a\n", 1, "a list stands here"),
        ("agent:\n  coding_context: off\n", 2, "`off` without quotes"),
        ("web:\n\n  api_key: hunter2\n", 3, "api_key is a secret by its name"),
        ("a: sk-proj-0123456789012345678901\n", 1, "looks like a secret"),
        ("# x\n_config_version: 30\n", 2, "the file's version is no setting"),
        ("model:\n  default: gpt\n", 2, "model.default says something else than `litellm.model`"),
        ("model: gpt\n", 1, "says something else than"),
        ("base_url: http://elsewhere/v1\n", 1, "base_url says something else than `litellm.base_url`"),
        ("platforms: {telegram: {enabled: false}}\n", 1, "than `agents.118.messaging.telegram`"),
        ("platforms: {telegram: {extra: {base_url: http://h:2/bot}}}\n", 1, "messaging.telegram.base_url"),
        ("x: ['a', 'b ${A:-b} c']\n", 1, "no variable's name"),
        ("x: ${env:NAME}\n", 1, "no variable's name"),
        ("a: 1\na: 2\n", 2, "a second time"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(
    smallest: str, problems: Any, write: Any, tmp_path: Path, content: str, line: int, message: str
) -> None:
    write(base=content)
    found = problems(with_hermes(smallest, "      settings_files: [base.yaml]\n", SECTIONS))
    assert {(problem.file, problem.line) for problem in found} == {(f"{tmp_path}/base.yaml", line)}
    assert message in found[0].message
    assert "hunter2" not in str(found[0])


def test_both_places_are_named(smallest: str, problems: Any, write: Any, tmp_path: Path) -> None:
    write(base="model: {default: gpt}\n")
    (found,) = problems(with_hermes(smallest, "      settings_files: [base.yaml]\n"))
    assert f"({tmp_path}/inventory.yaml:10)" in found.message
    assert str(found).startswith(f"{tmp_path}/base.yaml:1:18: model.default: ")


@pytest.mark.parametrize(
    ("section", "settings", "wrong"),
    [
        ("terminal: {backend: local, timeout: 9}", "terminal: {timeout: 8}", "terminal.timeout"),
        ("terminal: {env_passthrough: [A]}", "terminal: {env_passthrough: [A, B]}", "terminal.env_passthrough"),
        ("working_directory: /data", "terminal: {cwd: /fast}", "terminal.cwd"),
        ("mcp_servers: {a: {command: x}}", "mcp_servers: {a: {command: y}}", "mcp_servers.a.command"),
        ("mcp_servers: {a: {command: x}}", "mcp_servers: {a: {enabled: false}}", "mcp_servers.a.enabled"),
        ("mcp_servers: {a: {command: x}}", "mcp_servers: []", "mcp_servers.a"),
    ],
)
def test_a_section_and_the_settings_do_not_disagree(
    smallest: str, problems: Any, read: Any, section: str, settings: str, wrong: str
) -> None:
    text = with_hermes(smallest, f"      {section}\n      settings: {{{settings}}}\n")
    assert wrong in problems(text)[0].message


@pytest.mark.parametrize(
    "settings",
    [
        "model: {default: claude-sonnet, provider: custom, base_url: 'http://10.1.10.22:4000/v1/', temperature: 0.5}",
        "model: {api_key: '${LITELLM_API_KEY}', context_length: 100000}",
        "terminal: {timeout: 9, modal_mode: x}",
        "mcp_servers: {a: {command: x, enabled: true, more: 1, env: {K: '${env:K}'}}, b: {command: y}}",
    ],
)
def test_the_same_may_be_said_twice_and_more_beside_it(smallest: str, read: Any, settings: str) -> None:
    sections = "      terminal: {timeout: 9}\n      mcp_servers: {a: {command: x}}\n"
    read(with_hermes(smallest, f"{sections}      settings: {{{settings}}}\n"))


def test_a_file_that_is_not_there_is_named_where_the_inventory_names_it(smallest: str, problems: Any) -> None:
    (found,) = problems(with_hermes(smallest, "      settings_files: [base.yaml]\n"))
    assert found.path == "agents.118.hermes.settings_files[0]"
    assert "base.yaml: No such file" in found.message


def test_a_whole_file_leaves_nothing_to_the_settings(smallest: str, problems: Any, write: Any) -> None:
    write(config="model: {default: x}\n", base="a: 1\n")
    found = problems(
        with_hermes(
            smallest,
            "      config_file: config.yaml\n      settings: {a: 1}\n      settings_files: [base.yaml]\n"
            "      terminal: {timeout: 1}\n      mcp_servers: {a: {command: x}}\n",
        )
    )
    assert {problem.path for problem in found} == {"agents.118.hermes.config_file"}
    assert [part in str(found) for part in ("settings`", "settings_files`", "terminal`", "mcp_servers`")] == [True] * 4


def test_a_whole_file_that_says_otherwise_is_warned_of(smallest: str, read: Any, write: Any) -> None:
    write(
        config="model: {default: x, provider: custom, base_url: 'http://10.1.10.22:4000/v1',"
        " api_key: '${LITELLM_API_KEY}'}\n"
    )
    inventory = read(with_hermes(smallest, "      config_file: config.yaml\n", SECTIONS))
    shown = [str(warning) for warning in inventory.warnings]
    assert len(shown) == 3
    assert any("`litellm.model`" in text and "model.default" in text for text in shown)
    assert any("`agents.118.messaging.telegram`" in text and "platforms.telegram.enabled" in text for text in shown)


@pytest.mark.parametrize(
    ("content", "line", "message"), [("a: [1\n", 2, "not closed"), ("\na: {token: abc}\n", 2, "secret by its name")]
)
def test_a_whole_file_is_read_before_it_is_sent(
    smallest: str, problems: Any, write: Any, tmp_path: Path, content: str, line: int, message: str
) -> None:
    write(config=content)
    (found,) = problems(with_hermes(smallest, "      config_file: config.yaml\n"))
    assert (found.file, found.line) == (f"{tmp_path}/config.yaml", line)
    assert message in found.message
