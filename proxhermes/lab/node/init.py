"""The node's first process: `python -m proxhermes.lab.node.init INSTANCE`.

Enters the network namespace that is already there, makes a mount, a uts and a pid namespace, builds the node's file
system, writes its name into `LabPaths.init_file`, and from then on only collects processes that have ended. All that
ever runs on the node ends with it, by the kernel's hand: that is what makes a crashed lab easy to clear.

The file system is an overlay on the machine's own, so that the node has its own /etc, /root, /usr/sbin and /var
without the machine seeing any of it, with the lab's disks mounted where a Proxmox node has them.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import proxhermes
from proxhermes.lab.node import namespaces
from proxhermes.lab.node.cgroups import hierarchies
from proxhermes.lab.node.paths import CACHE_ROOT, DISKS, NODE_NAME, STATE_ROOT, LabPaths
from proxhermes.lab.node.process import Process, run, start_time

# What of the machine may lie on a disk of its own and belongs to a working system. Other mounts stay out, so that a
# running lab does not hold on to a disk that somebody wants to unmount.
_SYSTEM_FOLDERS = ("/usr", "/opt", "/home", "/root", "/srv", "/tmp", "/var", "/var/lib", "/var/cache", "/var/tmp")  # noqa: S108


def main() -> None:
    """Become the node named on the command line; the caller's process ends at once, the node stays."""
    paths = LabPaths(sys.argv[1])
    namespaces.setns(paths.netns_file, namespaces.CLONE_NEWNET)
    namespaces.unshare(namespaces.CLONE_NEWNS | namespaces.CLONE_NEWUTS | namespaces.CLONE_NEWPID)
    if os.fork():
        os._exit(0)  # only the child is in the new pid namespace
    os.setsid()
    # /proc is still the machine's here, and tells our pid as the machine sees it.
    pid = int(Path("/proc/self").readlink().name)
    start = start_time(pid)
    assert start is not None, "a running process has a start time"
    leave_callers_cgroup()
    namespaces.set_hostname(NODE_NAME)
    build_file_system(paths)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Process(pid, start).save(paths.init_file)
    collect_forever()


def leave_callers_cgroup() -> None:
    """Move to the top of every cgroup hierarchy: the node's limits are not those of the session that started it.

    LXC also takes the cgroup of the first process as the base of its containers' cgroups.
    """
    for hierarchy in hierarchies():
        (hierarchy / "cgroup.procs").write_text("0")


def collect_forever() -> None:
    """Wait for children, adopted ones too, without end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
        except ChildProcessError:
            pass  # nobody to collect yet
        signal.sigwait({signal.SIGCHLD})


def build_file_system(paths: LabPaths) -> None:
    """Overlay the machine's root, mount the lab's own on it, make it this process's root."""
    mount("--make-rprivate", "/")
    root = paths.node / "root"
    upper, work = paths.node / "upper", paths.node / "work"
    for folder in (root, upper, work):
        folder.mkdir(parents=True, exist_ok=True)
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", root)
    # The overlay shows the root file system alone. What else is mounted on the machine is bound over it, and so are
    # the folders that change while the node runs: an overlay must not see its lower side change.
    for folder in [*other_mounts(), *changing_folders()]:
        bind(folder, root / folder.relative_to("/"))
    mount_kernel(root)
    mount_disks(paths, root)
    os.chdir(root)
    namespaces.pivot_root_here()
    leave_old_root()


def other_mounts() -> list[Path]:
    """The machine's mount points that the node needs, parents first: parts of the system, and where this program is."""
    points = {Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    needed = [folder for mine in changing_folders() for folder in (mine, *mine.parents)]
    wanted = {*map(Path, _SYSTEM_FOLDERS), *needed, Path(sys.base_prefix)} - {Path("/")}
    return sorted(points & wanted)


def changing_folders() -> list[Path]:
    """This program, its interpreter's environment, and the lab's folders."""
    program = Path(proxhermes.__file__).resolve().parents[1]
    environment = Path(sys.prefix)
    mine = [STATE_ROOT, CACHE_ROOT, program]
    if environment != Path(sys.base_prefix) and not environment.is_relative_to(program):
        mine.append(environment)
    return mine


def mount_kernel(root: Path) -> None:
    """/proc of the node's pids, /sys of its network with the machine's cgroups, /dev, and an empty /run.

    LXC looks for bridges in /sys/class/net, so /sys must be the node's own; the cgroups are the machine's.
    """
    mount("-t", "proc", "proc", root / "proc")
    mount("-t", "sysfs", "sysfs", root / "sys")
    mount("--rbind", "/sys/fs/cgroup", root / "sys/fs/cgroup")
    mount("--rbind", "/dev", root / "dev")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "run")
    (root / "run/lock").mkdir(mode=0o1777)


def mount_disks(paths: LabPaths, root: Path) -> None:
    """The node's storages: folders of the state for `local` and `local-lvm`, real disks for the two big ones."""
    bind(paths.node / "pve", root / "etc/pve")
    bind(paths.node / "vz", root / "var/lib/vz")
    bind(paths.node / "thin", root / "var/lib/pve-lab")
    for disk in DISKS:
        point = root / disk.mount_point.lstrip("/")
        point.mkdir(parents=True, exist_ok=True)
        mount("-o", "loop,noatime", paths.disks / disk.image, point)


def leave_old_root() -> None:
    """Let go of the machine's file system, which pivot_root left under the new root."""
    run(["umount", "-l", "/"])
    os.chdir("/")


def bind(source: Path, target: Path) -> None:
    """Bind `source` on `target`, which is made when missing; a single file on a file."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    mount("--bind", source, target)


def mount(*words: str | Path) -> None:
    """mount(8)."""
    run(["mount", *words])


if __name__ == "__main__":
    main()
