"""What is shown of others' settings and .env: no secret, whatever it is called and however it is written."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from proxhermes.hermes import env, masks
from proxhermes.inventory.secrets import MASK

HIDDEN = [
    ({"ssh": {"key_passphrase": "hunter2"}}, {"ssh": {"key_passphrase": MASK}}),
    ({"headers": {"X-Auth": "hunter2", "A": "Basic ${X}"}}, {"headers": {"X-Auth": MASK, "A": "Basic ${X}"}}),
    ([{"name": "x", "api_key": "hunter2"}], [{"name": "x", "api_key": MASK}]),
    ({"api_keys": {"a": "hunter2", "b": ["hunter2", 7, True]}}, {"api_keys": {"a": MASK, "b": [MASK, MASK, True]}}),
    ({"token": 1234567, "a_token": None, "use_token": False}, {"token": MASK, "a_token": None, "use_token": False}),
    ({"password": "${A}hunter2", "pwd": "${A}", "pass": ""}, {"password": MASK, "pwd": "${A}", "pass": ""}),
    ({"password": "x: ${A}"}, {"password": MASK}),
    ({"env": {"SMTP_PASS": "hunter2", "GITHUB_PAT": "hunter2", "OPENAI_API_KEY_2": "hunter2", "LANG": "C"}},
     {"env": {"SMTP_PASS": MASK, "GITHUB_PAT": MASK, "OPENAI_API_KEY_2": MASK, "LANG": "C"}}),
    (["--token", "hunter2", "--api-key=hunter2", "-v", "-H", "X: hunter2", "-e", "A_TOKEN=hunter2", "--token", "--x"],
     ["--token", MASK, f"--api-key={MASK}", "-v", "-H", MASK, "-e", f"A_TOKEN={MASK}", "--token", "--x"]),
    ([{"name": "A_TOKEN", "value": "hunter2"}, {"name": "a", "value": "b"}],
     [{"name": "A_TOKEN", "value": MASK}, {"name": "a", "value": "b"}]),
    (["-H", "Authorization: Bearer ${X}"], ["-H", "Authorization: Bearer ${X}"]),
    ("postgres://u:hunter2@h/db", f"postgres://u:{MASK}@h/db"),
    ("postgres://u:hun/ter2@h/db", f"postgres://u:{MASK}@h/db"),
    ("https://hunter2@h/x", f"https://{MASK}@h/x"),
    ("https://u:${PW}@h:80/x?a@b", "https://u:${PW}@h:80/x?a@b"),
    ("http://h:80/x@y", "http://h:80/x@y"),
    ("http://monkey:3000/v1", "http://monkey:3000/v1"),
    ("https://h/mcp?a=b&key=hunter2&c=d", f"https://h/mcp?a=b&key={MASK}"),
    ("https://h/mcp?key=${KEY}&c=d", "https://h/mcp?key=${KEY}&c=d"),
    ("run --token hunter2 --x", f"run --token {MASK}"),
    ("all of it:\n  password: hunter2\nthe end", f"all of it:\n  password: {MASK}\nthe end"),
    ({"x": "ghp_" + "a" * 30}, {"x": MASK}),
    ({12345: {"token": "hunter2"}}, {"12345": {"token": MASK}}),
    ({"max_tokens": 4096, "monkeypatch": "x", "forward_env": ["A_TOKEN", "B_KEY"]},
     {"max_tokens": 4096, "monkeypatch": "x", "forward_env": ["A_TOKEN", "B_KEY"]}),
    ({"api_key_env": "OPENAI_API_KEY", "model": "gpt", "args": ["-y", "server", "/data"]},
     {"api_key_env": "OPENAI_API_KEY", "model": "gpt", "args": ["-y", "server", "/data"]}),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), HIDDEN)
def test_a_secret_is_hidden_and_all_else_is_not(value: Any, shown: Any) -> None:
    assert masks.masked(value) == shown


@pytest.mark.parametrize(("value", "shown"), HIDDEN)
@pytest.mark.parametrize("style", ['"', "'", "|", ">", None])
@pytest.mark.parametrize("flow", [True, False])
def test_the_same_in_a_file_however_it_is_written(value: Any, shown: Any, style: Any, flow: bool) -> None:
    text = yaml.safe_dump({"x": value, "y": 1}, default_style=style, default_flow_style=flow, width=20)
    after = masks.settings_text(text)
    assert "hunter2" not in after
    assert masks.masked(yaml.safe_load(after)["x"]) == shown


def test_the_path_above_counts_too() -> None:
    assert masks.masked("hunter2", "mcp_servers", "a", "headers", "Accept") == MASK
    assert masks.masked("hunter2", 12345) == "hunter2"


FILE = """\
# all of it
model:   # api_key: hunter2
  sort_key: model
  token: true1   # mine
  other: true1x
  list: [ 'a',  "b" ]   # form
shared: &h {X-Auth: hunter2,  B: &b hunter2}
servers:
- headers: *h   # OPENAI_API_KEY=hunter2
- password: &p !!str hunter2
- keys: | # token: hunter2
    hunter2
    hunter2
- password: hunter2
  password: ${REAL}
  folded: >-
    postgres://u:hunter2@h
"""


def test_a_file_keeps_its_form_but_for_what_is_masked() -> None:
    assert (
        masks.settings_text(FILE)
        == f"""\
# all of it
model:   # api_key: {MASK}
  sort_key: '{MASK}'
  token: '{MASK}'   # mine
  other: true1x
  list: [ 'a',  "b" ]   # form
shared: &h {{X-Auth: '{MASK}',  B: &b '{MASK}'}}
servers:
- headers: *h   # OPENAI_API_KEY={MASK}
- password: &p '{MASK}'
- keys: '{MASK}'
- password: '{MASK}'
  password: ${{REAL}}
  folded: 'postgres://u:{MASK}@h'
"""
    )


@pytest.mark.parametrize("text", ["", "# x\n", "---\n", "{}\n", "a:\n", "\ufeffa: {b: , c: }\r\n# d\r\n"])
def test_a_file_without_secrets_is_shown_as_it_is(text: str) -> None:
    assert masks.settings_text(text) == text


def test_of_env_only_plain_lines_are_shown() -> None:
    text = (
        "# mine\nA=1\nexport B='two # x=y'\nSMTP_PASS=hunter2\nURL=postgres://u:hunter2@h\n\n#GITHUB_PAT=hunter2\n"
        "A=hunter2\nEMPTY=\nA=1  # was: A=hunter2\nD='hunter2\nhunter2'\nSORT_KEY=hunter2\n"
    )
    shown = masks.env_text(text, {"A": "1", "B": "two # x=y", "SORT_KEY": "hunter2", "URL": "postgres://u:hunter2@h"})
    assert "hunter2" not in shown
    assert shown.startswith("# mine\nA=1\nexport B='two # x=y'\nSMTP_PASS=********\nURL=********\n\n#GITHUB_PAT=***")
    assert list(env.values(shown)) == ["A", "B", "SMTP_PASS", "URL", "EMPTY", "D", "SORT_KEY"]


@pytest.mark.parametrize("part", ["a-key-", "://a:", "x.y_z-", "a@b!", "bearer ", "token=${A} ", "-----BEGIN "])
def test_a_long_text_hides_what_follows_it(part: str) -> None:
    """It took minutes once; `benchmarks/masking` shows how the time grows."""
    assert "hunter2" not in masks.in_text(f"{part * 5000}\ntoken: hunter2")
