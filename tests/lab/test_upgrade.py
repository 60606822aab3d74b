"""From the oldest Hermes to the newest and back, with all that an agent has: nothing of it is lost on the way.

What was said is seen in its databases, and in an answer that remembers it; what is said on the way is answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from agents import RUNTIMES, VERSIONS, Chat, Runtime, until
from conftest import Operator, agent
from consent import Browser, begin, told

from proxhermes.lab.node.lab import Lab
from proxhermes.lab.node.paths import BRIDGE_ADDRESS
from proxhermes.lab.node.service_table import MCP_PORTS, UPSTREAM_PORT

pytestmark = pytest.mark.soak

VMIDS: Final = {"docker": 174, "persistent": 175, "native": 176}
OLD, NEW = VERSIONS
JOB: Final = "water-the-plants"
FACT: Final = "The-harbour-is-called ZANZIBAR."
READ: Final = """
import json, sqlite3, sys
base = sqlite3.connect(f"file:{sys.argv[1]}/state.db?mode=ro", uri=True)
rows = lambda text: {str(first): rest for first, *rest in base.execute(text)}
print(json.dumps({
    "sessions": rows("SELECT id, source, user_id, started_at FROM sessions"),
    "messages": rows("SELECT id, session_id, role, content, tool_calls, timestamp FROM messages"),
}))
"""


@dataclass
class Traveller(Operator):
    """An operator with an agent that goes from one version to another."""

    runtime: Runtime = RUNTIMES["docker"]

    @property
    def vmid(self) -> int:
        return VMIDS[self.runtime.kind]

    @property
    def chat(self) -> Chat:
        return Chat(self)

    def declare(self, version: str) -> None:
        servers = {"consented": {"url": f"http://{BRIDGE_ADDRESS}:{MCP_PORTS[1][1]}/mcp", "auth": "oauth"}}
        given = self.runtime.template | {
            "runtime": self.runtime.section(version),
            "hermes": {"mcp_servers": servers},
        }
        self.write(lambda document: agent(document, self.vmid, **given) and None)

    def hermes(self, *words: str) -> str:
        """What the agent's own command says, in its place."""
        return str(self.lab.guest(self.vmid, [*self.runtime.inside, "hermes", *words]).stdout)

    def kept(self) -> dict[str, dict[str, Any]]:
        """Of each kind of what it has, everything by its name."""
        argv = [*self.runtime.inside, self.runtime.python, "-I", "-c", READ]
        found = json.loads(self.lab.guest(self.vmid, [*argv, self.runtime.inner_home]).stdout)
        jobs, token = (json.loads(self.read(name)) for name in ("cron/jobs.json", "mcp-tokens/consented.json"))
        return found | {
            "memories": {"MEMORY.md": self.read("memories/MEMORY.md")},
            "jobs": {job["id"]: [job["name"], job["prompt"], job["schedule_display"]] for job in jobs["jobs"]},
            "tokens": {name: token[name] for name in ("access_token", "refresh_token")},
        }

    def read(self, name: str) -> str:
        """A file of its home."""
        return self.guest(f"cat {self.runtime.home}/{name}", vmid=self.vmid)

    def gateways(self) -> int:
        return int(self.guest("ps -eo args | grep -c '[h]ermes gateway run' || :", vmid=self.vmid))

    def begun(self, prompt: str) -> int:
        """Have the agent begin with something that takes its time; the number of what the bot had said until then."""
        last = self.chat.say(prompt)
        until(lambda: prompt in str(told(self, UPSTREAM_PORT, "requests")), lambda: "the model to be asked")
        return last

    def go(self, version: str, *, said: str) -> None:
        """Have it another version; `said` is written to the bot while there is no gateway."""
        self.declare(version)
        run = self.start("up", "--no-verify", "--json")
        until(lambda: run.poll() is not None or not self.gateways(), lambda: "the old gateway's end", 600)
        polls = self.chat.polls
        self.chat.say(said)
        in_between = self.chat.polls == polls and run.poll() is None
        out, err = run.communicate(timeout=1200)
        assert run.returncode == 0, f"{out}\n{err}"
        assert in_between, "there was a gateway to hear it"

    def settled(self, version: str) -> None:
        """All is well with it, and a second run finds nothing to do."""
        report = self.json("verify", str(self.vmid))
        checks = {check["id"]: check for check in report["agents"][0]["checks"]}
        assert report["ok"] and version in checks["hermes.version"]["evidence"], checks
        assert "consented: 4 tools" in checks["hermes.mcp"]["evidence"]
        assert "are whole" in checks["hermes.state"]["evidence"] or "may damage" in checks["hermes.state"]["evidence"]
        assert self.json("up", "--no-verify")["up"][0]["changes"] == []


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, marks=[pytest.mark.xdist_group(kind), *([] if kind == "docker" else [pytest.mark.soak])])
        for kind in VMIDS
    ],
)
def traveller(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Traveller]:
    """An operator whose agent runs the oldest version."""
    someone = Traveller(lab, tmp_path_factory.mktemp(request.param), runtime=RUNTIMES[request.param])
    someone.declare(OLD)
    someone.run("up", "--no-verify", timeout=1200)
    yield someone
    someone.run("destroy", str(someone.vmid), "--yes", "--purge-data", "--yes-purge-data", code=None)


def contains(after: dict[str, dict[str, Any]], before: dict[str, dict[str, Any]]) -> None:
    """Nothing that was there is gone, or has become something else."""
    for kind, things in before.items():
        assert things, f"no {kind} to lose"
        assert {name: after[kind].get(name) for name in things} == things


# From here on the tests follow one agent; their order is part of the story.


def test_an_agent_has_a_life(traveller: Traveller) -> None:
    chat = traveller.chat
    chat.ask("The password is QUINCE-OF-OLD. Reply with exactly: UNDERSTOOD-1", "UNDERSTOOD-1")
    call = json.dumps({"action": "add", "target": "memory", "content": FACT})
    chat.ask(f"Call the tool memory with {call} and reply with exactly: NOTED-1", "NOTED-1")
    traveller.hermes("cron", "create", f"--name={JOB}", "--", "every 7d", "Reply with exactly: WATERED")
    run, address = begin(traveller, vmid=traveller.vmid)
    Browser(traveller).consent(address, "allow")
    _, err = run.communicate(timeout=180)
    assert run.returncode == 0, err
    traveller.settled(OLD)
    assert FACT in traveller.read("memories/MEMORY.md")


@pytest.mark.parametrize("version", [NEW, OLD])
def test_it_goes_to_another_version_and_loses_nothing(traveller: Traveller, version: str) -> None:
    before, last = traveller.kept(), traveller.begun(f"Take 40 seconds. Then reply with exactly: LATE-{version}")
    traveller.go(version, said="Reply with exactly: SAID-ON-THE-WAY")
    contains(traveller.kept(), before)
    if version == NEW:  # the old one asks what to go on with, and drops what came while it was down
        traveller.chat.hear(f"LATE-{version}", after=last)
        traveller.chat.hear("SAID-ON-THE-WAY", after=last)
    traveller.chat.ask("Recall the word that begins with QUINCE", "QUINCE-OF-OLD")
    assert "ZANZIBAR" in traveller.ask(
        "Quote the line with The-harbour-is-called",
        vmid=traveller.vmid,
        home=traveller.runtime.home,
        inside=traveller.runtime.network,
    )
    assert JOB in traveller.hermes("cron", "list")
    traveller.settled(version)
    contains(traveller.kept(), before)
