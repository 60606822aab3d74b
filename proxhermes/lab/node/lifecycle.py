"""From nothing to a running lab and back: `up`, `down`, `status`.

Every step may be cut off by a crash. `up` therefore never repairs a half-built lab: without the file that its last
step writes, it clears what is there and begins anew. A lab that is complete is only checked, and what died is started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from proxhermes.lab.images import docker, litellm
from proxhermes.lab.images.build import build_all
from proxhermes.lab.images.cache import BuildError, Cache
from proxhermes.lab.node import cleanup, client, kernel, network, preflight, proxmox, secrets_made
from proxhermes.lab.node.lab import Lab
from proxhermes.lab.node.locks import locked
from proxhermes.lab.node.paths import CACHE_ROOT, DISKS, LITELLM_VMID, NODE_NAME, RUN_ROOT, STATE_ROOT, LabPaths, Slot
from proxhermes.lab.node.process import LabError, Process, run, wait_until
from proxhermes.lab.pve.download import LOG

Say = Callable[[str], None]


def silent(_: str) -> None:
    """For who does not want to hear of progress."""


def up(instance: str = "default", say: Say = silent) -> Lab:
    """Bring the instance up, or check one that runs; returns when CT 117's LiteLLM is live. LabError otherwise."""
    paths = LabPaths(instance)
    preflight.check(say)
    with _alone(paths, say):
        lab = Lab.find(instance)
        if lab is None or not paths.ready_file.exists():
            _clear(paths, say)
            build_images(say)
            lab = _build(paths, say)
        else:
            _revive(lab, say)
    return lab


def down(instance: str = "default", say: Say = silent, *, purge_cache: bool = False) -> None:
    """End the instance and remove all of it, also after a crash. The cache stays unless `purge_cache`."""
    paths = LabPaths(instance)
    if os.geteuid() != 0:
        raise LabError("the lab needs root, to go down as well (sudo proxhermes lab down)")
    preflight.remove_stale_policy()
    with _alone(paths, say):
        _clear(paths, say)
    if purge_cache:
        if others := instances():
            raise LabError(f"the cache is in use by lab {', '.join(others)}: take it down first")
        say(f"removing {CACHE_ROOT}")
        shutil.rmtree(CACHE_ROOT, ignore_errors=True)


def instances() -> list[str]:
    """Names of the instances that have a state folder."""
    return sorted(folder.name for folder in STATE_ROOT.iterdir() if folder.is_dir()) if STATE_ROOT.is_dir() else []


def _alone(paths: LabPaths, say: Say) -> AbstractContextManager[None]:
    """One `up` or `down` of an instance at a time."""
    return locked(paths.lock, lambda: say(f"waiting for another command to finish with lab {paths.instance}"))


def _take_slot(paths: LabPaths) -> Slot:
    """A number of its own for the instance, though another may be going up at this moment."""
    with locked(RUN_ROOT / "slots.lock"):
        slot = network.free_slot()
        paths.slot_file.write_text(f"{slot.number}\n")
    return slot


def _clear(paths: LabPaths, say: Say) -> None:
    if cleanup.leftovers(paths):
        say(f"clearing lab {paths.instance}")
        cleanup.clear(paths)


def build_images(say: Say) -> None:
    """Build what the cache does not have. LabError with the build's last lines when one fails."""
    CACHE_ROOT.mkdir(parents=True, exist_ok=True)
    try:
        build_all(say, Cache(CACHE_ROOT))
    except BuildError as error:
        raise LabError(str(error)) from error


def _build(paths: LabPaths, say: Say) -> Lab:
    say(f"node {NODE_NAME}: namespaces, network, disks")
    lab = start_node(paths)
    say("node services")
    start_services(lab)
    if not proxmox.update_templates(lab):
        raise LabError(f"the node cannot fetch the appliance index: {lab.run(['tail', '-1', LOG]).stdout}")
    say(f"CT {LITELLM_VMID}: LiteLLM; user, role and token")
    with ThreadPoolExecutor(1) as pool:
        token = pool.submit(proxmox.make_token, lab)
        proxmox.make_litellm(lab)
        client.write(paths, lab.slot, token.result())
    say("waiting for LiteLLM")
    proxmox.await_litellm(lab)
    paths.ready_file.touch()
    return lab


def start_node(paths: LabPaths) -> Lab:
    """Namespaces, network, disks and files of the node, nothing running on it but its first process."""
    pve = paths.node / "pve"
    home = pve / "nodes" / NODE_NAME
    for folder in (
        paths.disks, paths.logs, paths.services, paths.config, home / "lxc", pve / "priv",
        paths.node / "vz/template/cache", paths.node / "thin/pve",
    ):  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
    paths.state.chmod(0o755)
    slot = _take_slot(paths)
    paths.resolvers_file.write_text("\n".join(network.resolvers()) + "\n")
    secrets_made.make(paths, slot)
    for name, target in (("local", f"nodes/{NODE_NAME}"), ("lxc", f"nodes/{NODE_NAME}/lxc")):
        (pve / name).symlink_to(target)
    for name in ("pve-ssl.pem", "pve-ssl.key"):
        shutil.copy2(paths.secrets / name, home / name)
    (pve / "storage.cfg").write_text(proxmox.STORAGE_CFG)
    _offer_templates(paths)
    for disk in DISKS:
        run(["truncate", "-s", disk.size, paths.disks / disk.image])
        run(["mkfs.ext4", "-q", "-F", "-L", disk.label, "-E", "nodiscard", paths.disks / disk.image])
    network.connect(paths, slot)
    kernel.raise_limits()
    with (paths.logs / "init.log").open("wb") as log:
        _spawn_init(paths, log.fileno())
    lab = Lab(paths, slot, _init_of(paths))
    lab.inside("furnish")
    return lab


def _offer_templates(paths: LabPaths) -> None:
    """Those that lie on the node; the agents' usual one is fetched from the appliance server, as on a new node."""
    for name in (litellm.NAME, docker.NAME):
        cached, place = CACHE_ROOT / "template" / name, paths.node / "vz/template/cache" / name
        if cached.exists() and not place.exists():
            _offer(cached, place)


def _offer(cached: Path, place: Path) -> None:
    """A template of the cache in a storage, without a copy where both lie on one file system."""
    try:
        place.hardlink_to(cached)
    except OSError:
        shutil.copy2(cached, place)


def _spawn_init(paths: LabPaths, log: int) -> None:
    argv = [sys.executable, "-m", "proxhermes.lab.node.init", paths.instance]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", check=False)
    if done.returncode != 0:
        raise LabError(f"the node's first process failed:\n{(paths.logs / 'init.log').read_text()[-2000:]}")


def _init_of(paths: LabPaths) -> Process:
    """The node's first process once the node stands. LabError with its log when it has not in 20 s."""
    try:
        wait_until(paths.init_file.exists, "the node's file system", seconds=20, every=0.02)
    except LabError as error:
        raise LabError(f"{error}\n{(paths.logs / 'init.log').read_text()[-2000:]}") from error
    init = Process.load(paths.init_file)
    assert init is not None, "the file is written in one step"
    return init


def start_services(lab: Lab) -> list[str]:
    """Start the node's services that are down, wait for them, and name them."""
    started: list[str] = lab.inside("services")
    return started


def _revive(lab: Lab, say: Say) -> None:
    for name in start_services(lab):
        say(f"service {name} was down and is up again")
    # Another instance's `up` may have built new templates into the common cache.
    _offer_templates(lab.paths)
    if not proxmox.update_templates(lab):
        say("the node could not refresh its index of templates (/var/log/pveam.log on it)")
    if not proxmox.running(lab, LITELLM_VMID):
        say(f"CT {LITELLM_VMID} was down: starting it")
        lab.run(["pct", "start", str(LITELLM_VMID)])
    proxmox.await_litellm(lab)


def status(instance: str = "default") -> dict[str, object]:
    """What there is of the instance: node, services, containers with addresses, or the leftovers of a crash."""
    paths = LabPaths(instance)
    lab = Lab.find(instance)
    if lab is None:
        return {"instance": instance, "state": "down", "leftovers": cleanup.leftovers(paths)}
    services = lab.inside("status")
    complete = paths.ready_file.exists() and all(service["up"] for service in services)
    return {
        "instance": instance,
        "state": "up" if complete else "incomplete",
        "node": NODE_NAME,
        "address": lab.address,
        "api": f"https://{lab.address}:8006",
        "client": str(lab.client),
        "services": services,
        "containers": containers(lab),
        "leftovers": [],
    }


def containers(lab: Lab) -> list[dict[str, object]]:
    """The node's containers: VMID, name, status, IPv4 addresses."""
    shown: list[dict[str, object]] = []
    for guest in lab.pvesh(f"/nodes/{NODE_NAME}/lxc"):
        vmid = int(guest["vmid"])
        cards = lab.pvesh(f"/nodes/{NODE_NAME}/lxc/{vmid}/interfaces") if guest["status"] == "running" else []
        addresses = [card["inet"] for card in cards or [] if card.get("inet") and card["name"] != "lo"]
        shown.append({"vmid": vmid, "name": guest["name"], "status": guest["status"], "addresses": addresses})
    return shown
