"""The node's runtime: Proxmox's containers as real LXC containers on real (loop-mounted) volumes.

Runs on the node, inside its namespaces. Implements `proxhermes.lab.pve.runtime.Runtime`; see there for what each
method promises.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxhermes.lab.node import cgroups, guest_setup, lxc_net, lxc_usage, volumes
from proxhermes.lab.node.guest_files import GuestFiles
from proxhermes.lab.node.lxc_config import LXC_PATH, SHARED, guest_root_ids, idmap_of, limits, render, seccomp_rules
from proxhermes.lab.node.machine import guest_architecture, guest_ostype, guest_systemd_version, look
from proxhermes.lab.node.process import LabError, run, wait_until
from proxhermes.lab.node.volumes import is_mounted
from proxhermes.lab.pve.runtime import ContainerSpec, Detected, Log, Mount, Net, RuntimeFailure, Usage

_STOP_DEADLINE = 30.0
# A guest that reboots itself is started anew by the node, so that pending changes are applied: LXC is made to end
# (a failing hook does that), and `pct` starts it when LXC has let go.
_POST_STOP = """\
#!/bin/sh
umount -R {rootfs} || umount -R -l {rootfs}
if [ "$LXC_TARGET" = reboot ]; then
  setsid sh -c 'until lxc-info -n {vmid} -s -H | grep -qx STOPPED; do sleep 0.1; done; exec pct start {vmid}' \\
    </dev/null >/dev/null 2>&1 &
  exit 1
fi
"""


def _monitored(vmid: int) -> bool:
    """Whether LXC's monitor process of the container is there; it outlives the container while it cleans up."""
    title = f"[lxc monitor] {LXC_PATH} {vmid}".encode()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if file.read_bytes().rstrip(b"\0") == title:
                return True
        except OSError:  # it ended while we looked
            continue
    return False


class LxcRuntime:
    """Containers by LXC. `cgroup_parent` keeps this node's containers apart from others on the same machine."""

    def __init__(self, cgroup_parent: str) -> None:
        self._machine = look(cgroup_parent)
        self._meter = lxc_usage.Meter(self._machine)

    # Volumes

    def create_volume(self, path: Path, size: int, owner: int, log: Log) -> None:
        """See Runtime."""
        with _failures():
            volumes.create(path, size, owner, log)

    def resize_volume(self, path: Path, size: int, log: Log) -> None:
        """See Runtime."""
        with _failures():
            volumes.resize(path, size, log)

    def destroy_volume(self, path: Path) -> None:
        """See Runtime."""
        path.unlink(missing_ok=True)

    def extract(self, spec: ContainerSpec, template: Path, log: Log) -> Detected:
        """See Runtime."""
        with _failures(), self._mounted_all(spec) as rootfs:
            volumes.unpack(template, rootfs, idmap_of(spec), log)
            return Detected(ostype=guest_ostype(self._files(spec)), arch=guest_architecture(self._files(spec)))

    def prepare(self, spec: ContainerSpec, ssh_public_keys: str | None, password: str | None, log: Log) -> None:
        """See Runtime."""
        with _failures(), self._mounted_all(spec):
            guest_setup.after_unpacking(self._files(spec), spec, ssh_public_keys, password, log)

    @contextmanager
    def _mounted_all(self, spec: ContainerSpec) -> Iterator[Path]:
        """The root file system with the container's other volumes mounted in it, not its bind mounts."""
        rootfs = self.mount(spec)
        try:
            for mount in spec.mounts:
                if not mount.bind:
                    target = self._files(spec).make_folder(mount.target)
                    volumes.mount(mount.source, target, bind=False, read_only=False)
            yield rootfs
        finally:
            self.unmount(spec.vmid)

    # Life

    def start(self, spec: ContainerSpec, log: Log) -> None:
        """See Runtime."""
        if self.is_running(spec.vmid):
            raise RuntimeFailure(f"CT {spec.vmid} already running")
        for net in spec.nets:
            if not self.bridge_exists(net.options["bridge"]):
                raise RuntimeFailure(f"bridge '{net.options['bridge']}' does not exist")
        try:
            # Its last act would take the mounts and cgroups of the new start away.
            wait_until(
                lambda: not _monitored(spec.vmid), f"LXC to be done with the last run of CT {spec.vmid}", seconds=30
            )
            self._prepare(spec)
            self._lxc_start(spec.vmid, log)
        except (LabError, OSError) as error:
            self.unmount(spec.vmid)
            log(str(error))
            raise RuntimeFailure(f"startup for container '{spec.vmid}' failed") from error

    def _prepare(self, spec: ContainerSpec) -> None:
        """Mount all of it, write the guest's files and LXC's configuration."""
        self._clear_remains(spec.vmid)
        rootfs = self.mount(spec)
        files = self._files(spec)
        for net in spec.nets:
            lxc_net.ensure_vlan(net)
        for mount in spec.mounts:
            target = files.make_folder(mount.target)
            volumes.mount(mount.source, target, bind=mount.bind, read_only=mount.read_only)
        if not spec.rootfs_read_only:
            guest_setup.before_start(files, spec)
        folder = LXC_PATH / str(spec.vmid)
        rules = seccomp_rules((SHARED / "common.seccomp").read_text(), spec)
        (folder / "rules.seccomp").write_text(rules)
        hook = folder / "post-stop"
        hook.write_text(_POST_STOP.format(vmid=spec.vmid, rootfs=rootfs))
        hook.chmod(0o755)
        (folder / "config").write_text(render(spec, self._machine, guest_systemd_version(rootfs)))

    def _clear_remains(self, vmid: int) -> None:
        """What a killed monitor process of LXC has left: mounts, and cgroups that LXC refuses to use again."""
        self.unmount(vmid)
        for kind in ("lxc", "lxc.monitor"):
            cgroups.remove(f"{self._machine.cgroup_parent}/{kind}/{vmid}")

    def _lxc_start(self, vmid: int, log: Log) -> None:
        log_file = LXC_PATH / str(vmid) / "start.log"
        log_file.unlink(missing_ok=True)
        done = run(["lxc-start", "-n", str(vmid), "-o", log_file, "-l", "ERROR"], check=False, timeout=60)
        if done.returncode != 0:
            for line in lxc_usage.error_lines(log_file):
                log(line)
            raise LabError(f"lxc-start: exit {done.returncode}")

    def stop(self, vmid: int) -> None:
        """See Runtime."""
        run(["lxc-stop", "-n", str(vmid), "-k"], check=False)
        self._wait_stopped(vmid)

    def shutdown(self, vmid: int, timeout: int) -> None:
        """See Runtime."""
        if timeout == 0:
            run(["lxc-stop", "-n", str(vmid), "--nokill", "--nowait"], check=False)
            return
        run(["lxc-stop", "-n", str(vmid), "--nokill", "-t", str(timeout)], check=False, timeout=timeout + 15)
        if self.is_running(vmid):
            raise RuntimeFailure(f"CT {vmid}: still running after {timeout} s")
        self._wait_stopped(vmid)

    def _wait_stopped(self, vmid: int) -> None:
        with _failures():
            what = f"CT {vmid} stopped and unmounted"
            wait_until(lambda: not self.is_running(vmid) and not self._mounted(vmid), what, seconds=_STOP_DEADLINE)

    def is_running(self, vmid: int) -> bool:
        """See Runtime."""
        return self.init_pid(vmid) is not None

    def init_pid(self, vmid: int) -> int | None:
        """See Runtime."""
        if not (LXC_PATH / str(vmid) / "config").exists():
            return None
        said = run(["lxc-info", "-n", str(vmid), "-p", "-H"], check=False).stdout.strip()
        return int(said) if said.isdigit() and int(said) > 0 else None

    # What a running guest shows

    def usage(self, vmid: int) -> Usage | None:
        """See Runtime."""
        pid = self.init_pid(vmid)
        return self._meter.read(vmid, pid) if pid else None

    def interfaces(self, vmid: int) -> list[dict[str, Any]]:
        """See Runtime."""
        pid = self.init_pid(vmid)
        if pid is None:
            return []
        said = run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-j", "addr"], check=False).stdout
        found: list[dict[str, Any]] = json.loads(said or "[]")
        return found

    def bridge_exists(self, bridge: str) -> bool:
        """See Runtime."""
        return Path("/sys/class/net", bridge, "bridge").is_dir()

    def attach_argv(self, vmid: int, argv: Sequence[str], *, keep_env: bool) -> list[str]:
        """See Runtime."""
        return ["lxc-attach", "-n", str(vmid), "--keep-env" if keep_env else "--clear-env", "--", *argv]

    def guest_root(self, vmid: int) -> Path:
        """See Runtime."""
        pid = self.init_pid(vmid)
        if pid is None:
            raise RuntimeFailure(f"CT {vmid} not running")
        return Path("/proc", str(pid), "root")

    # Changing a running guest

    def hotplug_mount(self, spec: ContainerSpec, mount: Mount) -> None:
        """See Runtime."""
        pid = self.init_pid(spec.vmid)
        if pid is None:
            raise RuntimeFailure(f"CT {spec.vmid} not running")
        if mount.bind and not mount.source.is_dir():
            raise RuntimeFailure(f"directory '{mount.source}' does not exist")
        with _failures():
            volumes.attach(pid, mount, guest_root_ids(spec), LXC_PATH / str(spec.vmid) / "staging")

    def hotplug_net(self, spec: ContainerSpec, net: Net) -> None:
        """See Runtime."""
        pid = self.init_pid(spec.vmid)
        if pid is None:
            raise RuntimeFailure(f"CT {spec.vmid} not running")
        with _failures():
            files = GuestFiles(self.guest_root(spec.vmid), *guest_root_ids(spec))
            files.write("/etc/network/interfaces", guest_setup.interfaces(spec.nets))
            lxc_net.replace(spec.vmid, pid, net)

    def unplug_net(self, vmid: int, index: int) -> None:
        """See Runtime."""
        with _failures():
            lxc_net.remove(vmid, index)

    def set_limits(self, spec: ContainerSpec) -> None:
        """See Runtime."""
        with _failures():
            self._meter.limit(spec.vmid, limits(spec, self._machine))

    # A stopped guest's files

    def mount(self, spec: ContainerSpec) -> Path:
        """See Runtime."""
        rootfs = LXC_PATH / str(spec.vmid) / "rootfs"
        rootfs.mkdir(parents=True, exist_ok=True)
        if not is_mounted(rootfs):
            with _failures():
                volumes.mount(spec.rootfs, rootfs, bind=False, read_only=spec.rootfs_read_only)
        return rootfs

    def unmount(self, vmid: int) -> None:
        """See Runtime."""
        rootfs = LXC_PATH / str(vmid) / "rootfs"
        if is_mounted(rootfs):
            with _failures():
                run(["umount", "-R", rootfs])

    def forget(self, vmid: int) -> None:
        """See Runtime."""
        self.unmount(vmid)
        folder = LXC_PATH / str(vmid)
        with _failures():
            # One by one: what is unexpectedly mounted there makes this fail, and loses nothing.
            for entry in folder.iterdir() if folder.is_dir() else ():
                entry.rmdir() if entry.is_dir() else entry.unlink()
            if folder.is_dir():
                folder.rmdir()

    def _mounted(self, vmid: int) -> bool:
        return is_mounted(LXC_PATH / str(vmid) / "rootfs")

    def _files(self, spec: ContainerSpec) -> GuestFiles:
        return GuestFiles(LXC_PATH / str(spec.vmid) / "rootfs", *guest_root_ids(spec))


class _failures:
    """Turns what goes wrong beneath into the RuntimeFailure that the core expects."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, LabError | OSError):
            raise RuntimeFailure(str(error)) from error
