"""Rules for the agent's own code: what an image brings itself is not said a second time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxhermes.inventory.tree import Report, Tree

_THE_IMAGES_OWN: Final = {
    "extras": "extras",
    "python": "Python",
    "python_mirror": "Python",
    "python_archive": "Python",
}


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All rules for `runtime.package` and `runtime.python` of every agent."""
    for agent in agents.values():
        image = agent.at("runtime", "package", "image")
        for key, own in _THE_IMAGES_OWN.items():
            tree = agent.at("runtime", key)
            if image is not None and tree is not None:
                report.add(
                    tree.key,
                    f"the agent's code comes from an image (line {image.spot.line}), which has {own} of its own",
                    f"no `{key}`, or a package from pypi, wheel or git",
                )
        archive, python = agent.at("runtime", "python_archive"), agent.at("runtime", "python")
        if archive is not None and python is not None and python.value != "auto":
            report.add(archive.key, f"`python` (line {python.spot.line}) says which one it is", "one of the two")
