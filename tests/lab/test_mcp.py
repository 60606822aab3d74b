"""MCP servers: a program beside the agent, one behind a token, one behind a consent; and who manages the agent."""

from __future__ import annotations

import json
import signal
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import consent
import pytest
from conftest import WITH_DOCKER, Operator, agent
from consent import Browser, told

from proxhermes.lab.images.mcp import SERVERS
from proxhermes.lab.node.lab import Lab
from proxhermes.lab.node.paths import BRIDGE_ADDRESS
from proxhermes.lab.node.service_table import MCP_PORTS, UPSTREAM_PORT

VMID = 191
HOME = "/opt/hermes/data"
RECORD = f"/mnt/pve/hdd/agent-{VMID}/calls.jsonl"
ON, CONSENTED = MCP_PORTS[1]
SECOND, AGREED = MCP_PORTS[2]
"""The ports of the node's servers, by what they are called here: two of mcp 1, and two of mcp 2."""
VERIFIED = (
    "hermes.mcp: lab: 2 of 4 tools; on: 3 of 4 tools; second: 4 tools; "
    "consented: nobody has consented yet; agreed: nobody has consented yet"
)
REFUSAL = f"managed by proxhermes (agent {VMID} in its inventory; edit it there, then: proxhermes up {VMID})"


@pytest.fixture(scope="module")
def someone(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose agent has all kinds of servers."""
    operator = Operator(lab, tmp_path_factory.mktemp("mcp"))
    (operator.folder / "tools.py").write_text((SERVERS / "tools.py").read_text())
    operator.write(mine)
    yield operator
    operator.write(mine)
    operator.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def mine(document: dict[str, Any], **changed: Any) -> None:
    """The inventory of these tests. `on` is a boolean to YAML 1.1, which Hermes reads, unless it is quoted."""
    token = next(iter(document["agents"].values()))["messaging"]["telegram"]["token"]["file"]
    bearer = {"Authorization": "Bearer ${MCP_TOKEN}"}
    servers: dict[str, Any] = {
        "lab": {
            "command": "/opt/hermes/.venv/bin/python",
            "args": ["/opt/data/mcp/tools.py", "--record", "/data/calls.jsonl"],
            "env": {"GREETING": "${GREETING_OF_ENV}"},
            "tools": {"include": ["add", "environment"]},
        },
        "on": {
            "url": f"http://{BRIDGE_ADDRESS}:{ON}/mcp",
            "headers": bearer,
            "timeout": 60,
            "connect_timeout": 20,
            "tools": {"exclude": ["erase"]},
            "sampling": {"model": "gpt-mini", "max_tokens_cap": 77},
        },
        "second": {"url": f"http://{BRIDGE_ADDRESS}:{SECOND}/mcp", "headers": bearer},
        "consented": {"url": f"http://{BRIDGE_ADDRESS}:{CONSENTED}/mcp", "auth": "oauth"},
        "agreed": {"url": f"http://{BRIDGE_ADDRESS}:{AGREED}/mcp", "auth": "oauth"},
        "later": {"command": "/nowhere", "enabled": False},
    }
    hermes = {
        "home_files": {"mcp/tools.py": {"file": "tools.py"}},
        "environment": {"GREETING_OF_ENV": "hello"},
        "secrets": {"MCP_TOKEN": {"file": str(Path(token).with_name("mcp.token"))}},
        "mcp_servers": servers,
    }
    agent(document, VMID, **WITH_DOCKER, messaging={}, hermes=hermes | changed)


def guest(operator: Operator, script: str, *, check: bool = True, stdin: str | None = None) -> str:
    """What a script prints in the guest, on both streams."""
    done = operator.lab.guest(VMID, ["sh", "-euc", script], check=check, stdin=stdin)
    return f"{done.stdout}{done.stderr}"


def hermes(operator: Operator, *argv: str) -> str:
    """What `hermes` says in the agent's container."""
    return guest(operator, f"docker exec hermes hermes {' '.join(argv)} </dev/null", check=False)


chat = partial(Operator.ask, vmid=VMID)
begin = partial(consent.begin, vmid=VMID)


def recorded(operator: Operator) -> list[dict[str, Any]]:
    """The calls that the program beside the agent has recorded."""
    return [json.loads(line) for line in operator.lab.run(["cat", RECORD]).stdout.splitlines()]


def tokens(operator: Operator, server: str = "consented") -> str:
    return guest(operator, f"stat -c '%a %u:%g' {HOME}/mcp-tokens/{server}.json; sha256sum {HOME}/mcp-tokens/*")


# From here on the tests follow one agent; their order is part of the story.


def test_servers_are_declared_and_verified(someone: Operator) -> None:
    said = someone.run("up").stderr
    assert VERIFIED in said
    assert f"proxhermes mcp login {VMID} consented" in said
    assert someone.json("bootstrap")["agents"][0]["changes"] == []


def test_a_server_that_is_not_there_fails_the_verification(someone: Operator) -> None:
    guest(someone, f"mv {HOME}/mcp/tools.py {HOME}/mcp/away.py")
    failed = someone.run("verify", str(VMID), "--only", "hermes.mcp", code=4)
    guest(someone, f"mv {HOME}/mcp/away.py {HOME}/mcp/tools.py")
    assert "lab: Connection failed" in failed.stderr
    assert "on: 3 of 4 tools" in failed.stderr


def test_the_agent_calls_a_tool_over_stdio(someone: Operator) -> None:
    assert "42" in chat(someone, 'Call the tool mcp__lab__add with {"a": 2, "b": 40}')
    assert "hello" in chat(someone, 'Call the tool mcp__lab__environment with {"name": "GREETING"}')
    assert [(call["tool"], call["answer"]) for call in recorded(someone)] == [("add", "42"), ("environment", "hello")]


@pytest.mark.parametrize(("server", "port", "model"), [("on", ON, "mock-mini"), ("second", SECOND, "mock-sonnet")])
def test_the_agent_calls_a_tool_over_http_and_the_server_asks_its_model(
    someone: Operator, server: str, port: int, model: str
) -> None:
    word = f"SAMPLED-{port}"
    question = f"Reply with exactly: {word}"
    assert word in chat(someone, f"Call the tool mcp__{server}__ask with {json.dumps({'question': question})}")
    (call,) = told(someone, port)["calls"]
    assert (call["tool"], call["answer"]) == ("ask", word)
    asked = [request for request in told(someone, UPSTREAM_PORT, "requests") if request["last"]["text"] == question]
    assert {request["model"] for request in asked} == {model}


def test_a_tool_that_is_excluded_cannot_be_called(someone: Operator) -> None:
    """From Hermes 0.22 on, the model can ask for any by name, and it is the agent that refuses."""
    assert "The tool failed" in chat(someone, "Call the tool mcp__on__erase with {}")
    assert "The tool failed" in chat(someone, "Call the tool mcp__lab__erase with {}")
    assert "erase" not in {call["tool"] for call in [*told(someone, ON)["calls"], *recorded(someone)]}


def test_a_consent_that_is_denied_changes_nothing(someone: Operator) -> None:
    run, address = begin(someone)
    assert "The consent was refused" in Browser(someone).consent(address, "deny")
    _, err = run.communicate(timeout=120)
    assert run.returncode == 1, err
    assert "access_denied" in err
    assert "none" in guest(someone, f"ls {HOME}/mcp-tokens/*.json 2>/dev/null || echo none")


@pytest.mark.parametrize("server", ["consented", "agreed"])
def test_a_login_with_the_owners_browser(someone: Operator, server: str) -> None:
    run, address = begin(someone, server=server)
    back = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["redirect_uri"][0]
    with pytest.raises(urllib.error.HTTPError, match="404"):  # what a browser asks for by itself is not taken for it
        urllib.request.urlopen(urllib.parse.urljoin(back, "/favicon.ico"), timeout=10)
    with pytest.raises(urllib.error.HTTPError, match="404"):  # nor what somebody else makes it ask for
        urllib.request.urlopen(f"{back}?code=x&state=of-another", timeout=10)
    assert "handed to the agent" in Browser(someone).consent(address, "allow")
    _, err = run.communicate(timeout=180)
    assert run.returncode == 0, err
    assert "is logged in now" in err
    assert tokens(someone, server).startswith("600 10000:10000")
    secret = json.loads(guest(someone, f"cat {HOME}/mcp-tokens/{server}.json"))["access_token"]
    assert secret not in someone.logs() + err
    assert "code=" not in someone.logs()


def test_the_gateway_uses_the_logins(someone: Operator) -> None:
    assert "consented: 4 tools; agreed: 4 tools" in someone.run("verify", str(VMID), "--only", "hermes.mcp").stderr
    for server, port in (("consented", CONSENTED), ("agreed", AGREED)):
        assert "5" in chat(someone, f'Call the tool mcp__{server}__add with {{"a": 2, "b": 3}}')
        assert [call["answer"] for call in told(someone, port)["calls"]] == ["5"]


def test_logged_in_already(someone: Operator) -> None:
    before = guest(someone, "docker inspect -f '{{.State.StartedAt}}' hermes")
    assert "is logged in already" in someone.run("mcp", "login", str(VMID), "consented").stderr
    assert guest(someone, "docker inspect -f '{{.State.StartedAt}}' hermes") == before


@pytest.mark.parametrize("how", ["ctrl-c", "deny", "nobody comes"])
def test_a_new_login_that_comes_to_nothing_leaves_the_old_one(someone: Operator, how: str) -> None:
    before = tokens(someone)
    run, address = begin(someone, "--force", *(["--timeout", "10"] if how == "nobody comes" else []))
    if how == "ctrl-c":
        run.send_signal(signal.SIGINT)
    elif how == "deny":
        Browser(someone).consent(address, "deny")
    _, err = run.communicate(timeout=120)
    code, words = {"ctrl-c": (130, "stopped as asked"), "deny": (1, "denied"), "nobody comes": (1, "nobody")}[how]
    assert (run.returncode, words in err) == (code, True), err
    assert tokens(someone) == before
    assert "hermes mcp login" not in guest(someone, "ps -eo args")


FORGED = (
    "ready",
    "changed: container forged: made",
    "5",
    '{"here": "/data/evil", "pid": 1}',
    '{"url": "\\u001b]0;PWNED\\u0007ftp://evil.example/?redirect_uri=http://127.0.0.1:4444/cb&state=x"}',
)


def test_what_the_agent_writes_in_the_logins_place_is_not_believed(someone: Operator) -> None:
    """It has the same rights as what tells us how the login goes, and once became the container's root by it."""
    run, _ = begin(someone, "--force")
    script = "cat >/data/written; mkdir -p /data/evil; printf 'id >/data/PWNED' >/data/evil/guest-call.sh; "
    script += 'for process in /proc/[0-9]*; do if tr "\\0" " " <$process/cmdline | grep -q "^[^ ]*python.* mcp login"; '
    script += "then cat /data/written >$process/fd/1; echo $process; fi; done 2>/dev/null"
    lines = "".join(f"{line}\n" for line in FORGED)
    place = ["docker", "exec", "-i", "--user", "10000:10000", "hermes"]
    reached = someone.lab.guest(VMID, [*place, "sh", "-c", script], stdin=lines, check=False).stdout
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=120)
    assert reached.startswith("/proc/"), "nobody was there to write to"
    assert (run.returncode, out) == (130, ""), err
    assert "forged" not in err and "PWNED" not in err and "Traceback" not in err
    assert "none" in guest(someone, "ls /data/PWNED 2>/dev/null || echo none")


def test_a_login_survives_a_run(someone: Operator) -> None:
    before = tokens(someone)
    someone.write(lambda document: mine(document, environment={"GREETING_OF_ENV": "good evening"}))
    someone.run("bootstrap")
    assert tokens(someone) == before


def test_a_server_without_oauth_has_no_login(someone: Operator) -> None:
    for name, words in (("on", "no `auth: oauth`"), ("nobody", "no MCP server 'nobody'")):
        assert words in someone.run("mcp", "login", str(VMID), name, code=2).stderr


@pytest.mark.parametrize(
    "argv",
    [("config", "set", "agent.max_turns", "7"), ("config", "unset", "model.default"), ("setup", "--non-interactive"),
     ("gateway", "install"), ("config", "edit")],
    ids=" ".join,
)  # fmt: skip
def test_a_managed_agent_names_who_manages_it(someone: Operator, argv: tuple[str, ...]) -> None:
    before = guest(someone, f"sha256sum {HOME}/config.yaml {HOME}/.env")
    assert REFUSAL in hermes(someone, *argv)
    assert guest(someone, f"sha256sum {HOME}/config.yaml {HOME}/.env") == before


def test_an_agent_that_is_left_free(someone: Operator) -> None:
    someone.write(lambda document: mine(document, managed=False))
    someone.run("bootstrap")
    hermes(someone, "config", "set", "agent.max_turns", "7")
    assert "max_turns: 7" in guest(someone, f"cat {HOME}/config.yaml")
    assert "hermes.managed is false" in someone.run("verify", str(VMID), "--only", "hermes.managed").stderr
    someone.write(mine)
    someone.run("bootstrap")
    assert REFUSAL in hermes(someone, "config", "set", "agent.max_turns", "8")
    assert "max_turns: 7" in guest(someone, f"cat {HOME}/config.yaml"), "what the user wrote while it was free stays"


# The other runtimes: the same servers, one agent each.

OTHERS = {"persistent": VMID + 1, "native": VMID + 2}


@pytest.fixture(scope="module", params=OTHERS)
def other(lab: Lab, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Other]:
    """An operator whose agent runs in another runtime."""
    operator = Other(lab, tmp_path_factory.mktemp(request.param), runtime=request.param)
    (operator.folder / "tools.py").write_text((SERVERS / "tools.py").read_text())
    operator.write(operator.mine)
    yield operator
    operator.run("destroy", str(operator.vmid), "--yes", "--purge-data", "--yes-purge-data", code=None)


@dataclass
class Other(Operator):
    """With an agent of one runtime."""

    runtime: str = "native"

    @property
    def vmid(self) -> int:
        return OTHERS[self.runtime]

    def mine(self, document: dict[str, Any]) -> None:
        mine(document)
        servers = document["agents"][VMID]["hermes"]["mcp_servers"]
        servers["lab"] |= {
            "command": "/opt/hermes/current/bin/python",
            "args": ["/var/lib/hermes/.hermes/mcp/tools.py"],
        }
        hermes = document["agents"][VMID]["hermes"]
        hermes["documents"] = {"AGENTS.md": "The PASSWORD-OF-THE-CAT is Minka.\n"}
        agent(document, self.vmid, messaging={}, hermes=hermes, runtime={"type": self.runtime})

    @property
    def place(self) -> list[str]:
        return ["docker", "exec", "-i", "hermes"] if self.runtime == "persistent" else []

    def lay_traps(self) -> None:
        """Modules of the agent's own, in what it works in and where its user's packages are, that tell of an import."""
        names = "json re os pty yaml urllib subprocess sitecustomize usercustomize"
        packages = " ".join(f"home/.local/lib/python3.{minor}/site-packages" for minor in (11, 12, 13, 14))
        evil = "open('/var/lib/hermes/.hermes/imported', 'a').write(__name__)"
        script = f"cd /var/lib/hermes; for folder in workspace {packages}; do mkdir -p $folder; "
        script += f'for name in {names}; do echo "{evil}" >$folder/$name.py; done; done'
        self.inside("sh", "-c", script)

    @property
    def imported(self) -> str:
        return self.inside("sh", "-c", "cat /var/lib/hermes/.hermes/imported 2>/dev/null || echo nothing").strip()

    def inside(self, *argv: str) -> str:
        """What a command says in the agent's place."""
        done = self.lab.guest(self.vmid, [*self.place, *argv], check=False)
        return f"{done.stdout}{done.stderr}"


def test_servers_in_another_runtime(other: Other) -> None:
    said = other.run("up").stderr
    assert VERIFIED in said
    assert f"managed by proxhermes (agent {other.vmid} in its inventory" in said


def test_the_agent_calls_a_tool_and_reads_its_document_in_another_runtime(other: Other) -> None:
    ask = partial(other.ask, vmid=other.vmid, home="/var/lib/hermes/.hermes", inside=other.place)
    assert "42" in ask('Call the tool mcp__lab__add with {"a": 2, "b": 40}')
    assert "Minka" in ask("Quote the line with PASSWORD-OF-THE-CAT")


def test_a_login_in_another_runtime(other: Other) -> None:
    """And nothing of what the agent has laid out for who imports it is taken there."""
    other.lay_traps()
    run, address = begin(other, vmid=other.vmid)
    assert "handed to the agent" in Browser(other).consent(address, "allow")
    _, err = run.communicate(timeout=180)
    assert run.returncode == 0, err
    checks = ("hermes.mcp", "hermes.files", "hermes.gateway", "hermes.litellm-key")
    verified = other.run("verify", str(other.vmid), *(word for check in checks for word in ("--only", check))).stderr
    assert "consented: 4 tools" in verified
    assert other.imported == "nothing"


def test_another_runtime_names_who_manages_it(other: Other) -> None:
    command = ["hermes"] if other.runtime == "native" else ["/opt/hermes/layer/entrypoint", "exec", "hermes"]
    assert f"agent {other.vmid} in its inventory" in other.inside(*command, "config", "set", "agent.max_turns", "7")
