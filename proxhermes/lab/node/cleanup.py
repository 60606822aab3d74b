"""Finding and clearing all that an instance has on the machine, however it ended.

Nothing here trusts the state folder alone: processes are found by the network namespace they are in, rules by their
comment, loop devices by the files behind them. So it also works after a crash, and when it is interrupted itself.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

from proxhermes.lab.node import cgroups, kernel, network
from proxhermes.lab.node.paths import RUN_ROOT, STATE_ROOT, LabPaths
from proxhermes.lab.node.process import LabError, Process, run, wait_until


def leftovers(paths: LabPaths) -> list[str]:
    """What exists of the instance, one line each; empty when there is nothing."""
    found = [f"process {process.pid} in namespace {paths.netns}" for process in processes(paths)]
    found += [f"namespace {paths.netns}"] if paths.netns_file.exists() else []
    found += [f"iptables {table}: {rule}" for table, rule in network.rules(paths)]
    found += [f"loop device {device} ({file})" for device, file in loops(paths)]
    found += [f"mount {point}" for point in mounts(paths)]
    found += [f"cgroup {folder}" for folder in cgroups.folders(paths.cgroup)]
    found += [f"folder {paths.state}"] if paths.state.exists() else []
    return found


def clear(paths: LabPaths) -> None:
    """End and remove all of it. LabError when something resists, naming it; safe to run again."""
    end_processes(paths)
    network.disconnect(paths)
    for point in reversed(mounts(paths)):
        run(["umount", "-l", point])
    release_loops(paths)
    remove_cgroups(paths)
    if paths.state.exists():
        shutil.rmtree(paths.state)
    kernel.restore_limits()
    for folder in (STATE_ROOT, RUN_ROOT):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def processes(paths: LabPaths) -> list[Process]:
    """Those in the instance's network namespace, the node's first one among them, and that one in any case."""
    found = []
    init = Process.load(paths.init_file)
    if init and init.alive():
        found.append(init)
    if not paths.netns_file.exists():
        return found
    namespace = paths.netns_file.stat()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            here = (folder / "ns/net").stat()
            if (here.st_ino, here.st_dev) == (namespace.st_ino, namespace.st_dev):
                found.append(Process.of(int(folder.name)))
        except (OSError, LabError):
            continue  # it has ended meanwhile
    return sorted(set(found), key=lambda process: process.pid)


def end_processes(paths: LabPaths) -> None:
    """Kill the node's first process, and with it all that runs on the node and in its containers."""

    def ended() -> bool:
        alive = processes(paths)
        for process in alive:
            process.kill(signal.SIGKILL)
        return not alive

    wait_until(ended, f"all processes of lab {paths.instance} ended", seconds=30)


def loops(paths: LabPaths) -> list[tuple[str, str]]:
    """(device, file) of the loop devices on files of the instance."""
    said = run(["losetup", "--json", "--list", "--output", "NAME,BACK-FILE"]).stdout
    devices = json.loads(said)["loopdevices"] if said.strip() else []
    return [
        (device["name"], device["back-file"])
        for device in devices
        if (device["back-file"] or "").startswith(f"{paths.state}/")
    ]


def release_loops(paths: LabPaths) -> None:
    """Wait for the kernel to free them with the last mount; detach those that nobody mounts."""
    patience = time.monotonic() + 2

    def released() -> bool:
        held = loops(paths)
        if held and time.monotonic() > patience:
            run(["losetup", "-d", *(device for device, _ in held)], check=False)
        return not held

    wait_until(released, f"loop devices of lab {paths.instance} free", seconds=20)


def mounts(paths: LabPaths) -> list[str]:
    """Mount points of this machine in the instance's folder (its own are in the node's namespace), parents first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted(point for line in lines if (point := line.split()[4]).startswith(f"{paths.state}/"))


def remove_cgroups(paths: LabPaths) -> None:
    """Remove the instance's cgroups, and the parent of all instances' when it was the last."""
    cgroups.remove(paths.cgroup)
    for parent in cgroups.folders(str(Path(paths.cgroup).parent)):
        if not any(child.is_dir() for child in parent.iterdir()):
            parent.rmdir()
