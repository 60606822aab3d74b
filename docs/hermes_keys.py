"""Writes proxhermes/inventory/hermes_keys.json: the settings that each Hermes lists itself.

python docs/hermes_keys.py 0.19=FOLDER 0.22=FOLDER > proxhermes/inventory/hermes_keys.json

FOLDER: the unpacked wheel of that version; this Python needs what its `hermes_cli.config` imports. What it calls a
recognized key is taken over (`_validate_config_key`): the keys of its defaults, and sections that it leaves to the
user. It reads some that have no default: those that its code names in one piece are found there. OPEN are more sections
whose keys are the user's own names.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

OPEN = {"platforms", "presets", "resource_attributes"}
READ = """
import json, os, re, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
os.environ["HERMES_HOME"] = tempfile.mkdtemp()
from hermes_cli import config as c
users = {*c._OPEN_DICT_TOP_LEVEL_KEYS, *c._SCHEMA_DEFINED_DICT_KEYS, *c._DYNAMIC_TOP_LEVEL_KEYS}
def keys(value):
    return {str(key): keys(child) for key, child in value.items()} if isinstance(value, dict) and value else 1
tree = dict.fromkeys(c._EXTRA_KNOWN_ROOT_KEYS, 1) | keys(c.DEFAULT_CONFIG) | dict.fromkeys(users, 1)
text = "".join(path.read_text() for path in Path(sys.argv[1]).rglob("*.py"))
read = [re.findall("[a-z_]+", found) for found in re.findall(r'cfg_get[(][^,()]+((?:, *"[a-z_]+")+)', text)]
tables = getattr(c, "_KNOWN_CONTAINER_TYPES", {}), getattr(c, "_SCALAR_AS_ONE_ITEM_LIST_KEYS", ())
json.dump([tree, read + [key.split(".") for table in tables for key in table]], sys.stdout)
"""


def marked(trees: list[Any]) -> Any:
    """One tree of all: the bits of a key say which versions have it. Below a number is whatever the user wants."""
    blocks = [tree if isinstance(tree, dict) else {} for tree in trees]
    if not any(blocks) or any(tree == 1 for tree in trees):
        return sum(1 << bit for bit, tree in enumerate(trees) if tree)
    names = sorted({name for block in blocks for name in block})
    return {name: marked([_closed(name, block.get(name)) for block in blocks]) for name in names}


def _closed(name: str, tree: Any) -> Any:
    return 1 if name in OPEN and tree else tree


def has(tree: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def add(tree: Any, path: list[str]) -> None:
    for part in path[:-1]:
        tree = tree.get(part) if isinstance(tree, dict) else None
    if isinstance(tree, dict):
        tree.setdefault(path[-1], 1)


def main() -> None:
    words = [word.partition("=")[::2] for word in sys.argv[1:]]
    runs = [[sys.executable, "-c", READ, folder] for _, folder in words]
    found = [json.loads(subprocess.run(run, stdout=subprocess.PIPE, check=True).stdout) for run in runs]
    trees = [tree for tree, _ in found]
    # What has a default in no version may be named in one piece by the code of some versions, and not by others'.
    common = [path for _, read in found for path in read if not any(has(tree, path) for tree in trees)]
    for tree, read in found:
        for path in (*read, *common):
            add(tree, path)
    versions = [version for version, _ in words]
    sys.stdout.write(json.dumps({"versions": versions, "keys": marked(trees)}, separators=(",", ":")) + "\n")


main()
