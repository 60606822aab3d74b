"""The options of a container's configuration and what each may be (PVE 8.4, from the API schema)."""

from __future__ import annotations

from proxhermes.lab.pve.schema import Param, Table

FLAG = Param("boolean")
_MOUNT_OPTION = "(?:discard|lazytime|noatime|nodev|noexec|nosuid)"

_VOLUME: dict[str, Param] = {
    "volume": Param(optional=False, format="pve-lxc-mp-string", default_key=True),
    "acl": FLAG,
    "mountoptions": Param(pattern=f"{_MOUNT_OPTION}(?:;{_MOUNT_OPTION})*"),
    "quota": FLAG,
    "replicate": FLAG,
    "ro": FLAG,
    "shared": FLAG,
    "size": Param(format="disk-size"),
}
ROOTFS: Table = _VOLUME
MOUNT: Table = {**_VOLUME, "mp": Param(optional=False, format="pve-lxc-mp-string"), "backup": FLAG}
UNUSED: Table = {"volume": Param(optional=False, format="pve-volume-id", default_key=True)}
NET: Table = {
    "name": Param(optional=False, pattern=r"[-_.\w\d]+"),
    "bridge": Param(pattern=r"[-_.\w\d]+"),
    "firewall": FLAG,
    "gw": Param(format="ipv4"),
    "gw6": Param(format="ipv6"),
    "hwaddr": Param(format="mac-addr"),
    "ip": Param(format="pve-ipv4-config"),
    "ip6": Param(format="pve-ipv6-config"),
    "link_down": FLAG,
    "mtu": Param("integer", minimum=64, maximum=65535),
    "rate": Param("number"),
    "tag": Param("integer", minimum=1, maximum=4094),
    "trunks": Param(pattern=r"\d+(?:;\d+)*"),
    "type": Param(enum=("veth",)),
}
FEATURES: Table = {
    "force_rw_sys": FLAG,
    "fuse": FLAG,
    "keyctl": FLAG,
    "mknod": FLAG,
    "mount": Param(pattern=r"[a-zA-Z0-9_; ]+"),
    "nesting": FLAG,
}
DEVICE: Table = {
    "path": Param(format="pve-lxc-dev-string", default_key=True),
    "deny-write": FLAG,
    "gid": Param("integer", minimum=0),
    "mode": Param(pattern=r"0[0-7]{3}"),
    "uid": Param("integer", minimum=0),
}

CONFIG: Table = {
    "arch": Param(enum=("amd64", "i386", "arm64", "armhf", "riscv32", "riscv64")),
    "cmode": Param(enum=("shell", "console", "tty")),
    "console": FLAG,
    "cores": Param("integer", minimum=1, maximum=8192),
    "cpulimit": Param("number", minimum=0, maximum=8192),
    "cpuunits": Param("integer", minimum=0, maximum=500000),
    "debug": FLAG,
    "description": Param(max_length=8192),
    "dev[n]": Param(parts=DEVICE),
    "features": Param(parts=FEATURES),
    "hookscript": Param(format="pve-volume-id"),
    "hostname": Param(format="dns-name", max_length=255),
    "lock": Param(
        enum=(
            *("backup", "create", "destroyed", "disk", "fstrim", "migrate", "mounted"),
            *("rollback", "snapshot", "snapshot-delete"),
        )
    ),
    "memory": Param("integer", minimum=16),
    "mp[n]": Param(parts=MOUNT),
    "nameserver": Param(format="lxc-ip-with-ll-iface-list"),
    "net[n]": Param(parts=NET),
    "onboot": FLAG,
    "ostype": Param(
        enum=(
            *("debian", "devuan", "ubuntu", "centos", "fedora", "opensuse"),
            *("archlinux", "alpine", "gentoo", "nixos", "unmanaged"),
        )
    ),
    "protection": FLAG,
    "rootfs": Param(parts=ROOTFS),
    "searchdomain": Param(format="dns-name-list"),
    "startup": Param(format="pve-startup-order"),
    "swap": Param("integer", minimum=0),
    "tags": Param(format="pve-tag-list"),
    "template": FLAG,
    "timezone": Param(format="pve-ct-timezone"),
    "tty": Param("integer", minimum=0, maximum=6),
    "unprivileged": FLAG,
    "unused[n]": Param(parts=UNUSED),
}

CREATE: Table = {
    **CONFIG,
    "vmid": Param("integer", optional=False, format="pve-vmid", minimum=100, maximum=999999999),
    "ostemplate": Param(optional=False, max_length=255),
    "bwlimit": Param("number", minimum=0),
    "force": FLAG,
    "ignore-unpack-errors": FLAG,
    "password": Param(min_length=5),
    "pool": Param(format="pve-poolid"),
    "restore": FLAG,
    "ssh-public-keys": Param(),
    "start": FLAG,
    "storage": Param(format="pve-storage-id"),
    "unique": Param("boolean", requires="restore"),
}

CHANGE: Table = {
    **CONFIG,
    "delete": Param(format="pve-configid-list"),
    "digest": Param(max_length=40),
    "revert": Param(format="pve-configid-list"),
}
