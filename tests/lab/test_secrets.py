"""Secrets on the real agent: what goes in is what Hermes reads, and what the agent refreshes itself stays."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.node.lab import Lab

VMID = 171
HOME = "/opt/hermes/data"
HARD = {
    "PEM": "-----BEGIN X-----\n  ab\\cd \n-----END X-----",
    "HASH": "a # b",
    "QUOTES": 'it\'s "quoted" # so',
    "REFERENCE": "a${HOME}b$c",
    "EDGES": "  both  ",
    "BACKSLASHES": "C:\\new\\table\\",
    "UNICODE": "grüße 日本",
    "SEPARATOR": "grüße\u2028日本",
    "LONG": "0123456789abcdef" * 400,
    # Hermes' repair of the file takes it for two lines that lost their newline.
    "WEIXIN_BASE_URL": "abcOPENAI_BASE_URL=def",
    "EMPTY": "",
}
ONLY_DOTENV = {"PEM", "REFERENCE", "SEPARATOR"}
"""No form of these is read by Hermes' second reader, which has neither line breaks (from 0.22 on Unicode's, too) nor a
literal `${`.
"""
READ = """\
import json, os, sys
from hermes_cli import config, env_loader
env_loader.load_hermes_dotenv()
lines = config.load_env()
print(json.dumps({name: [os.environ.get(name), lines.get(name)] for name in sys.argv[1:]}))
"""
LOGIN = {"version": 1, "providers": {"nous": {"access_token": "given-access-1", "refresh_token": "given-refresh-1"}}}
TOKEN = {"access_token": "given-mcp-access", "token_type": "Bearer", "refresh_token": "given-mcp-refresh"}
CLIENT = {"client_id": "given-client", "redirect_uris": ["http://127.0.0.1:7777/callback"]}
SECRETS = ("file-secret-0815", "command-secret-0815", "given-access", "given-refresh", "given-mcp")


@pytest.fixture(scope="module")
def inside(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator with an agent that has been given secrets in every way that needs nobody at a terminal."""
    someone = Operator(lab, tmp_path_factory.mktemp("secrets"))
    key = lab.client / "litellm.key"
    subprocess.run(["age-keygen", "-o", someone.folder / "identity"], check=True, capture_output=True)
    recipient = subprocess.run(
        ["age-keygen", "-y", someone.folder / "identity"], check=True, capture_output=True, text=True
    )
    encrypted = someone.folder / "litellm.age"
    subprocess.run(["age", "-r", recipient.stdout.strip(), "-o", encrypted, key], check=True)
    give(someone, "extra.env", 'FROM_FILE="from # a file"\nexport FILE_TOKEN=file-secret-0815\nBOTH=file\n')
    give(someone, "auth.json", json.dumps(LOGIN))
    give(someone, "token.json", json.dumps(TOKEN))
    give(someone, "client.json", json.dumps(CLIENT))
    someone.write(mine)
    someone.run("up", "--no-verify")
    yield someone
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def give(operator: Operator, name: str, text: str) -> None:
    (operator.folder / name).write_text(text)
    (operator.folder / name).chmod(0o600)


def mine(document: dict[str, Any], **changed: Any) -> None:
    document["litellm"]["api_key"] = {"age": "litellm.age", "identity": "identity"}
    hermes = {
        "environment": {**HARD, "BOTH": "plain"},
        "environment_files": ["extra.env"],
        "secrets": {"BY_COMMAND": {"command": ["echo", "command-secret-0815"]}},
        "auth_file": "auth.json",
        "mcp_tokens": {"far.away": {"token": "token.json", "client": {"file": "client.json"}}},
    }
    agent(document, VMID, **WITH_DOCKER, messaging={}, hermes=hermes | changed)


guest = partial(Operator.guest, vmid=VMID)


def as_agent(operator: Operator, script: str) -> str:
    return guest(operator, f"exec setpriv --reuid=10000 --regid=10000 --clear-groups sh -euc '{script}'")


def read_by_hermes(operator: Operator, *names: str) -> dict[str, list[str | None]]:
    """Each variable as the real Hermes has it: in its environment, and by its own reader of the file."""
    python = ["docker", "exec", "-i", "hermes", "/opt/hermes/.venv/bin/python", "-", *names]
    found = json.loads(operator.lab.guest(VMID, python, stdin=READ).stdout)
    return dict(found)


def changes(operator: Operator) -> list[str]:
    """Bootstrap, and what it changed, sorted."""
    (result,) = operator.json("bootstrap")["agents"]
    return sorted(change["subject"] for change in result["changes"])


needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")
pytestmark = needs_age


def test_hermes_reads_exactly_what_went_in(inside: Operator) -> None:
    found = read_by_hermes(inside, *HARD, "FROM_FILE", "BOTH", "BY_COMMAND", "FILE_TOKEN")
    others = {
        "FROM_FILE": "from # a file",
        "BOTH": "file",
        "BY_COMMAND": "command-secret-0815",
        "FILE_TOKEN": "file-secret-0815",
    }
    for name, value in {**HARD, **others}.items():
        assert found[name][0] == value
        assert found[name][1] == value or name in ONLY_DOTENV
    assert changes(inside) == [], "nor did Hermes' repair of the file find anything to repair"


def test_no_secret_is_told_or_open(inside: Operator) -> None:
    told = inside.logs() + inside.run("plan", code=None).stdout
    key = (inside.lab.client / "litellm.key").read_text().strip()
    assert [secret for secret in (*SECRETS, key) if secret in told] == []
    modes = guest(inside, f"cd {HOME} && stat -c '%a %u %n' .env auth.json mcp-tokens mcp-tokens/*").splitlines()
    assert sorted(modes) == [
        "600 10000 .env",
        "600 10000 auth.json",
        "600 10000 mcp-tokens/far_away.client.json",
        "600 10000 mcp-tokens/far_away.json",
        "700 10000 mcp-tokens",
    ]


def test_what_is_no_longer_declared_goes_and_others_lines_stay(inside: Operator) -> None:
    as_agent(inside, f"echo THEIR_OWN=1 >> {HOME}/.env")
    inside.write(lambda document: mine(document, secrets={}, environment={**HARD, "LONG": "short", "BOTH": "plain"}))
    assert changes(inside) == [".env: BY_COMMAND", ".env: LONG"]
    text = guest(inside, f"cat {HOME}/.env")
    assert "THEIR_OWN=1\n" in text
    assert "LONG=short\n" in text
    assert "BY_COMMAND" not in text
    assert "API_SERVER_KEY=" in text
    inside.write(mine)
    assert changes(inside) == [".env: BY_COMMAND", ".env: LONG"]


def test_what_the_agent_refreshes_stays_and_a_new_file_replaces_it_once(inside: Operator) -> None:
    auth = f"{HOME}/auth.json"

    def refresh() -> None:
        as_agent(inside, f"sed -i s/given-/refreshed-/ {auth} {HOME}/mcp-tokens/far_away.json")

    refresh()
    assert changes(inside) == []
    give(inside, "auth.json", json.dumps(LOGIN).replace("given-", "another-"))
    assert changes(inside) == [], "without being told to, it replaces nothing"
    assert "refreshed-access-1" in guest(inside, f"cat {auth}")

    forced = {"auth_file_force_overwrite": True}
    inside.write(lambda document: mine(document, **forced))
    assert changes(inside) == [auth]
    assert "another-access-1" in guest(inside, f"cat {auth}")
    as_agent(inside, f"sed -i s/another-/refreshed-/ {auth}")
    assert changes(inside) == [], "the same file is given once"
    assert "refreshed-access-1" in guest(inside, f"cat {auth}")
    give(inside, "auth.json", json.dumps(LOGIN).replace("given-", "third-"))
    assert changes(inside) == [auth]
    assert "third-access-1" in guest(inside, f"cat {auth}")
    assert "refreshed-mcp-access" in guest(inside, f"cat {HOME}/mcp-tokens/far_away.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environment_files": ["none.env"]}, "hermes.environment_files[0]"),
        ({"environment_files": ["broken.env"]}, "broken.env:2: this is not KEY=VALUE"),
        ({"auth_file": "broken.env"}, "is not a JSON object"),
        ({"secrets": {"X": {"age": "broken.env", "identity": "identity"}}}, "it is no file of age's"),
        ({"secrets": {"X": {"prompt": "X"}}}, "there is no terminal"),
        ({"settings": {"web": {"key": "${NOTHING_DEFINES_IT}"}}}, "NOTHING_DEFINES_IT"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_changed(
    operator: Operator, change: dict[str, Any], words: str
) -> None:
    (operator.folder / "litellm.key").write_text((operator.lab.client / "litellm.key").read_text())
    (operator.folder / "litellm.key").chmod(0o600)
    give(operator, "broken.env", "A=1\nno line of it\n")
    subprocess.run(["age-keygen", "-o", operator.folder / "identity"], check=True, capture_output=True)

    def unlucky(document: dict[str, Any]) -> None:
        document["litellm"]["api_key"] = {"file": "litellm.key"}
        agent(document, VMID + 1, hermes=change)

    operator.write(unlucky)
    done = operator.run("up", "--no-verify", code=2)
    assert words in done.stderr
    assert VMID + 1 not in [guest["vmid"] for guest in operator.lab.pvesh("/nodes/gihyeon/lxc")]
