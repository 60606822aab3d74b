"""A container's LXC configuration, from what the node's core says it should be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proxhermes.lab.pve.runtime import ContainerSpec, IdMap, Net

SHARED = Path("/usr/share/lxc/config")
LXC_PATH = Path("/var/lib/lxc")
MIB = 1024 * 1024
DEFAULT_IDMAP = (IdMap("u", 0, 100000, 65536), IdMap("g", 0, 100000, 65536))
# systemd 256 no longer boots on cgroup v1 (its NEWS file).
FIRST_SYSTEMD_WITHOUT_CGROUP_V1 = 256


@dataclass(frozen=True, slots=True)
class Machine:
    """What of the machine beneath matters to a configuration."""

    cgroup_parent: str
    pure_cgroup2: bool
    processors: int
    swap_accounting: bool


def idmap_of(spec: ContainerSpec) -> tuple[IdMap, ...]:
    """The id map in force: the configuration's, else Proxmox's fixed one; none for a privileged container."""
    return (spec.idmap or DEFAULT_IDMAP) if spec.unprivileged or spec.idmap else ()


def guest_root_ids(spec: ContainerSpec) -> tuple[int, int]:
    """uid and gid on the node of the guest's root."""
    maps = idmap_of(spec)
    uids = [entry.host for entry in maps if entry.kind == "u" and entry.guest == 0]
    gids = [entry.host for entry in maps if entry.kind == "g" and entry.guest == 0]
    return (uids or [0])[0], (gids or [0])[0]


def seccomp_rules(base: str, spec: ContainerSpec) -> str:
    """LXC's common rules, and without `keyctl=1` the call answers ENOSYS in an unprivileged guest, as on Proxmox."""
    if spec.unprivileged and spec.features.get("keyctl") != "1":
        return base.rstrip("\n") + "\nkeyctl errno 38\n"
    return base


def render(spec: ContainerSpec, machine: Machine, guest_systemd: int | None) -> str:
    """The file `/var/lib/lxc/ID/config`. `guest_systemd` is the guest's systemd version, None when unknown."""
    nesting = spec.features.get("nesting") == "1"
    includes = ["common.conf", *(["userns.conf"] if idmap_of(spec) else []), *(["nesting.conf"] if nesting else [])]
    lines = [f"lxc.include = {SHARED / name}" for name in includes]
    lines += [
        # The node's own /sys has no securityfs, through which LXC would load a profile where the machine has AppArmor.
        "lxc.apparmor.profile = unconfined",
        f"lxc.seccomp.profile = {LXC_PATH / str(spec.vmid) / 'rules.seccomp'}",
        f"lxc.uts.name = {spec.hostname}",
        f"lxc.rootfs.path = dir:{LXC_PATH / str(spec.vmid) / 'rootfs'}",
        f"lxc.tty.max = {spec.tty}",
        "lxc.environment = TERM=linux",
        f"lxc.hook.post-stop = {LXC_PATH / str(spec.vmid) / 'post-stop'}",
        *_idmap_lines(spec),
        *_cgroup_lines(spec, machine, guest_systemd),
        *(line for net in spec.nets for line in _net_lines(spec.vmid, net)),
        *(f"{key} = {value}" for key, value in spec.raw if key != "lxc.idmap"),
    ]
    if not spec.nets:
        lines.append("lxc.net.0.type = empty")
    return "\n".join(lines) + "\n"


def _idmap_lines(spec: ContainerSpec) -> list[str]:
    return [f"lxc.idmap = {entry.kind} {entry.guest} {entry.host} {entry.count}" for entry in idmap_of(spec)]


def link_of(net: Net) -> str:
    """The bridge that a card is plugged into: with a VLAN tag one of its own beside the named one, as on Proxmox."""
    tag = net.options.get("tag")
    return f"{net.options['bridge']}v{tag}" if tag else net.options["bridge"]


def _net_lines(vmid: int, net: Net) -> list[str]:
    prefix, options = f"lxc.net.{net.index}", net.options
    lines = [
        f"{prefix}.type = veth",
        f"{prefix}.link = {link_of(net)}",
        f"{prefix}.veth.pair = veth{vmid}i{net.index}",
        f"{prefix}.name = {options.get('name', f'eth{net.index}')}",
        f"{prefix}.flags = up",
    ]
    lines += [f"{prefix}.hwaddr = {options['hwaddr']}"] if "hwaddr" in options else []
    lines += [f"{prefix}.mtu = {options['mtu']}"] if "mtu" in options else []
    return lines


def _cgroup_lines(spec: ContainerSpec, machine: Machine, guest_systemd: int | None) -> list[str]:
    """Where its cgroups are, what the guest sees of them, and the limits.

    A machine with cgroup v1 has the v2 hierarchy beside it, without controllers: a guest whose systemd wants v2 alone
    is given that one to keep its services in, while the limits hold in v1.
    """
    parent = machine.cgroup_parent
    lines = [
        f"lxc.cgroup.dir.container = {parent}/lxc/{spec.vmid}",
        "lxc.cgroup.dir.container.inner = ns",
        f"lxc.cgroup.dir.monitor = {parent}/lxc.monitor/{spec.vmid}",
    ]
    # common.conf mounts what it thinks best; an empty value takes that back.
    lines.append("lxc.mount.auto =")
    wants_v2 = guest_systemd is not None and guest_systemd >= FIRST_SYSTEMD_WITHOUT_CGROUP_V1
    if wants_v2 and not machine.pure_cgroup2:
        lines.append("lxc.mount.auto = proc:rw sys:rw")
        options = "rw,nosuid,nodev,noexec,relatime,create=dir"
        lines.append(f"lxc.mount.entry = cgroup2 sys/fs/cgroup cgroup2 {options} 0 0")
    else:
        lines.append("lxc.mount.auto = proc:rw sys:rw cgroup:rw")
    version = "cgroup2" if machine.pure_cgroup2 else "cgroup"
    return lines + [f"lxc.{version}.{key} = {value}" for key, value in limits(spec, machine)]


def limits(spec: ContainerSpec, machine: Machine) -> list[tuple[str, str]]:
    """(cgroup file, value) for memory, swap, cores and CPU share, in an order that is valid when growing."""
    memory, total = spec.memory * MIB, (spec.memory + spec.swap) * MIB
    period = 100_000
    quota = int(spec.cpulimit * period)
    cores = min(spec.cores, machine.processors) if spec.cores else machine.processors
    cpus = f"0-{cores - 1}" if cores > 1 else "0"
    if machine.pure_cgroup2:
        found = [("memory.max", str(memory))]
        found += [("memory.swap.max", str(spec.swap * MIB))] if machine.swap_accounting else []
        found += [("cpuset.cpus", cpus), ("cpu.max", f"{quota} {period}" if quota else f"max {period}")]
        return found
    found = [("memory.limit_in_bytes", str(memory))]
    found += [("memory.memsw.limit_in_bytes", str(total))] if machine.swap_accounting else []
    return [*found, ("cpuset.cpus", cpus), ("cpu.cfs_quota_us", str(quota or -1)), ("cpu.shares", str(spec.cpuunits))]
