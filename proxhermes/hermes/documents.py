"""The files that the agent is given: documents in its working directory, files of its home, plugins."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, Literal

from proxhermes.errors import UsageError
from proxhermes.hermes import labels, layout, workplace
from proxhermes.inventory.documents import Document, Plugin
from proxhermes.inventory.models import Agent

PLUGINS: Final = "plugins"
"""Folder of HERMES_HOME whose sub-folders are plugins, each with plugin.yaml and `register` in __init__.py
(Hermes 0.19: hermes_cli/plugins.py); those named in config.yaml's `plugins.enabled` are loaded, when it starts."""
HOOKS: Final = "hooks"
"""Folder of HERMES_HOME whose contents the gateway loads when it starts (Hermes 0.19: gateway/hooks.py)."""


@dataclass(frozen=True, slots=True)
class Given:
    """One file. place: the working directory, or HERMES_HOME; path: below it; effective: what the agent reads anew
    for each conversation is in effect at once, code (False) when the service starts."""

    place: Literal["workspace", "home"]
    path: str
    content: bytes = field(repr=False)
    mode: int = layout.FILE
    effective: bool = True

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def given(agent: Agent) -> tuple[Given, ...]:
    """All of them, read from the inventory and from beside it.

    Raises UsageError, which names the option: for what cannot be read, is no plugin, or has no place in the guest.
    """
    at = f"agents.{agent.vmid}.hermes"
    found = [*_files("workspace", agent.hermes.documents, f"{at}.documents")]
    if found:
        workplace.find(agent)
    found += _files("home", agent.hermes.home_files, f"{at}.home_files")
    for name, plugin in agent.hermes.plugins.items():
        found += plugin_files(name, plugin, f"{at}.plugins.{name}.path")
    return tuple(found)


def label(agent: Agent, file: Given) -> str:
    """The file's name (see `labels`). Raises UsageError where the working directory is not to be reached."""
    if file.place == "home":
        return labels.HOME + file.path
    return labels.label(layout.of(agent), f"{workplace.find(agent)}/{file.path}")


def content(document: Document, option: str) -> bytes:
    """What is in a document. option: its key, for messages. Raises UsageError for a file that cannot be read."""
    return document.file.read(option) if document.file else (document.text or "").encode()


def _files(place: Literal["workspace", "home"], files: Mapping[str, Document], option: str) -> Iterator[Given]:
    for path, document in files.items():
        mode = layout.FOLDER if document.file and document.file.executable else layout.FILE
        found = content(document, f"{option}.{path}")
        yield Given(place, path, found, mode, effective=place != "home" or path.split("/")[0] != HOOKS)


def plugin_files(name: str, plugin: Plugin, option: str) -> tuple[Given, ...]:
    """All files of a plugin. option: its key, for messages. Raises UsageError for what is none."""
    files = {
        str(PurePosixPath(file.written).relative_to(plugin.path.written)): file for file in plugin.path.walk(option)
    }
    missing = [
        " or ".join(names) for names in (("plugin.yaml", "plugin.yml"), ("__init__.py",)) if not {*names} & {*files}
    ]
    if missing:
        raise UsageError(
            f"{option}: {plugin.path.path} has no {' and no '.join(missing)}", hint="it is no plugin of Hermes"
        )
    if odd := next((path for path in files if re.search(r"[\x00-\x1f\x7f]", path)), None):
        raise UsageError(f"{option}: {odd!r} is a name with a control character in it")
    return tuple(
        Given(
            "home",
            f"{PLUGINS}/{name}/{path}",
            file.read(option),
            layout.FOLDER if file.executable else layout.FILE,
            effective=not plugin.enabled,
        )
        for path, file in files.items()
    )
