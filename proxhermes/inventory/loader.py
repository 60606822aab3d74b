"""Reads the inventory: finds the file, merges defaults, checks everything, and tells all mistakes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from proxhermes.errors import UsageError
from proxhermes.inventory import environment, profiles, rules, settings_rules
from proxhermes.inventory.engine_block import folded
from proxhermes.inventory.inventory import Inventory
from proxhermes.inventory.lookup import from_prompt
from proxhermes.inventory.models import LOWEST_VMID, Agent, Document, Node
from proxhermes.inventory.problems import InventoryError
from proxhermes.inventory.secrets import SecretSource
from proxhermes.inventory.settings_files import SettingsFiles, places
from proxhermes.inventory.tree import Report, Spot, Tree, merge, read
from proxhermes.inventory.validate import refuse_key, validate

VARIABLE: Final = "PROXHERMES_INVENTORY"
VERSION: Final = 1


def find(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The inventory in force: the option, else $PROXHERMES_INVENTORY, else ./inventory.yaml, else the user's own.

    One that is named is taken as it is, there or not. Raises UsageError if none is named and none is there.
    """
    if option is not None:
        return option
    if named := environ.get(VARIABLE):
        return Path(named).expanduser()
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    places = (Path("inventory.yaml"), home / ".config" / "proxhermes" / "inventory.yaml")
    for place in places:
        if place.is_file():
            return place
    raise UsageError(
        "there is no inventory: neither ./inventory.yaml nor ~/.config/proxhermes/inventory.yaml",
        hint=f"name one with -i FILE or ${VARIABLE}; inventory.example.yaml is one to start from",
    )


def load(
    path: Path,
    environ: Mapping[str, str],
    *,
    ask: Callable[[str], str] = from_prompt,
    files: Callable[[Agent, Tree, Report], None] | None = None,
) -> Inventory:
    """The inventory in `path`, resolved and checked; `environ` fills in what its single node leaves out.

    ask: has the operator type a secret that is `{prompt: …}`. files: looks at the files that an agent names, with its
    tree. Secrets stay references: none is looked up here. Raises InventoryError with every mistake.
    """
    report = Report(str(path))
    tree = _parse(path, report)
    source = SecretSource(path.absolute().parent, environ, ask)
    inventory = _resolve(path, tree, report, source, files) if tree else None
    if report.problems or inventory is None:
        raise InventoryError(path, sorted(report.problems))
    return inventory


def _parse(path: Path, report: Report) -> Tree | None:
    nowhere = Spot(0, 0, ())
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        report.add(nowhere, "there is no such file", "an inventory; inventory.example.yaml is one to start from")
        return None
    except OSError as error:
        report.add(nowhere, f"it cannot be read: {error.strerror}")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        report.add(Spot(line, column, ()), "a byte that is not UTF-8", "text in UTF-8")
        return None
    return read(text, report)


def _resolve(
    path: Path,
    tree: Tree,
    report: Report,
    source: SecretSource,
    files_of: Callable[[Agent, Tree, Report], None] | None,
) -> Inventory | None:
    if not isinstance(tree.value, dict):
        report.add(tree.spot, f"{tree.kind} stands here instead of a block of keys", ", ".join(Document.model_fields))
        return None
    _check_head(tree, report)
    nodes = environment.fill_in(_block(tree, "nodes", report), source.environ)
    written = _block(tree, "agents", report)
    beneath = folded(_beneath(tree, report))
    files = SettingsFiles(source.folder, report)
    agents = {
        vmid: files.merged(merge(beneath, folded(_empty_if_null(agent)))) for vmid, agent in written.children.items()
    }
    homes = profiles.trees(agents)
    configs = {key: config for key, home in homes.items() if (config := files.config(home))}
    rules.check(nodes, agents, configs, report)
    settings_rules.check(homes, configs, report)
    resolved_nodes = _nodes(nodes, report, source)
    resolved_agents = _agents(agents, beneath, report, source)
    for vmid, agent in resolved_agents.items():
        _place_settings(str(vmid), agent, homes, configs, report)
        if files_of is not None:
            for each in (agent, *profiles.of(agent)):
                files_of(each, homes["/".join(filter(None, (str(vmid), each.profile)))], report)
    return Inventory(path, resolved_nodes, resolved_agents, tuple(sorted(report.warnings)))


def _place_settings(
    vmid: str, agent: Agent, homes: Mapping[str, Tree], configs: Mapping[str, Tree], report: Report
) -> None:
    """Have the agent and its profiles remember where their settings are written."""
    named = {vmid: agent.hermes, **{f"{vmid}/{name}": profile for name, profile in agent.hermes.profiles.items()}}
    for key, home in named.items():
        config = configs.get(key)
        whole = config.plain() if config else None
        home.place_settings(places(homes[key], config, report), whole if isinstance(whole, dict) else {})


def _check_head(tree: Tree, report: Report) -> None:
    known = list(Document.model_fields)
    for key, child in tree.children.items():
        if key not in known:
            refuse_key(child.key, known, report)
    for key in ("version", "nodes", "agents"):
        if key not in tree.children:
            about = Document.model_fields[key].description or ""
            report.add(Spot(1, 1, ()), f"`{key}` is missing", about, path=(key,))
    version = tree.at("version")
    # `True == 1`: only the number itself will do.
    if version is not None and (version.value != VERSION or isinstance(version.value, bool)):
        report.add(version.spot, "this is no version of the inventory that is known here", str(VERSION))


def _block(tree: Tree, key: str, report: Report) -> Tree:
    """The block of keys under `key`; an empty one where there is nothing, or something else."""
    child = tree.at(key)
    if child is None:
        spot = replace(tree.spot, path=(key,))
        return Tree({}, spot, spot)
    if child.value is not None and not isinstance(child.value, dict):
        report.add(child.spot, f"{child.kind} stands here instead of a block of keys", "a block of keys")
    return child if isinstance(child.value, dict) else replace(child, value={})


def _beneath(tree: Tree, report: Report) -> Tree:
    """What lies beneath every agent: `defaults`, and below that the common `litellm`."""
    defaults = _block(tree, "defaults", report)
    common = tree.at("litellm")
    if common is None or common.value is None:
        return defaults
    own = defaults.at("litellm")
    litellm = common if own is None else merge(common, own)
    return replace(defaults, value={**defaults.children, "litellm": litellm})


def _empty_if_null(tree: Tree) -> Tree:
    return replace(tree, value={}) if tree.value is None else tree


def _nodes(nodes: Tree, report: Report, source: SecretSource) -> dict[str, Node]:
    found = {}
    for name, tree in nodes.children.items():
        rules.check_node_name(name, tree, report)
        node = validate(Node, _empty_if_null(tree), report, source)
        if node is not None:
            found[name] = node
    return found


def _agents(agents: Mapping[str, Tree], beneath: Tree, report: Report, source: SecretSource) -> dict[int, Agent]:
    # By themselves too: a default that every agent overrides is still checked, and so is one without any agent.
    validate(Agent, _without_vmid(beneath, report), report, source, given={"vmid": LOWEST_VMID}, partial=True)
    found = {}
    for written, tree in agents.items():
        vmid = rules.check_vmid(written, tree, report)
        given = {"vmid": LOWEST_VMID if vmid is None else vmid}
        agent = validate(Agent, _without_vmid(tree, report), report, source, given=given)
        if agent is not None and vmid is not None:
            found[vmid] = agent
    return found


def _without_vmid(tree: Tree, report: Report) -> Tree:
    """`vmid` is a key of the model, but in the file it is the key of the agent."""
    if "vmid" not in tree.children:
        return tree
    report.add(
        tree.children["vmid"].key, "unknown key `vmid`", "the VMID is the agent's own key under `agents`: `118:`"
    )
    return replace(tree, value={key: child for key, child in tree.children.items() if key != "vmid"})
