"""MCP servers in the inventory: what is refused, with the line, and what passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def servers(smallest: str, *lines: str) -> str:
    return f"{smallest}    hermes:\n      mcp_servers:\n" + "".join(f"        {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('a: {url: https://x/mcp, headers: {Authorization: "Bearer abc"}}', "the header Authorization is a secret"),
        ("a: {url: https://x/mcp, headers: {X-Api-Key: abc}}", "the header X-Api-Key is a secret"),
        ("a: {url: https://x/mcp, headers: {X-Custom-Token: abc}}", "the header X-Custom-Token is a secret"),
        ("a: {command: x, env: {GITHUB_TOKEN: ghp_1}}", "GITHUB_TOKEN is a secret"),
        ("a: {command: x, args: [--api-key=abc]}", "the value of --api-key is a secret"),
        ("a: {command: x, args: [--token, abc]}", "the value of --token is a secret"),
        ('a: {command: x, args: [--header, "Authorization: Bearer abc"]}', "the header Authorization is a secret"),
        ("a: {url: 'https://x/mcp?api_key=abc'}", "`api_key` in the address is a secret"),
        ("a: {command: x, url: https://x/mcp}", "exactly one transport"),
        ("a: {enabled: true}", "exactly one transport"),
        ("a: {command: x, headers: {A: b}}", "`headers` means nothing beside `command`"),
        ("a: {command: x, auth: oauth}", "`auth` means nothing beside `command`"),
        ("a: {url: https://x/mcp, args: [b]}", "`args` means nothing beside `url`"),
        ("a: {url: https://x/mcp, env: {B: c}}", "`env` means nothing beside `url`"),
        ("a: {url: https://u:p@x/mcp}", "no user and password"),
        ("a: {url: ftp://x/mcp}", "not a URL of the kind"),
        ("a: {url: 'https:///mcp'}", "not a URL of the kind"),
        ("a: {url: https://x/mcp, headers: {'A B': c}}", "headers"),
        ('a: {url: https://x/mcp, headers: {A: "b\\r\\nC: d"}}', "one line"),
        ("a: {command: x, tools: {include: [b], exclude: [c]}}", "`exclude` means nothing beside `include`"),
        ("a: {command: x, timeout: 0}", "timeout"),
        ("a: {command: x, sampling: {log_level: loud}}", "log_level"),
        ("a: {command: x, auth: basic}", "auth"),
        ("a: {command: [npx, --token, abc]}", "`command: npx`, and the rest in `args: […]`"),
        ("a: {url: https://x/mcp, transport: sse}", "`hermes.settings.mcp_servers.NAME` in its place"),
    ],
)
def test_refused(smallest: str, problems: Any, line: str, words: str) -> None:
    (found,) = problems(servers(smallest, "fine: {command: y}", line))
    assert words in str(found)
    assert found.line == smallest.count("\n") + 4
    assert "abc" not in str(found)


def test_two_servers_that_hermes_takes_for_one(smallest: str, problems: Any) -> None:
    (found,) = problems(servers(smallest, "a.b: {command: x}", "a-b: {command: y}"))
    assert "to Hermes, a-b and a.b are both called a_b" in str(found)


@pytest.mark.parametrize("place", ["settings", "settings_files", "config_file"])
@pytest.mark.parametrize(
    ("server", "words"),
    [
        ('url: https://x/mcp, headers: {Authorization: "Bearer abc"}', "the header Authorization is a secret, and"),
        ("command: x, args: [--token, abc]", "the value of --token is a secret, and"),
        ("url: 'https://x/mcp?api_key=abc'", "`api_key` in the address is a secret, and"),
        ("command: x, env: {A_TOKEN: abc}", "A_TOKEN is a secret by its name"),
        ("url: https://x/mcp, oauth: {client_secret: abc}", "client_secret is a secret by its name"),
    ],
)
def test_secrets_are_refused_in_the_settings_too(
    smallest: str, problems: Any, tmp_path: Path, place: str, server: str, words: str
) -> None:
    block = f"mcp_servers: {{a: {{{server}}}}}"
    (tmp_path / "more.yaml").write_text(f"# more\n{block}\n")
    written = {"settings": f"{{{block}}}", "settings_files": "[more.yaml]", "config_file": "more.yaml"}[place]
    (found,) = problems(f"{smallest}    hermes:\n      {place}: {written}\n")
    file, line = ("inventory.yaml", smallest.count("\n") + 2) if place == "settings" else ("more.yaml", 2)
    assert (found.file, found.line) == (str(tmp_path / file), line)
    assert words in found.message
    assert "abc" not in str(found)


@pytest.mark.parametrize(
    ("typed", "settings", "key"),
    [
        ("a: {command: x}", "a: {url: https://x/}", "url"),
        ("a: {url: https://x/}", "a: {command: x}", "command"),
        ("b: {command: x}", "a: {command: x, url: https://x/}", "url"),
    ],
)
def test_a_server_of_both_places_has_one_transport(
    smallest: str, problems: Any, tmp_path: Path, typed: str, settings: str, key: str
) -> None:
    text = (
        f"{smallest}    hermes:\n      mcp_servers: {{{typed}}}\n      settings:\n        mcp_servers: {{{settings}}}\n"
    )
    (found,) = problems(text)
    line = text.count("\n")
    other = line - 2 if typed.startswith("a") else line
    assert (found.line, found.path) == (line, f"agents.118.hermes.settings.mcp_servers.a.{key}")
    assert f"exactly one transport, and `{'url' if key == 'command' else 'command'}` stands in" in found.message
    assert f"{tmp_path}/inventory.yaml:{other}" in found.message


def test_a_server_of_the_defaults_is_joined_with_the_agents_own(smallest: str, read: Any) -> None:
    text = smallest.replace(
        "agents:\n", "defaults: {hermes: {mcp_servers: {files: {command: npx}}, environment: {env: a}}}\nagents:\n"
    )
    hermes = read(f"{text}    hermes: {{mcp_servers: {{files: {{env: {{A: b}}}}}}, environment: {{file: b}}}}\n")
    hermes = hermes.agents[118].hermes
    assert (hermes.mcp_servers["files"].command, hermes.mcp_servers["files"].env) == ("npx", {"A": "b"})
    assert hermes.environment == {"env": "a", "file": "b"}


def test_what_passes(smallest: str, read: Any) -> None:
    text = servers(
        smallest,
        '"on": {url: "https://x/mcp/?key=${KEY}", headers: {Authorization: "Bearer ${T}", X-Org: me}}',
        '"off": {command: x, args: [--token, "${T}", --api-key, --verbose, "-e", A=b], env: {API_KEY: "${T}", N: 5}}',
    )
    found = read(text).agents[118].hermes.mcp_servers
    assert list(found) == ["on", "off"], "names, though a reader of YAML 1.1 would take them for booleans"
    assert found["on"].url == "https://x/mcp/?key=${KEY}", "unchanged: a slash at the end may matter"
    assert found["off"].env == {"API_KEY": "${T}", "N": "5"}
