"""Rules for what becomes Hermes' config.yaml: no secret as it is, and no key that says two things.

What a section (`litellm`, `messaging`, `hermes.terminal`, …) renders may stand in the settings, too, if it is the same.
Names of keys and their aliases: Hermes 0.19, hermes_cli/config.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from proxhermes.inventory import known_settings, messaging_rules
from proxhermes.inventory.hermes_rules import names_a_secret
from proxhermes.inventory.mcp_rules import literal_secrets
from proxhermes.inventory.problems import render_path
from proxhermes.inventory.secrets import HOW_TO_REFERENCE
from proxhermes.inventory.tree import Report, Spot, Tree

Path = tuple[str, ...]

_KEY: Final = "${LITELLM_API_KEY}"
_SAME: Final[tuple[tuple[Path, Path], ...]] = (
    (("model", "default"), ("litellm", "model")),
    (("model", "base_url"), ("litellm", "base_url")),
    (("model", "context_length"), ("litellm", "context_length")),
    (("terminal", "cwd"), ("hermes", "working_directory")),
    (("platforms", "telegram", "extra", "base_url"), ("messaging", "telegram", "base_url")),
    (("platforms", "telegram", "extra", "base_file_url"), ("messaging", "telegram", "base_file_url")),
)
"""Keys of config.yaml, and where the inventory says them."""
_ALIASES: Final[Mapping[Path, Path]] = {
    ("model", "model"): ("model", "default"),
    ("model", "name"): ("model", "default"),
    ("model", "api_base"): ("model", "base_url"),
    ("api_base",): ("model", "base_url"),
    ("base_url",): ("model", "base_url"),
    ("provider",): ("model", "provider"),
    ("context_length",): ("model", "context_length"),
}
"""Other names that Hermes knows them by."""
_VARIABLE: Final = re.compile(r"\$\{([^}]+)\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_BESIDE: Final = ("settings", "settings_files", "terminal", "mcp_servers")


def check(agents: Mapping[str, Tree], configs: Mapping[str, Tree], report: Report) -> None:
    """All of them, for every agent. configs: the trees of the agents' `config_file`s."""
    for vmid, agent in agents.items():
        settings, config = agent.at("hermes", "settings"), configs.get(vmid)
        for tree in (settings, config):
            if tree:
                _no_literal_secret(tree, report)
                messaging_rules.check(agent, tree, report)
        for tree, servers in ((settings, False), (config, False), (agent.at("hermes", "mcp_servers"), True)):
            _variables(tree, servers, report) if tree else None
        for tree in (settings, config):
            _unlisted(tree, (), report) if tree else None
        if settings is not None and isinstance(settings.value, dict):
            _one_word(agent, settings, report)
            _names_of_plugins(agent, settings, report)
        _whole_file(agent, config, report)


def _one_word(agent: Tree, settings: Tree, report: Report) -> None:
    """A value that a section says otherwise, with both places."""
    if version := settings.children.get("_config_version"):
        # Hermes raises it when it brings the file up to date; set by every run, it would fall back.
        report.add(version.key, "the file's version is no setting", "`hermes.config_version`, for a new file")
    in_the_way: dict[Spot, str] = {}
    for path, expected, section in _sections(agent):
        where = f"`{render_path(section.key.path)}` ({report.place(section.key)})"
        for name in (path, *(alias for alias, meant in _ALIASES.items() if meant == path)):
            found = _at(settings, name)
            if found is None or _same(found, expected):
                continue
            if settings.at(*name) is None:
                in_the_way.setdefault(found.spot, f"{found.kind} stands where {where} goes")
            else:
                report.add(found.spot, f"{render_path(name)} says something else than {where}", "one of the two")
    for spot, message in in_the_way.items():
        report.add(spot, message, "leave it out, or a block of keys")


def _names_of_plugins(agent: Tree, settings: Tree, report: Report) -> None:
    """`plugins.enabled` of the settings takes in the inventory's own plugins, so it has room for them."""
    plugins, found = agent.at("hermes", "plugins"), _at(settings, ("plugins", "enabled"))
    if not plugins or not plugins.children or found is None:
        return
    where = f"`{render_path(plugins.key.path)}` ({report.place(plugins.key)})"
    for each in found.items if isinstance(found.value, list) else (found,):
        if not isinstance(each.value, str) or each is found:
            report.add(each.spot, f"{each.kind} stands where the names of {where} go", "enabled: [NAME, …]")


def _sections(agent: Tree) -> Iterator[tuple[Path, object, Tree]]:
    """What the sections render: path in config.yaml, value, and where that is written."""
    litellm = agent.at("litellm")
    if litellm is not None:
        key = litellm.children.get("api_key", litellm)
        yield ("model", "provider"), "custom", litellm
        yield ("model", "api_key"), _KEY, key
    for path, place in _SAME:
        if (tree := agent.at(*place)) is not None and tree.value is not None:
            yield path, tree.plain(), tree
    for name in ("telegram", "discord", "slack"):
        if (tree := agent.at("messaging", name)) is not None and tree.value is not None:
            yield ("platforms", name, "enabled"), True, tree
    for section in ("terminal", "mcp_servers"):
        if (tree := agent.at("hermes", section)) is not None:
            yield from _leaves(tree, (section,))
    servers = agent.at("hermes", "mcp_servers")
    for name, server in servers.children.items() if servers else ():
        if "enabled" not in server.children:
            yield ("mcp_servers", name, "enabled"), True, server


def _leaves(tree: Tree, at: Path) -> Iterator[tuple[Path, object, Tree]]:
    for key, child in tree.children.items():
        yield from _leaves(child, (*at, key))
    if not tree.children and tree.value is not None:
        yield at, tree.plain(), tree


def _at(tree: Tree, path: Path) -> Tree | None:
    """What stands at `path`, or, where there is no room for it, what stands in the way."""
    for key in path:
        if not isinstance(tree.value, dict):
            return tree
        if key not in tree.children:
            return None
        tree = tree.children[key]
    return tree


def _same(tree: Tree, expected: object) -> bool:
    """Whether it is the same to a reader of YAML; a URL may end in a slash."""
    one, other = (json.dumps(value, sort_keys=True) for value in (tree.plain(), expected))
    return one == other or (
        str(expected).startswith("http") and str(tree.value).rstrip("/") == str(expected).rstrip("/")
    )


def _whole_file(agent: Tree, config: Tree | None, report: Report) -> None:
    """A config.yaml of the operator's is put in place as it is: nothing is merged into it, so nothing is to be said."""
    file = agent.at("hermes", "config_file")
    if file is None or file.value is None:
        return
    for name in _NOT_BESIDE:
        beside = agent.at("hermes", name)
        if beside is not None and beside.value:
            report.add(
                file.spot,
                f"a whole config.yaml leaves nothing to `hermes.{name}` ({report.place(beside.key)})",
                f"one of the two; `hermes.settings_files` takes {file.value!r} as a part of the settings",
            )
    if config is None:
        return
    silent = [
        f"{render_path(path)} (`{render_path(section.key.path)}`, {report.place(section.key)})"
        for path, expected, section in _sections(agent)
        if path[0] != "mcp_servers" and not _says(config, path, expected)
    ]
    if silent:
        report.warn(
            file.spot,
            f"{file.value} does not say what the inventory says elsewhere: {', '.join(silent)}",
            "these keys in the file, which alone counts for Hermes",
        )


def _says(config: Tree, path: Path, expected: object) -> bool:
    found = _at(config, path)
    return found is not None and _same(found, expected)


def _variables(tree: Tree, servers: bool, report: Report) -> None:
    """References that no .env can define. servers: MCP servers, for which Hermes also knows `${env:NAME}`."""
    for key, child in (*tree.children.items(), *((None, item) for item in tree.items)):
        _variables(child, servers or key == "mcp_servers", report)
    for found in _VARIABLE.finditer(tree.value) if isinstance(tree.value, str) else ():
        name = found[1].strip().removeprefix("env:").strip() if servers else found[1]
        if not _NAME.fullmatch(name):
            # What stands there is not repeated: behind `:-` may be a secret.
            report.add(tree.spot, "`${…}` with something that is no variable's name", "`${NAME}`; Hermes knows no more")


def _unlisted(tree: Tree, at: Path, report: Report) -> None:
    """Settings that no Hermes lists, and that are like one that it does: probably mistyped."""
    for name, child in tree.children.items():
        path = (*at, name)
        found = known_settings.unlisted(path)
        if found is None:
            _unlisted(child, path, report)
        elif found.nearest is not None:
            message = f"Hermes does not list the setting {render_path(path)}, and may not read it"
            report.warn(child.key, message, f"did you mean `{found.nearest}`?")


def _no_literal_secret(tree: Tree, report: Report) -> None:
    found = {each.spot: f"{each.key.path[-1]} is a secret by its name" for each in _named_secrets(tree)}
    servers = tree.at("mcp_servers")
    for server in servers.children.values() if servers else ():
        found = {each.spot: f"{what} is a secret" for each, what in literal_secrets(server)} | found
    for spot, message in found.items():
        report.add(
            spot,
            f"{message}, and is written as it is",
            f'"${{NAME}}", and hermes.secrets: {{NAME: …}} with {HOW_TO_REFERENCE}',
        )


def _named_secrets(tree: Tree) -> Iterator[Tree]:
    name = str(tree.key.path[-1]) if tree.key.path else ""
    if isinstance(tree.value, str) and tree.value and names_a_secret(name) and not _VARIABLE.search(tree.value):
        yield tree
    for child in (*tree.children.values(), *tree.items):
        yield from _named_secrets(child)
