"""What persists across what, seen on real containers; docs/persistence.md holds what was seen, and nothing else.

`make persistence` writes the tables there anew. Without it, a run that sees something else than the tables fails.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from conftest import WITH_DOCKER, Operator, agent, init_pid

from proxhermes.lab.images.agents import NEWEST
from proxhermes.lab.images.hermes import REPOSITORY

DOCS: Final = Path(__file__).parents[2] / "docs" / "persistence.md"
WRITE: Final = "PROXHERMES_WRITE_PERSISTENCE"
COLUMNS: Final = ("event", "made anew", "HERMES_HOME", "HOME", "workspace", "apt", "pip", "npm")
Change = Callable[[dict[str, Any]], None]


@dataclass
class Runtime:
    """One agent of one type: where it has its things, and how its own user installs something."""

    operator: Operator
    vmid: int
    kind: str
    home: str
    user_home: str
    workspace: str
    enter: str
    """What runs a command as the agent, in its place and with its environment."""
    installs: dict[str, str]
    """By package manager: how something small is installed. Whether it is there is asked by the command in `asks`."""
    asks: dict[str, str]
    section: dict[str, Any]
    hermes: dict[str, Any] = field(default_factory=dict)
    session: str = ""

    def guest(self, script: str, *, check: bool = True) -> Any:
        return self.operator.lab.guest(self.vmid, ["sh", "-euc", script], check=check)

    def inside(self, script: str, *, check: bool = True, root: bool = False) -> Any:
        """The script in the agent's container, as the agent or as its root."""
        enter = "docker exec -i -u root hermes" if root else self.enter
        return self.guest(f"{enter} sh -euc '{script}'", check=check)

    @property
    def identity(self) -> str:
        return str(self.guest("docker container inspect hermes --format '{{.Id}}'").stdout).strip()

    def write(self) -> None:
        def mine(document: dict[str, Any]) -> None:
            agent(document, self.vmid, **WITH_DOCKER, messaging={}, runtime=self.section, hermes=self.hermes)

        self.operator.write(mine)

    def up(self) -> list[dict[str, Any]]:
        (result,) = self.operator.json("up", "--no-verify")["up"]
        return list(result["changes"])

    def begin(self) -> None:
        """Leave something in every place that is asked for later on; what is there stays as it is."""
        for name, command in self.installs.items():
            if not self.has(name):
                self.inside(command, root=name == "apt" and self.kind == "docker")
                assert self.has(name), name
        for folder in (self.home, self.user_home, self.workspace):
            self.guest(
                f"mkdir -p /srv/models; test -e {folder}/kept || install -o 10000 -g 10000 /dev/null {folder}/kept"
            )
        if not self.session:
            said = self.inside("hermes chat -Q -q ping").stderr
            found = re.search(r"session_id: (\S+)", said)
            assert found, said
            self.session = found[1]

    def has(self, name: str) -> bool:
        return bool(self.inside(self.asks[name], check=False).returncode == 0)

    def state_kept(self) -> bool:
        """The file, and the conversation: Hermes lists the sessions that it finds."""
        found = self.inside("hermes sessions list", check=False)
        return self.there(self.home) and self.session in found.stdout

    def there(self, folder: str) -> bool:
        return bool(self.guest(f"test -f {folder}/kept", check=False).returncode == 0)

    def row(self, event: str, happen: Callable[[], None]) -> tuple[str, ...]:
        """Let something happen, and see what came of it."""
        self.begin()
        identity = self.identity
        happen()
        kept = {True: "kept", False: "lost"}
        managers = [kept[self.has(name)] if name in self.installs else "–" for name in COLUMNS[5:]]
        return (
            event,
            "no" if self.identity == identity else "yes",
            kept[self.state_kept()],
            kept[self.there(self.user_home)],
            kept[self.there(self.workspace)],
            *managers,
        )

    # What happens.

    def restart(self) -> None:
        self.guest("docker restart hermes")
        assert self.up() == []  # it only waits for the gateway

    def settings(self) -> None:
        self.hermes = self.hermes | {"settings": {"display": {"compact": True}}}
        self.declared()

    def secret(self) -> None:
        self.operator.environment["LAB_TOKEN"] = "the second one"
        self.declared()

    def reboot(self) -> None:
        boot = init_pid(self.operator.lab, self.vmid)
        self.operator.lab.run(["pct", "reboot", str(self.vmid)])
        assert init_pid(self.operator.lab, self.vmid) != boot
        assert self.up() == []

    def replace(self, **runtime: Any) -> Callable[[], None]:
        def happen() -> None:
            self.section = self.section | runtime
            self.declared()

        return happen

    def declared(self) -> None:
        """What the inventory says now is done, and it was something."""
        self.write()
        assert self.up()


def docker(operator: Operator) -> Runtime:
    return Runtime(
        operator,
        vmid=181,
        kind="docker",
        home="/opt/hermes/data",
        user_home="/opt/hermes/data/home",
        workspace="/opt/hermes/data/workspace",
        enter="docker exec -i -u 10000:10000 -e HOME=/opt/data/home hermes",
        installs={
            "apt": "apt-get update -q && apt-get install -q -y --no-install-recommends hello",
            "pip": "python3 -m venv ~/tools && ~/tools/bin/pip install -q iniconfig",
        },
        asks={"apt": "test -x /usr/bin/hello", "pip": '~/tools/bin/python -c "import iniconfig"'},
        section={"type": "docker", "image": f"{REPOSITORY}:{NEWEST.version}"},
    )


def persistent(operator: Operator) -> Runtime:
    return Runtime(
        operator,
        vmid=182,
        kind="persistent",
        home="/var/lib/hermes/.hermes",
        user_home="/var/lib/hermes/home",
        workspace="/var/lib/hermes/workspace",
        enter="docker exec -i hermes /opt/hermes/layer/entrypoint exec",
        installs={
            "apt": "sudo apt-get update -q && sudo apt-get install -q -y --no-install-recommends hello",
            "pip": "pip install -q iniconfig",
            "npm": "npm install -g semver",
        },
        asks={"apt": "test -x /usr/bin/hello", "pip": 'python -c "import iniconfig"', "npm": "semver --help"},
        section={
            "type": "persistent",
            "image": "debian:13",
            "package": {"pypi": "hermes-agent==0.18.2"},
            # Two versions are built, and nothing but the API server is asked for.
            "extras": [],
            "extra_python_packages": ["aiohttp"],
        },
    )


@pytest.fixture(params=[docker, persistent], ids=["docker", "persistent"])
def runtime(request: pytest.FixtureRequest, lab: Any, tmp_path: Path) -> Iterator[Runtime]:
    """An agent that is up, with a secret, and nothing happened to it yet."""
    found: Runtime = request.param(Operator(lab, tmp_path, {"LAB_TOKEN": "the first one"}))
    found.hermes = {"secrets": {"LAB_TOKEN": {"env": "LAB_TOKEN"}}}
    found.write()
    found.up()
    yield found
    found.operator.run("destroy", str(found.vmid), "--yes", "--purge-data", "--yes-purge-data", code=None)


def test_what_persists_across_what(runtime: Runtime) -> None:
    newer: dict[str, Any] = (
        {"image": f"{REPOSITORY}:{NEWEST.rebuild}"}
        if runtime.kind == "docker"
        else {"package": {"pypi": "hermes-agent==0.19.0"}}
    )
    image = REPOSITORY if runtime.kind == "docker" else "debian:12"
    seen = [
        runtime.row("the service is restarted", runtime.restart),
        runtime.row("`up` with changed settings", runtime.settings),
        runtime.row("`up` with a changed secret", runtime.secret),
        runtime.row("`up` with a new version of the agent", runtime.replace(**newer)),
        runtime.row("the Proxmox container reboots", runtime.reboot),
        runtime.row("`up` with another volume", runtime.replace(extra_volumes=["/srv/models:/models:ro"])),
        runtime.row("`up` with another image", runtime.replace(image=image)),
    ]
    assert runtime.up() == []
    table = render(seen)
    if os.environ.get(WRITE):
        DOCS.write_text(replaced(DOCS.read_text(), runtime.kind, table))
    assert written(DOCS.read_text(), runtime.kind) == table


def render(rows: list[tuple[str, ...]]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _block(kind: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {kind}: written by `make persistence` -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def written(text: str, kind: str) -> str:
    """The table of this runtime in the document."""
    found = _block(kind).search(text)
    assert found, f"{DOCS} has no place for the table of {kind}"
    return found[2]


def replaced(text: str, kind: str, table: str) -> str:
    return _block(kind).sub(lambda found: found[1] + table + found[3], text)
