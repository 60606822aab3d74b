"""Users, groups, roles, pools, tokens and access rules (`/etc/pve/user.cfg`), and what they allow.

The format and the evaluation are those of Proxmox VE 8.4 (PVE: AccessControl.pm): the deepest path with a rule for the
user wins, rules of the user go before those of groups, a token with privilege separation has what both it and its user
have, and a container in a pool also gets what is allowed on the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from proxhermes.lab.pve.identity import Identity
from proxhermes.lab.pve.privileges import ALL, ROLES

Rules = dict[str, bool]
"""Role name to whether it holds below the path too."""


@dataclass(slots=True)
class Token:
    """An API token's properties (its secret stands elsewhere)."""

    privsep: bool = True
    expire: int = 0
    comment: str | None = None


@dataclass(slots=True)
class User:
    """A user. `expire` is a UNIX time, 0 for never."""

    enable: bool = True
    expire: int = 0
    email: str | None = None
    comment: str | None = None
    firstname: str | None = None
    lastname: str | None = None
    tokens: dict[str, Token] = field(default_factory=dict)


@dataclass(slots=True)
class Pool:
    """A pool and its members."""

    comment: str | None = None
    vms: set[int] = field(default_factory=set)
    storages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class UserConfig:
    """The whole file. `acl` maps a path to `user|group|token` to who to their roles."""

    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    roles: dict[str, set[str]] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    acl: dict[str, dict[str, dict[str, Rules]]] = field(default_factory=dict)

    def privileges(self, role: str) -> frozenset[str]:
        """What a role of that name holds."""
        return ROLES[role] if role in ROLES else frozenset(self.roles.get(role, ()))

    def rules_on(self, path: str, kind: str, who: str) -> Rules | None:
        """The roles given to one user, group or token on exactly that path."""
        return self.acl.get(path, {}).get(kind, {}).get(who)

    def pool_of(self, vmid: int) -> str | None:
        """The pool that a container is in."""
        return next((name for name, pool in self.pools.items() if vmid in pool.vms), None)

    def roles_at(self, who: str, path: str, kind: str = "user") -> Rules:
        """The roles of a user (or token) at a path: the deepest path with a rule wins, users before groups."""
        if who == "root@pam":
            return {"Administrator": True}
        roles: Rules = {}
        for prefix in prefixes(path):
            final = prefix == path
            own = _holding(self.rules_on(prefix, kind, who), final)
            if own is None and kind == "user":
                own = self._group_rules(who, prefix, final)
            if own is not None:
                roles = own
        return {"NoAccess": True} if "NoAccess" in roles else roles

    def _group_rules(self, user: str, path: str, final: bool) -> Rules | None:
        merged: Rules = {}
        for group, members in self.groups.items():
            if user in members:
                merged.update(_holding(self.rules_on(path, "group", group), final) or {})
        return merged or None

    def permissions(self, who: Identity, path: str) -> dict[str, bool]:
        """What someone may do on a path: privilege to whether it holds below, too."""
        user = self._permissions_of(who.user, path, "user")
        if who.token is None:
            return user
        token = self.users[who.user].tokens.get(who.token) if who.user in self.users else None
        if token is None:
            return {}
        if not token.privsep:
            return user
        own = self._permissions_of(who.name, path, "token")
        return {privilege: below and user[privilege] for privilege, below in own.items() if privilege in user}

    def _permissions_of(self, who: str, path: str, kind: str) -> dict[str, bool]:
        held: dict[str, bool] = {}
        for place in self._places(path):
            for role, below in self.roles_at(who, place, kind).items():
                for privilege in self.privileges(role):
                    held[privilege] = held.get(privilege, False) or below
        return held

    def _places(self, path: str) -> list[str]:
        """The path, and the pool's for what is a member of one."""
        parts = path.split("/")
        if len(parts) == 3 and parts[1] == "vms" and parts[2].isdigit():
            pool = self.pool_of(int(parts[2]))
        elif len(parts) == 3 and parts[1] == "storage":
            pool = next((name for name, members in self.pools.items() if parts[2] in members.storages), None)
        else:
            pool = None
        return [path, f"/pool/{pool}"] if pool else [path]

    def known_paths(self) -> list[str]:
        """The paths that a listing of permissions looks at: the roots, and those that any rule touches."""
        roots = {"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
        for path in self.acl:
            roots.update(prefixes(path))
        return sorted(roots)

    def forget_path(self, path: str) -> None:
        """Drop every rule on a path (a destroyed container's)."""
        self.acl.pop(path, None)

    def drop_rules(self, drop: Callable[[str, str], bool] = lambda _who, _role: False) -> None:
        """Drop the rules that `drop` names by who and role, and what is empty after that."""
        for path, kinds in list(self.acl.items()):
            for whos in kinds.values():
                for who, rules in list(whos.items()):
                    whos[who] = {role: below for role, below in rules.items() if not drop(who, role)}
                    if not whos[who]:
                        del whos[who]
            if not any(kinds.values()):
                del self.acl[path]


def prefixes(path: str) -> list[str]:
    """`/`, `/vms`, `/vms/118` for `/vms/118`."""
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: count + 1]) for count in range(len(parts)))]


def _holding(rules: Rules | None, final: bool) -> Rules | None:
    return {role: below for role, below in (rules or {}).items() if final or below} or None


def parse(text: str) -> UserConfig:
    """Read user.cfg. Proxmox drops the rules of who is gone when it reads; here `drop_rules` has done so before."""
    config = UserConfig()
    config.users["root@pam"] = User()
    for line in text.splitlines():
        kind, *values = line.strip().split(":")
        fields = [unquote(value) for value in values] + [""] * 8
        reader = _READERS.get(kind)
        if reader:
            reader(config, fields)
    return config


def _read_user(config: UserConfig, fields: list[str]) -> None:
    name, enable, expire, first, last, email, comment = fields[:7]
    # An empty field is one when another follows it, and none at the line's end (Perl's split).
    kept = email or ("" if comment else None)
    config.users[name] = User(enable == "1", int(expire or 0), kept, comment or None, first or None, last or None)


def _read_token(config: UserConfig, fields: list[str]) -> None:
    user, _, name = fields[0].partition("!")
    if user in config.users:
        config.users[user].tokens[name] = Token(fields[2] == "1", int(fields[1] or 0), fields[3] or None)


def _read_role(config: UserConfig, fields: list[str]) -> None:
    config.roles[fields[0]] = {privilege for privilege in fields[1].split(",") if privilege in ALL}


def _read_group(config: UserConfig, fields: list[str]) -> None:
    config.groups[fields[0]] = {user for user in fields[1].split(",") if user}


def _read_pool(config: UserConfig, fields: list[str]) -> None:
    vms = {int(vmid) for vmid in fields[2].split(",") if vmid}
    config.pools[fields[0]] = Pool(fields[1] or None, vms, {name for name in fields[3].split(",") if name})


def _read_acl(config: UserConfig, fields: list[str]) -> None:
    below, path, who, roles = fields[0] == "1", fields[1], fields[2].split(","), fields[3].split(",")
    for name in who:
        kind = "group" if name.startswith("@") else "token" if "!" in name else "user"
        rules = config.acl.setdefault(path, {}).setdefault(kind, {}).setdefault(name.removeprefix("@"), {})
        rules.update(dict.fromkeys(roles, below))


_READERS = {
    "user": _read_user,
    "token": _read_token,
    "role": _read_role,
    "group": _read_group,
    "pool": _read_pool,
    "acl": _read_acl,
}


def render(config: UserConfig) -> str:
    """The text of user.cfg."""
    lines: list[str] = []
    for name, user in sorted(config.users.items()):
        details = (user.firstname, user.lastname, user.email, user.comment)
        lines.append(_line("user", name, int(user.enable), user.expire, *details))
        for token, properties in sorted(user.tokens.items()):
            lines.append(
                _line("token", f"{name}!{token}", properties.expire, int(properties.privsep), properties.comment)
            )
    lines += [_line("group", name, _joined(members)) for name, members in sorted(config.groups.items())]
    for name, pool in sorted(config.pools.items()):
        lines.append(_line("pool", name, pool.comment, _joined(map(str, sorted(pool.vms))), _joined(pool.storages)))
    lines += [_line("role", name, _joined(held)) for name, held in sorted(config.roles.items())]
    for path, kinds in sorted(config.acl.items()):
        for kind, whos in sorted(kinds.items()):
            for who, rules in sorted(whos.items()):
                shown = f"@{who}" if kind == "group" else who
                lines += [_line("acl", int(below), path, shown, role) for role, below in sorted(rules.items())]
    return "".join(lines)


def _line(kind: str, *values: object) -> str:
    # Only what would break the line is encoded: `%`, `:`, line ends, and what is not ASCII.
    safe = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in "%:")
    shown = ":".join(quote(str(value), safe=safe) if value is not None else "" for value in values)
    return f"{kind}:{shown}:\n"


def _joined(items: Iterable[str]) -> str:
    return ",".join(sorted(items))


def capabilities(config: UserConfig, who: Identity) -> Mapping[str, dict[str, int]]:
    """The `cap` of a ticket: what someone may do anywhere, by area (PVE: RPCEnvironment.pm)."""
    areas = {"vms": "VM.", "storage": "Datastore.", "nodes": "Sys.", "sdn": "SDN.", "mapping": "Mapping."}
    found: dict[str, dict[str, int]] = {area: {} for area in ("access", "dc", *areas)}
    for path in config.known_paths():
        top = path.split("/")[1]
        for privilege in config.permissions(who, path):
            if path == "/" and (privilege in ("Sys.Audit", "Sys.Modify") or privilege.startswith("SDN.")):
                found["dc"][privilege] = 1
            for area, start in areas.items():
                if top in ("", area) and (privilege.startswith(start) or privilege == "Permissions.Modify"):
                    found[area][privilege] = 1
            if top in ("", "access") and privilege.startswith(("User.", "Group.", "Permissions.Modify")):
                found["access"][privilege] = 1
    return found
