"""Rules for the agent's own code: what an image brings itself is not said a second time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from proxhermes.inventory.hermes_rules import runtime_type
from proxhermes.inventory.tree import Report, Tree

_THE_IMAGES_OWN: Final = {
    "extras": "extras",
    "python": "Python",
    "python_mirror": "Python",
    "python_archive": "Python",
}

_WITH_AIOHTTP: Final = frozenset({"messaging", "slack", "matrix", "homeassistant", "sms", "teams", "all"})
"""Extras of Hermes that bring what its API is served with (0.19, 0.22: gateway/platforms/api_server.py)."""


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
        _served(agent, report)
        archive, python = agent.at("runtime", "python_archive"), agent.at("runtime", "python")
        if archive is not None and python is not None and python.value != "auto":
            report.add(archive.key, f"`python` (line {python.spot.line}) says which one it is", "one of the two")


def _served(agent: Tree, report: Report) -> None:
    """Without its API the gateway is never seen to be up."""
    extras, more = agent.at("runtime", "extras"), agent.at("runtime", "extra_python_packages")
    if extras is None or runtime_type(agent) not in ("native", "persistent"):
        return
    named = re.search(r"\[(.*?)\]", agent.text("runtime", "package", "pypi") or "")
    given = {str(item.value) for item in extras.items} | {*map(str.strip, named[1].split(",") if named else ())}
    brought = any(re.match(r"aiohttp(?![\w-])", str(item.value)) for item in (more.items if more else ()))
    if not brought and not given & _WITH_AIOHTTP:
        report.warn(
            extras.spot,
            "these leave the agent without aiohttp: its gateway would have no API, and would not be seen to be up",
            "`messaging` among them, or `aiohttp` in `extra_python_packages`",
        )
