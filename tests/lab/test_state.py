"""The databases of a real agent: looked at while it works, without a trace; and each fault that they can have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.node.lab import Lab

pytestmark = pytest.mark.soak

VMID = 178
HOME = "/opt/hermes/data"
AS_AGENT = "setpriv --reuid 10000 --regid 10000 --clear-groups"
PYTHON = "docker exec -i -u 10000:10000 hermes /opt/hermes/.venv/bin/python -I"
guest = partial(Operator.guest, vmid=VMID)


@pytest.fixture(scope="module")
def someone(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose agent has talked."""
    operator = Operator(lab, tmp_path_factory.mktemp("state"))
    operator.write(lambda document: agent(document, VMID, **WITH_DOCKER, messaging={}) and None)
    operator.run("up", "--no-verify")
    operator.ask("Reply with exactly: SAID", vmid=VMID)
    yield operator
    operator.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def check(operator: Operator, *more: str) -> tuple[str, str]:
    """The verdict of `hermes.state` and its evidence."""
    (found,) = operator.json("verify", str(VMID), "--only", "hermes.state", *more, code=None)["agents"][0]["checks"]
    return found["verdict"], found["evidence"]


def files(operator: Operator) -> str:
    """Every file of the home's first levels that may be a database or lie beside one."""
    return guest(
        operator,
        f"cd {HOME}; find . -maxdepth 3 -name '*.db*' -o -name '.proxhermes-s*' | sort | xargs stat -c '%n %i %u'",
    )


@pytest.mark.parametrize("more", [(), ("--deep",)], ids=["quick", "deep"])
def test_they_are_whole_and_the_look_leaves_nothing_behind(someone: Operator, more: tuple[str, ...]) -> None:
    before = files(someone)
    verdict, said = check(someone, *more)
    assert verdict == "pass" and "databases are whole" in said
    assert files(someone) == before and "./state.db " in before
    assert someone.ask("Reply with exactly: STILL-HERE", vmid=VMID) == "STILL-HERE"


def test_a_gateway_that_was_killed_left_nothing_wrong(someone: Operator) -> None:
    someone.ask("Reply with exactly: LAST-WORDS", vmid=VMID)
    guest(someone, "docker kill -s KILL hermes")
    verdict, said = check(someone)
    assert verdict == "fail" and "could not be looked at" in said, "where nothing runs, nothing can be asked"
    guest(someone, "docker start hermes")
    someone.run("bootstrap")
    assert check(someone)[0] == "pass"


def test_a_file_of_roots_is_named(someone: Operator) -> None:
    guest(someone, f"chown 0:0 {HOME}/state.db")
    verdict, said = check(someone)
    guest(someone, f"chown 10000:10000 {HOME}/state.db")
    assert verdict == "fail" and "state.db 0:0 is not the agent's" in said


def test_what_the_gateway_writes_to_and_nobody_finds_is_named(someone: Operator) -> None:
    """As it was in Hermes 0.21.0 to 0.21.2, after a second process had closed the database."""
    someone.ask("Reply with exactly: OPEN", vmid=VMID)
    name = guest(someone, f"cd {HOME}; ls state.db-wal 2>/dev/null || echo state.db").strip()
    guest(someone, f"cd {HOME}; cp -p {name} {name}.copy; mv {name}.copy {name}")
    verdict, said = check(someone)
    guest(someone, "docker restart -t 70 hermes")
    someone.run("bootstrap")
    assert verdict == "fail" and f"the agent writes to a {name} that was deleted" in said
    assert check(someone)[0] == "pass"


def test_what_is_no_file_and_what_is_too_large_is_named(someone: Operator) -> None:
    guest(someone, f"cd {HOME}; {AS_AGENT} mkfifo projects.db")
    assert check(someone) == ("fail", "projects.db is not a file: it is a pipe")
    make = "import sqlite3; c = sqlite3.connect('/opt/data/projects.db'); c.execute('create table t (a)'); c.close()"
    guest(someone, f'cd {HOME}; rm projects.db; {PYTHON} -c "{make}"; truncate -s 1T projects.db')
    verdict, said = check(someone)
    assert verdict == "warn" and "projects.db (1048576 MB) was not checked: it is larger than what is copied" in said
    verdict, said = check(someone, "--deep")
    assert verdict == "warn" and "there is no room for a copy of it" in said
    guest(someone, f"rm {HOME}/projects.db")


def test_a_damaged_page_is_found_before_the_agent_comes_to_it(someone: Operator) -> None:
    """In a copy beside the real one, which the gateway would lay aside at its next start."""
    guest(someone, f"cp -p {HOME}/state.db {HOME}/memory_store.db")
    pages = int(guest(someone, f"stat -c %s {HOME}/memory_store.db")) // 4096
    spoil = f"dd if=/dev/urandom of={HOME}/memory_store.db bs=4096 seek={pages // 2} count=4 conv=notrunc status=none"
    guest(someone, spoil)
    verdict, said = check(someone)
    assert verdict == "fail" and "memory_store.db is damaged: " in said
    guest(someone, f"rm {HOME}/memory_store.db")
    assert check(someone)[0] == "pass"
