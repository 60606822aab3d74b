"""The API's methods for storages, their content, and templates from the net."""

from __future__ import annotations

import hashlib
from errno import ENOENT
from typing import Any

from proxhermes.lab.pve import download
from proxhermes.lab.pve.api import NODE, Method, Request, anyone, both, either, perm, perm_any
from proxhermes.lab.pve.errors import PveError, bad_parameters
from proxhermes.lab.pve.files import read_text
from proxhermes.lab.pve.formats import split_list
from proxhermes.lab.pve.options import FLAG
from proxhermes.lab.pve.runtime import Log
from proxhermes.lab.pve.schema import Param
from proxhermes.lab.pve.status import storage_status
from proxhermes.lab.pve.storage import Volume

_ON_NODE = "/nodes/{node}/storage"
_ONE = f"{_ON_NODE}/{{storage}}"
_CONTENT = f"{_ONE}/content"
_READ = ("Datastore.Audit", "Datastore.AllocateSpace")
_READER = perm_any("/storage/{storage}", *_READ)
_SUBDIRS = (
    *("content", "download-url", "file-restore", "import-metadata", "prunebackups"),
    *("rrd", "rrddata", "status", "upload"),
)


def _digest(request: Request) -> str:
    text = read_text(request.node.site.real("/etc/pve/storage.cfg"))
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _all(request: Request) -> list[dict[str, Any]]:
    kind = request.params.get("type")
    return [
        {**storage.config(), "digest": _digest(request)}
        for storage in request.node.storages.all().values()
        if kind in (None, storage.type) and request.rights.may_any(f"/storage/{storage.id}", *_READ)
    ]


def _one_config(request: Request) -> dict[str, Any]:
    return {**request.node.storages.get(request.text("storage")).config(), "digest": _digest(request)}


def _on_node(request: Request) -> list[dict[str, Any]]:
    storages = request.node.storages
    if "storage" in request.params and request.text("storage") not in storages.all():
        raise bad_parameters({"storage": "No such storage."})
    wanted = set(split_list(request.text("content")))
    found = []
    for storage in storages.all().values():
        fits = request.params.get("storage") in (None, storage.id) and (not wanted or wanted & set(storage.content))
        if not fits or (request.params.get("enabled") and not storage.enabled):
            continue
        if request.rights.may_any(f"/storage/{storage.id}", *_READ):
            status = storage_status(storages, storage)
            if status["active"] and status["total"]:
                status["used_fraction"] = status["used"] / status["total"]
            found.append({"storage": storage.id, **status})
    return found


def _index(_request: Request) -> list[dict[str, str]]:
    return [{"subdir": name} for name in _SUBDIRS]


def _status(request: Request) -> dict[str, Any]:
    storage = request.node.storages.all().get(request.text("storage"))
    if storage is None:
        raise bad_parameters({"storage": "No such storage."})
    return storage_status(request.node.storages, storage)


def _content(request: Request) -> list[dict[str, Any]]:
    storages = request.node.storages
    storage = storages.usable(request.text("storage"))
    wanted = [request.text("content")] if request.params.get("content") else storage.content
    vmid = request.params.get("vmid")
    found: list[dict[str, Any]] = []
    for kind in ("vztmpl", "iso", "backup", "snippets"):
        if kind in wanted and kind in storage.content and vmid is None:
            found += [_file_entry(request, volume) for volume in storages.files_of(storage, kind)]
    if {"rootdir", "images"} & set(wanted):
        found += [_disk_entry(request, volume) for volume in storages.disks_of(storage, vmid)]
    return found


def _file_entry(request: Request, volume: Volume) -> dict[str, Any]:
    stat = request.node.storages.real(volume).stat()
    entry = {"volid": volume.volid, "content": volume.kind, "format": volume.format}
    return {**entry, "size": stat.st_size, "ctime": int(stat.st_ctime)}


def _disk_entry(request: Request, volume: Volume) -> dict[str, Any]:
    stat = request.node.storages.real(volume).stat()
    entry: dict[str, Any] = {"volid": volume.volid, "content": "rootdir", "format": volume.format}
    entry |= {"vmid": volume.owner, "size": stat.st_size, "ctime": int(stat.st_ctime)}
    if request.node.storages.get(volume.storage).type == "dir":
        entry |= {"parent": None, "used": stat.st_blocks * 512}
    return entry


def _volume(request: Request) -> Volume:
    """The volume that the path names, with or without its storage."""
    name = request.text("volume")
    return request.node.storages.parse(name if ":" in name else f"{request.text('storage')}:{name}")


def _volume_info(request: Request) -> dict[str, Any]:
    volume = _volume(request)
    request.rights.need_volume(request.node.storages, volume.volid, volume.owner or 0, volume.kind)
    path = request.node.storages.real(volume)
    if not path.exists():
        raise PveError(f"volume_size_info on '{volume.volid}' failed - no format")
    stat = path.stat()
    # qemu-img, which a real node asks, counts in sectors of 512 bytes.
    size = -(-stat.st_size // 512) * 512
    return {"path": request.node.storages.path(volume), "format": "raw", "size": size, "used": stat.st_blocks * 512}


def _delete_volume(request: Request) -> str:
    volume = _volume(request)
    if volume.kind == "backup":
        request.rights.need_any(f"/storage/{volume.storage}", "Datastore.Allocate", "Datastore.AllocateSpace")
    else:
        request.rights.need(f"/storage/{volume.storage}", "Datastore.Allocate")
    shown = request.node.storages.path(volume)

    def work(log: Log) -> None:
        if not request.node.storages.real(volume).exists():
            log(f"disk image '{shown}' does not exist")
        request.node.runtime.destroy_volume(request.node.storages.real(volume))
        log(f"Removed volume '{volume.volid}'")

    subject = f"{volume.owner}@{volume.storage}" if volume.owner else volume.storage
    return request.task("imgdel", subject, work)


def _templates(request: Request) -> list[dict[str, Any]]:
    return [dict(entry) for entry in _known_templates(request).values()]


def _known_templates(request: Request) -> dict[str, dict[str, str]]:
    if request.node.notice:
        for line in download.complaints(request.node.site):
            request.node.notice(line)
    return download.read_index(request.node.site)


def _fetch_template(request: Request) -> str:
    entry = _known_templates(request).get(request.text("template"))
    if entry is None:
        raise bad_parameters({"template": "no such template"}, errno=ENOENT)
    storage = request.node.storages.usable(request.text("storage"))
    if "vztmpl" not in storage.content:
        raise bad_parameters({"storage": f"storage '{storage.id}' does not support templates"})
    target = request.node.storages.parse(f"{storage.id}:vztmpl/{request.text('template')}")
    job = download.Download(
        url=entry["location"],
        path=request.node.storages.real(target),
        shown=request.node.storages.path(target),
        checksum=entry.get("sha512sum") or None,
        algorithm="sha512",
    )

    def work(log: Log) -> None:
        if job.is_done():
            log(f"{job.shown} already there, nothing to do")
            return
        download.run(job, log)

    return request.task("download", "", work)


def _download_url(request: Request) -> str:
    name = request.text("filename").replace("\\", "/").rsplit("/", 1)[-1]
    storage = request.node.storages.usable(request.text("storage"))
    kind = request.text("content")
    if kind not in storage.content:
        raise bad_parameters({"content": f"storage '{storage.id}' is not configured for content-type '{kind}'"})
    try:
        target = request.node.storages.parse(f"{storage.id}:{kind}/{name}")
    except PveError:
        raise bad_parameters({"filename": "wrong file extension"}) from None
    job = download.Download(
        url=request.text("url"),
        path=request.node.storages.real(target),
        shown=request.node.storages.path(target),
        checksum=request.text("checksum") or None,
        algorithm=request.text("checksum-algorithm") or None,
    )

    def work(log: Log) -> None:
        log(f"downloading {job.url} to {job.shown}")
        if job.path.exists() and not job.is_done():
            raise PveError(f"refusing to override existing file '{job.shown}'")
        download.run(job, log)

    return request.task("download", name, work)


_STORAGE = {"storage": Param(optional=False, format="pve-storage-id")}
_AT = {**NODE, **_STORAGE}
_TYPES = (
    *("btrfs", "cephfs", "cifs", "dir", "esxi", "glusterfs", "iscsi", "iscsidirect", "lvm", "lvmthin"),
    *("nfs", "pbs", "rbd", "zfs", "zfspool"),
)
_LIST = {
    **NODE,
    "content": Param(format="pve-storage-content-list"),
    "enabled": FLAG,
    "format": FLAG,
    "storage": Param(format="pve-storage-id"),
    "target": Param(format="pve-node"),
}
_CONTENT_LIST = {
    **_AT,
    "content": Param(format="pve-storage-content"),
    "vmid": Param("integer", format="pve-vmid", minimum=100, maximum=999999999),
}
_VOLUME = {**NODE, "storage": Param(format="pve-storage-id"), "volume": Param(optional=False)}
_APPLIANCE = {**_AT, "template": Param(optional=False, max_length=255)}
_URL = {
    **_AT,
    "checksum": Param(requires="checksum-algorithm"),
    "checksum-algorithm": Param(enum=("md5", "sha1", "sha224", "sha256", "sha384", "sha512"), requires="checksum"),
    "compression": Param(),
    "content": Param(optional=False, enum=("iso", "vztmpl", "import"), format="pve-storage-content"),
    "filename": Param(optional=False, max_length=255),
    "url": Param(optional=False, pattern=r"https?://.*"),
    "verify-certificates": FLAG,
}
_MAY_DOWNLOAD = both(
    perm("/storage/{storage}", "Datastore.AllocateTemplate"),
    either(perm("/", "Sys.Audit", "Sys.Modify"), perm("/nodes/{node}", "Sys.AccessNetwork")),
)

METHODS = [
    Method("GET", "/storage", _all, anyone, {"type": Param(enum=_TYPES)}),
    Method("GET", "/storage/{storage}", _one_config, perm("/storage/{storage}", "Datastore.Allocate"), _STORAGE),
    Method("GET", _ON_NODE, _on_node, anyone, _LIST),
    Method("GET", _ONE, _index, _READER, _AT),
    Method("GET", f"{_ONE}/status", _status, _READER, _AT),
    Method("GET", _CONTENT, _content, _READER, _CONTENT_LIST),
    Method("GET", f"{_CONTENT}/{{volume}}", _volume_info, anyone, _VOLUME),
    Method(
        "DELETE",
        f"{_CONTENT}/{{volume}}",
        _delete_volume,
        anyone,
        {**_VOLUME, "delay": Param("integer", minimum=1, maximum=30)},
    ),
    Method("POST", f"{_ONE}/download-url", _download_url, _MAY_DOWNLOAD, _URL),
    Method("GET", "/nodes/{node}/aplinfo", _templates, anyone, NODE),
    Method(
        "POST",
        "/nodes/{node}/aplinfo",
        _fetch_template,
        perm("/storage/{storage}", "Datastore.AllocateTemplate"),
        _APPLIANCE,
    ),
]
