"""The whole way, once: a new agent, proved; the same again, unchanged; changes in place; and gone again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from conftest import Operator, agent, init_pid

from proxhermes.lab.node.lab import Lab

VMID = 118
NOT_DECLARED = {
    "hermes.layer",
    "hermes.documents",
    "hermes.mcp",
    "hermes.skills",
    "hermes.crons",
    "hermes.profiles",
    "hermes.asks",
}
"""Checks of what the lab's inventory does not ask for."""


@pytest.fixture(scope="module")
def story(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The one operator of this story; what it made is gone at the end."""
    someone = Operator(lab, tmp_path_factory.mktemp("story"))
    someone.write()
    yield someone
    someone.write()
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def container_id(lab: Lab) -> str:
    return lab.guest(VMID, ["docker", "inspect", "-f", "{{.Id}} {{.State.StartedAt}}", "hermes"]).stdout.strip()


@contextmanager
def watched_processes() -> Iterator[set[str]]:
    """Every command line that ran on this machine meanwhile, the node's and the guests' included."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    seen.add((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:  # it ended meanwhile
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def failing(report: dict[str, Any]) -> list[str]:
    return [
        f"{check['id']}: {check['verdict']}: {check['evidence']}"
        for each in report["agents"]
        for check in each["checks"]
        if check["verdict"] != "pass" and not (check["verdict"] == "skip" and check["id"] in NOT_DECLARED)
    ]


def test_plan_says_what_up_would_do(story: Operator) -> None:
    done = story.run("plan", code=3)
    assert "[token] container: –" in done.stdout
    assert "[root] features: nesting=1 → nesting=1,keyctl=1" in done.stdout
    assert "pct set 118 --mp0 /mnt/pve/hdd/hermes,mp=/data" in done.stdout
    assert story.lab.run(["pct", "status", str(VMID)], check=False).returncode != 0


def test_up_makes_an_agent_and_proves_it(story: Operator) -> None:
    with watched_processes() as seen:
        done = story.run("-v", "--debug", "up", "--json")
    report = json.loads(done.stdout)
    (story.folder / "up.txt").write_text(done.stdout + done.stderr)
    (story.folder / "processes.txt").write_text("\n".join(sorted(seen)))
    assert report["ok"] is True
    assert failing(report) == []
    ids = {check["id"] for check in report["agents"][0]["checks"]}
    assert {"host.agent-writes", "hermes.answer", "hermes.tool", "hermes.platforms", "hermes.ports"} <= ids
    assert {change["door"] for change in report["up"][0]["changes"]} == {"token", "root", "guest"}


def test_no_secret_is_anywhere(story: Operator) -> None:
    """Not in what was shown or logged, in no process list, note or world-readable file; only where it belongs."""
    client = story.lab.client
    secrets = {name: (client / name).read_text().strip() for name in ("token", "litellm.key", "telegram.token")}
    env = story.lab.guest(VMID, ["cat", "/opt/hermes/data/.env"]).stdout
    secrets["API_SERVER_KEY"] = env.partition("API_SERVER_KEY=")[2].splitlines()[0].strip("'\"")
    assert all(len(value) > 12 for value in secrets.values())
    assert secrets["litellm.key"] in env
    processes = (story.folder / "processes.txt").read_text()
    assert "guest-hermes.sh" in processes, "the watcher saw nothing"
    places = {
        "output": (story.folder / "up.txt").read_text(),
        "log": story.logs(),
        "processes": processes,
        "configuration": story.lab.run(["sh", "-c", "cat /etc/pve/lxc/*.conf"]).stdout,
        "tasks": story.lab.run(["sh", "-c", "find /var/log/pve/tasks -type f -exec cat {} +"]).stdout,
    }
    found = [f"{name} in {place}" for name, value in secrets.items() for place, text in places.items() if value in text]
    assert found == []
    search = "find / -xdev -type d ! -perm -o+x -prune -o -type f -perm -o+r -exec grep -lFf /run/needles {} +"
    search = f"umask 077; cat >/run/needles; {search}; rm /run/needles"
    needles = "\n".join(secrets.values()) + "\n"
    assert story.lab.guest(VMID, ["sh", "-c", search], stdin=needles, check=False, timeout=300).stdout == ""
    mine = [value for name, value in secrets.items() if name != "token"]
    folders = "/etc/pve /tmp /root /var/log /run /mnt/pve/hdd /media/2tb"
    search = f"umask 077; cat >/root/needles; grep -rlFf /root/needles {folders}; rm /root/needles"
    left = story.lab.run(["sh", "-c", search], stdin="\n".join(mine) + "\n", check=False, timeout=300).stdout.split()
    assert [path for path in left if path != "/root/needles"] == []


def test_it_never_needed_a_reboot(story: Operator) -> None:
    tasks = story.lab.pvesh("/nodes/gihyeon/tasks", "--vmid", str(VMID))
    kinds = [task["type"] for task in tasks]
    assert kinds.count("vzstart") == 1
    assert "vzreboot" not in kinds


def test_up_again_changes_nothing(story: Operator) -> None:
    before = container_id(story.lab), init_pid(story.lab, VMID)
    report = story.json("up")
    (result,) = report["up"]
    assert result["changes"] == []
    assert result["left_alone"] == []
    assert result["ssh_commands"] <= 2
    assert result["api_calls"] <= 8
    assert (container_id(story.lab), init_pid(story.lab, VMID)) == before
    story.run("plan", code=0)
    assert "nothing to change" in story.run("create").stderr
    assert "nothing to change" in story.run("bootstrap").stderr
    assert (container_id(story.lab), init_pid(story.lab, VMID)) == before


def test_verify_reports_and_leaves_no_file(story: Operator) -> None:
    junit = story.folder / "report.xml"
    done = story.run("verify", "--only", "host", "--only", "hermes.tool", "--junit", str(junit))
    assert "host.agent-writes: /data → /mnt/pve/hdd/hermes as 110000:110000" in done.stderr
    suite = ET.fromstring(junit.read_text()).find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "0"
    left = story.lab.run(["find", "/mnt/pve/hdd/hermes", "/media/2tb/hermes", "-name", ".proxhermes-verify*"])
    assert left.stdout == ""


def test_the_host_folders_have_their_mapped_owner(story: Operator) -> None:
    for folder in ("/mnt/pve/hdd/hermes", "/media/2tb/hermes"):
        assert story.lab.run(["stat", "-c", "%u:%g", folder]).stdout.strip() == "110000:110000"
        assert story.lab.run(["stat", "-c", "%u", str(Path(folder).parent)]).stdout.strip() == "0"


def test_status_and_list(story: Operator) -> None:
    (status,) = story.json("status")["agents"]
    assert status["state"] == "running"
    assert status["mounts"] == [
        {"host": "/mnt/pve/hdd/hermes", "guest": "/data"},
        {"host": "/media/2tb/hermes", "guest": "/fast"},
    ]
    assert status["current"] is True
    assert "118" in story.run("list").stdout


def test_a_setting_restarts_and_an_added_mount_is_hot(story: Operator) -> None:
    """A changed .env restarts, a changed volume recreates, and neither reboots the container."""
    boot, (identity, _) = init_pid(story.lab, VMID), container_id(story.lab).split()

    def restart(document: dict[str, Any]) -> None:
        document["agents"][VMID]["hermes"] = {"environment": {"LAB_MARK": "a value with # and $"}}

    story.write(restart)
    report = story.json("up", "--no-verify")
    inside = [change for change in report["up"][0]["changes"] if change["door"] == "guest"]
    assert {change["effect"] for change in inside} == {"restart_service"}
    assert container_id(story.lab).split()[0] == identity

    def mount(document: dict[str, Any]) -> None:
        restart(document)
        document["agents"][VMID]["mounts"].append({"host": "/mnt/pve/hdd/more", "guest": "/more"})
        document["agents"][VMID]["cores"] = 1

    story.write(mount)
    report = story.json("up")
    assert failing(report) == []
    assert init_pid(story.lab, VMID) == boot
    assert container_id(story.lab).split()[0] != identity
    assert story.json("up", "--no-verify")["up"][0]["changes"] == []


def test_what_needs_a_boot_gets_one(story: Operator) -> None:
    boot = init_pid(story.lab, VMID)

    def change(document: dict[str, Any]) -> None:
        document["agents"][VMID] |= {"nameserver": ["10.1.10.1"], "disk": {"size": 8}}

    story.write(change)
    done = story.run("up")
    assert "Proxmox cannot shrink a disk" in done.stderr
    assert init_pid(story.lab, VMID) != boot
    done = story.run("create")
    assert "nothing to change" in done.stderr


def test_the_operators_own_keys_stay(story: Operator) -> None:
    home = "/opt/hermes/data"
    story.lab.guest(VMID, ["sh", "-c", f"echo 'MY_OWN=1' >>{home}/.env"])
    story.lab.guest(VMID, ["sh", "-c", f"printf '\\n# my comment\\nmy_own_key: 7\\n' >>{home}/config.yaml"])
    story.write(lambda document: document["litellm"].update(context_length=128000))
    story.run("up", "--no-verify")
    assert "MY_OWN=1" in story.lab.guest(VMID, ["cat", f"{home}/.env"]).stdout
    config = story.lab.guest(VMID, ["cat", f"{home}/config.yaml"]).stdout
    assert "# my comment" in config
    assert "my_own_key: 7" in config
    assert "context_length: 128000" in config


def test_a_config_that_does_not_parse_is_not_overwritten(story: Operator) -> None:
    path = "/opt/hermes/data/config.yaml"
    whole = story.lab.guest(VMID, ["cat", path]).stdout
    broken = "model: [unclosed\n"
    story.lab.guest(VMID, ["tee", path], stdin=broken)
    done = story.run("bootstrap", code=1)
    assert "config.yaml" in done.stderr
    assert "line" in done.stderr
    assert story.lab.guest(VMID, ["cat", path]).stdout == broken
    story.lab.guest(VMID, ["tee", path], stdin=whole)
    story.run("bootstrap")


def test_destroy_asks_and_keeps_the_folders(story: Operator) -> None:
    done = story.run("destroy", str(VMID), code=2)
    assert "--yes" in done.stderr
    story.lab.run(["touch", "/mnt/pve/hdd/hermes/kept"])
    done = story.run("destroy", str(VMID), "--yes")
    assert "/mnt/pve/hdd/hermes stays" in done.stderr
    assert story.lab.run(["pct", "status", str(VMID)], check=False).returncode != 0
    assert story.lab.run(["ls", "/mnt/pve/hdd/hermes/kept"]).returncode == 0
    story.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data")
    assert story.lab.run(["ls", "/mnt/pve/hdd/hermes"], check=False).returncode != 0
    assert story.lab.run(["ls", "/mnt/pve/hdd"]).returncode == 0


def test_protection_is_taken_off_explicitly(operator: Operator) -> None:
    operator.write(lambda document: agent(document, 151, protection=True))
    operator.run("create")
    done = operator.run("destroy", "151", "--yes")
    assert "protection" in done.stderr
