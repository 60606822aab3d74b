"""A guest's root file system as a folder: unpack, work in it, pack it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxhermes.lab.images.cache import Workbench
from proxhermes.lab.images.host import Mirror, extra_authorities, pip_environment

#: Debian's releases as the lab uses them: what guests run, and the next one, for what is too new for the first.
STABLE, TESTING = "trixie", "forky"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# Mounts live in a namespace of their own that ends with the command: a build that is killed leaves none behind.
_ENTER = """
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
exec chroot "$root" "$@"
"""

_CLEAN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_CERT": CA_BUNDLE,
    "SSL_CERT_FILE": CA_BUNDLE,
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}


def unpack(bench: Workbench, archive: Path, root: Path) -> Path:
    """Unpack a `.tar.zst` into `root` (made if absent) with its numeric owners."""
    root.mkdir(parents=True, exist_ok=True)
    bench.run(["tar", "--numeric-owner", "--zstd", "-xpf", archive, "-C", root])
    for name in ("proc", "dev", "run", "tmp", "sys"):
        (root / name).mkdir(exist_ok=True)
    return root


def pack(bench: Workbench, root: Path, archive: Path, exclude: Sequence[str] = ()) -> Path:
    """Pack `root` into a `.tar.zst`; the contents of dev, proc, run, sys and tmp stay out."""
    tidy(root)
    excludes = [f"--exclude=./{name}" for name in ("dev/*", "proc/*", "run/*", "sys/*", "tmp/*", *exclude)]
    bench.run(["tar", "--numeric-owner", "--sort=name", "--anchored", "--wildcards", *excludes, "-C", root,
               "--use-compress-program=zstd -3 -T0", "-cf", archive, "."])  # fmt: skip
    return archive


def enter(bench: Workbench, root: Path, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a command inside `root`, with its own /proc and this machine's name resolution.

    :param env: added to a minimal environment; nothing else of this process's own gets in
    """
    variables = {**_CLEAN_ENVIRONMENT, **(env or {})}
    # Only names in the argument list; the values, which may hold credentials, are inherited.
    bench.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
         "sh", "-euc", _ENTER, "enter", root, *argv],
        env=variables,
    )  # fmt: skip


def apt_install(bench: Workbench, root: Path, packages: Sequence[str]) -> None:
    """Install Debian packages without their recommendations, leaving no lists or archives behind."""
    enter(bench, root, ["apt-get", "update", "-q"])
    enter(bench, root, ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages])
    enter(bench, root, ["apt-get", "clean"])


def write(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    """Write a file of the guest; `name` is its absolute path there."""
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def add_sources(root: Path, mirror: Mirror, suite: str) -> None:
    """Point the guest's apt at the mirror this machine uses."""
    keyring = "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    if suite == TESTING:
        # Its index is valid for a week, and a mirror may be older; the packages' signatures are checked all the same.
        text = f"Types: deb\nURIs: {mirror.main}\nSuites: {suite}\nComponents: main\n{keyring}\nCheck-Valid-Until: no\n"
    else:
        text = (
            f"Types: deb\nURIs: {mirror.main}\nSuites: {suite} {suite}-updates\nComponents: main\n{keyring}\n\n"
            f"Types: deb\nURIs: {mirror.security}\nSuites: {suite}-security\nComponents: main\n{keyring}\n"
        )
    write(root, "/etc/apt/sources.list.d/debian.sources", text)


def add_authorities(bench: Workbench, root: Path) -> None:
    """Make the guest trust what this machine trusts beyond Debian's own set."""
    for number, pem in enumerate(extra_authorities()):
        write(root, f"/usr/local/share/ca-certificates/lab-host-{number}.crt", pem + "\n")
    enter(bench, root, ["update-ca-certificates"])


def tidy(root: Path) -> None:
    """Remove what belongs to the machine that built, not to the guest that starts."""
    for folder in ("var/lib/apt/lists", "var/cache/apt", "var/log"):
        for path in (root / folder).rglob("*"):
            if path.is_symlink() or not path.is_dir():
                path.unlink()
    for name in ("etc/hostname", "etc/resolv.conf", "etc/machine-id"):
        path = root / name
        if path.is_symlink() or path.exists():
            path.unlink()
    # Empty means: make a new one at the first start, and do not take that for a "first boot".
    (root / "etc/machine-id").touch()
    (root / "etc/resolv.conf").touch()


def make_venv(
    bench: Workbench,
    root: Path,
    venv: str,
    requirements: Sequence[str],
    unused: Sequence[str] = (),
    python: str = "python3",
) -> None:
    """Make a virtual environment inside the guest and install `requirements` from the package index.

    Ends up compiled and without pip: nothing in it is written at run time, and a start compiles nothing.

    :param venv: its absolute path in the guest
    :param unused: paths (with wildcards) under site-packages to leave out
    :param python: the interpreter; Debian's own needs the package python3-venv, which is removed at the end
    """
    enter(bench, root, [python, "-m", "venv", venv])
    enter(bench, root, [f"{venv}/bin/pip", "install", "-q", "--no-compile", *requirements], env=pip_environment())
    enter(bench, root, [f"{venv}/bin/pip", "uninstall", "-q", "-y", "pip"])
    enter(bench, root, ["find", venv, "-type", "d", "(", "-name", "tests", "-o", "-name", "__pycache__", ")",
                        "-prune", "-exec", "rm", "-r", "{}", "+"])  # fmt: skip
    for pattern in unused:
        for path in root.glob(f"{venv.lstrip('/')}/lib/python3*/site-packages/{pattern}"):
            shutil.rmtree(path)
    # Unchecked: valid whatever times unpacking gives the sources.
    enter(bench, root, [python, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash",
                        f"{venv}/lib"])  # fmt: skip
    if python == "python3":
        enter(bench, root, ["apt-get", "purge", "-q", "-y", "--auto-remove", "python3-venv"])
