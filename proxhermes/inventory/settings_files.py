"""The files that `hermes.settings_files` and `hermes.config_file` name: read along with the inventory, as lines of it.

So a mistake in one of them is told with its own line, and before anything is asked of the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from proxhermes.errors import UsageError
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.tree import Report, Tree, merge, read


@dataclass(slots=True)
class SettingsFiles:
    """Reads such files, each once. folder: the inventory's, which their paths start at."""

    folder: Path
    report: Report
    _known: dict[tuple[str, bool], Tree | None] = field(default_factory=dict)

    def merged(self, agent: Tree) -> Tree:
        """`agent` with the settings files of its `hermes` and of its profiles merged beneath their `settings`."""
        hermes = agent.at("hermes")
        if hermes is None:
            return agent
        hermes = self._merged(hermes)
        if (profiles := hermes.at("profiles")) is not None and profiles.children:
            merged = {name: self._merged(profile) for name, profile in profiles.children.items()}
            hermes = replace(hermes, value={**hermes.children, "profiles": replace(profiles, value=merged)})
        return replace(agent, value={**agent.children, "hermes": hermes})

    def _merged(self, home: Tree) -> Tree:
        """A block with its settings files merged, in their order, beneath its `settings`."""
        files = home.at("settings_files")
        trees = [self._tree(item, "settings_files") for item in files.items] if files else []
        found = [tree for tree in trees if tree is not None]
        if not found:
            return home
        own = home.children.get("settings")
        for tree in (*found[1:], *([own] if own else [])):
            found[0] = merge(found[0], tree, references=False)
        return replace(home, value={**home.children, "settings": found[0]})

    def config(self, agent: Tree) -> Tree | None:
        """The tree of its `hermes.config_file`, if it has one that can be read."""
        file = agent.at("hermes", "config_file")
        return self._tree(file, "config_file", verbatim=True) if file else None

    def _tree(self, item: Tree, option: str, *, verbatim: bool = False) -> Tree | None:
        if not isinstance(item.value, str) or not item.value:  # no path: told by the model
            return None
        path = self.folder / Path(item.value).expanduser()
        if (str(path), verbatim) not in self._known:
            self._known[str(path), verbatim] = self._read(LocalPath(item.value, path, option), item, verbatim)
        return self._known[str(path), verbatim]

    def _read(self, file: LocalPath, item: Tree, verbatim: bool) -> Tree | None:
        try:
            text = file.read().decode("utf-8-sig")
        except UsageError as error:
            self.report.add(item.spot, str(error).partition(": ")[2], "a YAML file, relative to the inventory")
            return None
        except UnicodeDecodeError:
            self.report.add(item.spot, f"{file.path}: a byte that is not UTF-8", "text in UTF-8")
            return None
        tree = read(text, self.report, str(file.path), verbatim=verbatim)
        if tree is not None and not isinstance(tree.value, dict):
            self.report.add(tree.spot, f"{tree.kind} stands here instead of a block of keys", "keys of config.yaml")
            return None
        return tree


def places(agent: Tree, config: Tree | None, report: Report) -> Mapping[tuple[str, ...], str]:
    """FILE:LINE of every value for config.yaml that is written somewhere, by its path in config.yaml."""
    found: dict[tuple[str, ...], str] = {}
    servers = agent.at("hermes", "mcp_servers")
    for tree, at in ((agent.at("hermes", "settings"), ()), (config, ()), (servers, ("mcp_servers",))):
        if tree is not None:
            _places(tree, at, report, found)
    return found


def _places(tree: Tree, at: tuple[str, ...], report: Report, found: dict[tuple[str, ...], str]) -> None:
    found[at] = report.place(tree.spot)
    for key, child in (*tree.children.items(), *((str(number), item) for number, item in enumerate(tree.items))):
        _places(child, (*at, key), report, found)
