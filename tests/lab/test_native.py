"""The agent as a service of systemd, without Docker: its code, its unit, its command, and the way there and back."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Operator, agent

VMID = 171
HOME = "/var/lib/hermes/.hermes"
UNIT = "hermes-agent.service"
PINNED = "hermes-agent==0.19.0"
KEPT = f"{HOME}/memories/kept /var/lib/hermes/home/kept"
# What the agent's own tools do, each a line `NAME COMMAND`: under the unit's own hardening, all of it has to work.
WORKS = r"""
python /usr/bin/python3 -c 'import sqlite3; c = sqlite3.connect("x.db"); c.execute("pragma journal_mode=wal")'
processes /usr/bin/python3 -c 'import multiprocessing as m; print(m.Pool(2).map(abs, [1, -2]))'
terminal /usr/bin/python3 -c 'import pty; pty.spawn(["true"])'
environment /usr/bin/python3 -m venv v
machine /opt/hermes/current/bin/python -c 'import psutil; psutil.virtual_memory(), psutil.net_io_counters()'
node node -e 'let s = 0; for (let i = 0; i < 1e7; i++) s += i; require("http").createServer().listen(0).close()'
git sh -c 'git init -q g && cd g && echo a >a && git add a && git -c user.name=a -c user.email=a@b commit -qm a'
archive sh -c 'tar czf x.tgz g && tar xzf x.tgz && cp -a g h && chmod 0775 h'
names getent hosts deb.debian.org
network curl -s -m 10 -o /dev/null http://10.1.10.22:4000/health/liveliness
temporary sh -c 'echo x >/tmp/y && echo x >/dev/shm/y && rm /dev/shm/y'
mount sh -c 'echo x >/data/y && rm /data/y'
nice nice -n 5 true
"""
# And this it must not do.
FAILS = r"""
system sh -c 'echo x >/etc/x'
code sh -c 'echo x >/opt/hermes/x'
libraries sh -c 'echo x >/usr/local/bin/x'
namespace unshare -Ur true
shadow cat /etc/shadow
settings sh -c 'echo 1 >/proc/sys/kernel/panic'
setuid sh -c 'cp /bin/true t && chmod u+s t && [ -u t ]'
devices sh -c 'mknod d c 1 3'
homes sh -c 'ls -A /root | grep .'
root sudo -n true
"""


@pytest.fixture(scope="module")
def native(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator with a native agent that runs; the tests follow it through its options."""
    someone = Operator(lab, tmp_path_factory.mktemp("native"))
    write(someone)
    someone.run("up", "--no-verify")
    yield someone
    write(someone)
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def write(operator: Operator, *, docker: bool = False, **options: Any) -> None:
    runtime = {"type": "docker"} if docker else {"type": "native", "package": {"pypi": PINNED}, **options}

    def mine(document: dict[str, Any]) -> None:
        agent(document, VMID, messaging={}, runtime=runtime)

    operator.write(mine)


def bootstrap(operator: Operator, **options: Any) -> list[str]:
    """With these options, and again, which changes nothing; what the first one changed."""
    write(operator, **options)
    (result,) = operator.json("bootstrap")["agents"]
    (again,) = operator.json("bootstrap")["agents"]
    assert again["changes"] == []
    return [change["subject"] for change in result["changes"]]


guest = partial(Operator.guest, vmid=VMID)


def show(operator: Operator, name: str) -> str:
    return guest(operator, f"systemctl show {UNIT} -P {name}").strip()


def versions(operator: Operator) -> list[str]:
    return guest(operator, "ls /opt/hermes/versions").split()


def place(operator: Operator, path: str, content: bytes) -> None:
    """A file in the guest."""
    script = f"base64 -d >{path}"
    operator.lab.guest(VMID, ["sh", "-euc", script], stdin=base64.b64encode(content).decode())


def test_it_is_up_and_a_second_run_changes_nothing(native: Operator) -> None:
    (again,) = native.json("up", "--no-verify")["up"]
    assert again["changes"] == []
    assert guest(native, "command -v docker podman || true") == ""
    verified = native.run("verify").stderr
    assert "hermes.service: 0.19.0-" in verified
    assert "hermes.answer: asked for PROOF" in verified


def test_the_code_is_roots_and_the_agent_cannot_change_it(native: Operator) -> None:
    assert guest(native, "find /opt/hermes ! -uid 0 -o ! -type l -perm /022").strip() == ""
    failed = guest(
        native, "setpriv --reuid 10000 --regid 10000 --clear-groups touch /opt/hermes/current/x 2>&1 || true"
    )
    assert "Permission denied" in failed


def test_a_stop_is_no_failure(native: Operator) -> None:
    guest(native, f"systemctl stop {UNIT}")
    assert (show(native, "ActiveState"), show(native, "Result")) == ("inactive", "success")
    (result,) = native.json("bootstrap")["agents"]
    assert [change["subject"] for change in result["changes"]] == [UNIT]
    assert show(native, "ActiveState") == "active"


def test_the_agents_tools_work_and_what_is_not_the_agents_is_closed(native: Operator) -> None:
    """Everything within the unit's own hardening: the unit itself, with another command."""
    guest(native, "apt-get install -qy --no-install-recommends nodejs >/dev/null 2>&1")
    lines = [line.split(" ", 1) for line in (WORKS + FAILS).strip().splitlines() if line]
    tries = "".join(
        f"if {command} >o 2>&1; then echo {name} works; else echo {name} fails; fi\n" for name, command in lines
    )
    place(native, "/var/lib/hermes/try.sh", f"cd $(mktemp -d -p /var/lib/hermes/workspace)\n{tries}".encode())
    change = "s|^ExecStart=.*|ExecStart=/bin/sh /var/lib/hermes/try.sh|; s/^Type=.*/Type=oneshot/; s/^Restart.*//"
    seen = guest(
        native,
        f"sed '{change}' /etc/systemd/system/{UNIT} >/run/systemd/system/try.service; systemctl daemon-reload;"
        "systemctl start try; journalctl -u try -o cat --no-pager;"
        "rm /run/systemd/system/try.service; systemctl daemon-reload;"
        "rm -r /var/lib/hermes/try.sh /var/lib/hermes/workspace/tmp.*",
    )
    works = {line.split(" ")[0] for line in WORKS.strip().splitlines()}
    found = {
        line.split(" ")[0]: line.split(" ")[1] for line in seen.splitlines() if line.endswith((" works", " fails"))
    }
    assert {name for name, how in found.items() if how == "works"} == works
    assert len(found) == len(lines)


def test_it_is_as_closed_as_the_documentation_says(native: Operator) -> None:
    score = guest(native, f"systemd-analyze security {UNIT} --no-pager | tail -n 1").split("service: ")[1].split()[0]
    said = (Path(__file__).parents[2] / "docs" / "native.md").read_text()
    assert f"**{score}**" in said


def test_words_of_the_command_arrive_as_they_are(native: Operator) -> None:
    odd = ["-v", "--", "a b", "q\"u'o\\te", "100%h", "$HOME ${HOME}", ";", "ü"]
    write(native, extra_args=odd)
    native.run("bootstrap", code=None, timeout=900)  # the gateway does not know them, and says so
    argv = guest(native, f"systemctl show {UNIT} -P ExecStart --no-pager")
    assert "a b" in argv
    words = guest(
        native,
        f"sed 's|^ExecStart=[^ ]* |ExecStart=/usr/bin/printf %%s\\\\\\\\n |; s/^Type=.*/Type=oneshot/; s/^Restart.*//'"
        f" /etc/systemd/system/{UNIT} >/run/systemd/system/words.service; systemctl daemon-reload;"
        "systemctl start words; journalctl -u words -o cat --no-pager; rm /run/systemd/system/words.service",
    )
    said = words.splitlines()
    start = said.index("gateway")
    assert said[start : start + 2 + len(odd)] == ["gateway", "run", *odd]
    assert "hermes-agent.service: ExecStart" in bootstrap(native)
    assert show(native, "ActiveState") == "active"


def test_one_that_was_left_lying_is_started_again(native: Operator) -> None:
    """A crash loop ends as a failure that is told, and `up` starts the agent all the same."""
    starts = int(show(native, "StartLimitBurst")) + 1
    guest(
        native,
        f"for start in $(seq {starts}); do systemctl start {UNIT} || break; systemctl kill -s KILL {UNIT};"
        f"until [ $(systemctl show {UNIT} -P MainPID) = 0 ]; do sleep 0.1; done; done",
        check=False,
    )
    assert show(native, "ActiveState") == "failed"
    assert "repeated too quickly" in guest(native, f"journalctl -u {UNIT} -n 5 -o cat --no-pager")
    assert "hermes.service" in native.run("verify", "--only", "hermes.service", code=4).stderr
    native.run("bootstrap")
    assert show(native, "ActiveState") == "active"


def test_hermes_is_on_everybodys_path(native: Operator) -> None:
    ask = "hermes config get model.default"
    assert guest(native, f"bash -lc '{ask}'").strip() == "claude-sonnet"
    assert guest(native, f"su -l hermes -c '{ask}'").strip() == "claude-sonnet"
    assert "managed by proxhermes" in guest(native, "su -l hermes -c 'hermes config set a.b c' 2>&1")
    guest(native, "useradd -m joe")
    assert "belongs to the user hermes" in guest(native, f"su -l joe -c '{ask}' 2>&1", check=False)
    assert guest(native, f"find {HOME} /var/lib/hermes/home ! -uid 10000").strip() == ""
    assert "hermes-acp" in guest(native, "hermes-acp --help")
    commands = [f"/usr/local/bin/{name}" for name in ("hermes", "hermes-agent", "hermes-acp")]
    assert bootstrap(native, add_to_path=False) == commands
    assert guest(native, "command -v hermes hermes-agent hermes-acp || true") == ""
    guest(native, "echo '#!/bin/sh' >/usr/local/bin/hermes")
    assert bootstrap(native, add_to_path=False) == []
    write(native)
    (result,) = native.json("bootstrap")["agents"]
    assert [each["subject"] for each in result["left_alone"]] == ["/usr/local/bin/hermes"]
    assert "add_to_path" in result["left_alone"][0]["blocked"]
    assert guest(native, "cat /usr/local/bin/hermes") == "#!/bin/sh\n"
    guest(native, "rm /usr/local/bin/hermes")
    bootstrap(native)


def test_the_agent_has_the_tools_of_the_official_image(native: Operator) -> None:
    tools = 'for name in git rg ffmpeg node ssh; do /opt/hermes/as-agent sh -c "command -v $name" || :; done'
    node = {"/usr/bin/node"}  # which another story here asks for by itself, and stays
    assert {*guest(native, tools).split()} - node == {"/usr/bin/git", "/usr/bin/rg"}
    made = {*bootstrap(native, tools="full")}
    assert made - {"package nodejs"} == {"package ffmpeg", "package openssh-client"}
    assert len(guest(native, tools).split()) == 5
    bootstrap(native)


def test_a_user_that_is_somebody_elses_is_refused(native: Operator) -> None:
    guest(native, "useradd -u 20001 bot")
    pid = show(native, "MainPID")
    write(native, user="bot")
    assert "the user 10000 of this guest is called hermes, not bot" in native.run("bootstrap", code=None).stderr
    write(native, user="other", create_user=False)
    assert "the user 10000 of this guest is called hermes, not other" in native.run("bootstrap", code=None).stderr
    assert show(native, "MainPID") == pid


def test_the_user_that_was_made_gets_another_name(native: Operator) -> None:
    assert {"user other", "group others"} <= set(bootstrap(native, user="other", group="others"))
    assert guest(
        native, "id -un 10000; id -gn other; ps -o user= -p $(systemctl show " + UNIT + " -P MainPID)"
    ).split() == [
        "other",
        "others",
        "other",
    ]
    assert bootstrap(native, user="other", group="others", create_user=False) == []
    bootstrap(native)


def test_from_docker_to_native_and_back_nothing_is_lost(native: Operator) -> None:
    native.run("verify", "--only", "hermes.answer")
    guest(native, f"for file in {KEPT}; do echo kept >$file; chown 10000:10000 $file; done")
    sessions = count(native, HOME)
    assert sessions
    write(native, docker=True)
    native.run("up", timeout=900)
    assert guest(native, f"ls /etc/systemd/system/{UNIT} {HOME} 2>/dev/null || true") == ""
    assert "docker" in guest(native, "cat /usr/local/bin/hermes")
    assert guest(native, "cat /opt/hermes/data/memories/kept /opt/hermes/data/home/kept") == "kept\nkept\n"
    assert count(native, "/opt/hermes/data") >= sessions
    write(native)
    native.run("up", timeout=900)
    assert guest(native, f"cat {KEPT}") == "kept\nkept\n"
    assert guest(native, "docker ps -aq; ls -d /opt/hermes/data 2>/dev/null || true") == ""
    assert count(native, HOME) >= sessions
    assert bootstrap(native) == []


def count(operator: Operator, home: str) -> int:
    """How many sessions the agent knows."""
    connect = f"import sqlite3; base = sqlite3.connect('{home}/state.db')"
    script = f"{connect}; print(base.execute('select count(*) from sessions').fetchone()[0])"
    return int(guest(operator, f'/opt/hermes/current/bin/python -c "{script}"'))


def wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), PINNED]
    subprocess.run(command, check=True)
    (found,) = folder.glob("*.whl")
    return found


def test_from_a_wheel_with_packages_of_ones_own(native: Operator) -> None:
    package = {"wheel": str(wheel(native.folder))}
    before = versions(native)
    changed = bootstrap(
        native, package=package, extras=["cli", "messaging"], extra_packages=["jq"], extra_python_packages=["six"]
    )
    assert {"package", "package jq"} <= set(changed)
    assert len(versions(native)) == 2
    assert set(before) < set(versions(native))
    assert guest(native, "command -v jq").strip() == "/usr/bin/jq"
    guest(native, "/opt/hermes/current/bin/python -c 'import six'")
    native.run("verify", "--only", "hermes.answer")


def test_what_cannot_be_built_leaves_what_runs_alone(native: Operator) -> None:
    pid, before = show(native, "MainPID"), guest(native, "readlink /opt/hermes/current; ls -A /opt/hermes/versions")
    write(native, package={"pypi": "hermes-agent==0.19.99"})
    said = native.run("bootstrap", code=None).stderr
    assert "No matching distribution found for hermes-agent==0.19.99" in said
    assert "was left alone" in said
    assert show(native, "MainPID") == pid
    assert guest(native, "readlink /opt/hermes/current; ls -A /opt/hermes/versions") == before


# As upstream's own setup.py from 0.20 on.
GUARD = """
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.sdist import sdist


def _refuse(self):
    raise RuntimeError("Building wheels or sdists for hermes-agent is not supported.")


bdist_wheel.run = sdist.run = _refuse
"""


def source(native: Operator) -> None:
    """A git repository of the agent's own source in the guest, which builds neither wheel nor sdist."""
    folder = native.folder / "source"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(folder),
        PINNED,
    ]
    subprocess.run(command, check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (tree,) = (path for path in folder.iterdir() if path.is_dir())
    setup = (tree / "setup.py").read_text()
    (tree / "setup.py").write_text(
        setup.replace("\nfrom setuptools import setup\n", f"\n{GUARD}\nfrom setuptools import setup\n", 1)
    )
    assert "_refuse" in (tree / "setup.py").read_text()
    script = "git init -q -b main && git add -f . && git -c user.name=a -c user.email=a@b commit -qm one"
    subprocess.run(["sh", "-euc", script], cwd=tree, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(tree), str(folder / "hermes.git")], check=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        packed.add(folder / "hermes.git", "hermes.git")
    place(native, "/srv/hermes.tar", buffer.getvalue())
    guest(native, "tar -xf /srv/hermes.tar -C /srv --no-same-owner && rm /srv/hermes.tar")


def test_from_git_a_branch_that_moves_is_another_version(native: Operator) -> None:
    source(native)
    package = {"git": "file:///srv/hermes.git", "ref": "main"}
    assert bootstrap(native, package=package, extras=["cli", "messaging"]) == ["package"]
    first = guest(native, "readlink /opt/hermes/current").strip()
    assert first.startswith("versions/main-")
    assert guest(native, "find -L /opt/hermes/current/source/skills -name SKILL.md | head -n 1").strip()
    commit = "git -c user.name=a -c user.email=a@b commit-tree -p main -m two main^{tree}"
    guest(native, f"cd /srv/hermes.git && git update-ref refs/heads/main $({commit})")
    (result,) = native.json("bootstrap")["agents"]
    assert [change["subject"] for change in result["changes"]] == ["package"]
    assert guest(native, "readlink /opt/hermes/previous").strip() == first
    assert len(versions(native)) == 2
    guest(native, "mv /srv/hermes.git /srv/gone.git")  # a repository that is away changes nothing
    done = native.run("bootstrap")
    assert "does not answer" in done.stderr
    write(native, package={"git": "file:///srv/gone.git", "ref": "no-such"})
    assert "no-such" in native.run("bootstrap", code=None).stderr
