"""What `up` does on the node: `python -m proxhermes.lab.node.inside furnish|services|status|await INSTANCE …`.

Runs in the node's namespaces, so that pids, addresses and paths are the node's. Prints JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxhermes.lab.node.network import UPLINK
from proxhermes.lab.node.paths import BRIDGE, BRIDGE_ADDRESS, BRIDGE_NETWORK, DISKS, NODE_NAME, LabPaths, Slot
from proxhermes.lab.node.process import LabError, wait_until, write_atomically
from proxhermes.lab.node.service_table import APPLIANCE_PORT, table
from proxhermes.lab.node.services import Keeper, answers
from proxhermes.lab.pve.download import INDEX, SOURCES

TOOLS = ("pct", "pvesm", "pveam", "pvesh", "pveum")


def furnish(paths: LabPaths, slot: Slot) -> None:
    """Give the node its own /etc, its tools, and the client's key. Once, before anything runs on it."""
    for path, text in etc_files(paths, slot).items():
        Path(path).unlink(missing_ok=True)  # it may be a link to what only the machine has
        write_atomically(Path(path), text)
    for tool in TOOLS:
        wrapper = f'#!/bin/sh\nexec {sys.executable} -m proxhermes.lab.pve.cli.{tool} "$@"\n'
        write_atomically(Path("/usr/sbin", tool), wrapper, 0o755)
    write_atomically(Path("/etc/pve-lab.json"), json.dumps(description(paths), indent=2) + "\n")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for source in SOURCES:  # `pveam` complains of one that was never fetched; the lab has nothing of the second
        write_atomically(Path(INDEX, source), "")
    own_host_keys(paths.secrets, Path("/etc/ssh"))
    fresh_home(Path("/root"))
    write_atomically(Path("/root/.ssh/authorized_keys"), (paths.client / "id_ed25519.pub").read_text(), 0o600)


def own_host_keys(secrets: Path, folder: Path) -> None:
    """The keys that the node's sshd shows, where an operator compares fingerprints; none of the machine beneath."""
    for key in folder.glob("ssh_host_*"):
        key.unlink()
    for key in secrets.glob("ssh_host_*"):
        write_atomically(folder / key.name, key.read_text(), 0o644 if key.suffix == ".pub" else 0o600)


def fresh_home(home: Path) -> None:
    """Root's shell start-up files and SSH folder as a new machine has them, not those of the machine beneath."""
    for name in (".bashrc", ".profile", ".bash_profile", ".bash_login", ".bash_history"):
        (home / name).unlink(missing_ok=True)
    for name in (".bashrc", ".profile"):
        shutil.copy2(Path("/etc/skel", name), home / name)
    shutil.rmtree(home / ".ssh", ignore_errors=True)
    (home / ".ssh").mkdir(mode=0o700)


def description(paths: LabPaths) -> dict[str, object]:
    """What the node's tools and its API read to know where they are (`proxhermes.lab.pve.cli.here`)."""
    return {
        "name": NODE_NAME,
        "root": "/",
        "runtime": "proxhermes.lab.node.lxc:LxcRuntime",
        "arguments": {"cgroup_parent": paths.cgroup},
        "appliances": f"http://{BRIDGE_ADDRESS}:{APPLIANCE_PORT}",
    }


def etc_files(paths: LabPaths, slot: Slot) -> Mapping[str, str]:
    """Path and text of the node's own configuration files."""
    disks = "".join(f"{paths.disks / disk.image} {disk.mount_point} ext4 loop,noatime 0 2\n" for disk in DISKS)
    return {
        "/etc/hostname": f"{NODE_NAME}\n",
        "/etc/hosts": f"127.0.0.1 localhost\n{slot.node_address} {NODE_NAME}.lab {NODE_NAME}\n",
        "/etc/resolv.conf": f"nameserver {BRIDGE_ADDRESS}\n",
        "/etc/subuid": "root:100000:65536\n",
        "/etc/subgid": "root:100000:65536\n",
        "/etc/fstab": disks,
        "/etc/network/interfaces": (
            "auto lo\niface lo inet loopback\n\n"
            f"auto {UPLINK}\niface {UPLINK} inet static\n"
            f"\taddress {slot.node_address}/24\n\tgateway {slot.host_address}\n\n"
            f"auto {BRIDGE}\niface {BRIDGE} inet static\n\taddress {BRIDGE_ADDRESS}/24\n"
            "\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n"
            f"\tpost-up iptables -t nat -A POSTROUTING -s {BRIDGE_NETWORK} ! -d {BRIDGE_NETWORK} -j MASQUERADE\n"
        ),
    }


def start_services(paths: LabPaths) -> list[str]:
    """Start those that do not run or do not answer; returns their names. LabError when one does not come up."""
    keeper = Keeper(paths)
    services = table(paths)
    dead = [s for s in services if keeper.process(s.name) is None or not answers(s.ready)]
    for service in dead:
        keeper.stop(service.name)
        keeper.start(service)
    for service in dead:
        keeper.await_ready(service)
    return [service.name for service in dead]


def status(paths: LabPaths) -> list[dict[str, object]]:
    """Each service with its pid on the node, and whether it answers."""
    keeper = Keeper(paths)
    shown: list[dict[str, object]] = []
    for service in table(paths):
        process = keeper.process(service.name)
        up = process is not None and answers(service.ready)
        shown.append({"name": service.name, "pid": process.pid if process else None, "up": up, "at": service.ready})
    return shown


def act(action: str, paths: LabPaths, words: Sequence[str]) -> object:
    """Do one of the actions; what it returns can be written as JSON."""
    match action, words:
        case "furnish", []:
            furnish(paths, Slot(int(paths.slot_file.read_text())))
        case "services", []:
            return start_services(paths)
        case "status", []:
            return status(paths)
        case "await", [url, seconds]:
            wait_until(lambda: answers(url), f"an answer from {url}", seconds=float(seconds), every=0.2)
        case _:
            raise LabError(f"{action} {' '.join(words)}: no action of the node")
    return None


def main() -> None:
    """Do what the command line says; a failure is its text on standard error and exit code 1."""
    os.umask(0o022)
    action, instance, *words = sys.argv[1:]
    try:
        result = act(action, LabPaths(instance), words)
    except (LabError, OSError) as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
