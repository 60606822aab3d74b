"""The node by itself: it stands, it heals, it goes without a trace, whatever was killed.

On an instance of its own, beside the one that the other stories use.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxhermes.lab.node import cleanup, kernel, lifecycle
from proxhermes.lab.node.lab import Lab
from proxhermes.lab.node.paths import LITELLM_VMID, LabPaths
from proxhermes.lab.node.process import LabError, Process, run, wait_until

INSTANCE = "test-node"
PATHS = LabPaths(INSTANCE)
TEMPLATE = "debian-13-standard_13.1-1_amd64.tar.zst"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and containers")


def traces() -> dict[str, list[str]]:
    """What of this machine a lab could have left, found by other means than the lab's own."""
    names = run(["ip", "netns"]).stdout.splitlines()
    slots = {file.read_text().strip() for file in PATHS.state.parent.glob("*/slot")}
    links = [name for name in os.listdir("/sys/class/net") if name.startswith("phlab")]
    return {
        "rules": [line for line in run(["iptables-save"]).stdout.splitlines() if PATHS.netns in line],
        "namespaces": [name for name in names if name.split()[0] == PATHS.netns],
        "links": [name for name in links if name.removeprefix("phlab") not in slots],
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(PATHS.state) in line],
        "loops": [line for line in run(["losetup", "-l"]).stdout.splitlines() if f"{PATHS.state}/" in line],
        "cgroups": run(["find", "/sys/fs/cgroup", "-type", "d", "-path", f"*/phlab/{INSTANCE}"]).stdout.split(),
        "state": [str(PATHS.state)] if PATHS.state.exists() else [],
    }


def nothing(found: dict[str, list[str]]) -> bool:
    return not any(found.values())


@pytest.fixture(scope="module")
def settings_given_back() -> Iterator[None]:
    """The kernel's settings are after the last test what they were before the first (no other lab being up)."""

    def settings() -> dict[str, str]:
        return {name: (kernel.SYSCTL / name).read_text() for name in kernel.LEAST}

    before = settings()
    yield
    lifecycle.down(INSTANCE)
    if not list(Path("/run/netns").glob("phlab-*")):
        assert settings() == before


@pytest.fixture
def lab(settings_given_back: None) -> Lab:  # instead of the other stories' one
    """A lab that is up; made when there is none, healed when the test before has hurt it."""
    return lifecycle.up(INSTANCE, print)


def outer_pid(lab: Lab, name: str) -> int:
    """A service's pid as this machine has it."""
    inner = Process.load(lab.paths.services / f"{name}.json")
    assert inner is not None
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "status").read_text().partition("NSpid:")[2].splitlines()[0].split()
            same = os.readlink(folder / "ns/pid") == os.readlink(f"/proc/{lab.init.pid}/ns/pid")
        except OSError:
            continue
        if same and words[-1] == str(inner.pid):
            return int(folder.name)
    raise AssertionError(f"{name} does not run")


def guest_init(lab: Lab) -> str:
    """The pid of CT 117's init on the node; empty while it does not run."""
    return lab.run(["lxc-info", "-n", str(LITELLM_VMID), "-p", "-H"], check=False).stdout.strip()


def test_it_is_up_with_all_that_belongs_to_it(lab: Lab) -> None:
    found = lifecycle.status(INSTANCE)
    assert found["state"] == "up"
    services = found["services"]
    assert isinstance(services, list)
    assert [service["name"] for service in services if not service["up"]] == []
    assert found["containers"] == [
        {"vmid": 117, "name": "litellm", "status": "running", "addresses": ["10.1.10.22/24"]}
    ]  # fmt: skip


def test_a_second_up_changes_nothing(lab: Lab) -> None:
    before = [Process.load(file) for file in sorted(lab.paths.services.iterdir())]
    guest = guest_init(lab)
    again = lifecycle.up(INSTANCE)
    assert again == lab
    assert [Process.load(file) for file in sorted(lab.paths.services.iterdir())] == before
    assert guest_init(lab) == guest


def test_root_gets_in_by_key_and_finds_the_tools(lab: Lab) -> None:
    ssh = ["ssh", "-i", lab.client / "id_ed25519", "-o", f"UserKnownHostsFile={lab.client / 'known_hosts'}",
           "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]  # fmt: skip
    shown = run([*ssh, f"root@{lab.address}", "cat /etc/ssh/ssh_host_ed25519_key.pub"]).stdout.split()[1]
    assert shown in (lab.client / "known_hosts").read_text(), "the fingerprint to compare with is the one that is shown"
    said = run([*ssh, f"root@{lab.address}", "hostname; command -v pct pveum lxc-attach; pct list"]).stdout
    assert said.splitlines()[0] == "gihyeon"
    assert "/usr/sbin/pct" in said
    assert "litellm" in said
    no_key = ["-o", "IdentitiesOnly=yes", "-o", "IdentityFile=/dev/null", "-o", "PubkeyAuthentication=no"]
    refused = run(["ssh", *ssh[3:], *no_key, f"root@{lab.address}", "true"], check=False)
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_the_machine_outside_sees_nothing_of_the_node(lab: Lab) -> None:
    lab.run(["sh", "-c", "mountpoint -q /mnt/pve/hdd && mountpoint -q /media/2tb && mountpoint -q /etc/pve"])
    lab.run(["touch", "/etc/only-on-the-node", "/usr/sbin/only-on-the-node"])
    assert not Path("/etc/only-on-the-node").exists()
    assert not Path("/usr/sbin/only-on-the-node").exists()
    assert not Path("/mnt/pve/hdd").exists()
    assert not Path("/etc/pve").exists()
    assert os.uname().nodename != "gihyeon"
    assert "intra01" not in os.listdir("/sys/class/net")


def test_a_container_lives_and_dies_with_mapped_owners(lab: Lab) -> None:
    lab.run(["pveam", "download", "local", TEMPLATE], timeout=60)
    lab.run(["pct", "create", "150", f"local:vztmpl/{TEMPLATE}", "--hostname", "probe", "--unprivileged", "1",
             "--rootfs", "local-lvm:2", "--memory", "256", "--net0", "name=eth0,bridge=intra01,ip=dhcp",
             "--features", "nesting=1"])  # fmt: skip
    lab.run(["sh", "-c", "mkdir -p /mnt/pve/hdd/probe && chown 100000:100000 /mnt/pve/hdd/probe"])
    lab.run(["pct", "set", "150", "--mp0", "/mnt/pve/hdd/probe,mp=/data"])
    lab.run(["pct", "start", "150"])
    shows_address = ["sh", "-c", "ip -4 -o addr show eth0 | grep -o '10[.]1[.]10[.][0-9]*/'"]
    wait_until(lambda: lab.guest(150, shows_address, check=False).returncode == 0, "an address", seconds=20)
    lab.guest(150, ["sh", "-c", "echo hello > /data/file && chown 1000:1000 /data/file"])
    assert lab.run(["stat", "-c", "%u:%g", "/mnt/pve/hdd/probe/file"]).stdout.strip() == "101000:101000"
    assert lab.guest(150, ["hostname"]).stdout.strip() == "probe"
    lab.run(["pct", "shutdown", "150"], timeout=90)
    lab.run(["pct", "destroy", "150"])
    assert "vm-150" not in run(["losetup", "-l"]).stdout
    assert lab.run(["cat", "/mnt/pve/hdd/probe/file"]).stdout == "hello\n"


def test_a_guest_that_reboots_itself_comes_back_with_what_was_pending(lab: Lab) -> None:
    before = guest_init(lab)
    lab.run(["pct", "set", str(LITELLM_VMID), "--features", "nesting=1,keyctl=1"])
    lab.guest(LITELLM_VMID, ["systemctl", "reboot"], check=False)
    wait_until(lambda: guest_init(lab) not in ("", before), "CT 117 has another init", seconds=40)
    assert "keyctl=1" in lab.run(["pct", "config", str(LITELLM_VMID), "--current", "1"]).stdout


@pytest.mark.parametrize("name", ["dnsmasq", "sshd", "api", "registry"])
def test_a_killed_service_is_seen_and_started_again(lab: Lab, name: str) -> None:
    os.kill(outer_pid(lab, name), signal.SIGKILL)
    wait_until(lambda: lifecycle.status(INSTANCE)["state"] == "incomplete", f"{name} seen as down", seconds=10)
    assert lifecycle.up(INSTANCE) == lab
    assert lifecycle.status(INSTANCE)["state"] == "up"


@pytest.mark.parametrize("whom", ["init", "monitor"])
def test_a_killed_container_is_started_again(lab: Lab, whom: str) -> None:
    init = guest_init(lab)
    monitor = lab.run(["sh", "-c", f"cut -d' ' -f4 /proc/{init}/stat"]).stdout.strip()
    lab.run(["kill", "-9", init if whom == "init" else monitor])
    wait_until(lambda: guest_init(lab) == "", "CT 117 down", seconds=10)
    lifecycle.up(INSTANCE)
    assert lifecycle.status(INSTANCE)["state"] == "up"


def test_a_container_that_died_a_moment_ago_is_started(lab: Lab) -> None:
    """LXC's monitor is still cleaning up after the last run then, and must not take the new one's mounts along."""
    for _ in range(3):
        dead = f'test -z "$(lxc-info -n {LITELLM_VMID} -p -H)"'
        lab.run(["sh", "-ec", f"kill -9 {guest_init(lab)}; until {dead}; do :; done; pct start {LITELLM_VMID}"])
        assert guest_init(lab)
        lab.guest(LITELLM_VMID, ["true"])


def test_down_after_the_nodes_first_process_was_killed_leaves_nothing(lab: Lab) -> None:
    lab.init.kill(signal.SIGKILL)
    wait_until(lambda: not lab.init.alive(), "init ended", seconds=10)
    assert lifecycle.status(INSTANCE)["state"] == "down"
    assert cleanup.leftovers(PATHS)
    lifecycle.down(INSTANCE)
    assert cleanup.leftovers(PATHS) == []
    assert nothing(traces())


@pytest.mark.parametrize("moment", ["namespaces", "node services", "LiteLLM"])
def test_down_after_a_half_done_up_leaves_nothing(settings_given_back: None, moment: str) -> None:
    lifecycle.down(INSTANCE)
    argv = [sys.executable, "-m", "proxhermes.lab", "up", "--instance", INSTANCE]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if moment in line:
                break
        child.kill()
    assert child.returncode == -signal.SIGKILL
    lifecycle.down(INSTANCE)
    assert cleanup.leftovers(PATHS) == []
    assert nothing(traces())


def test_a_half_done_up_is_begun_anew(settings_given_back: None) -> None:
    lifecycle.up(INSTANCE)
    PATHS.ready_file.unlink()
    assert lifecycle.status(INSTANCE)["state"] == "incomplete"
    old = Lab.find(INSTANCE)
    new = lifecycle.up(INSTANCE)
    assert old is not None
    assert new.init != old.init
    assert lifecycle.status(INSTANCE)["state"] == "up"


def test_down_of_a_running_lab_leaves_nothing_and_ends_all(lab: Lab) -> None:
    inside = [process.pid for process in cleanup.processes(PATHS)]
    assert len(inside) > 5
    lifecycle.down(INSTANCE)
    assert nothing(traces())
    assert not lab.init.alive()
    with pytest.raises(LabError, match="does not run"):
        lab.run(["true"])


def test_down_without_a_lab_is_fine() -> None:
    lifecycle.down(INSTANCE)
    assert nothing(traces())
