"""What has to be done through the root shell: host folders, features, bind mounts, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxhermes.errors import Refused
from proxhermes.facts import properties
from proxhermes.facts.container import ContainerFacts
from proxhermes.facts.host import Folder, HostFacts
from proxhermes.inventory.models import Agent, Mount
from proxhermes.inventory.mounts import inside
from proxhermes.plan import idmap, notes
from proxhermes.plan.model import Change, Door, Effect, Layer

NEW_FOLDER_MODE = 0o755
_NETWORK_STORAGE = ("nfs", "cifs", "cephfs", "glusterfs")


@dataclass(frozen=True, slots=True)
class FolderAction:
    """Make `path` if it is missing, give it to uid:gid of the node, set `mode` (None: leave it)."""

    path: str
    uid: int
    gid: int
    mode: int | None


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What apply_host carries out: the folders first, then one `pct set` with `options` and `delete`.

    unprotect: the container's protection has to be off meanwhile (PVE: LXC/Config.pm refuses to change mounts then).
    """

    node: str
    vmid: int
    folders: tuple[FolderAction, ...] = ()
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    delete: tuple[str, ...] = ()
    unprotect: bool = False
    reboot: bool = False
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether the root shell has anything to do."""
        return bool(self.folders or self.options or self.delete)


def plan_host(agent: Agent, container: ContainerFacts, host: HostFacts, *, take_ownership: bool = False) -> HostPlan:
    """The difference between `agent` and the node.

    take_ownership: also take a folder that holds somebody else's data. Raises Refused for a folder that is not safe
    to use: behind a symbolic link, on a file system that is not mounted, a stranger's, or no folder at all.
    """
    ids = idmap.from_lxc(container.lxc)
    folders: list[FolderAction] = []
    changes: list[Change] = []
    hints: list[str] = []
    for mount in agent.mounts:
        folder = host.folders[mount.host]
        refuse_unsafe(folder, host, agent.node)
        if not _has(container, mount):
            hints += _shared_with(mount, agent, host)
        if mount.read_only and folder.state == "directory":
            continue  # the agent writes nothing there, so whose it is does not matter
        uid, gid = agent.owner_ids(mount)
        # The container's root may write there as well: its capabilities hold over every id that is mapped.
        owner = ids.to_host("u", uid), ids.to_host("g", gid)
        action, change = _folder(folder, owner, ids, take_ownership=take_ownership)
        if action and change:
            folders.append(action)
            changes.append(change)
    options, delete, settings = _settings(agent, container)
    changes += settings
    touched = [key for key in (*options, *delete) if properties.MOUNT_POINT.fullmatch(key)]
    return HostPlan(
        node=agent.node,
        vmid=agent.vmid,
        folders=tuple(folders),
        options=MappingProxyType(options),
        delete=tuple(delete),
        unprotect=bool(touched) and properties.flag(container.config.get("protection")),
        reboot=any(change.effect is Effect.REBOOT_CONTAINER for change in settings),
        changes=tuple(changes),
        notes=tuple(hints) + _kept(agent, container, delete),
    )


def refuse_unsafe(folder: Folder, host: HostFacts, node: str) -> None:
    """Raise Refused if nothing may be made or mounted at the folder's path."""
    if folder.link:
        where = "is a symbolic link" if folder.link == folder.path else f"lies behind the symbolic link {folder.link}"
        raise Refused(
            f"{folder.path} on {node} {where}",
            hint="name the real folder in the inventory; Proxmox does not start a container with such a mount",
        )
    if folder.state == "other":
        raise Refused(f"{folder.path} on {node} is not a folder")
    for path, why in not_mounted(folder.path, host):
        raise Refused(
            f"{folder.path} belongs on {path}, where nothing is mounted on {node} ({why})",
            hint=f"mount it first (`mount {path}`, `pvesm status`): otherwise the agent fills the node's root disk",
        )


def not_mounted(path: str, host: HostFacts) -> Iterator[tuple[str, str]]:
    """Where something ought to be mounted above `path` and is not, with what says so."""
    for expected, why in _expected(host):
        if inside(path, expected) and expected not in host.mounted:
            yield expected, why
    if inside(path, "/mnt/pve"):
        # Proxmox mounts the storage NAME on /mnt/pve/NAME; only a plain directory storage may lie there unmounted.
        root = "/".join(path.split("/")[:4])
        plain = any(words.get("type") == "dir" and words.get("path") == root for words in host.storages.values())
        if root not in host.mounted and not plain:
            yield root, "Proxmox mounts its storages there, and has none of that name"


def _expected(host: HostFacts) -> Iterator[tuple[str, str]]:
    """Every path where something ought to be mounted, with what says so."""
    yield from host.expected.items()
    for name, words in host.storages.items():
        kind, path = words.get("type", ""), words.get("path", "").rstrip("/")
        why = f"storage {name}"
        marked = words.get("is_mountpoint", "no")  # yes, no, or the path of the mount point itself
        if kind in _NETWORK_STORAGE:
            yield path or f"/mnt/pve/{name}", why
        elif kind == "zfspool":
            yield words.get("mountpoint") or f"/{words.get('pool', name)}", why
        elif marked.startswith("/"):
            yield marked.rstrip("/"), why
        elif properties.flag(marked) and path:
            yield path, why


def _folder(
    folder: Folder, owner: tuple[int, int], ids: idmap.IdMap, *, take_ownership: bool
) -> tuple[FolderAction | None, Change | None]:
    """What to do about one host folder."""
    wanted = f"{owner[0]}:{owner[1]}"
    if folder.state == "missing":
        after = f"folder of {wanted}, mode {NEW_FOLDER_MODE:04o}"
        command = f"mkdir -p {folder.path}; chown {wanted} {folder.path}"
        change = Change(Layer.HOST, Door.ROOT, folder.path, None, after, Effect.NONE, command)
        return FolderAction(folder.path, *owner, NEW_FOLDER_MODE), change
    mode = folder.mode or 0
    usable = mode | 0o700
    if (folder.uid, folder.gid) == owner and mode == usable:
        return None, None
    if not folder.empty and not take_ownership and not _known(folder, ids):
        raise Refused(
            f"{folder.path} holds data and belongs to {folder.uid}:{folder.gid} of the node, not to the container",
            hint="choose a folder of the agent's own; or --take-ownership gives the folder itself "
            f"(nothing in it) to {wanted}",
        )
    commands: list[str] = []
    if (folder.uid, folder.gid) != owner:
        commands.append(f"chown {wanted} {folder.path}")
    if mode != usable:
        commands.append(f"chmod {usable:o} {folder.path}")
    change = Change(
        Layer.HOST,
        Door.ROOT,
        folder.path,
        f"{folder.uid}:{folder.gid}, mode {mode:04o}",
        f"{wanted}, mode {usable:04o}",
        Effect.NONE,
        "; ".join(commands),
    )
    return FolderAction(folder.path, *owner, usable if mode != usable else None), change


def _known(folder: Folder, ids: idmap.IdMap) -> bool:
    """Whether the folder belongs to one of the container's own users."""
    return folder.uid is not None and ids.to_guest("u", folder.uid) is not None


def _settings(agent: Agent, container: ContainerFacts) -> tuple[dict[str, str], list[str], list[Change]]:
    """Options of the one `pct set`, options that it deletes, and the changes they are."""
    # A container that is about to be made has what the token may give it.
    current = container.effective if container.exists else {"features": "nesting=1" if agent.features.nesting else ""}
    options: dict[str, str] = {}
    if features := _features(agent, current.get("features", "")):
        options["features"] = features
    used = {key for key in {*container.config, *container.pending, *current} if properties.MOUNT_POINT.fullmatch(key)}
    for mount in agent.mounts:
        key = _slot(mount, current)
        if key is not None and same_mount(current[key], mount_text(mount)):
            continue
        if key is not None and not current[key].startswith("/"):
            raise Refused(
                f"{key} of CT {agent.vmid} is a volume ({current[key]}) on {mount.guest}, where a folder is wanted",
                hint=f"take it off the container, or choose another guest path than {mount.guest}",
            )
        if key is None:
            key = next(f"mp{index}" for index in range(256) if f"mp{index}" not in used)
            used.add(key)
        options[key] = mount_text(mount, current.get(key))
    delete = _removed(agent, container, current)
    changes = [_setting(agent.vmid, container, current, key, value) for key, value in options.items()]
    changes += [_setting(agent.vmid, container, current, key, None) for key in delete]
    return options, delete, changes


def _setting(vmid: int, container: ContainerFacts, current: Mapping[str, str], key: str, value: str | None) -> Change:
    """One option of the `pct set`. A running container gets a new mount at once, anything else with the next boot."""
    live = not container.running or (key != "features" and value is not None and key not in container.config)
    command = f"pct set {vmid} --delete {key}" if value is None else f"pct set {vmid} --{key} {value}"
    effect = Effect.NONE if live else Effect.REBOOT_CONTAINER
    return Change(Layer.HOST, Door.ROOT, key, current.get(key) or None, value, effect, command)


def _features(agent: Agent, current: str) -> str | None:
    """The features to set, None if they are as wanted. Flags that the inventory does not know of stay."""
    now = {key: value for key, value in properties.parse(current).items() if value != "0"}
    ours = {"nesting": agent.features.nesting, "keyctl": agent.features.keyctl}
    wanted = {key: value for key, value in now.items() if key not in ours}
    wanted = {key: "1" for key, on in ours.items() if on} | wanted
    if wanted == now:
        return None
    return properties.render(wanted) or "nesting=0"


def mount_text(mount: Mount, current: str | None = None) -> str:
    """The mount point as `pct set` takes it, with the options that only `current` knows (shared, mountoptions, …)."""
    ours = {"volume": mount.host, "mp": mount.guest}
    if mount.read_only:
        ours["ro"] = "1"
    old = properties.parse(current, "volume") if current else {}
    kept = {key: value for key, value in old.items() if key not in ("volume", "mp", "ro", "size")}
    return properties.render(ours | kept, "volume")


def same_mount(one: str, other: str) -> bool:
    """Whether two mount points mean the same, as far as the inventory can say it."""
    return _meaning(properties.parse(one, "volume")) == _meaning(properties.parse(other, "volume"))


def _meaning(point: Mapping[str, str]) -> tuple[str, str, bool]:
    """Source, guest path, and whether it is read-only."""
    source, target = (point.get(key, "").rstrip("/") for key in ("volume", "mp"))
    return source, target, properties.flag(point.get("ro"))


def _slot(mount: Mount, current: Mapping[str, str]) -> str | None:
    """The mount point that the container already has at the mount's guest path."""
    points = properties.mount_points(current).items()
    return next((key for key, point in points if _meaning(point)[1] == mount.guest), None)


def _binds(current: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The bind mounts of a configuration: option, host folder, guest path."""
    for key, point in properties.mount_points(current).items():
        host, guest, _ = _meaning(point)
        if host.startswith("/"):
            yield key, host, guest


def _removed(agent: Agent, container: ContainerFacts, current: Mapping[str, str]) -> list[str]:
    """Bind mounts that proxhermes once set, as its own notes say, and that the inventory has no more."""
    block = notes.read(container.config.get("description", ""))
    ours = set(block.mounts) if block else set()
    wanted = {mount.guest for mount in agent.mounts}
    return [key for key, host, guest in _binds(current) if guest not in wanted and (host, guest) in ours]


def _kept(agent: Agent, container: ContainerFacts, delete: list[str]) -> tuple[str, ...]:
    """Notes on bind mounts that somebody else set, and on folders that stay behind."""
    wanted = {mount.guest for mount in agent.mounts}
    return tuple(
        f"{host} is no longer mounted on {guest}; the folder stays on the node with what is in it"
        if key in delete
        else f"{key} ({host} on {guest}) is not in the inventory; it was set by somebody else and stays"
        for key, host, guest in _binds(container.effective)
        if guest not in wanted
    )


def _has(container: ContainerFacts, mount: Mount) -> bool:
    key = _slot(mount, container.effective)
    return key is not None and same_mount(container.effective[key], mount_text(mount))


def _shared_with(mount: Mount, agent: Agent, host: HostFacts) -> list[str]:
    others = {(each.node, each.vmid) for each in host.bound if each.path == mount.host and each.vmid != agent.vmid}
    return [f"{mount.host} is also mounted in CT {vmid} on {node}" for node, vmid in sorted(others)]
