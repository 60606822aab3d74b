"""`runtime.engine` may be the engine's name, or a block with it and all that `engine` has. Pure."""

from __future__ import annotations

from dataclasses import replace

from proxhermes.inventory.tree import Tree, merge


def folded(tree: Tree) -> Tree:
    """An agent's tree (or what lies beneath one) with such a block taken apart; it goes before `engine`."""
    block = tree.at("runtime", "engine")
    if block is None or not isinstance(block.value, dict):
        return tree
    runtime = {key: child for key, child in tree.children["runtime"].children.items() if key != "engine"}
    if (name := block.children.get("name")) is not None:
        runtime["engine"] = name
    rest = replace(block, value={key: child for key, child in block.children.items() if key != "name"})
    own = tree.at("engine")
    engine = rest if own is None or not isinstance(own.value, dict) else merge(own, rest)
    return replace(
        tree, value={**tree.children, "runtime": replace(tree.children["runtime"], value=runtime), "engine": engine}
    )
