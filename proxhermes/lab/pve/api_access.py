"""The API's methods for roles, rules, permissions and tickets (`/access/…`)."""

from __future__ import annotations

import re
from typing import Any

from proxhermes.lab.pve import api_users, auth
from proxhermes.lab.pve.access import UserConfig, capabilities
from proxhermes.lab.pve.api import Method, Request, anyone, both, either, perm
from proxhermes.lab.pve.api_users import REALMS, USER_ID, in_realm, known_user, over_user, self_only
from proxhermes.lab.pve.errors import PveError, bad_parameters
from proxhermes.lab.pve.formats import split_list
from proxhermes.lab.pve.identity import Identity
from proxhermes.lab.pve.options import FLAG
from proxhermes.lab.pve.privileges import ROLES
from proxhermes.lab.pve.schema import Param

_SUBDIRS = ("users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password")
_ACL_PATH = re.compile(
    r"/|/access(/groups(/[^/]+)?|/realm(/[^/]+)?)?|/nodes(/[^/]+)?|/pool(/[^/]+){0,3}|/storage(/[^/]+)?|/vms(/\d+)?"
    r"|/mapping(/[^/]+(/[^/]+)?)?|/sdn(/(controllers|dns|ipams)(/[^/]+)?|/zones(/[^/]+){0,3}|/vnets(/[^/]+){0,2})?"
)


def _index(_request: Request) -> list[dict[str, str]]:
    return [{"subdir": name} for name in _SUBDIRS]


def acl_path(request: Request) -> None:
    """Permissions.Modify on the path, or what goes for it on storages, containers and pools."""
    path = _rule_path(request)
    instead = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}.get(path.split("/")[1])
    if not (instead and path.count("/") == 2 and request.rights.may(path, instead)):
        request.rights.need(path, "Permissions.Modify")


def _normal(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part)


# Roles


def _roles(request: Request) -> list[dict[str, Any]]:
    users = request.rights.users
    entries: list[dict[str, Any]] = [_role_entry(users, name) | {"special": 1} for name in ROLES]
    return entries + [_role_entry(users, name) | {"special": 0} for name in sorted(users.roles)]


def _role_entry(users: UserConfig, name: str) -> dict[str, Any]:
    return {"roleid": name, "privs": ",".join(sorted(users.privileges(name)))}


def _role(request: Request) -> dict[str, int]:
    name, users = request.text("roleid"), request.rights.users
    if name not in ROLES and name not in users.roles:
        raise PveError(f"role '{name}' does not exist")
    return dict.fromkeys(users.privileges(name), 1)


def _add_role(request: Request) -> None:
    name = request.text("roleid")
    with request.node.changing_users() as users:
        if name in ROLES or name in users.roles:
            raise PveError(f"create role failed: role '{name}' already exists")
        users.roles[name] = set(split_list(request.text("privs")))


def _change_role(request: Request) -> None:
    name = request.text("roleid")
    with request.node.changing_users() as users:
        if name in ROLES:
            raise PveError(f"auto-generated role '{name}' cannot be modified")
        if name not in users.roles:
            raise PveError(f"update role failed: role '{name}' does not exist")
        kept = users.roles[name] if request.params.get("append") else set()
        users.roles[name] = kept | set(split_list(request.text("privs")))


def _delete_role(request: Request) -> None:
    name = request.text("roleid")
    with request.node.changing_users() as users:
        if name in ROLES:
            raise PveError(f"auto-generated role '{name}' cannot be deleted")
        if name not in users.roles:
            raise PveError(f"delete role failed: role '{name}' does not exist")
        del users.roles[name]
        users.drop_rules(lambda _who, role: role == name)


# Rules


def _rules(request: Request) -> list[dict[str, Any]]:
    found = []
    for path, kinds in sorted(request.rights.users.acl.items()):
        if not request.rights.may_any("/access", "Sys.Audit") and not request.rights.may(path, "Permissions.Modify"):
            continue
        for kind, whos in kinds.items():
            for who, rules in whos.items():
                entry = {"path": path, "type": kind, "ugid": who}
                found += [{**entry, "roleid": role, "propagate": int(below)} for role, below in rules.items()]
    return found


def _rule_path(request: Request) -> str:
    """The path of a change of rules; PveError 400 for one that cannot have any."""
    path = _normal(request.text("path"))
    if not _ACL_PATH.fullmatch(path):
        raise bad_parameters({"path": f"invalid ACL path '{request.text('path')}'"})
    return path


def _set_rules(request: Request) -> None:
    path = _rule_path(request)
    below = bool(request.params.get("propagate", 1))
    with request.node.changing_users() as users:
        for kind, who in _targets(request, users):
            for role in split_list(request.text("roles")):
                if role not in ROLES and role not in users.roles:
                    raise PveError(f"ACL update failed: role '{role}' does not exist")
                rules = users.acl.setdefault(path, {}).setdefault(kind, {}).setdefault(who, {})
                if request.params.get("delete"):
                    rules.pop(role, None)
                else:
                    rules[role] = below
        users.drop_rules()


def _targets(request: Request, users: UserConfig) -> list[tuple[str, str]]:
    """Whom a change of rules is about; PveError for someone who does not exist."""
    found = []
    for group in split_list(request.text("groups")):
        if group not in users.groups:
            raise PveError(f"ACL update failed: group '{group}' does not exist")
        found.append(("group", group))
    for userid in split_list(request.text("users")):
        if userid not in users.users:
            raise PveError(f"ACL update failed: user '{userid}' does not exist")
        found.append(("user", userid))
    for full in split_list(request.text("tokens")):
        userid, _, name = full.partition("!")
        if name not in known_user(users, userid).tokens:
            raise PveError(f"ACL update failed: no such token '{name}' for user '{userid}'")
        found.append(("token", full))
    if not found:
        missing = "either 'users', 'groups' or 'tokens' is required."
        raise bad_parameters(dict.fromkeys(("users", "groups", "tokens"), missing))
    return found


# Permissions, passwords, tickets


def _permissions(request: Request) -> dict[str, Any]:
    rights, who = request.rights, request.who
    if "userid" in request.params:
        rights.need("/access", "Sys.Audit")
        user, _, token = request.text("userid").partition("!")
        who = Identity(user, token or None)
    if "path" in request.params:
        held = rights.users.permissions(who, _normal(request.text("path")))
        return {request.text("path"): _flags(held)}
    listed = {path: rights.users.permissions(who, path) for path in rights.users.known_paths()}
    return {path: _flags(held) for path, held in listed.items() if held}


def _flags(held: dict[str, bool]) -> dict[str, int]:
    return {privilege: int(below) for privilege, below in held.items()}


def _set_password(request: Request) -> None:
    userid = request.text("userid")
    known_user(request.rights.users, userid)
    request.node.vault.set_password(userid, request.text("password"))


def _ticket(request: Request) -> dict[str, Any]:
    name = request.text("username")
    name = name if "@" in name else f"{name}@{request.params.get('realm', 'pam')}"
    users = request.rights.users
    if name not in users.users or not request.node.vault.has_password(name, request.text("password")):
        raise PveError("authentication failure", status=401)
    ticket, csrf = auth.make_ticket(request.node.vault, name)
    answer = {"username": name, "ticket": ticket, "CSRFPreventionToken": csrf}
    return {**answer, "cap": capabilities(users, Identity(name))}


def _domains(_request: Request) -> list[dict[str, str]]:
    return [{"realm": name, "type": name, "comment": comment} for name, comment in REALMS.items()]


def _groups(request: Request) -> list[dict[str, str]]:
    rights = request.rights
    may = [name for name in rights.users.groups if rights.may_any(f"/access/groups/{name}", "Sys.Audit", "User.Modify")]
    return [{"groupid": name, "users": ",".join(sorted(rights.users.groups[name]))} for name in may]


def world(_request: Request) -> None:
    """Anyone, also without credentials."""


_ROLE_ID = {"roleid": Param(optional=False, format="pve-roleid")}
_PRIVS = {"privs": Param(format="pve-priv-list")}
_ROLE_ADMIN = perm("/access", "Sys.Modify")
_ACL = {
    "delete": FLAG,
    "groups": Param(format="pve-groupid-list"),
    "path": Param(optional=False),
    "propagate": FLAG,
    "roles": Param(optional=False, format="pve-roleid-list"),
    "tokens": Param(format="pve-tokenid-list"),
    "users": Param(format="pve-userid-list"),
}
_WHOSE = Param(pattern=r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+(?:![A-Za-z][A-Za-z0-9.\-_]+)?")
_PASSWORD = {
    **USER_ID,
    "confirmation-password": Param(min_length=5, max_length=64),
    "password": Param(optional=False, min_length=8, max_length=64),
}
_TICKET = {
    "new-format": FLAG,
    "otp": Param(),
    "password": Param(optional=False),
    "path": Param(max_length=64, requires="privs"),
    "privs": Param(format="pve-priv-list", max_length=64, requires="path"),
    "realm": Param(format="pve-realm", max_length=32),
    "tfa-challenge": Param(),
    "username": Param(optional=False, max_length=64),
}
_MAY_SET_PASSWORD = either(self_only, both(in_realm, over_user("User.Modify")))

METHODS = [
    *api_users.METHODS,
    Method("GET", "/access", _index, anyone),
    Method("GET", "/access/roles", _roles, anyone),
    Method("POST", "/access/roles", _add_role, _ROLE_ADMIN, {**_ROLE_ID, **_PRIVS}),
    Method("GET", "/access/roles/{roleid}", _role, anyone, _ROLE_ID),
    Method(
        "PUT",
        "/access/roles/{roleid}",
        _change_role,
        _ROLE_ADMIN,
        {**_ROLE_ID, **_PRIVS, "append": Param("boolean", requires="privs")},
    ),
    Method("DELETE", "/access/roles/{roleid}", _delete_role, _ROLE_ADMIN, _ROLE_ID),
    Method("GET", "/access/acl", _rules, anyone),
    Method("PUT", "/access/acl", _set_rules, acl_path, _ACL),
    Method("GET", "/access/permissions", _permissions, anyone, {"path": Param(), "userid": _WHOSE}),
    Method("PUT", "/access/password", _set_password, _MAY_SET_PASSWORD, _PASSWORD, tokens=False),
    Method("POST", "/access/ticket", _ticket, world, _TICKET, tokens=False),
    Method("GET", "/access/domains", _domains, world),
    Method("GET", "/access/groups", _groups, anyone),
]
