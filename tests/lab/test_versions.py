"""Each version of Hermes in each runtime, once: what was seen is in docs/reference/versions.md, and nothing else.

`make soak` runs them all and writes the table there again. CI runs a few. A row that is not what the table says fails.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from agents import RUNTIMES, VERSIONS, Chat, Runtime
from conftest import Operator, agent
from consent import Browser, begin

from proxhermes import upstream
from proxhermes.lab.images.mcp import SERVERS
from proxhermes.lab.node.lab import Lab
from proxhermes.lab.node.paths import BRIDGE_ADDRESS
from proxhermes.lab.node.service_table import MCP_PORTS

DOCS: Final = Path(__file__).parents[2] / "docs" / "reference" / "versions.md"
WRITE: Final = "PROXHERMES_WRITE_VERSIONS"
COLUMNS: Final = (
    *(
        "Hermes",
        "runtime",
        "up",
        "again",
        "verify",
        "message",
        "MCP stdio",
        "MCP HTTP",
        "MCP OAuth",
        "managed",
        "documents",
    ),
)
VMID: Final = 179
MANY: Final = {(version, name) for version in VERSIONS for name in RUNTIMES}
IN_CI: Final = {(version, "docker") for version in VERSIONS}
CASES: Final = [
    pytest.param(*case, id="-".join(case).replace(" ", "-"), marks=() if case in IN_CI else pytest.mark.soak)
    for case in sorted(MANY)
]


@dataclass
class Row(Operator):
    """An operator with an agent of one version in one runtime, and what was seen of it, by the table's columns."""

    version: str = VERSIONS[0]
    runtime: Runtime = RUNTIMES["docker"]
    seen: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def see(self, column: str, look: Callable[[], str | None]) -> None:
        """What is in a column: what the look says, yes if it says nothing; a fault is one, and the next one is seen."""
        try:
            self.seen[column] = look() or "yes"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told at the end
            self.seen[column] = "**no**"
            self.faults.append(f"{column}: {type(error).__name__}: {error}")

    @property
    def line(self) -> tuple[str, ...]:
        return (self.version, str(self.runtime), *(self.seen.get(column, "–") for column in COLUMNS[2:]))

    def mine(self, document: dict[str, Any]) -> None:
        token = next(iter(document["agents"].values()))["messaging"]["telegram"]["token"]["file"]
        plain, consented = (f"http://{BRIDGE_ADDRESS}:{port}/mcp" for port in MCP_PORTS[1])
        servers = {
            "lab": {"command": self.runtime.python, "args": [f"{self.runtime.inner_home}/mcp/tools.py"]},
            "remote": {"url": plain, "headers": {"Authorization": "Bearer ${MCP_TOKEN}"}},
            "consented": {"url": consented, "auth": "oauth"},
        }
        hermes = {
            "home_files": {"mcp/tools.py": {"file": "tools.py"}},
            "documents": {"AGENTS.md": "The PASSWORD-OF-THE-CAT is Minka.\n"},
            "secrets": {"MCP_TOKEN": {"file": str(Path(token).with_name("mcp.token"))}},
            "mcp_servers": servers,
        }
        agent(document, VMID, **self.runtime.template, runtime=self.runtime.section(self.version), hermes=hermes)

    # What is looked at.

    def up(self) -> None:
        self.run("up", "--no-verify", timeout=1800)

    def again(self) -> None:
        assert self.json("up", "--no-verify")["up"][0]["changes"] == []

    def consent(self) -> None:
        run, address = begin(self, vmid=VMID)
        Browser(self).consent(address, "allow")
        _, err = run.communicate(timeout=180)
        assert run.returncode == 0, err
        self.calls("consented")

    def verify(self) -> str:
        checks = self.json("verify")["agents"][0]["checks"]
        doubts = [check["id"] for check in checks if check["verdict"] == "warn"]
        return f"yes, warns: {', '.join(doubts)}" if doubts else "yes"

    def message(self) -> None:
        Chat(self).ask("Reply with exactly: HELLO-FROM-TELEGRAM", "HELLO-FROM-TELEGRAM")

    def calls(self, server: str) -> None:
        arguments = json.dumps({"a": 20, "b": 22})
        said = self.asked(f"Call the tool mcp__{server}__add with {arguments}")
        assert "42" in said, said

    def managed(self) -> None:
        done = self.lab.guest(
            VMID, [*self.runtime.inside, "hermes", "config", "set", "agent.max_turns", "7"], check=False
        )
        assert "managed by proxhermes" in done.stdout + done.stderr, done

    def documents(self) -> None:
        said = self.asked("Quote the line with PASSWORD-OF-THE-CAT")
        assert "Minka" in said, said

    def asked(self, prompt: str) -> str:
        return self.ask(prompt, vmid=VMID, home=self.runtime.home, inside=self.runtime.network)


@pytest.fixture
def row(lab: Lab, tmp_path: Path, version: str, runtime: str) -> Iterator[Row]:
    found = Row(lab, tmp_path, version=version, runtime=RUNTIMES[runtime])
    (found.folder / "tools.py").write_text((SERVERS / "tools.py").read_text())
    found.write(found.mine)
    yield found
    found.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


@pytest.mark.parametrize(("version", "runtime"), CASES)
def test_this_version_in_this_runtime(row: Row) -> None:
    row.see("up", row.up)
    if not row.faults:  # of an agent that is not there, there is nothing to see
        row.see("again", row.again)
        row.see("MCP OAuth", row.consent)
        row.see("verify", row.verify)
        row.see("message", row.message)
        row.see("MCP stdio", lambda: row.calls("lab"))
        row.see("MCP HTTP", lambda: row.calls("remote"))
        row.see("managed", row.managed)
        row.see("documents", row.documents)
    if os.environ.get(WRITE):
        write(row.line)
    assert row.faults == []
    # A row that was never written claims nothing.
    assert [line for line in table(DOCS.read_text()) if line[:2] == row.line[:2]] in ([], [row.line])


def assumed() -> list[str]:
    """Versions of which nothing was run."""
    return [".".join(map(str, release.since)) for release in upstream.RELEASES if not release.proven]


def write(line: tuple[str, ...]) -> None:
    """Put what was seen of one version in one runtime in its place; others may do so at the same time."""
    with DOCS.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        known = {row[:2]: row for row in table(text) if row[:2] in MANY} | {line[:2]: line}
        rows = [known[case] for case in sorted(MANY) if case in known]
        rows += [(version, "every one", *("*assumed*",) * (len(COLUMNS) - 2)) for version in assumed()]
        lines = "".join(f"| {' | '.join(row)} |\n" for row in (COLUMNS, ("---",) * len(COLUMNS), *rows))
        file.seek(0)
        file.write(_BLOCK.sub(lambda found: found[1] + lines + found[3], text))
        file.truncate()


def table(text: str) -> list[tuple[str, ...]]:
    """The table's rows."""
    found = _BLOCK.search(text)
    assert found, f"{DOCS} has no place for the table"
    return [tuple(line.strip("| ").split(" | ")) for line in found[2].splitlines()[2:]]


_BLOCK: Final = re.compile(r"(<!-- versions: written by `make soak` -->\n)(.*?)(<!-- end -->)", re.DOTALL)
