"""Bring a mount into a running guest: `python -m proxhermes.lab.node.attach_mount PID SOURCE TARGET UID GID`.

A process of its own, because entering another mount namespace needs one with a single thread. SOURCE is what is
mounted there on the node, TARGET a path in the guest of init PID; missing folders are made for UID:GID (host ids).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from proxhermes.lab.node import namespaces


def main() -> None:
    """Do what the command line says; a failure is one line on standard error and exit code 1."""
    pid, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    uid, gid = int(sys.argv[4]), int(sys.argv[5])
    try:
        tree = namespaces.clone_mount(source)
        namespaces.setns(Path("/proc", pid, "ns/mnt"), namespaces.CLONE_NEWNS)
        for folder in reversed([target, *target.parents]):
            if not folder.is_dir():
                folder.mkdir()
                os.chown(folder, uid, gid)
        namespaces.attach_mount(tree, target)
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
