"""The files that the agent is given: documents in its working directory, files of its home, plugins."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, Literal

from proxhermes.errors import UsageError
from proxhermes.hermes import labels, layout, route, workplace
from proxhermes.inventory.documents import Document, Plugin
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.models import Agent
from proxhermes.inventory.profiles import ProfileAgent

PLUGINS: Final = "plugins"
"""Folder of HERMES_HOME whose sub-folders are plugins, each with plugin.yaml and `register` in __init__.py
(Hermes 0.19: hermes_cli/plugins.py); those named in config.yaml's `plugins.enabled` are loaded, when it starts."""
SKILLS: Final = "skills"
"""Folder of HERMES_HOME whose sub-folders with SKILL.md are skills (0.19: agent/skill_utils.py); read anew for each
conversation."""
PARKED: Final = "gateway.parked"
"""File of a profile's home by which the gateway does not serve it (0.22: hermes_cli/profiles.py)."""
_PARKED_TEXT: Final = b"The inventory of proxhermes says so: gateway.enable.\n"
HOOKS: Final = "hooks"
"""Folder of HERMES_HOME whose contents the gateway loads when it starts (Hermes 0.19: gateway/hooks.py)."""


@dataclass(frozen=True, slots=True)
class Source:
    """Content that the guest has already: its path there (root's own), size in bytes, and sha256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Given:
    """One file. place: the working directory, or HERMES_HOME; path: below it; source: in the place of content.

    effective: what the agent reads for each conversation is in effect at once, code (False) when the service starts.
    """

    place: Literal["workspace", "home"]
    path: str
    content: bytes = field(repr=False)
    mode: int = layout.FILE
    effective: bool = True
    source: Source | None = None

    @property
    def sha256(self) -> str:
        return self.source.sha256 if self.source else hashlib.sha256(self.content).hexdigest()

    @property
    def size(self) -> int:
        """In bytes."""
        return self.source.size if self.source else len(self.content)


def given(agent: Agent) -> tuple[Given, ...]:
    """All of them, read from the inventory and from beside it.

    Raises UsageError, which names the option: for what cannot be read, is no plugin, or has no place in the guest.
    """
    at = agent.option
    found = [*_files("workspace", agent.hermes.documents, f"{at}.documents")]
    if found:
        workplace.find(agent)
    found += _files("home", agent.hermes.home_files, f"{at}.home_files")
    for name, plugin in agent.hermes.plugins.items():
        found += plugin_files(name, plugin, f"{at}.plugins.{name}.path")
    for name, skill in agent.hermes.skills.items():
        if skill.path is not None:
            found += skill_files(name, skill.path, f"{at}.skills.{name}.path")
    if agent.litellm.ca_file is not None:
        found.append(Given("home", route.CA, _certificates(agent.litellm.ca_file), effective=False))
    return (*found, *parked(agent))


def _certificates(file: LocalPath) -> bytes:
    """The content of `litellm.ca_file`. Raises UsageError where it cannot be read, or holds no certificate."""
    content = file.read("litellm.ca_file")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode())
    except (ValueError, ssl.SSLError):
        raise UsageError(
            f"litellm.ca_file: {file.path} holds no certificates in PEM", hint="-----BEGIN CERTIFICATE----- …"
        ) from None
    return content


def parked(agent: Agent) -> tuple[Given, ...]:
    """The mark of a profile that the gateway is not to serve."""
    served = not isinstance(agent, ProfileAgent) or agent.enabled
    return () if served else (Given("home", PARKED, _PARKED_TEXT, effective=False),)


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
    """All files of a plugin. option: its key, for messages. Raises UsageError for a folder that is not one."""
    files = _folder(plugin.path, option)
    missing = [
        " or ".join(names) for names in (("plugin.yaml", "plugin.yml"), ("__init__.py",)) if not {*names} & {*files}
    ]
    if missing:
        raise UsageError(
            f"{option}: {plugin.path.path} has no {' and no '.join(missing)}", hint="it is no plugin of Hermes"
        )
    return tuple(_in_home(f"{PLUGINS}/{name}", files, option, effective=not plugin.enabled))


def skill_files(name: str, folder: LocalPath, option: str) -> tuple[Given, ...]:
    """All files of a skill. option: its key, for messages. Raises UsageError for a folder that is not a skill NAME."""
    files = _folder(folder, option)
    if "SKILL.md" not in files:
        raise UsageError(f"{option}: {folder.path} has no SKILL.md", hint="a skill is a folder with that file in it")
    called = _called(files["SKILL.md"].read(option).decode("utf-8", "replace"))
    if called not in (None, name):
        raise UsageError(
            f"{option}: its SKILL.md calls it {called!r}, not {name!r}", hint="`name` there is the key here"
        )
    return tuple(_in_home(f"{SKILLS}/{name}", files, option, effective=True))


def _called(text: str) -> str | None:
    """The name in the front matter; None where it has none, or is none."""
    front = re.match(r"---[ \t]*\r?\n(.*?)^---", text, re.DOTALL | re.MULTILINE)
    name = re.search(r"^name:[ \t]*(.*?)[ \t\r]*$", front[1], re.MULTILINE) if front else None
    return name[1].strip("\"'") if name else None


def _folder(folder: LocalPath, option: str) -> dict[str, LocalPath]:
    """The files in a folder of the operator's, by their paths below it. Raises UsageError."""
    files = {str(PurePosixPath(file.written).relative_to(folder.written)): file for file in folder.walk(option)}
    if odd := next((path for path in files if re.search(r"[\x00-\x1f\x7f]", path)), None):
        raise UsageError(f"{option}: {odd!r} is a name with a control character in it")
    return files


def _in_home(below: str, files: Mapping[str, LocalPath], option: str, *, effective: bool) -> Iterator[Given]:
    for path, file in files.items():
        mode = layout.FOLDER if file.executable else layout.FILE
        yield Given("home", f"{below}/{path}", file.read(option), mode, effective=effective)
