"""create and destroy on a node of real containers: what a user does to them, and what may happen meanwhile."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Operator

VMID = 131
TEMPLATE = "debian-13-standard_13.1-1_amd64.tar.zst"
HDD, FAST = "/mnt/pve/hdd/story", "/media/2tb/story"


class Story:
    """One agent of our own on the lab's node, and the node's shell beside the product's own doors."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.agent: dict[str, Any] = {
            "node": "gihyeon",
            "hostname": "story",
            "memory": 512,
            "disk": {"size": 4},
            "network": {"bridge": "intra01"},
            "mounts": [{"host": HDD, "guest": "/data"}, {"host": FAST, "guest": "/fast"}],
        }
        self.write()

    def write(self, **fields: Any) -> None:
        """Change the agent in the inventory, where it is the only one."""
        self.agent |= fields
        self.operator.write(lambda document: document.update(agents={VMID: self.agent}))

    def run(self, command: str, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run proxhermes on the agent and check its exit code."""
        return self.operator.run(command, str(VMID), *words, code=code)

    def create(self) -> dict[str, Any]:
        """Run create and return what it says about the agent."""
        told: dict[str, Any] = self.operator.json("create", str(VMID))["agents"][0]
        return told

    def shell(self, command: str, *, check: bool = True) -> str:
        """Run a command as root on the node."""
        done = self.operator.lab.run(["sh", "-c", command], check=check)
        return done.stdout

    def config(self, *, current: bool = True) -> dict[str, str]:
        """The container's configuration as `pct` tells it."""
        lines = self.shell(f"pct config {VMID} --current {int(current)}").splitlines()
        return dict(line.split(": ", 1) for line in lines)

    def boot(self) -> str:
        """What tells one boot from another: the kernel's start time of the container's init."""
        return self.shell(f"stat -c %Z /proc/$(lxc-info -n {VMID} -p -H)").strip()


@pytest.fixture
def story(operator: Operator) -> Iterator[Story]:
    """An agent that is not there yet, and of which nothing is left afterwards."""
    story = Story(operator)
    clean(story)
    yield story
    clean(story)


def clean(story: Story) -> None:
    commands = f"""
        umount -l {HDD}/inner 2>/dev/null
        while pct config {VMID} 2>/dev/null | grep -q '^lock: create'; do sleep 0.2; done
        if pct config {VMID} >/dev/null 2>&1; then
            pct unlock {VMID}; pct set {VMID} --protection 0; pct stop {VMID}; pct destroy {VMID} --purge 1
        fi
        rm -rf {HDD} {FAST} /media/2tb/other-story
    """
    story.shell(commands, check=False)


def ids(story: Story, path: str) -> str:
    return story.shell(f"stat -c '%u:%g %a' {path}").strip()


def test_create_and_again(story: Story) -> None:
    first = story.create()
    assert {change["door"] for change in first["changes"]} == {"token", "root"}
    config = story.config()
    assert config["features"] in ("nesting=1,keyctl=1", "keyctl=1,nesting=1") and config["unprivileged"] == "1"
    assert config["mp0"].startswith(f"{HDD},mp=/data") and config["mp1"].startswith(f"{FAST},mp=/fast")
    assert "proxhermes" in config["tags"].split(";")
    assert ids(story, HDD) == ids(story, FAST) == "110000:110000 755"
    boot = story.boot()

    inside = "touch /data/by-root && chown 10000:10000 /data/by-root && touch /fast/x && stat -c %u:%g /data"
    assert story.shell(f"pct exec {VMID} -- sh -c '{inside}'").strip() == "10000:10000"
    assert ids(story, f"{HDD}/by-root").startswith("110000:110000")
    assert ids(story, f"{FAST}/x").startswith("100000:100000")

    second = story.create()
    assert second["changes"] == [] and story.boot() == boot
    assert (second["api_calls"], second["ssh_commands"]) == (4, 1)
    assert ids(story, f"{FAST}/x").startswith("100000:100000")  # what is in it keeps its owner


def test_changes_in_place(story: Story) -> None:
    story.create()
    before, boot = story.config(), story.boot()
    conf = f"/etc/pve/lxc/{VMID}.conf"
    story.shell(f"pct set {VMID} --tags '{before['tags']};mine'; sed -i '1i #my own note' {conf}")
    story.write(cores=1, memory=640, hostname="renamed", disk={"size": 5}, startup="order=4", onboot=False)
    told = story.create()
    after = story.config()
    subjects = {change["subject"] for change in told["changes"]}
    assert subjects == {"cores", "memory", "hostname", "startup", "onboot", "rootfs: size", "notes"}
    assert (after["cores"], after["memory"], after["hostname"], after["startup"]) == ("1", "640", "renamed", "order=4")
    assert "size=5G" in after["rootfs"] and after["net0"] == before["net0"]
    assert "mine" in after["tags"].split(";") and after["description"].startswith("my own note")
    assert story.boot() == boot  # nothing of this needs a reboot
    assert story.create()["changes"] == []


def test_what_cannot_be_changed_is_named_and_left_alone(story: Story) -> None:
    story.create()
    story.write(disk={"size": 2, "storage": "hdd"})
    left = {change["subject"] for change in story.create()["left_alone"]}
    assert left == {"rootfs: size", "rootfs: storage"}
    assert "local-lvm" in story.config()["rootfs"] and "size=4G" in story.config()["rootfs"]


def test_a_new_mount_is_live_and_a_dropped_one_goes_with_a_reboot(story: Story) -> None:
    story.write(mounts=[{"host": HDD, "guest": "/data"}])
    story.create()
    boot = story.boot()
    story.write(mounts=[{"host": HDD, "guest": "/data"}, {"host": FAST, "guest": "/fast"}])
    story.create()
    assert story.boot() == boot
    story.shell(f"pct exec {VMID} -- touch /fast/live")
    assert ids(story, f"{FAST}/live").startswith("100000:100000")

    story.write(mounts=[{"host": HDD, "guest": "/data"}])
    told = story.run("create")
    assert "the folder stays on the node" in told.stderr
    assert "mp1" not in story.config() and story.boot() != boot
    assert story.shell(f"ls {FAST}").strip() == "live"
    assert story.create()["changes"] == []


def test_what_waits_for_a_boot_is_booted_once(story: Story) -> None:
    story.create()
    boot = story.boot()
    story.shell(f"pct set {VMID} --features nesting=1")  # pending, as after a run that was cut off
    story.write(nameserver=["10.1.10.1"])
    told = story.create()
    assert {change["effect"] for change in told["changes"]} >= {"reboot_container"}
    assert story.boot() != boot and "keyctl=1" in story.config()["features"]
    boot = story.boot()
    assert story.create()["changes"] == [] and story.boot() == boot


def test_a_stopped_container_is_started(story: Story) -> None:
    story.create()
    story.shell(f"pct stop {VMID}")
    told = story.create()
    assert [change["subject"] for change in told["changes"]] == ["status"]
    assert "running" in story.shell(f"pct status {VMID}")


def test_protection_does_not_stand_in_the_way_of_mounts(story: Story) -> None:
    story.write(protection=True, mounts=[{"host": HDD, "guest": "/data"}])
    story.create()
    assert story.config()["protection"] == "1"
    story.write(mounts=[{"host": HDD, "guest": "/data"}, {"host": FAST, "guest": "/fast"}])
    story.create()
    assert story.config()["protection"] == "1" and "mp1" in story.config()
    story.run("destroy", "--yes")
    assert story.shell(f"pct status {VMID} 2>&1", check=False).strip().endswith("does not exist")


@pytest.mark.parametrize("moment", ["vzcreate", "tags", "pct set", "vzstart"])
def test_a_run_that_is_killed_is_finished_by_the_next(story: Story, moment: str) -> None:
    process = story.operator.start("-v", "create", str(VMID))
    assert process.stderr is not None
    marks = {"vzcreate": ":vzcreate:", "tags": "/config tags=", "pct set": "run pct set", "vzstart": ":vzstart:"}
    for line in process.stderr:
        if marks[moment] in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    story.create()
    assert "keyctl=1" in story.config()["features"] and "mp1" in story.config()
    assert story.create()["changes"] == []
    assert story.shell(f"pct list | grep -c '^{VMID} '").strip() == "1"
    assert story.shell(f"pvesm list local-lvm --vmid {VMID} | grep -c vm-{VMID}-").strip() == "1"


@pytest.mark.parametrize("made", ["plain", "tagged", "clone of another agent"])
def test_a_container_of_somebody_else_is_never_touched(story: Story, made: str) -> None:
    notes = shlex.quote("<!-- proxhermes agent 118 -->\n<!-- /proxhermes -->" if made.startswith("clone") else "mine")
    tags = "" if made == "plain" else "--tags proxhermes"
    template = story.shell("pveam list local | awk '/debian-13/ {print $1}' | head -1").strip()
    story.shell(
        f"pct create {VMID} {template} --rootfs local-lvm:1 --unprivileged 1 --description {notes} {tags} >/dev/null"
    )
    before = story.shell(f"cat /etc/pve/lxc/{VMID}.conf")
    for command in (["create"], ["destroy", "--yes"], ["destroy", "--yes", "--purge-data", "--yes-purge-data"]):
        assert "leaves it alone" in story.run(*command, code=1).stderr
    assert story.shell(f"cat /etc/pve/lxc/{VMID}.conf") == before
    assert story.shell(f"ls -d {HDD}", check=False) == ""


def refused(story: Story, words: str) -> str:
    """Run create, which must refuse with `words`, and leave neither a container nor a folder."""
    error = story.run("create", code=1).stderr
    assert words in error and "Traceback" not in error
    assert story.shell(f"ls /etc/pve/lxc/{VMID}.conf", check=False) == ""
    return error


def test_a_folder_on_what_is_not_mounted_is_refused(story: Story) -> None:
    entry = "/dev/sdz1 /srv/story-disk ext4 defaults 0 2"
    story.shell(f"cp /etc/fstab /tmp/fstab.story; echo '{entry}' >>/etc/fstab; mkdir -p /srv/story-disk")
    try:
        story.write(mounts=[{"host": "/srv/story-disk/hermes", "guest": "/data"}])
        refused(story, "nothing is mounted")
        story.write(mounts=[{"host": "/mnt/pve/nowhere/hermes", "guest": "/data"}])
        refused(story, "nothing is mounted")
        assert story.shell("ls /srv/story-disk /mnt/pve/nowhere 2>/dev/null", check=False).split() in (
            [],
            ["/srv/story-disk:"],
        )
    finally:
        story.shell("cat /tmp/fstab.story >/etc/fstab; rm -r /tmp/fstab.story /srv/story-disk")


def test_a_stranger_s_folder_is_taken_on_demand_only(story: Story) -> None:
    story.shell(f"mkdir {HDD}; echo precious >{HDD}/file; chown -R 1000:1000 {HDD}")
    refused(story, "holds data and belongs to 1000:1000")
    assert ids(story, HDD).startswith("1000:1000")
    story.run("create", "--take-ownership")
    assert ids(story, HDD).startswith("110000:110000") and ids(story, f"{HDD}/file").startswith("1000:1000")


def test_a_symbolic_link_is_not_followed(story: Story) -> None:
    story.shell(f"mkdir /media/2tb/other-story; ln -s /media/2tb/other-story {HDD}")
    refused(story, "is a symbolic link")
    assert ids(story, "/media/2tb/other-story").startswith("0:0")


def test_an_id_map_of_the_container_counts(story: Story) -> None:
    story.create()
    lines = "lxc.idmap: u 0 100000 65536\\nlxc.idmap: g 0 100000 65536\\n"
    story.shell(f"pct stop {VMID}; printf '{lines}' >>/etc/pve/lxc/{VMID}.conf; chown 0:0 {HDD}")
    told = story.create()
    assert ids(story, HDD) == "110000:110000 755"
    assert {change["subject"] for change in told["changes"]} == {HDD, "status"}


def test_a_create_that_died_with_the_node_is_named_not_taken(story: Story) -> None:
    conf = f"/etc/pve/lxc/{VMID}.conf"
    story.shell(f"echo 'lock: create' >{conf}")
    assert f"pct unlock {VMID}" in story.run("create", code=1).stderr
    assert story.shell(f"cat {conf}") == "lock: create\n"
    story.shell(f"rm {conf}")


def test_an_unknown_bridge_is_told_and_mended(story: Story) -> None:
    story.write(network={"bridge": "vmbr9"})
    error = story.run("create", code=1).stderr
    assert "vmbr9" in error and "Traceback" not in error
    story.write(network={"bridge": "intra01"})
    story.create()
    assert "intra01" in story.config()["net0"]


def test_what_a_container_is_made_with(story: Story) -> None:
    """Options that nothing else here sets, and the template as a whole volume."""
    key = story.operator.lab.client.joinpath("id_ed25519.pub").read_text().strip()
    story.write(
        template=f"local:vztmpl/{TEMPLATE}",
        network={"bridge": "intra01", "ip": "10.1.10.31/24", "gateway": "10.1.10.1", "mtu": 1400},
        pool="stories",
        ssh_public_keys=[key],
        timezone="Europe/Berlin",
        startup="order=3,up=10",
        nameserver="10.1.10.1",
        searchdomain="lab.example",
    )
    story.shell("pveum pool add stories")
    try:
        story.create()
        config = story.config()
        assert (config["timezone"], config["startup"]) == ("Europe/Berlin", "order=3,up=10")
        assert (config["nameserver"], config["searchdomain"]) == ("10.1.10.1", "lab.example")
        inside = story.shell(f"pct exec {VMID} -- cat /root/.ssh/authorized_keys /etc/resolv.conf")
        assert key in inside and "lab.example" in inside  # with a lease, the guest's own client writes the latter
        link = story.shell(f"pct exec {VMID} -- ip -o address show dev eth0; pct exec {VMID} -- ip link show dev eth0")
        assert "inet 10.1.10.31/24" in link and "mtu 1400" in link
        assert story.shell(f"pct exec {VMID} -- readlink /etc/localtime").strip().endswith("Europe/Berlin")
        (member,) = json.loads(story.shell("pvesh get /pools/stories --output-format json"))["members"]
        assert member["vmid"] == VMID
        assert story.create()["changes"] == []
    finally:
        clean(story)
        story.shell("pveum pool delete stories")


def test_a_missing_template_is_told(story: Story) -> None:
    story.write(template="ubuntu-18.04")
    assert "debian-13-standard" in refused(story, "no template of the family ubuntu-18.04")


def test_destroy_leaves_the_folders_and_purges_on_demand(story: Story) -> None:
    story.create()
    story.shell(f"pct exec {VMID} -- sh -c 'echo work >/data/file; ln -s /etc /data/link'")
    without = story.run("destroy", code=2)
    assert "nobody is here to confirm" in without.stderr
    gone = story.run("destroy", "--yes")
    assert f"{HDD} stays" in gone.stderr
    assert story.shell(f"cat {HDD}/file").strip() == "work"
    story.create()
    assert story.shell(f"pct exec {VMID} -- cat /data/file").strip() == "work"
    story.run("destroy", "--yes", "--purge-data", "--yes-purge-data")
    assert story.shell(f"ls -d {HDD} {FAST} 2>/dev/null", check=False) == ""
    assert story.shell("ls /etc/passwd").strip() == "/etc/passwd"
    assert "there is no CT" in story.run("destroy", "--yes").stderr


def test_purge_spares_mounts_and_what_others_use(story: Story) -> None:
    story.create()
    story.shell(f"mkdir {FAST}/deep; mkdir {HDD}/inner; mount -t tmpfs none {HDD}/inner")
    other = f"/etc/pve/nodes/gihyeon/lxc/{VMID + 1}.conf"
    story.shell(f"printf 'hostname: other\\nmp0: {FAST}/deep,mp=/x\\n' >{other}")
    try:
        error = story.run("destroy", "--yes", "--purge-data", "--yes-purge-data", code=1).stderr
        assert "mount point" in error and f"container {VMID + 1} uses it" in error
        assert story.shell(f"ls -d {HDD}/inner {FAST}/deep").split() == [f"{FAST}/deep", f"{HDD}/inner"]
    finally:
        story.shell(f"rm {other}; umount {HDD}/inner")
