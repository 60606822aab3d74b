"""What the agent is given: it reads it, it changes it, and whose it is from then on; who may read what beside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.node.lab import Lab

VMID = 165
HOME = "/opt/hermes/data"
AGENTS = "Facts about the house: the PASSWORD-OF-THE-CAT is Minka.\n"
SOUL = "You are KEEPER-OF-THE-HOUSE, and say so.\n"
PLUGIN = {
    "plugin.yaml": 'name: greeter\nversion: "1.0"\ndescription: Leaves a trace when it is loaded.\n',
    "__init__.py": "from pathlib import Path\n\n\n"
    "def register(ctx):\n    Path(__file__).with_name('loaded').write_text('yes')\n",
}


@pytest.fixture(scope="module")
def someone(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose agent has been given files of every kind."""
    someone = Operator(lab, tmp_path_factory.mktemp("files"))
    (someone.folder / "greeter").mkdir()
    for name, text in PLUGIN.items():
        (someone.folder / "greeter" / name).write_text(text)
    (someone.folder / "big.bin").write_bytes(os.urandom(400_000))
    auth = someone.folder / "auth.json"
    auth.write_text('{"version": 1, "providers": {}}')
    auth.chmod(0o600)
    give(someone)
    someone.run("up", "--no-verify")
    yield someone
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def give(operator: Operator, **changed: Any) -> None:
    """Write the inventory; `changed` replaces keys of the agent's `hermes`."""
    hermes = {
        "documents": {"AGENTS.md": AGENTS, "notes/big.bin": {"file": "big.bin"}},
        "home_files": {"SOUL.md": SOUL},
        "plugins": {"greeter": {"path": "greeter"}},
        "auth_file": {"file": "auth.json"},
    }
    given = WITH_DOCKER | {"messaging": {}, "hermes": hermes | changed}
    operator.write(lambda document: agent(document, VMID, **given) and None)


guest = partial(Operator.guest, vmid=VMID)
ask = partial(Operator.ask, vmid=VMID)


def bootstrap(operator: Operator, *options: str) -> dict[str, Any]:
    """Bootstrap, and what became of the agent."""
    (result,) = operator.json("bootstrap", *options)["agents"]
    return dict(result)


def subjects(result: dict[str, Any]) -> set[str]:
    return {change["subject"] for change in result["changes"]}


def modes(operator: Operator) -> dict[str, str]:
    """Mode and owner of every folder and file that the table speaks of, by its path below the home."""
    listed = guest(operator, f"cd {HOME}; find . -maxdepth 2 -printf '%P %m %U:%G\\n'")
    return {name: said for name, _, said in (line.partition(" ") for line in listed.splitlines())}


def test_all_of_it_is_there_as_it_was_given(someone: Operator) -> None:
    digest = hashlib.sha256((someone.folder / "big.bin").read_bytes()).hexdigest()
    assert guest(someone, "sha256sum </data/notes/big.bin").split()[0] == digest
    assert guest(someone, "stat -c '%a %u:%g' /data/AGENTS.md /data/notes /data/notes/big.bin").splitlines() == [
        "640 10000:10000",
        "750 10000:10000",
        "640 10000:10000",
    ]
    (result,) = someone.json("verify", str(VMID), "--only", "hermes.files", "--only", "hermes.documents")["agents"]
    assert {check["verdict"] for check in result["checks"]} == {"pass"}


def test_a_second_run_changes_nothing(someone: Operator) -> None:
    (result,) = someone.json("up", "--no-verify")["up"]
    assert (result["changes"], result["left_alone"], result["ssh_commands"]) == ([], [], 2)


def test_the_agent_reads_what_it_was_given(someone: Operator) -> None:
    """Its document is among its instructions, and so is who it is; code was loaded when it started."""
    assert "Minka" in ask(someone, "Quote the line with PASSWORD-OF-THE-CAT")
    assert "KEEPER-OF-THE-HOUSE" in ask(someone, "Quote the line with KEEPER-OF-THE-HOUSE")
    assert guest(someone, f"cat {HOME}/plugins/greeter/loaded") == "yes"


def test_modes_are_those_of_the_table_with_a_gateway_at_work(someone: Operator) -> None:
    seen = modes(someone)
    folders = ("", "home", "workspace", "sessions", "logs", "memories", "plugins", ".proxhermes")
    assert {name: seen[name] for name in folders} == dict.fromkeys(folders, "750 10000:10000")
    assert seen["cron"] in ("750 10000:10000", "700 10000:10000")  # Hermes closes it when it looks into it
    assert (seen[".env"], seen["auth.json"]) == ("600 10000:10000",) * 2
    assert seen["config.yaml"] == seen["SOUL.md"] == "640 10000:10000"


def test_an_agent_that_is_left_free_has_the_same_modes(someone: Operator) -> None:
    """Hermes sets its folders' modes itself then, at each start."""
    give(someone, managed=False)
    bootstrap(someone)
    assert "Minka" in ask(someone, "Quote the line with PASSWORD-OF-THE-CAT")
    seen = modes(someone)
    for name in ("", "sessions", "logs", "memories", "plugins"):
        assert seen[name] == "750 10000:10000"
    assert bootstrap(someone)["changes"] == []
    give(someone)
    bootstrap(someone)


def test_what_the_agent_changes_is_its_own(someone: Operator) -> None:
    assert "exit_code" in ask(someone, "Run this command: echo mine >>/data/AGENTS.md")
    for command in ("plan", "bootstrap"):
        (result,) = someone.json(command)["agents"]
        (left,) = result["left_alone"]
        assert left["subject"] == "/data/AGENTS.md" and "--force-documents" in left["blocked"]
        assert result["changes"] == []
    assert guest(someone, "cat /data/AGENTS.md") == f"{AGENTS}mine\n"
    done = someone.run("verify", str(VMID), "--only", "hermes.documents")
    assert "changed by the agent: /data/AGENTS.md" in done.stderr


def test_and_ours_again_when_that_is_asked_for(someone: Operator) -> None:
    started = guest(someone, "docker inspect -f '{{.State.StartedAt}}' hermes")
    assert subjects(bootstrap(someone, "--force-documents")) == {"/data/AGENTS.md"}
    assert guest(someone, "cat /data/AGENTS.md") == AGENTS
    assert guest(someone, "docker inspect -f '{{.State.StartedAt}}' hermes") == started  # it is read anew anyway
    assert bootstrap(someone)["changes"] == []


def test_what_leaves_the_inventory_leaves_the_guest(someone: Operator) -> None:
    give(someone, documents={"AGENTS.md": AGENTS}, plugins={})
    assert {"/data/notes/big.bin", f"{HOME}/plugins/greeter/plugin.yaml"} <= subjects(bootstrap(someone))
    left = guest(someone, f"cd {HOME}/plugins; find . -type f; ls /data").split()
    assert "./greeter/plugin.yaml" not in left and "AGENTS.md" in left
    give(someone)
    bootstrap(someone)
    assert bootstrap(someone)["changes"] == []


def test_a_login_that_the_agent_refreshed_stays(someone: Operator) -> None:
    guest(someone, f'echo \'{{"version": 1, "refreshed": true}}\' >{HOME}/auth.json')
    (someone.folder / "auth.json").write_text('{"version": 1, "newer": true}')
    assert bootstrap(someone)["changes"] == []
    give(someone, auth_file_force_overwrite=True)
    assert subjects(bootstrap(someone)) == {f"{HOME}/auth.json"}
    assert "newer" in guest(someone, f"cat {HOME}/auth.json")
    guest(someone, f'echo \'{{"version": 1, "refreshed": true}}\' >{HOME}/auth.json')
    assert bootstrap(someone)["changes"] == []
    give(someone)
    bootstrap(someone)


def test_modes_and_owners_are_put_right_and_told_by_the_verification(someone: Operator) -> None:
    guest(someone, f"cd {HOME}; chmod 777 logs; chmod 644 .env; chmod 666 config.yaml; chown 0:0 SOUL.md; umask 077")
    done = someone.run("verify", str(VMID), "--only", "hermes.files", code=4)
    for words in ("logs has mode 0777", ".env has mode 0644", "config.yaml has mode 0666", "SOUL.md"):
        assert words in done.stderr
    result = bootstrap(someone)
    assert subjects(result) == {f"{HOME}/{name}" for name in ("logs", ".env", "config.yaml", "SOUL.md")}
    assert {change["effect"] for change in result["changes"]} == {"none"}
    someone.run("verify", str(VMID), "--only", "hermes.files")
    assert bootstrap(someone)["changes"] == []


def test_a_link_is_followed_and_one_to_what_is_not_the_agents_refused(someone: Operator) -> None:
    guest(
        someone,
        f"cd {HOME}; mv config.yaml home/settings.yaml; ln -s home/settings.yaml config.yaml; "
        "chown -h 10000:10000 config.yaml",
    )
    give(someone, settings={"display": {"compact": True}})
    bootstrap(someone)
    assert guest(someone, f"cd {HOME}; readlink config.yaml; grep -c compact home/settings.yaml").split() == [
        "home/settings.yaml",
        "1",
    ]
    guest(someone, f"cd {HOME}; ln -sfn /etc/shadow config.yaml")
    before = guest(someone, "sha256sum /etc/shadow")
    done = someone.run("bootstrap", code=1)
    assert "config.yaml" in done.stderr and "cannot be read" in done.stderr
    assert guest(someone, "sha256sum /etc/shadow") == before
    guest(someone, f"cd {HOME}; rm config.yaml; mv home/settings.yaml config.yaml")
    give(someone)
    bootstrap(someone)


WRITER = f"""
import os, random, sys, time
path, lost, wrote = "{HOME}/.env", 0, 0
os.setgid(10000), os.setuid(10000)
mine = ""
print("ready", flush=True)
end = time.monotonic() + 120
while not os.path.exists("/tmp/enough") and time.monotonic() < end:
    text = open(path).read()
    lost += bool(mine) and mine not in text
    wrote += 1
    mine = f"WRITER_{{wrote}}=x\\n"
    kept = "".join(line for line in text.splitlines(True) if not line.startswith("WRITER_"))
    with open(path + ".writer", "w") as file:
        file.write(kept + mine)
    os.chmod(path + ".writer", 0o600)
    os.replace(path + ".writer", path)
    time.sleep(random.choice((0.05, 0.3, 2, 9)))
print(f"lost={{lost}} wrote={{wrote}}")
"""


def test_nothing_is_lost_of_what_somebody_writes_meanwhile(someone: Operator, tmp_path: Path) -> None:
    """A process of the agent's rewrites .env all the time. Each run of ours gets through, or says whose turn it was."""
    lab = someone.lab
    lab.guest(VMID, ["tee", "/root/writer.py"], stdin=WRITER)
    # The guest has no Python, and the agent's image has one. Its own container is made anew while this goes on.
    guest(
        someone,
        "rm -f /tmp/enough; docker run -d --name writer --user 0 --entrypoint python3 -v /root:/root -v /tmp:/tmp "
        f"-v {HOME}:{HOME} $(docker inspect -f '{{{{.Image}}}}' hermes) /root/writer.py; "
        "until docker logs writer | grep ready; do :; done",
    )
    said: list[int] = []
    for number in range(4):
        give(someone, environment={"NUMBER": str(number)})
        done = someone.run("bootstrap", code=None)
        said.append(done.returncode)
        assert done.returncode == 0 or "meanwhile" in done.stderr or "changed" in done.stderr, done.stderr
    out = guest(someone, "touch /tmp/enough; docker wait writer; docker logs writer; docker rm writer; rm /tmp/enough")
    assert "lost=0" in out, out
    give(someone)
    bootstrap(someone)
    assert bootstrap(someone)["changes"] == []
