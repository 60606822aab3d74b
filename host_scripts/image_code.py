"""The agent's code out of an image, laid out for another place. A part of guest-image.py."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import cast

from image_layers import CODE, LEFT_OUT, Image, Node, Refused, load

VENV = f"{CODE}/.venv"
SITE = "lib/python3*/site-packages"
COMMANDS = ("hermes", "hermes-agent", "hermes-acp")
UNUSED_LIBRARY = ("test", "idlelib", "tkinter", "turtledemo", "config-*", "EXTERNALLY-MANAGED", "sitecustomize.py")
LIBRARY_FOLDERS = ("/lib/{0}", "/usr/lib/{0}", "/lib64", "/lib", "/usr/lib64", "/usr/lib")
TRIPLETS = ("x86_64-linux-gnu", "aarch64-linux-gnu")
SMALL = 1 << 20


@dataclass
class Tree:
    """The new version while it is made: below `hermes` the image's CODE. final: the path that it is to have."""

    image: Image
    path: Path
    final: Path
    interpreter: str = ""
    dropped: list[str] = field(default_factory=list)

    def place(self, inner: str) -> PurePosixPath | None:
        """Where a path of the image is in the new version; None for one that does not come along."""
        if inner == CODE or inner.startswith(f"{CODE}/"):
            return PurePosixPath("hermes") / inner[len(CODE) :].lstrip("/")
        if inner == self.interpreter:
            return PurePosixPath("python/bin") / PurePosixPath(inner).name
        return None

    def copy(self, inner: str, to: PurePosixPath, unused: tuple[str, ...] = ()) -> None:
        """A folder of the image, with all that is in it."""
        node = self.image.find(inner)
        (self.path / to).mkdir(parents=True)
        for name, child in ((node.children if node else None) or {}).items():
            path, target = f"{inner}/{name}", to / name
            if LEFT_OUT.match(path) or any(PurePosixPath(name).match(pattern) for pattern in unused):
                continue
            if child.children is not None:
                self.copy(path, target)
            elif child.target:
                self.link(path, child.target, target)
            elif child.stored:
                self.lay(child, target)

    def lay(self, node: Node, to: PurePosixPath) -> None:
        """A file; it is root's, and anybody's to read."""
        os.link(cast(Path, node.stored), self.path / to)
        (self.path / to).chmod(0o755 if node.mode & 0o111 else 0o644)

    def link(self, inner: str, target: str, to: PurePosixPath) -> None:
        """A link, to where its target is now; none where that does not come along."""
        there = os.path.normpath(str(PurePosixPath(inner).parent / target))
        place = self.place(there) or self.place(self.image.follow(inner))
        if place is None:
            self.dropped.append(inner)
        else:
            (self.path / to).symlink_to(os.path.relpath(place, to.parent))

    def moved(self, content: bytes) -> bytes:
        """A text with the code's new place in it."""
        new = f"{self.final}/hermes".encode()
        return re.sub(re.escape(CODE).encode() + rb"(?![\w.-])", lambda _: new, content)

    def rewrite(self, path: Path) -> None:
        """The same for a file, if it is a text that names the old place."""
        if path.is_symlink() or not path.is_file() or path.stat().st_size > SMALL:
            return
        before = path.read_bytes()
        after = self.moved(before) if b"\0" not in before else before
        if path.name == "pyvenv.cfg":
            home = f"home = {self.final / cast(PurePosixPath, self.place(self.interpreter)).parent}".encode()
            after = re.sub(rb"(?m)^home *=.*$", lambda _: home, after)
        if after != before:
            write(path, after, path.stat().st_mode & 0o777)


def write(path: Path, content: bytes, mode: int) -> None:
    """A file of its own in the place of one that may be linked elsewhere, with the time of the old one."""
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns) if path.exists() else None
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    if times:
        os.utime(path, ns=times)


def unpack(layout: Path, scratch: Path, path: Path, final: Path) -> None:
    """Lay the code out, with its Python, and the image's libraries beside it in `scratch`."""
    store = scratch / "files"
    store.mkdir()
    image = load(layout, store)
    interpreter = image.follow(f"{VENV}/bin/python")
    if image.file(interpreter) is None:
        raise Refused(f"it has no {VENV}/bin/python: this is no image of Hermes Agent, or one of another kind")
    tree = Tree(image, path, final, interpreter)
    tree.copy(CODE, PurePosixPath("hermes"))
    if not interpreter.startswith(f"{CODE}/"):
        own_python(tree)
    (path / "python" / "lib").mkdir(parents=True, exist_ok=True)
    hermes = path / "hermes"
    for pattern in ("*.json", "pyvenv.cfg", "bin/*", "libexec/*", f"{SITE}/*.pth", f"{SITE}/__editable__*"):
        for folder in (hermes, hermes / ".venv", hermes / "pm-runtime"):
            for file in folder.glob(pattern):
                tree.rewrite(file)
    for file in (hermes / ".install_method", *hermes.glob(f".venv/{SITE}/.install_method")):
        file.unlink(missing_ok=True)  # it says `docker`, and how an image is updated
    commands(tree)
    libraries(image, scratch / "root")


def own_python(tree: Tree) -> None:
    """An interpreter that is the image's system's: with its standard library, as `venv` expects both."""
    name = PurePosixPath(tree.interpreter).name
    version = re.fullmatch(r"python(3\.[0-9]+)", name)
    prefix = PurePosixPath(tree.interpreter).parent.parent
    library = f"{prefix}/lib/{name}"
    if version is None or tree.image.find(f"{library}/os.py") is None:
        raise Refused(f"{tree.interpreter} has no standard library beside it")
    (tree.path / "python" / "bin").mkdir(parents=True)
    node = cast(Node, tree.image.find(tree.interpreter))
    tree.lay(node, PurePosixPath("python/bin") / name)
    tree.copy(library, PurePosixPath("python/lib") / name, UNUSED_LIBRARY)


def commands(tree: Tree) -> None:
    """The agent's commands, which set what the image sets for them; its Python and Node."""
    programs = tree.path / "bin"
    programs.mkdir()
    python = f"{tree.final}/hermes/.venv/bin/python"
    script(programs / "python", f'exec {python} "$@"\n')
    entries = entry_points(tree.path / "hermes")
    if "hermes" not in entries:
        raise Refused("it has no command `hermes`")
    for name, (module, function) in entries.items():
        code = f"import sys; sys.argv[0] = '{tree.final}/bin/{name}'; from {module} import {function}"
        script(programs / name, f'{environment(tree)}exec {python} -P -c "{code}; sys.exit({function}())" "$@"\n')
    for name, folder in itertools.product(("node", "npm", "npx"), ("/usr/local/bin", "/usr/bin")):
        place = tree.place(tree.image.follow(f"{folder}/{name}"))
        if place is not None and (tree.path / place).is_file() and not (programs / name).is_symlink():
            (programs / name).symlink_to(f"../{place}")


def environment(tree: Tree) -> str:
    """As in the image's own environment (Hermes: Dockerfile), and where this system's certificates are."""
    folders = {"HERMES_RUNTIME_DIR": "tools", "HERMES_TUI_DIR": "ui-tui", "HERMES_WEB_DIST": "hermes_cli/web_dist"}
    lines = [
        f"export {name}={tree.final}/hermes/{folder}\n"
        for name, folder in folders.items()
        if (tree.path / "hermes" / folder).is_dir()
    ]
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    lines.append(f'if [ -z "${{SSL_CERT_FILE:-}}" ] && [ -s {bundle} ]; then export SSL_CERT_FILE={bundle}; fi\n')
    return "".join(lines)


def entry_points(hermes: Path) -> dict[str, tuple[str, str]]:
    """The agent's commands, and the functions that they are (entry points specification)."""
    found: dict[str, tuple[str, str]] = {}
    folders = [*hermes.glob("hermes_agent*.dist-info"), *hermes.glob(f".venv/{SITE}/hermes_agent*")]
    for file in (folder / "entry_points.txt" for folder in folders):
        if not file.is_file() or file.stat().st_size > SMALL:
            continue
        section = file.read_text(errors="replace").partition("[console_scripts]")[2].partition("\n[")[0]
        for name, module, function in re.findall(r"(?m)^([\w-]+) *= *([\w.]+):(\w+) *$", section, re.ASCII):
            if name in COMMANDS:
                found.setdefault(name, (module, function))
    return found


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n# Written by proxhermes.\n{text}")
    path.chmod(0o755)


def libraries(image: Image, root: Path) -> None:
    """The image's shared libraries under their own paths, links and all turned into files; and its loader's folders."""
    folders = library_folders(image)
    for number, folder in enumerate(folders):
        target = root / str(number)
        target.mkdir(parents=True)
        node = image.find(image.follow(folder))
        for name in (node.children if node else None) or {}:
            file = image.file(f"{folder}/{name}")
            if file is not None and re.search(r"\.so(?:\.[0-9.]+)?$", name):
                os.link(file, target / name)


def library_folders(image: Image) -> list[str]:
    """Where the image's loader looks, in its order (ld.so(8), ldconfig(8))."""
    configured: list[str] = []
    node = image.find("/etc/ld.so.conf.d")
    for name in [
        "/etc/ld.so.conf",
        *sorted(f"/etc/ld.so.conf.d/{each}" for each in (node.children if node else None) or {}),
    ]:
        file = image.file(name)
        if file is not None and file.stat().st_size < SMALL:
            configured += [line for line in file.read_text(errors="replace").split() if line.startswith("/")]
    usual = [folder.format(triplet) for folder in LIBRARY_FOLDERS for triplet in TRIPLETS]
    return list(dict.fromkeys(image.follow(folder) for folder in (*configured, *usual)))
