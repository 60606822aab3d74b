"""The operator's files that the inventory names, looked at by themselves: what is wrong with one is told with its line.

That is for `inventory check`. Every other command reads what it needs when it needs it, before it changes anything, so
none fails for a file that means nothing to it. No reference to a secret is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from proxhermes.errors import UsageError
from proxhermes.hermes import crons, documents, environment, package, wanted
from proxhermes.inventory.models import Agent
from proxhermes.inventory.secrets import SecretFile
from proxhermes.inventory.tree import Report, Tree

_FILE: Final = "file"


@dataclass(frozen=True, slots=True)
class _Look:
    """A file, or a folder of them. at: where it is named; read: raises UsageError; option: what that begins with."""

    at: tuple[str, ...]
    read: Callable[[], object]
    option: str = _FILE


def check(agent: Agent, tree: Tree, report: Report) -> None:
    """Report each file that is missing, or not what it has to be. tree: the agent's, as it is written."""
    files = tree.at("hermes", "environment_files")
    known = dict(agent.hermes.environment)
    for index, item in enumerate(files.items if files else ()):
        option = f"{agent.option}.environment_files[{index}]"
        _tell(item, _Look((), partial(environment.read_file, agent, index, known), option), agent, report)
    for look in (*_documents(agent), *_logins(agent, tree)):
        _tell(tree.at(*look.at) or tree, look, agent, report)


def _tell(place: Tree, look: _Look, agent: Agent, report: Report) -> None:
    try:
        look.read()
    except UsageError as error:
        said = error.message.removeprefix(f"agents.{agent.vmid}: ").removeprefix(f"{look.option}: ")
        report.add(place.spot, said, error.hint or "")


def _documents(agent: Agent) -> Iterator[_Look]:
    hermes = agent.hermes
    for block, files in (("documents", hermes.documents), ("home_files", hermes.home_files)):
        for path, document in files.items():
            if document.file:
                yield _Look(("hermes", block, path, "file"), partial(document.file.read, _FILE))
    for name, cron in hermes.crons.items():
        if cron.prompt and cron.prompt.file:
            yield _Look(("hermes", "crons", name, "prompt", "file"), partial(crons.prompt, cron, _FILE))
    for name, skill in hermes.skills.items():
        if skill.path:
            yield _Look(("hermes", "skills", name, "path"), partial(documents.skill_files, name, skill.path, _FILE))
    for name, plugin in hermes.plugins.items():
        yield _Look(("hermes", "plugins", name, "path"), partial(documents.plugin_files, name, plugin, _FILE))
    for key, file in package.local_files(agent).items():
        option = f"runtime.package.{key}"
        yield _Look(("runtime", "package", key), partial(file.read, option), option)


def _logins(agent: Agent, tree: Tree) -> Iterator[_Look]:
    """Those that are named by their path alone."""
    given: list[tuple[tuple[str, ...], SecretFile | None]] = [(("hermes", "auth_file"), agent.hermes.auth_file)]
    for name, login in agent.hermes.mcp_tokens.items():
        at = ("hermes", "mcp_tokens", name)
        given += [((*at, "token"), login.token), ((*at, "client"), login.client)]
    for place, reference in given:
        if reference is not None and tree.text(*place) is not None:
            yield _Look(place, partial(wanted.logins, reference, _FILE))
