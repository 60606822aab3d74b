"""The API's methods for users and their tokens (`/access/users/…`)."""

from __future__ import annotations

from typing import Any

from proxhermes.lab.pve.access import Token, User, UserConfig
from proxhermes.lab.pve.api import Method, Permission, Request, anyone, both, either
from proxhermes.lab.pve.errors import PveError, bad_parameters, forbidden
from proxhermes.lab.pve.formats import FORMATS, split_list
from proxhermes.lab.pve.options import FLAG
from proxhermes.lab.pve.schema import Param

REALMS = {"pam": "Linux PAM standard authentication", "pve": "Proxmox VE authentication server"}
_USERS = "/access/users"
_USER = f"{_USERS}/{{userid}}"
_TOKENS = f"{_USER}/token"
_TOKEN = f"{_TOKENS}/{{tokenid}}"


# Who may touch a user


def self_only(request: Request) -> None:
    """The user itself, with a ticket or one of its tokens that may speak for it."""
    if request.text("userid") != request.who.name:
        raise forbidden("")


def over_user(*privileges: str) -> Permission:
    """One of the privileges on the groups that the user is in; PveError for a user that does not exist."""

    def allowed(request: Request) -> None:
        userid = request.text("userid")
        known_user(request.rights.users, userid)
        groups = [name for name, members in request.rights.users.groups.items() if userid in members]
        paths = ["/access/groups", *(f"/access/groups/{name}" for name in groups)]
        if not any(request.rights.may_any(path, *privileges) for path in paths):
            raise forbidden("")

    return allowed


def in_realm(request: Request) -> None:
    """Realm.AllocateUser for the user's realm; PveError for what is no user's name."""
    wrong = FORMATS["pve-userid"](request.text("userid"))
    if wrong:
        raise PveError(wrong)
    realm = request.text("userid").partition("@")[2]
    if not request.rights.may_any(f"/access/realm/{realm}", "Realm.AllocateUser"):
        raise forbidden("")


def new_user(request: Request) -> None:
    """User.Modify on the groups that a new user shall be in, or on /access/groups."""
    groups = split_list(request.text("groups"))
    for path in [f"/access/groups/{name}" for name in groups] or ["/access/groups"]:
        request.rights.need(path, "User.Modify")


def known_user(users: UserConfig, userid: str) -> User:
    """The user of that name; PveError when there is none."""
    if userid not in users.users:
        raise PveError(f"no such user ('{userid}')")
    return users.users[userid]


# Users


def _users(request: Request) -> list[dict[str, Any]]:
    rights, found = request.rights, []
    for name, user in sorted(rights.users.users.items()):
        may_all = rights.may_any("/access/groups", "User.Modify", "Sys.Audit")
        if not (may_all or name == rights.who.name) or ("enabled" in request.params and not user.enable):
            continue
        entry = {"userid": name, **_user_fields(user)}
        realm = name.partition("@")[2]
        found.append({**entry, "realm-type": realm} if realm in REALMS else entry)
    return found


def _user_fields(user: User) -> dict[str, Any]:
    fields: dict[str, Any] = {"enable": int(user.enable), "expire": user.expire}
    for name in ("email", "comment", "firstname", "lastname"):
        value = getattr(user, name)
        if value is not None:
            fields[name] = value
    return fields


def _user(request: Request) -> dict[str, Any]:
    userid = request.text("userid")
    user = known_user(request.rights.users, userid)
    groups = sorted(name for name, members in request.rights.users.groups.items() if userid in members)
    fields = {**_user_fields(user), "groups": groups}
    return {**fields, "tokens": {name: _token_fields(token) for name, token in user.tokens.items()}}


def _add_user(request: Request) -> None:
    userid, params = request.text("userid"), request.params
    with request.node.changing_users() as users:
        if userid in users.users:
            raise PveError(f"create user failed: user '{userid}' already exists", errno=2)
        user = users.users[userid] = User(bool(params.get("enable", 1)), int(params.get("expire", 0)))
        for name in ("email", "comment", "firstname", "lastname"):
            setattr(user, name, params.get(name))
        for group in split_list(request.text("groups")):
            users.groups.setdefault(group, set()).add(userid)
    if params.get("password"):
        request.node.vault.set_password(userid, str(params["password"]))


def _change_user(request: Request) -> None:
    userid, params = request.text("userid"), request.params
    with request.node.changing_users() as users:
        if userid not in users.users:
            raise PveError(f"update user failed: no such user ('{userid}')")
        user = users.users[userid]
        user.enable = bool(params.get("enable", user.enable))
        user.expire = int(params.get("expire", user.expire))
        for name in ("email", "comment", "firstname", "lastname"):
            if name in params:
                setattr(user, name, str(params[name]) or None)


def _delete_user(request: Request) -> None:
    userid = request.text("userid")
    with request.node.changing_users() as users:
        # One that does not exist is no failure here: the API's check of who may delete it has said so before.
        user = users.users.pop(userid, User())
        tokens = [f"{userid}!{name}" for name in user.tokens]
        for members in users.groups.values():
            members.discard(userid)
        users.drop_rules(lambda who, _role: who == userid or who in tokens)
    for name in tokens:
        request.node.vault.drop_token(name)
    request.node.vault.drop_password(userid)


# Tokens


def _token_fields(token: Token) -> dict[str, Any]:
    fields: dict[str, Any] = {"privsep": int(token.privsep), "expire": token.expire}
    return {**fields, "comment": token.comment} if token.comment is not None else fields


def _token_of(users: UserConfig, request: Request) -> Token:
    userid, name = request.text("userid"), request.text("tokenid")
    user = known_user(users, userid)
    if name not in user.tokens:
        raise PveError(f"no such token '{name}' for user '{userid}'")
    return user.tokens[name]


def _tokens(request: Request) -> list[dict[str, Any]]:
    user = known_user(request.rights.users, request.text("userid"))
    return [{"tokenid": name, **_token_fields(token)} for name, token in user.tokens.items()]


def _token(request: Request) -> dict[str, Any]:
    return _token_fields(_token_of(request.rights.users, request))


def _add_token(request: Request) -> dict[str, Any]:
    userid, name, params = request.text("userid"), request.text("tokenid"), request.params
    with request.node.changing_users() as users:
        user = known_user(users, userid)
        if name in user.tokens:
            raise bad_parameters({"tokenid": "Token already exists."})
        privsep = bool(params.get("privsep", 1))
        user.tokens[name] = Token(privsep, int(params.get("expire", 0)), params.get("comment"))
    # The answer repeats what was sent, as text; what was not is not there, but for privsep, which is a number then.
    info: dict[str, Any] = {"privsep": str(params["privsep"]) if "privsep" in params else 1}
    info |= {key: str(params[key]) for key in ("comment", "expire") if key in params}
    full = f"{userid}!{name}"
    return {"full-tokenid": full, "info": info, "value": request.node.vault.new_token(full)}


def _change_token(request: Request) -> dict[str, Any]:
    params = request.params
    with request.node.changing_users() as users:
        token = _token_of(users, request)
        token.privsep = bool(params.get("privsep", token.privsep))
        token.expire = int(params.get("expire", token.expire))
        token.comment = params.get("comment", token.comment)
        return _token_fields(token)


def _delete_token(request: Request) -> None:
    full = f"{request.text('userid')}!{request.text('tokenid')}"
    with request.node.changing_users() as users:
        _token_of(users, request)
        del users.users[request.text("userid")].tokens[request.text("tokenid")]
        users.drop_rules(lambda who, _role: who == full)
    request.node.vault.drop_token(full)


USER_ID = {"userid": Param(optional=False, format="pve-userid", max_length=64)}
_FIELDS = {
    "comment": Param(max_length=2048),
    "email": Param(format="email-opt", max_length=254),
    "enable": FLAG,
    "expire": Param("integer", minimum=0),
    "firstname": Param(max_length=1024),
    "groups": Param(format="pve-groupid-list"),
    "keys": Param(pattern=r"[0-9a-zA-Z!=]{0,4096}"),
    "lastname": Param(max_length=1024),
}
_TOKEN_ID = {**USER_ID, "tokenid": Param(optional=False, pattern=r"[A-Za-z][A-Za-z0-9.\-_]+")}
_TOKEN_FIELDS = {"comment": Param(), "expire": Param("integer", minimum=0), "privsep": FLAG}
_ONESELF = either(self_only, over_user("User.Modify"))
_MANAGER = both(in_realm, over_user("User.Modify"))

METHODS = [
    Method("GET", _USERS, _users, anyone, {"enabled": FLAG, "full": FLAG}),
    Method(
        "POST",
        _USERS,
        _add_user,
        both(in_realm, new_user),
        {**_FIELDS, **USER_ID, "password": Param(min_length=8, max_length=64)},
    ),
    Method("GET", _USER, _user, over_user("User.Modify", "Sys.Audit"), USER_ID),
    Method(
        "PUT",
        _USER,
        _change_user,
        over_user("User.Modify"),
        {**_FIELDS, **USER_ID, "append": Param("boolean", requires="groups")},
    ),
    Method("DELETE", _USER, _delete_user, _MANAGER, USER_ID),
    Method("GET", _TOKENS, _tokens, _ONESELF, USER_ID),
    Method("GET", _TOKEN, _token, _ONESELF, _TOKEN_ID),
    Method("POST", _TOKEN, _add_token, _ONESELF, {**_TOKEN_ID, **_TOKEN_FIELDS}),
    Method("PUT", _TOKEN, _change_token, _ONESELF, {**_TOKEN_ID, **_TOKEN_FIELDS}),
    Method("DELETE", _TOKEN, _delete_token, _ONESELF, _TOKEN_ID),
]
