"""A guest without a container: a process with its own users (0 is 100000 outside), its own mounts and root folder.

It stands in for a running container where only `pct exec`, `push` and `pull` are looked at: those enter the guest's
namespaces by its pid, and these here are real. Needs root. Run as a program, it is that first process, or the
stand-in for `lxc-attach`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NEW_USER, _NEW_MOUNTS = 0x10000000, 0x00020000
_BASE, _COUNT = 100000, 65536
_CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(slots=True)
class LocalGuest:
    """A running guest; `pid` is that of its first process."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


def start(root: Path, hostname: str, mounts: dict[str, Path]) -> LocalGuest:
    """Start a guest whose root folder is made in `root`; `mounts` maps folders of the guest to folders outside."""
    build(root, hostname, mounts)
    argv = [sys.executable, __file__, "init", str(root)] + [f"{target}={source}" for target, source in mounts.items()]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "unshared\n"
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{process.pid}/{kind}").write_text(f"0 {_BASE} {_COUNT}\n")
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    return LocalGuest(process)


def build(root: Path, hostname: str, mounts: dict[str, Path]) -> None:
    """A root folder with the machine's /usr, and an /etc, /root, /tmp of its own that belong to the guest's root."""
    for folder in ("root", "tmp", "etc", "usr", "dev", "proc", *(target.lstrip("/") for target in mounts)):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink() and not (root / name).exists():
            (root / name).symlink_to(Path("/", name).readlink())
    for name in ("passwd", "group", "profile"):
        shutil.copyfile(Path("/etc", name), root / "etc" / name)
    (root / "etc/hostname").write_text(hostname + "\n")
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    for folder, folders, files in os.walk(root):
        for name in (".", *folders, *files):
            os.lchown(Path(folder, name), _BASE, _BASE)


def attach_argv(pid: int, argv: Sequence[str], *, keep_env: bool) -> list[str]:
    """The stand-in for `lxc-attach`."""
    return [sys.executable, __file__, "attach", str(pid), "keep" if keep_env else "clear", *argv]


def _init(root: str, mounts: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(_NEW_USER | _NEW_MOUNTS) == 0, os.strerror(ctypes.get_errno())
    sys.stdout.write("unshared\n")
    sys.stdout.flush()
    sys.stdin.readline()
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    for bind in ("/usr=/usr", "/dev=/dev", "/proc=/proc", *mounts):
        target, _, source = bind.partition("=")
        subprocess.run(["mount", "--rbind", source, root + target], check=True)
    os.chdir(root)
    os.chroot(".")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()  # until killed


def _attach(pid: int, keep: str, argv: list[str]) -> int:
    from proxhermes.lab.pve.cli.transfer import enter

    environment = {**(os.environ if keep == "keep" else _CLEAN), "container": "lxc", "TERM": "linux"}
    enter(pid)
    os.chdir("/")
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    try:
        os.execvpe((argv or ["/bin/sh"])[0], argv or ["/bin/sh"], environment)
    except FileNotFoundError:
        os._exit(127)
    except PermissionError:
        os._exit(126)


if __name__ == "__main__":
    if sys.argv[1] == "init":
        _init(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(_attach(int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
