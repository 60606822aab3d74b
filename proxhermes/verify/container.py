"""Is the container what the inventory asks for, and does it run?"""

from __future__ import annotations

from proxhermes.errors import ProxhermesError
from proxhermes.facts import properties
from proxhermes.facts.container import ContainerFacts
from proxhermes.inventory.network import AUTO
from proxhermes.plan.model import Layer
from proxhermes.verify.model import Check, Finding, failed, passed, skipped, warned
from proxhermes.verify.scene import Scene


def _there(scene: Scene) -> ContainerFacts:
    """The container's facts. Raises ProxhermesError if there is none: nothing can be said of its options then."""
    if not scene.container.exists:
        vmid = scene.container.vmid
        raise ProxhermesError(f"CT {vmid} does not exist", hint=f"proxhermes create {vmid}")
    return scene.container


def _running(scene: Scene) -> Finding:
    container = _there(scene)
    if not container.running:
        return failed("it is stopped", f"proxhermes create {container.vmid} starts it")
    return passed(f"running for {container.uptime} s")


def _address(scene: Scene) -> Finding:
    if not scene.container.running:
        return skipped("the container does not run")
    network, addresses = scene.agent.network, scene.container.addresses
    if lacking := network.lacking(addresses):
        has = f"has {', '.join(addresses)}" if addresses else "has no address"
        far = "router on the bridge that announces a prefix" if network.ip6 == AUTO else "DHCP server on the bridge"
        return failed(f"net0 {has}: {' and '.join(lacking)} is missing", f"is there a {far}, and does the VLAN match?")
    return passed(", ".join(addresses)) if addresses else skipped("Proxmox gives it no address: `ip: manual`")


def _unprivileged(scene: Scene) -> Finding:
    if not properties.flag(_there(scene).config.get("unprivileged", "")):
        return failed("it is privileged: root inside is root on the node", "Proxmox cannot change that in place")
    root = scene.idmap.to_host("u", 0)
    return passed(f"root inside is {root} on the node") if root else failed("root inside is mapped to the node's root")


def _features(scene: Scene) -> Finding:
    found = properties.parse(_there(scene).config.get("features", ""))
    wanted = {name for name in ("nesting", "keyctl") if getattr(scene.agent.features, name)}
    lacking = sorted(name for name in wanted if not properties.flag(found.get(name, "")))
    text = _there(scene).config.get("features", "none")
    if not lacking:
        return passed(text)
    if "features" in scene.container.pending:
        return failed(f"{', '.join(lacking)} waits for a reboot", f"proxhermes create {scene.agent.vmid}")
    return failed(f"{', '.join(lacking)} missing ({text})", f"proxhermes create {scene.agent.vmid} sets them as root")


def _onboot(scene: Scene) -> Finding:
    found = properties.flag(_there(scene).config.get("onboot", ""))
    text = "starts with the node" if found else "does not start with the node"
    if found == scene.agent.onboot:
        return passed(text)
    return failed(text + ", against the inventory", f"proxhermes create {scene.agent.vmid}")


def _pending(scene: Scene) -> Finding:
    waiting = ", ".join(sorted(_there(scene).pending))
    if not waiting:
        return passed("nothing waits for a reboot")
    return warned(f"waiting for a reboot: {waiting}", f"proxhermes create {scene.agent.vmid} reboots it")


def _mounts(scene: Scene) -> Finding:
    points = properties.mount_points(_there(scene).config)
    present = {point.get("mp"): (key, point) for key, point in points.items()}
    wrong = []
    for mount in scene.agent.mounts:
        key, point = present.get(mount.guest, ("", {}))
        if not key:
            wrong.append(f"{mount.guest} is not mounted")
        elif point.get("volume") != mount.host:
            wrong.append(f"{key} brings {point.get('volume')} to {mount.guest}, not {mount.host}")
        elif properties.flag(point.get("ro", "")) != mount.read_only:
            wrong.append(f"{key} is {'writable' if mount.read_only else 'read-only'}")
        elif key in scene.container.pending:
            wrong.append(f"{key} waits for a reboot")
    if wrong:
        return failed("; ".join(wrong), f"proxhermes create {scene.agent.vmid}")
    if not scene.agent.mounts:
        return skipped("the inventory has no mounts")
    return passed(", ".join(f"{mount.host} → {mount.guest}" for mount in scene.agent.mounts))


CHECKS = (
    Check("container.running", Layer.CONTAINER, "Does the container run?", _running),
    Check("container.address", Layer.CONTAINER, "Has it an address?", _address),
    Check("container.unprivileged", Layer.CONTAINER, "Is it unprivileged?", _unprivileged),
    Check("container.onboot", Layer.CONTAINER, "Does it start with the node, as wanted?", _onboot),
    Check("host.features", Layer.HOST, "Has it the features that Docker needs?", _features),
    Check("host.mounts", Layer.HOST, "Are the host folders mounted as wanted?", _mounts),
    Check("host.pending", Layer.HOST, "Is every change in force?", _pending),
)
