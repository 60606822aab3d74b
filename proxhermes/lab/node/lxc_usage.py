"""What a running container uses, and what LXC logged when one did not start."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from proxhermes.lab.node.cgroups import CGROUPS
from proxhermes.lab.node.lxc_config import Machine
from proxhermes.lab.node.process import start_time
from proxhermes.lab.pve.runtime import Usage

_LOG_LINE = re.compile(r"ERROR\s+\S+ - \S+:(\w+):(\d+) - (.*)")


def error_lines(log_file: Path) -> list[str]:
    """LXC's errors in the short form in which Proxmox shows them: `function: line message`."""
    if not log_file.exists():
        return []
    found = (_LOG_LINE.search(line) for line in log_file.read_text(errors="replace").splitlines())
    return [f"{m.group(1)}: {m.group(2)} {m.group(3)}" for m in found if m]


class Meter:
    """Reads a container's counters and sets its limits; remembers the last reading, for the share of CPU since."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._last: dict[int, tuple[float, float]] = {}

    def read(self, vmid: int, pid: int) -> Usage:
        """The usage of the running container whose init is `pid`."""
        started = start_time(pid) or 0
        uptime = max(0, int(time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")))
        disk = os.statvfs(f"/proc/{pid}/root")
        card = Path("/sys/class/net", f"veth{vmid}i0", "statistics")
        return Usage(
            uptime=uptime,
            cpu=self._cpu_share(vmid),
            mem=self._memory(vmid),
            disk=(disk.f_blocks - disk.f_bfree) * disk.f_frsize,
            maxdisk=disk.f_blocks * disk.f_frsize,
            netin=_number(card / "tx_bytes"),
            netout=_number(card / "rx_bytes"),
        )

    def limit(self, vmid: int, wanted: list[tuple[str, str]]) -> None:
        """Write those of the limits that differ now, in an order that the kernel takes: memory within memory+swap.

        Not with lxc-cgroup: it writes to the guest's inner cgroup and not to the one that holds the limits.
        """
        now = {key: self._value(vmid, key) for key, _ in wanted}
        todo = [(key, value) for key, value in wanted if now[key] != value]
        growing = any(
            key.startswith("memory.memsw") and now[key].isdigit() and int(value) > int(now[key]) for key, value in todo
        )
        for key, value in sorted(todo, key=lambda item: item[0].startswith("memory.memsw"), reverse=growing):
            if key == "cpuset.cpus":
                _set_cpus(self._file(vmid, key), value)
            else:
                self._file(vmid, key).write_text(value)

    def _value(self, vmid: int, key: str) -> str:
        file = self._file(vmid, key)
        return file.read_text().strip() if file.exists() else ""

    def _file(self, vmid: int, key: str) -> Path:
        return self._folder(vmid, key.partition(".")[0]) / key

    def _folder(self, vmid: int, controller: str) -> Path:
        base = CGROUPS if self._machine.pure_cgroup2 else CGROUPS / controller
        return base / self._machine.cgroup_parent / "lxc" / str(vmid)

    def _memory(self, vmid: int) -> int:
        """Bytes in use without what is only cached."""
        folder = self._folder(vmid, "memory")
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
        stat = folder / "memory.stat"
        pairs = dict(line.split() for line in stat.read_text().splitlines()) if stat.exists() else {}
        return max(0, used - int(pairs.get("total_cache", pairs.get("file", 0))))

    def _cpu_share(self, vmid: int) -> float:
        seconds = self._cpu_seconds(vmid)
        now = time.monotonic()
        before, used_before = self._last.get(vmid, (now, seconds))
        self._last[vmid] = (now, seconds)
        passed = now - before
        return max(0.0, (seconds - used_before) / passed / self._machine.processors) if passed > 0 else 0.0

    def _cpu_seconds(self, vmid: int) -> float:
        stat = self._folder(vmid, "cpu") / "cpu.stat"
        if self._machine.pure_cgroup2 and stat.exists():
            return int(dict(line.split() for line in stat.read_text().splitlines())["usage_usec"]) / 1e6
        return _number(self._folder(vmid, "cpuacct") / "cpuacct.usage") / 1e9


def _set_cpus(file: Path, value: str) -> None:
    """Set the processors of a cgroup and all within it: in v1 a child's must always be among its parent's.

    So fewer go from the leaves up and more from the top down; each pass may be refused half of the way.
    """
    inner = sorted(file.parent.rglob(file.name))
    refused: OSError | None = None
    for each in [*reversed(inner), *inner]:
        try:
            each.write_text(value)
        except OSError as error:
            refused = error
    if file.read_text().strip() != value and refused:
        raise refused


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0
