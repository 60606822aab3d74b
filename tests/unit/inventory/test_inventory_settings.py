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


def test_numbers_are_as_large_as_ids_are(smallest: str, read: Any, problems: Any) -> None:
    ids = "      settings: {discord: {allowed_channels: [1234567890123456789, 9223372036854775807, -1]}}\n"
    settings = read(with_hermes(smallest, ids)).agents[118].hermes.settings
    assert settings == {"discord": {"allowed_channels": [1234567890123456789, 2**63 - 1, -1]}}
    (found,) = problems(with_hermes(smallest, ids.replace("5807,", "5808,")))
    assert "a number that YAML readers do not agree on" in found.message


def test_the_shells_folder_has_its_own_option(smallest: str, problems: Any) -> None:
    (found,) = problems(with_hermes(smallest, "      terminal: {cwd: /data}\n"))
    assert found.allowed == "`hermes.working_directory` in its place"


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
        ("model: gpt\n", 1, "text stands where `litellm`"),
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


@pytest.mark.parametrize("settings", ["foo", "[a]", ""])
def test_settings_that_are_no_block_are_one_mistake(smallest: str, problems: Any, settings: str) -> None:
    (found,) = problems(with_hermes(smallest, f"      settings: {settings}\n", SECTIONS))
    assert "stands here instead of a block of keys" in found.message


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ("model: gpt-4", ["model: text stands where `litellm` ("]),
        (
            "model: gpt-4, terminal: ",
            ["model: text stands", "terminal: nothing stands where `agents.118.hermes.working"],
        ),
        ("model: , platforms: [a]", ["model: nothing stands", "platforms: a list stands where `agents.118.messaging"]),
    ],
)
def test_what_stands_in_the_way_is_one_mistake(smallest: str, problems: Any, settings: str, wanted: list[str]) -> None:
    hermes = f"      working_directory: /data\n      settings: {{{settings}}}\n"
    found = problems(with_hermes(smallest, hermes, SECTIONS))
    assert [f"hermes.settings.{words}" in str(problem) for problem, words in zip(found, wanted, strict=True)]
    assert {problem.allowed for problem in found} == {"leave it out, or a block of keys"}


@pytest.mark.parametrize("plugins", ["enabled: notalist", "enabled: [a, 5]", "enabled: [{a: b}]", "enabled: ", "'on'"])
def test_names_of_plugins_that_are_no_list_are_not_dropped(
    smallest: str, problems: Any, tmp_path: Path, plugins: str
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "plugin.yaml").write_text("name: mine\n")
    block = plugins if plugins.startswith("'") else f"{{{plugins}}}"
    (found,) = problems(
        with_hermes(smallest, f"      plugins: {{mine: {{path: mine}}}}\n      settings: {{plugins: {block}}}\n")
    )
    assert "stands where the names of `agents.118.hermes.plugins` (" in found.message


MESSAGING = """\
    messaging:
      telegram: {token: {env: T}, allowed_users: [1, 2], group_allowed_chats: [-5], require_mention: true,
        home_channel: 7, base_url: http://h:1/bot}
      discord: {token: {env: D}, allow_all_users: true, allowed_channels: [3]}
      slack: {bot_token: {env: S}, app_token: {env: A}, require_mention: false}
"""


@pytest.mark.parametrize(
    ("settings", "wrong", "option"),
    [
        ("telegram: {allow_from: ['*']}", "telegram.allow_from", "telegram.allowed_users"),
        ("platforms: {telegram: {extra: {allow_from: [1]}}}", "extra.allow_from", "telegram.allowed_users"),
        ("gateway: {platforms: {telegram: {allow_from: [1]}}}", "telegram.allow_from", "telegram.allowed_users"),
        ("telegram: {group_allowed_chats: [-6]}", "telegram.group_allowed_chats", "telegram.group_allowed_chats"),
        ("telegram: {require_mention: false}", "telegram.require_mention", "telegram.require_mention"),
        ("require_mention: false", "require_mention", "telegram.require_mention"),
        ("telegram: {enabled: false}", "telegram.enabled", "telegram"),
        ("telegram: {extra: {base_url: 'http://h:2/bot'}}", "telegram.extra.base_url", "telegram.base_url"),
        ("telegram: {home_channel: {chat_id: 8}}", "telegram.home_channel.chat_id", "telegram.home_channel"),
        ("platforms: {telegram: {token: '${OTHER}'}}", "platforms.telegram.token", "telegram.token"),
        ("discord: {allow_from: [1]}", "discord.allow_from", "discord.allow_all_users"),
        ("discord: {allowed_channels: [4]}", "discord.allowed_channels", "discord.allowed_channels"),
        ("slack: {require_mention: true}", "slack.require_mention", "slack.require_mention"),
        ("platforms: {slack: {token: '${SLACK_APP_TOKEN}'}}", "platforms.slack.token", "slack.bot_token"),
    ],
)
@pytest.mark.parametrize("whole_file", [False, True])
def test_a_platform_and_the_settings_do_not_disagree(
    smallest: str, problems: Any, write: Any, settings: str, wrong: str, option: str, whole_file: bool
) -> None:
    write(config=f"{{{settings}}}\n")
    hermes = "      config_file: config.yaml\n" if whole_file else f"      settings: {{{settings}}}\n"
    (found,) = problems(with_hermes(smallest, hermes, MESSAGING))
    assert f"{wrong} says something else than `agents.118.messaging.{option}` (" in found.message


def test_a_platform_may_be_told_the_same_twice_and_more(smallest: str, read: Any) -> None:
    same = (
        "telegram: {allow_from: ['2', '1'], group_allowed_chats: '-5', reactions: true, extra: {base_url: 'http://h:1/bot/'}}"
        ", platforms: {telegram: {token: '${TELEGRAM_BOT_TOKEN}', extra: {require_mention: true}}}"
        ", discord: {allow_from: '*', require_mention: true}, slack: {allow_from: [U1]}, matrix: {allow_from: [x]}"
    )
    read(with_hermes(smallest, f"      settings: {{{same}}}\n", MESSAGING))


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
    assert len(shown) == 1
    assert "model.default (`litellm.model`, " in shown[0]
    assert "platforms.telegram.enabled (`agents.118.messaging.telegram`, " in shown[0]


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


# What Hermes makes of it: keys that it does not list, words that its versions read differently.


@pytest.mark.parametrize(
    ("settings", "line", "path", "near"),
    [
        ("{agent: {max_turn: 60}}", 0, "agent.max_turn", "agent.max_turns"),
        (
            "\n        agent:\n          max_turns: 1\n          verify_on_stops: true",
            3,
            "agent.verify_on_stops",
            "agent.verify_on_stop",
        ),
        ("{agnet: {max_turns: 60}}", 0, "agnet", "agent"),
        ("{gateway: {discord: {reply_to_mode: x}}}", 0, "gateway.discord", "discord"),
    ],
)
def test_a_setting_that_hermes_does_not_list_is_warned_of_with_the_nearest(
    smallest: str, read: Any, settings: str, line: int, path: str, near: str
) -> None:
    (warning,) = read(with_hermes(smallest, f"      settings: {settings}\n")).warnings
    assert f"Hermes does not list the setting {path}, and may not read it" in warning.message
    assert warning.allowed == f"did you mean `{near}`?"
    here = with_hermes(smallest, "      settings").splitlines().index("      settings") + 1
    assert warning.line == here + line


@pytest.mark.parametrize(
    "settings",
    [
        "{agent: {max_turns: 60}, skills: {disabled: [x]}}",
        "{mcp_servers: {a: {url: 'http://a', mine: 1}}, providers: {a: {b: 1}}, hooks: {x: 1}}",
        "{platforms: {irc: {extra: {server: x}}}, display: {platforms: {irc: {streaming: true}}}}",
        "{mine: {of: my own}, model: {aliases: {a: b}}, terminal: {docker_env: {A: b}}}",
        "{moa: {presets: {mine: {enabled: true}}}, security: {tirith_path: x}, agent: {stall_guards: 1}}",
    ],
)
def test_a_setting_that_some_hermes_lists_or_leaves_to_the_user_is_none_to_warn_of(
    smallest: str, read: Any, settings: str
) -> None:
    assert read(with_hermes(smallest, f"      settings: {settings}\n")).warnings == ()


def test_settings_files_and_whole_files_are_looked_at_too(smallest: str, read: Any, write: Any, tmp_path: Path) -> None:
    write(base="# c\nagent: {max_turn: 1}\n")
    (warning,) = read(with_hermes(smallest, "      settings_files: [base.yaml]\n")).warnings
    assert (warning.file, warning.line) == (str(tmp_path / "base.yaml"), 2)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: y\n", 2, "`y` without quotes is the boolean true for some YAML readers"),
        ("a: [1, N]\n", 1, "`N` without quotes is the boolean false"),
        ("y: 1\n", 1, "`y` without quotes"),
        ("a: 20260820_093237_089e44\n", 1, "a number that YAML readers do not agree on"),
        ("a: {1_0e5: 2}\n", 1, "a number that YAML readers do not agree on"),
        ("a: 1\nb: 2\na: 3\n", 3, "`a` stands here a second time; the first is in line 1"),
    ],
)
def test_a_whole_file_means_the_same_to_every_hermes(
    smallest: str, problems: Any, write: Any, text: str, line: int, message: str
) -> None:
    write(config=text)
    (found,) = problems(with_hermes(smallest, "      config_file: config.yaml\n"))
    assert found.line == line and message in found.message


def test_what_is_merged_may_be_written_without_quotes(smallest: str, read: Any, write: Any) -> None:
    """It is quoted when it is written for Hermes."""
    write(base="mine: {y: N, b: [y, 20260820_093237_089e44]}\nquoted: 'y'\n")
    inventory = read(with_hermes(smallest, "      settings_files: [base.yaml]\n"))
    settings = inventory.agents[118].hermes.settings
    assert settings["mine"] == {"y": "N", "b": ["y", "20260820_093237_089e44"]}
