"""Settings of the machine's kernel that a node of containers needs, raised while a lab is up and then given back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from proxhermes.lab.node.paths import RUN_ROOT
from proxhermes.lab.node.process import write_atomically

SYSCTL: Final = Path("/proc/sys")
_BEFORE: Final = RUN_ROOT / "sysctl"
LEAST: Final = {
    "net/ipv4/ip_forward": 1,
    # All containers share one range of ids, and these limits are counted by id: without them a systemd in the eighth
    # container or so finds no more and dies. Proxmox ships the same for inotify
    # (pve-container: 10-pve-ct-inotify-limits.conf).
    "fs/inotify/max_user_instances": 65536,
    "fs/inotify/max_user_watches": 4194304,
    "kernel/keys/maxkeys": 2000,
    "kernel/keys/maxbytes": 2000000,
}


def raise_limits() -> None:
    """Set what is lower, and remember what it was."""
    for name, least in LEAST.items():
        file, before = SYSCTL / name, _BEFORE / name
        value = file.read_text()
        if int(value) < least:
            if not before.exists():
                write_atomically(before, value)
            file.write_text(f"{least}\n")


def restore_limits() -> None:
    """Give the machine its settings back where the lab changed them and no lab is left."""
    if any(Path("/run/netns").glob("phlab-*")):
        return
    for name in LEAST:
        before = _BEFORE / name
        if before.exists():
            (SYSCTL / name).write_text(before.read_text())
    shutil.rmtree(_BEFORE, ignore_errors=True)
