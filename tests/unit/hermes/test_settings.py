"""The tree for config.yaml, what nothing defines in it, and the NixOS module's scenarios of its merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes import upstream
from proxhermes.errors import UsageError
from proxhermes.hermes import config, settings, variables
from proxhermes.hermes.merge import merged
from proxhermes.inventory import load

MCP = {"lab": {"command": "npx", "args": ["-y", "x"], "env": {"K": "${MCP_KEY}"}}}


def test_sections_and_settings_are_one_tree(make_agent: Any) -> None:
    agent = make_agent(
        hermes={
            "settings": {
                "model": {"temperature": 0.2},
                "terminal": {"modal_mode": "x"},
                "mcp_servers": {"lab": {"more": 1}, "other": {"url": "http://o"}},
                "deep": {"a": {"b": [1, {"c": None}]}},
            },
            "terminal": {"backend": "local", "env_passthrough": ["A"], "persistent_shell": False},
            "working_directory": "/fast",
            "mcp_servers": MCP,
        }
    )
    tree = settings.declared(agent)
    assert tree["model"]["temperature"] == 0.2
    assert tree["model"]["provider"] == "custom"
    assert tree["terminal"] == {
        "modal_mode": "x", "backend": "local", "env_passthrough": ["A"], "persistent_shell": False, "cwd": "/fast",
    }  # fmt: skip
    assert tree["mcp_servers"] == {"lab": {"more": 1, **MCP["lab"], "enabled": True}, "other": {"url": "http://o"}}
    assert tree["deep"] == {"a": {"b": [1, {"c": None}]}}


@pytest.mark.parametrize(
    ("terminal", "rendered"),
    [
        ({"backend": "ssh"}, {"backend": "ssh"}),
        ({"timeout": 60}, {"timeout": 60}),
        ({"env_passthrough": ["A", "B"]}, {"env_passthrough": ["A", "B"]}),
        ({"home_mode": "real"}, {"home_mode": "real"}),
        ({"persistent_shell": True}, {"persistent_shell": True}),
        ({"auto_source_bashrc": False}, {"auto_source_bashrc": False}),
        ({"shell_init_files": ["/data/env.sh"]}, {"shell_init_files": ["/data/env.sh"]}),
        ({"env_passthrough": []}, {"env_passthrough": []}),
    ],
)
def test_the_terminal_is_what_is_declared_and_no_more(make_agent: Any, terminal: Any, rendered: Any) -> None:
    assert settings.declared(make_agent(hermes={"terminal": terminal}))["terminal"] == rendered


def test_nothing_of_a_section_is_there_that_nobody_declared(make_agent: Any) -> None:
    assert set(settings.declared(make_agent())) == {"model"}


def test_plugins_are_enabled_beside_those_of_the_settings(make_agent: Any) -> None:
    plugins = {"mine": {"path": "p"}, "off": {"path": "q", "enabled": False}}
    given = {"plugins": {"enabled": ["disk", "mine"], "entries": {}}}
    tree = settings.declared(make_agent(hermes={"plugins": plugins, "settings": given}))
    assert tree["plugins"] == {"enabled": ["disk", "mine"], "entries": {}}
    assert settings.declared(make_agent(hermes={"plugins": plugins}))["plugins"] == {"enabled": ["mine"]}


def test_the_file_version_is_the_inventorys_and_for_a_new_file_alone(make_agent: Any) -> None:
    agent = make_agent(hermes={"config_version": 20})
    assert settings.version(agent, upstream.Code("0.22.2", 50)) == settings.version(agent, None) == 20
    assert settings.defaults(agent, 20)["_config_version"] == 20
    assert "_config_version" not in settings.defaults(agent)


@pytest.mark.parametrize(
    ("code", "version"),
    [
        (upstream.Code("0.19.0", 33), 33),
        (upstream.Code("0.19.0"), 33),
        (upstream.Code("0.22.2.post1", 50), 50),
        (upstream.Code("0.23.4", 51), 51),
        (None, upstream.RELEASES[-1].config_version),
    ],
)
def test_the_file_version_is_else_the_installed_hermes(
    make_agent: Any, code: upstream.Code | None, version: int
) -> None:
    assert settings.version(make_agent(), code) == version


def test_a_whole_file_leaves_nothing_to_merge(make_agent: Any) -> None:
    agent = make_agent(hermes={"config_file": "config.yaml"})
    assert settings.declared(agent) == settings.defaults(agent, 33) == {}
    assert settings.with_context({}, 100_000) == {}


# `${NAME}`


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        ({"a": "${X}"}, ["X"]),
        ({"a": ["b ${X} c${Y}", {"d": "$X {X} ${}"}]}, ["X", "Y"]),
        ({"a": "${X:-default}"}, ["X:-default"]),
        ({"a": "${env:X}"}, ["env:X"]),
        ({"mcp_servers": {"l": {"headers": {"A": "Bearer ${env:X} ${ Y }"}}}}, ["X", "Y"]),
        ({"${X}": 1, "b": None, "c": True}, []),
        ({"a": "${HOME}/${HERMES_HOME}"}, ["HOME", "HERMES_HOME"]),
    ],
)
def test_references_are_those_that_hermes_expands(tree: Any, names: list[str]) -> None:
    assert [name for _, name in variables.references(tree)] == names


def test_what_neither_env_nor_hermes_defines_is_found_once() -> None:
    tree = {"a": "${X} ${X} ${HOME}", "b": {"c": ["${Y}", "${Z}"]}}
    assert variables.undefined(tree, {"Y"}) == ((("a",), "X"), (("b", "c", "1"), "Z"))
    assert variables.undefined(tree, {"X", "Y", "Z"}) == ()


@given(st.dictionaries(st.sampled_from("abc"), st.text(alphabet="${}AB:-", max_size=12)))
def test_what_is_left_is_exactly_what_hermes_leaves_as_it_stands(tree: dict[str, str]) -> None:
    import re

    environ = {"A": "1", "HOME": "/h"}
    for key, text in tree.items():
        # Hermes 0.19: hermes_cli/config.py, _expand_env_vars.
        left = [m[1] for m in re.finditer(r"\${([^}]+)}", text) if m[1] not in environ]
        assert [n for p, n in variables.undefined(tree, environ) if p == (key,)] == list(dict.fromkeys(left))


def test_both_kinds_of_places_are_named(tmp_path: Path, make_agent: Any) -> None:
    (tmp_path / "base.yaml").write_text("web:\n  url: http://${HOST}/\n")
    text = (Path(__file__).parents[3] / "inventory.example.yaml").read_text()
    (tmp_path / "inventory.yaml").write_text(
        text.replace(
            "      environment: {HERMES_LANGUAGE: en}",
            "      settings_files: [base.yaml]\n      mcp_servers:\n        lab:\n          url: http://h\n"
            "          headers: {Authorization: 'Bearer ${LAB}'}\n      environment: {HERMES_LANGUAGE: en}",
        )
    )
    agent = load(tmp_path / "inventory.yaml", {}).agents[118]
    line = 1 + (tmp_path / "inventory.yaml").read_text().split("Bearer ${LAB}")[0].count("\n")
    with pytest.raises(UsageError) as caught:
        variables.refuse_undefined(agent, settings.declared(agent), ["LITELLM_API_KEY"])
    assert f"{tmp_path}/base.yaml:2: web.url: ${{HOST}}" in str(caught.value)
    assert f"{tmp_path}/inventory.yaml:{line}: mcp_servers.lab.headers.Authorization: ${{LAB}}" in str(caught.value)
    variables.refuse_undefined(agent, settings.declared(agent), ["LITELLM_API_KEY", "HOST", "LAB"])


def test_the_containers_own_environment_defines_too(make_agent: Any) -> None:
    for environment in ({"HOST": "h"}, ["HOST=h"]):
        agent = make_agent(
            hermes={"settings": {"a": "${HOST}"}}, runtime={"compose_override": {"environment": environment}}
        )
        variables.refuse_undefined(agent, settings.declared(agent), ["LITELLM_API_KEY"])


# The module's seven scenarios: what is there, what is declared, what Hermes reads then.

NIX = {"model": "nix/model", "mcp_servers": {"nix-server": {"command": "echo", "enabled": True}}}
USER = {
    "skills": {"disabled": ["a"]},
    "session_reset": {"mode": "idle"},
    "streaming": {"enabled": True},
    "fallback_model": {"provider": "openrouter", "model": "x"},
}
SCENARIOS: dict[str, tuple[Any, Any, Any]] = {
    "A fresh": (None, NIX, NIX),
    "B declared over the user's": ({"model": "user/model"}, {"model": "nix/model"}, {"model": "nix/model"}),
    "C the user's own keys": (USER, NIX, USER | NIX),
    "D both": (
        {"model": "user/model", "agent": {"max_turns": 5, "verbose": True}},
        {"model": "nix/model", "agent": {"max_turns": 9}},
        {"model": "nix/model", "agent": {"max_turns": 9, "verbose": True}},
    ),
    "E servers": (
        {"mcp_servers": {"mine": {"url": "http://m"}, "nix-server": {"command": "old", "args": ["x"], "timeout": 7}}},
        {"mcp_servers": {"nix-server": {"command": "echo", "args": ["hi"]}}},
        {
            "mcp_servers": {
                "mine": {"url": "http://m"},
                "nix-server": {"command": "echo", "args": ["hi"], "timeout": 7},
            }
        },
    ),
    "F nested": (
        {"terminal": {"backend": "docker", "custom_key": 1, "cwd": "/mine", "env_passthrough": ["A"]}},
        {"terminal": {"backend": "local", "timeout": 300}},
        {
            "terminal": {
                "backend": "local", "custom_key": 1, "cwd": "/mine", "env_passthrough": ["A"], "timeout": 300,
            }
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_modules_scenarios(name: str) -> None:
    existing, declared, expected = SCENARIOS[name]
    text = None if existing is None else config.dump(existing)
    after = config.update(text, declared)
    assert config.parse(after.text) == expected == merged(existing or {}, declared)
    # G: the second merge is the first one, byte for byte.
    assert config.update(after.text, declared, last=declared).text == after.text
