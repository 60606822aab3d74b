"""What is read before the guest is asked: whole files, and logins that must be what Hermes keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proxhermes.errors import SecretError, UsageError
from proxhermes.hermes.wanted import Seed, gather, token_name
from proxhermes.redaction import redact

LOGIN = {"providers": {"x": {"access_token": "hunter2-access", "pool": [{"refresh_token": "hunter2-refresh"}]}}}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(name: str, content: object, mode: int = 0o600) -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
        path.chmod(mode)
        return str(path)

    return write


def test_logins_are_seeds_under_the_names_that_hermes_has_for_them(make_agent: Any, written: Any) -> None:
    auth, token, client = (written(name, LOGIN) for name in ("auth.json", "t.json", "c.json"))
    tokens = {"my.server": {"token": auth}, "lab": {"token": {"file": token}, "client": {"command": ["cat", client]}}}
    content = f"{json.dumps(LOGIN, indent=2)}\n".encode()
    found = gather(make_agent(hermes={"auth_file": auth, "auth_file_force_overwrite": True, "mcp_tokens": tokens}))
    assert found.seeds == (
        Seed("auth.json", content, overwrite=True),
        Seed("mcp-tokens/my_server.json", content),
        Seed("mcp-tokens/lab.json", content),
        Seed("mcp-tokens/lab.client.json", content),
    )
    assert "hunter2" not in repr(found)
    assert redact("hunter2-access, hunter2-refresh") == "********, ********"
    assert not gather(make_agent(hermes={"auth_file": auth})).seeds[0].overwrite


@pytest.mark.parametrize("content", ["", "hunter2", "[]", '"hunter2"', '{"a": hunter2}', "null"])
@pytest.mark.parametrize("option", ["auth_file", "mcp_tokens.lab.token", "mcp_tokens.lab.client"])
def test_what_is_no_login_is_told_before_anything_is_changed(
    make_agent: Any, written: Any, content: str, option: str
) -> None:
    wrong, right = written("wrong.json", content), written("right.json", LOGIN)
    hermes: dict[str, Any] = {
        "auth_file": {"auth_file": wrong},
        "mcp_tokens.lab.token": {"mcp_tokens": {"lab": {"token": wrong}}},
        "mcp_tokens.lab.client": {"mcp_tokens": {"lab": {"token": right, "client": wrong}}},
    }[option]
    words = "is empty" if not content else rf"agents\.118\.hermes\.{option}: .*wrong\.json.* is not a JSON object"
    with pytest.raises(UsageError, match=words) as caught:
        gather(make_agent(hermes=hermes))
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_logins_are_not_open_to_everybody(make_agent: Any, written: Any) -> None:
    with pytest.raises(SecretError, match="can be read by everybody"):
        gather(make_agent(hermes={"auth_file": written("auth.json", LOGIN, 0o644)}))


@pytest.mark.parametrize(
    ("server", "name"), [("github", "github"), ("a.b-c_d", "a_b-c_d"), ("x.", "x"), ("n" * 200, "n" * 128)]
)
def test_the_file_of_a_server_is_named_as_hermes_does(server: str, name: str) -> None:
    assert token_name(server) == name


def test_a_whole_file_is_taken_as_it_is(make_agent: Any, written: Any) -> None:
    text = "# mine\nmodel: {default: x}\n"
    found = gather(make_agent(hermes={"config_file": written("config.yaml", text)}))
    assert (found.config_text, found.settings) == (text, {})
    with pytest.raises(UsageError, match=r"agents\.118\.hermes\.config_file: .*/none: No such file"):
        gather(make_agent(hermes={"config_file": written("x", "").replace("/x", "/none")}))
