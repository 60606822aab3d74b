"""What the environment fills in where a single node leaves it out, by the names that other Proxmox tools use.

PROXMOX_VE_ENDPOINT and PROXMOX_VE_API_TOKEN are those of the Terraform provider bpg/proxmox; PROXMOX_HOST, _PORT,
_USER, _TOKEN_ID and _TOKEN_SECRET those of the Ansible collection community.proxmox.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from proxhermes.inventory.lookup import API_TOKEN_VARIABLE
from proxhermes.inventory.tree import Spot, Tree

DEFAULT_PORT = "8006"


def fill_in(nodes: Tree, environ: Mapping[str, str]) -> Tree:
    """`nodes` with `api`, `token` and `token_secret` of its single node taken from `environ` where it lacks them."""
    if len(nodes.children) != 1:
        return nodes
    ((name, node),) = nodes.children.items()
    if node.value is None:
        node = replace(node, value={})
    if not isinstance(node.value, dict):
        return nodes
    # An empty variable is an unset one.
    given = {key: value for key, value in environ.items() if value}
    entries = dict(node.value)
    for key, (value, variable) in _found(given, node.text("token")):
        if key not in entries:
            spot = Spot(node.key.line, node.key.column, (*node.key.path, key), variable)
            entries[key] = _tree(value, spot)
    return replace(nodes, value={name: replace(node, value=entries)})


def _found(environ: Mapping[str, str], token: str | None) -> Iterator[tuple[str, tuple[str | dict[str, str], str]]]:
    """Key of the node -> (value, variable). A secret is taken only for the token that it belongs to."""
    if "PROXMOX_VE_ENDPOINT" in environ:
        yield "api", (environ["PROXMOX_VE_ENDPOINT"], "PROXMOX_VE_ENDPOINT")
    elif "PROXMOX_HOST" in environ:
        host = environ["PROXMOX_HOST"]
        bracketed = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
        yield "api", (f"https://{bracketed}:{environ.get('PROXMOX_PORT', DEFAULT_PORT)}", "PROXMOX_HOST")
    whole = environ.get(API_TOKEN_VARIABLE, "")
    if whole and token in (None, whole.partition("=")[0]):
        yield "token", (whole.partition("=")[0] if "=" in whole else "", API_TOKEN_VARIABLE)
        yield "token_secret", ({"env": API_TOKEN_VARIABLE}, API_TOKEN_VARIABLE)
        return
    user, name = environ.get("PROXMOX_USER", ""), environ.get("PROXMOX_TOKEN_ID", "")
    theirs = name if "!" in name else f"{user}!{name}" if user and name else None
    if theirs is not None:
        yield "token", (theirs, "PROXMOX_TOKEN_ID")
    if "PROXMOX_TOKEN_SECRET" in environ and (theirs is None or token in (None, theirs)):
        yield "token_secret", ({"env": "PROXMOX_TOKEN_SECRET"}, "PROXMOX_TOKEN_SECRET")


def _tree(value: str | dict[str, str], spot: Spot) -> Tree:
    if isinstance(value, dict):
        return Tree(
            {key: _tree(text, replace(spot, path=(*spot.path, key))) for key, text in value.items()}, spot, spot
        )
    return Tree(value, spot, spot)
