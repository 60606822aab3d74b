"""The machine's control groups: every hierarchy, v1 and v2, and removing folders in them."""

from __future__ import annotations

from pathlib import Path

from proxhermes.lab.node.process import wait_until

CGROUPS = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """The mount points of all cgroup hierarchies, v1 and v2."""
    lines = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [Path(words[4]) for words in lines if words[words.index("-") + 1] in ("cgroup", "cgroup2")]


def folders(name: str) -> list[Path]:
    """The folder `name` in each hierarchy that has it."""
    return [folder for root in hierarchies() if (folder := root / name).is_dir()]


def remove(name: str, *, seconds: float = 20) -> None:
    """Remove the folder `name` in all hierarchies. LabError when processes are still in it after `seconds`.

    What a killed process was in is free only when it has been collected, so this asks again.
    """
    for folder in folders(name):
        wait_until(lambda folder=folder: _remove_tree(folder), f"cgroup {folder} removed", seconds=seconds)  # type: ignore[misc]


def _remove_tree(folder: Path) -> bool:
    try:
        for child in folder.iterdir():
            if child.is_dir():
                _remove_tree(child)
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False  # still busy
    return True
