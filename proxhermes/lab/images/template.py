"""The guest template `debian-13-standard`, as the node's `pveam` offers it: what Proxmox's own template is like.

Systemd, ifupdown with DHCP, no password, no SSH server; boots in an unprivileged container.
"""

from __future__ import annotations

from pathlib import Path

from proxhermes.lab.images import base, rootfs
from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources

NAME = "debian-13-standard_13.1-1_amd64.tar.zst"

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "ifupdown", "isc-dhcp-client", "iproute2", "iputils-ping",
    "less", "procps", "tzdata",
)  # fmt: skip

#: What a container has no use for, or what would hold apt's lock just when somebody wants to install something.
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
    "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "sys-kernel-config.mount", "sys-fs-fuse-connections.mount", "systemd-modules-load.service",
    "systemd-remount-fs.service", "systemd-journald-audit.socket", "systemd-networkd-wait-online.service",
    "systemd-udevd.service", "systemd-udev-trigger.service", "getty@tty1.service",
)  # fmt: skip

INTERFACES = """\
auto lo
iface lo inet loopback

auto eth0
iface eth0 inet dhcp
"""

DHCLIENT = """\
option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;
send host-name = gethostname();
request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, host-name, interface-mtu;
timeout 30;
retry 3;
initial-interval 1;
"""


def recipe() -> list[object]:
    """What the template depends on."""
    return [base.recipe(), sources(__file__)]


def build(cache: Cache, progress: Progress) -> Path:
    """The template's path, built if needed (about 20 s on top of the base)."""

    def make(bench: Workbench) -> Path:
        root = rootfs.unpack(bench, base.build(cache, progress), bench.scratch / "root")
        progress("guest template: packages")
        rootfs.apt_install(bench, root, PACKAGES)
        rootfs.enter(bench, root, ["systemctl", "mask", *MASKED])
        rootfs.enter(bench, root, ["systemctl", "set-default", "multi-user.target"])
        rootfs.write(root, "/etc/network/interfaces", INTERFACES)
        rootfs.write(root, "/etc/dhcp/dhclient.conf", DHCLIENT)
        progress("guest template: packing")
        return rootfs.pack(bench, root, bench.scratch / NAME)

    return cache.ensure("template", cache.templates / NAME, recipe(), make, progress)
