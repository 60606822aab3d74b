"""`pveum`: users, tokens, roles, permissions, pools."""

from __future__ import annotations

from collections.abc import Mapping

from proxhermes.lab.pve.cli import output
from proxhermes.lab.pve.cli.api import ask, method_options, parameters, show
from proxhermes.lab.pve.cli.getopt import Kind
from proxhermes.lab.pve.cli.tool import Call, Command, Tool, Values, main, say
from proxhermes.lab.pve.node import Node

_USERS, _USER = "/access/users", "/access/users/{userid}"
_TOKENS, _TOKEN = f"{_USER}/token", f"{_USER}/token/{{tokenid}}"
_ROLES, _ROLE = "/access/roles", "/access/roles/{roleid}"
_ACL, _POOLS, _POOL = "/access/acl", "/pools", "/pools/{poolid}"

# The columns are the properties of the API's answer, the one that names the object first.
_USER_COLUMNS = (
    "userid", "comment", "email", "enable", "expire", "firstname", "groups", "keys", "lastname", "realm-type",
    "tfa-locked-until", "tokens", "totp-locked",
)  # fmt: skip
_TOKEN_COLUMNS = ("tokenid", "comment", "expire", "privsep")
# Columns of numbers stand to the right; booleans do not.
_EXPIRE: frozenset[str] = frozenset({"expire"})
_NONE: frozenset[str] = frozenset()


def acl(delete: bool) -> Mapping[str, str]:
    """What tells the API's one call for both from each other."""
    return {"delete": "1" if delete else "0"}


def acl_modify(call: Call) -> int:
    """`pveum acl modify`."""
    ask(call, "PUT", _ACL, {**call.values, **acl(False)})
    return 0


def acl_delete(call: Call) -> int:
    """`pveum acl delete`: what is not there is no failure."""
    ask(call, "PUT", _ACL, {**call.values, **acl(True)})
    return 0


def permissions(call: Call) -> int:
    """`pveum user permissions`: what a user may, path by path."""
    return _permissions(call, call.values)


def token_permissions(call: Call) -> int:
    """`pveum user token permissions`: what a token may."""
    rest = {name: value for name, value in call.values.items() if name not in ("userid", "tokenid")}
    return _permissions(call, {"userid": f"{call.values['userid']}!{call.values['tokenid']}", **rest})


def _permissions(call: Call, params: Values) -> int:
    found: dict[str, dict[str, int]] = ask(call, "GET", "/access/permissions", params)
    if call.output_format == "quiet":
        return 0
    if call.output_format != "text":
        say(output.render(found, call.output_format))
        return 0
    rows = [
        {"path": path, "rights": "\n".join(f"{name} (*)" if kept else name for name, kept in sorted(rights.items()))}
        for path, rights in found.items()
    ]
    say(output.table(rows, ("path", "rights"), titles={"path": "ACL path", "rights": "Permissions"}))
    say("Permissions marked with '(*)' have the 'propagate' flag set.\n")
    return 0


def _acl_options(node: Node, _values: Values) -> Mapping[str, Kind]:
    return {name: kind for name, kind in method_options(node, "PUT", _ACL).items() if name != "delete"}


def _none(_node: Node, _values: Values) -> Mapping[str, Kind]:
    return {}


def _permission_options(_node: Node, _values: Values) -> Mapping[str, Kind]:
    return {"path": Kind.VALUE}


_ACL_ARGUMENTS, _ROLES_OPTION = ("path",), "--roles <string>"
_TOKEN_ARGUMENTS = ("userid", "tokenid")

_ACL_GROUP = (
    Command("acl delete", acl_delete, _ACL_ARGUMENTS, _acl_options, required=_ROLES_OPTION),
    Command(
        "acl list",
        show("GET", _ACL, ("path", "roleid", "type", "ugid", "propagate"), right=_NONE),
        (),
        formats=True,
    ),
    Command("acl modify", acl_modify, _ACL_ARGUMENTS, _acl_options, required=_ROLES_OPTION),
)
_GROUP_GROUP = (
    Command("group add", None, ("groupid",), _none),
    Command("group delete", None, ("groupid",)),
    Command("group list", None, (), formats=True),
    Command("group modify", None, ("groupid",), _none),
)
_POOL_GROUP = (
    Command("pool add", show("POST", _POOLS, quiet=True), ("poolid",), parameters("POST", _POOLS)),
    Command("pool delete", show("DELETE", _POOL, quiet=True), ("poolid",)),
    Command("pool list", show("GET", _POOLS, ("poolid", "comment")), (), parameters("GET", _POOLS), formats=True),
    Command("pool modify", show("PUT", _POOL, quiet=True), ("poolid",), parameters("PUT", _POOL)),
)
_REALM_GROUP = (
    Command("realm add", None, ("realm",), _none, required="--type <string>"),
    Command("realm delete", None, ("realm",)),
    Command("realm list", None, (), formats=True),
    Command("realm modify", None, ("realm",), _none),
    Command("realm sync", None, ("realm",), _none),
)
_ROLE_GROUP = (
    Command("role add", show("POST", _ROLES, quiet=True), ("roleid",), parameters("POST", _ROLES)),
    Command("role delete", show("DELETE", _ROLE, quiet=True), ("roleid",)),
    Command("role list", show("GET", _ROLES, ("roleid", "privs", "special"), right=_NONE), (), formats=True),
    Command("role modify", show("PUT", _ROLE, quiet=True), ("roleid",), parameters("PUT", _ROLE)),
)
_USER_GROUP = (
    Command("user tfa unlock", None, ("userid",)),
    Command("user tfa delete", None, ("userid",), _none),
    Command("user tfa list", None, ("userid?",)),
    Command("user token add", show("POST", _TOKEN), _TOKEN_ARGUMENTS, parameters("POST", _TOKEN), formats=True),
    Command("user token delete", show("DELETE", _TOKEN), _TOKEN_ARGUMENTS, formats=True),
    Command("user token list", show("GET", _TOKENS, _TOKEN_COLUMNS, right=_EXPIRE), ("userid",), formats=True),
    Command("user token modify", show("PUT", _TOKEN), _TOKEN_ARGUMENTS, parameters("PUT", _TOKEN), formats=True),
    Command("user token permissions", token_permissions, _TOKEN_ARGUMENTS, _permission_options, formats=True),
    Command("user permissions", permissions, ("userid?",), _permission_options, formats=True),
    Command("user add", show("POST", _USERS, quiet=True), ("userid",), parameters("POST", _USERS)),
    Command("user delete", show("DELETE", _USER, quiet=True), ("userid",)),
    Command(
        "user list",
        show("GET", _USERS, _USER_COLUMNS, right=_EXPIRE),
        (),
        parameters("GET", _USERS),
        formats=True,
    ),
    Command("user modify", show("PUT", _USER, quiet=True), ("userid",), parameters("PUT", _USER)),
)
_OTHERS = (
    Command("passwd", None, ("userid",), _none),
    Command("ticket", None, ("username",), _none),
)

TOOL = Tool(
    "pveum",
    (_ACL_GROUP, _GROUP_GROUP, _POOL_GROUP, _REALM_GROUP, _ROLE_GROUP, _USER_GROUP, _OTHERS),
    {
        "useradd": "user add",
        "usermod": "user modify",
        "userdel": "user delete",
        "roleadd": "role add",
        "rolemod": "role modify",
        "roledel": "role delete",
        "aclmod": "acl modify",
        "acldel": "acl delete",
        "user token remove": "user token delete",
    },
)

if __name__ == "__main__":
    main(TOOL)
