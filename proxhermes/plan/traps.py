"""Known traps of Docker in an unprivileged container: recognised by what is said, and named with the way out.

None is worked around by weakening the container: no unconfined AppArmor profile, no pinned old containerd.
"""

from __future__ import annotations

import re
from typing import Final

from proxhermes.plan import apt

_TRAPS: Final = (
    (
        r"ip_unprivileged_port_start.*permission denied|reopen fd \d+: permission denied",
        (
            "runc's fix for CVE-2025-52881 collides with the node's AppArmor profile: upgrade the node "
            "(lxc-pve 6.0.5-2 or newer; on Proxmox VE 8 its newest), then stop and start the container; neither "
            "unconfine it nor pin an old containerd"
        ),
    ),
    (
        r"session key|keyctl|keyring.*not implemented",
        "the container lacks the feature keyctl: `features: {keyctl: true}`, then `proxhermes create`",
    ),
    (
        r"lsetxattr user\.overlay|failed to register layer: (?:lchown|unlinkat).*invalid argument",
        (
            "overlay does not work on the file system below (ZFS before 2.2), or the image has owners outside the "
            "container's 65536 ids: put the root disk on another storage, as LVM-thin"
        ),
    ),
    (
        r"overlay.*(?:operation not permitted|permission denied|not supported|invalid argument)",
        (
            "Docker cannot use overlay: the container lacks the feature nesting (`proxhermes create` sets it), "
            "or its root disk is on a storage that cannot carry overlay"
        ),
    ),
    (
        r"bpf_prog_query|cgroup.*(?:read-only file system|permission denied|not mounted)",
        "the container lacks the feature nesting: `features: {nesting: true}`, then `proxhermes create`",
    ),
    (
        r"(?:iptables|nf_tables|nft|NAT chain).*(?:permission denied|not supported|failed|no chain|can't initialize)",
        (
            "the node's kernel has not loaded what Docker's network needs: on the node, modprobe ip_tables nf_nat "
            "br_netfilter, and list them in /etc/modules-load.d"
        ),
    ),
    (r"bind source path does not exist", "a mount is missing in the container: `proxhermes create` sets it"),
    (
        r"no space left on device|MB below .* until it is unpacked",
        "the container's root disk is full: enlarge `disk.size`, then `proxhermes create`",
    ),
    (
        r"toomanyrequests|rate limit",
        "Docker Hub limits pulls by address: wait, or name a mirror in `engine.registry_mirrors`",
    ),
    (
        r"unauthorized|no basic auth credentials|authentication required",
        "the registry wants a login, or another one: `runtime.registry_auth` in the inventory",
    ),
    (
        r"no matching manifest for|no match for platform in manifest|no image found in .{1,20} for architecture",
        (
            "the image is not published for this node's architecture: another tag or image in `runtime.image` or "
            "`runtime.package.image`"
        ),
    ),
    (
        (
            r"manifest unknown|manifest for .* not found|failed to resolve reference \S+ \S+: not found|"
            r"repository does not exist|pull access denied"
        ),
        (
            "the registry has no such image or tag for us: see `runtime.image` or `runtime.package.image` in the "
            "inventory (Hermes' own tags are dates up to 0.21, as v2026.8.31, and versions from 0.22 on, as 0.23.4)"
        ),
    ),
    (
        r"dial tcp|no such host|TLS handshake timeout|Client\.Timeout|request canceled|server gave HTTP response",
        "the registry is not reached from inside the container: see its network and DNS, and `engine.registry_mirrors`",
    ),
    (
        r"set up mount namespacing|226/NAMESPACE",
        "systemd cannot close the service in: the container lacks the feature nesting (`proxhermes create` sets it)",
    ),
    (
        r"Retrying \(Retry.*after connection broken|from versions: none",
        "the container does not reach the package index: see its DNS, /etc/pip.conf, and proxies in /etc/environment",
    ),
    (
        r"requires? a different Python",
        (
            'a Python that fits, as in `runtime.python: "3.14"` (downloaded where the container has another), or a '
            "package from an image, which brings its own: `package: {image: …}`"
        ),
    ),
    (
        r"Python could not be downloaded",
        "`runtime.python_mirror` names another place, and `package: {image: …}` brings a Python of its own",
    ),
    (
        r"No matching distribution found",
        "see `runtime.package` and `extras` in the inventory: the package index has no such version for this Python",
    ),
    (
        r"address already in use|port is already allocated",
        "another program in the container has that port: see `runtime.ports`",
    ),
)


def advice(said: str) -> str | None:
    """What to do about the first known trap in what Docker, apt or the kernel said; None if there is none."""
    text = " ".join(said.split())
    found = next((way for pattern, way in _TRAPS if re.search(pattern, text, re.IGNORECASE)), None)
    return apt.advice(said) or found
