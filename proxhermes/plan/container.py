"""What has to be done through the token so that the container is what the inventory says. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from proxhermes.errors import Refused
from proxhermes.facts import properties
from proxhermes.facts.container import ContainerFacts, api_path
from proxhermes.facts.templates import TemplateFacts
from proxhermes.inventory import stopping
from proxhermes.inventory.models import Agent
from proxhermes.plan import notes
from proxhermes.plan.model import Change, Door, Effect, Layer
from proxhermes.plan.notes import Ownership
from proxhermes.plan.template import Template, choose

AT_NEXT_BOOT: Final = frozenset({"nameserver", "searchdomain", "timezone"})
"""Options that a running container gets with its next boot only (observed on PVE 8.4); the other ones are live."""

_ADDRESSES: Final = ("ip", "gw", "ip6", "gw6")
"""Properties of a card that are addresses, or may be."""

MANAGED: Final = re.compile(
    r"cores|memory|swap|hostname|onboot|startup|nameserver|searchdomain|timezone|tags|description|protection"
    r"|net0|rootfs|features|mp\d+"
)
"""Options that proxhermes sets, so that a reboot for their pending values is its business."""


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """What apply_container and bring_up carry out. Parameters are those of Proxmox's API.

    create: parameters of the POST without the template; None for a container that exists. update, delete: the PUT.
    block: our part of the notes, if it has to be written. It is written last: until then the old one tells the next
    run which mounts are ours, should this one be cut off. protect: set the protection, last as well.
    grow: new size of the root disk ("32G"). start: it is not running. reboot: something of ours waits for a boot.
    addresses: of the container as it runs now.
    """

    node: str
    vmid: int
    create: Mapping[str, str | int] | None = None
    template: Template | None = None
    update: Mapping[str, str | int] = field(default_factory=lambda: MappingProxyType({}))
    delete: tuple[str, ...] = ()
    block: str | None = None
    protect: bool = False
    digest: str | None = None
    grow: str | None = None
    start: bool = False
    reboot: bool = False
    addresses: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """The container's path in the API."""
        return api_path(self.node, self.vmid)


def refuse_foreign(facts: ContainerFacts) -> None:
    """Raise Refused if the container is not ours to touch."""
    if notes.ownership(facts) is not Ownership.FOREIGN:
        return
    hint = "choose another VMID for the agent in the inventory"
    block = notes.read(facts.config.get("description", ""))
    if not facts.exists:
        hint += "; if it is this agent's, migrated to another node: correct its `node`"
    elif block is not None and block.vmid == facts.vmid:
        hint += f"; if it is this agent's: give it the tag {notes.TAG} again"
    elif block is None and notes.TAG in properties.tag_set(facts.config.get("tags", "")):
        hint += f"; if it is this agent's: put these two lines into its notes:\n{notes.mark(facts.vmid)}"
    raise Refused(f"{notes.why_foreign(facts)}; proxhermes leaves it alone", hint=hint)


def plan_container(agent: Agent, facts: ContainerFacts, templates: TemplateFacts | None = None) -> ContainerPlan:
    """The difference between `agent` and `facts`. templates: needed where the container does not exist.

    Raises Refused for a container that is not ours, ProxhermesError if no template fits.
    """
    refuse_foreign(facts)
    if not facts.exists:
        if templates is None:
            raise ValueError("a new container needs TemplateFacts")
        return _plan_new(agent, templates)
    return _plan_existing(agent, facts)


def net0(agent: Agent, current: str | None = None) -> dict[str, str]:
    """The properties of eth0. What the inventory does not know of (rate, …) or says nothing of (ip6) stays as it is.

    So does the hardware address: a PUT without it gives the container a new one, and with it a new DHCP address.
    """
    old = properties.parse(current) if current else {}
    wanted = agent.network
    ours: dict[str, str | None] = {
        "bridge": wanted.bridge,
        "hwaddr": wanted.hwaddr or old.get("hwaddr"),
        "ip": wanted.ip,
        "gw": wanted.gateway,
        "tag": str(wanted.vlan) if wanted.vlan else None,
        "firewall": "1" if wanted.firewall else None,
        "mtu": str(wanted.mtu) if wanted.mtu else None,
    }
    if wanted.ip6 is not None:
        ours |= {"ip6": wanted.ip6, "gw6": wanted.gateway6}
    kept = {key: value for key, value in old.items() if key not in ours and key not in ("name", "type")}
    named = {"name": old.get("name", "eth0")}
    return named | {key: value for key, value in ours.items() if value is not None} | kept | {"type": "veth"}


def wanted_options(agent: Agent, current: Mapping[str, str]) -> dict[str, str | None]:
    """The options of the PUT, as text; None where one should not be set.

    current: the configuration to build on, for what is kept of it (tags, hardware address).
    """
    tags = properties.tag_set(current.get("tags", "")) | set(agent.tags) | {notes.TAG}
    return {
        "hostname": agent.hostname,
        "cores": str(agent.cores),
        "memory": str(agent.memory),
        "swap": str(agent.swap),
        "onboot": "1" if agent.onboot else "0",
        "startup": _startup(agent),
        "timezone": agent.timezone,
        "nameserver": " ".join(agent.nameserver) or None,
        "searchdomain": " ".join(agent.searchdomain) or None,
        "net0": properties.render(net0(agent, current.get("net0"))),
        "tags": ";".join(sorted(tags)),
    }


def _startup(agent: Agent) -> str | None:
    """The declared place in the node's order; with more time to shut down than the node gives by itself, if need be."""
    seconds, declared = stopping.guest(stopping.gateway(agent)), agent.startup
    if seconds <= stopping.NODE_S or (declared and "down" in properties.parse(declared, "order")):
        return declared
    return ",".join([*filter(None, [declared]), f"down={seconds}"])


def alike(option: str, one: str | None, other: str | None) -> bool:
    """Whether Proxmox would see no difference: by what the values mean, not by how they are written."""
    return _normal(option, one) == _normal(option, other)


def _normal(option: str, value: str | None) -> object:
    if option in ("onboot", "protection"):
        return properties.flag(value)
    if value is None or not value.strip():
        return None
    if option == "tags":
        return properties.tag_set(value)
    if option in ("nameserver", "searchdomain"):
        return re.split(r"[\s,;]+", value.strip())
    if option == "startup":
        return properties.parse(value, "order")
    if option == "net0":
        return _normal_net(value)
    return value.strip()


def _normal_net(value: str) -> dict[str, str]:
    plain = {"type": "veth", "firewall": "0", "link_down": "0"} | properties.parse(value)
    if "hwaddr" in plain:
        plain["hwaddr"] = plain["hwaddr"].upper()
    return {key: _one_spelling(value) if key in _ADDRESSES else value for key, value in plain.items()}


def _one_spelling(address: str) -> str:
    """An IPv6 address has many."""
    try:
        return str(ipaddress.ip_interface(address))
    except ValueError:  # dhcp, auto, manual
        return address


def _plan_new(agent: Agent, templates: TemplateFacts) -> ContainerPlan:
    template = choose(agent.template, templates)
    base = api_path(agent.node, agent.vmid)
    put = f"PUT {base}/config"
    options = wanted_options(agent, {})
    params: dict[str, str | int] = {
        "vmid": agent.vmid,
        # Left out, it would mean privileged before Proxmox VE 9.
        "unprivileged": 1,
        "rootfs": f"{agent.disk.storage}:{agent.disk.size}",
        # The notes make it ours from the first moment; the tag comes after (see apply.container).
        "description": notes.render(agent, creating=True),
    }
    params |= {key: value for key, value in options.items() if value is not None and key != "tags"}
    if agent.features.nesting:
        params["features"] = "nesting=1"
    if agent.pool:
        params["pool"] = agent.pool
    if agent.ssh_public_keys:
        params["ssh-public-keys"] = "\n".join(agent.ssh_public_keys) + "\n"
    changes: list[Change] = []
    if template.download:
        changes.append(_change("template", None, template.volume, f"POST /nodes/{agent.node}/aplinfo"))
    about = f"{agent.hostname}: {agent.cores} cores, {agent.memory} MiB, {agent.disk.size} GiB on {agent.disk.storage}"
    changes.append(_change("container", None, f"{about}, from {template.volume}", f"POST /nodes/{agent.node}/lxc"))
    changes.append(_change("tags", None, str(options["tags"]), put))
    changes += _protection(agent, {}, put)
    changes.append(_change("status", None, "running", f"POST {base}/status/start"))
    return ContainerPlan(
        node=agent.node,
        vmid=agent.vmid,
        create=MappingProxyType(params),
        template=template,
        update=MappingProxyType({"tags": str(options["tags"])}),
        block=notes.render(agent),
        protect=agent.protection,
        start=True,
        changes=tuple(changes),
    )


def _plan_existing(agent: Agent, facts: ContainerFacts) -> ContainerPlan:
    current = facts.effective
    put = f"PUT {api_path(agent.node, agent.vmid)}/config"
    update: dict[str, str | int] = {}
    delete: list[str] = []
    changes: list[Change] = []
    for option, value in wanted_options(agent, current).items():
        if alike(option, value, current.get(option)):
            continue
        if value is None:
            delete.append(option)
        else:
            update[option] = value
        effect = Effect.REBOOT_CONTAINER if facts.running and option in AT_NEXT_BOOT else Effect.NONE
        command = f"{put} delete={option}" if value is None else f"{put} {option}"
        changes.append(_change(option, current.get(option), value, command, effect))
    block, noted = _notes(agent, current, put)
    protection = _protection(agent, current, put)
    if protection and not agent.protection:
        update["protection"] = 0
    grow, disk = _disk(agent, current)
    waiting = [key for key in facts.pending if MANAGED.fullmatch(key) and key not in update and key not in delete]
    foreign = [key for key in facts.pending if not MANAGED.fullmatch(key)]
    return ContainerPlan(
        node=agent.node,
        vmid=agent.vmid,
        update=MappingProxyType(update),
        delete=tuple(delete),
        block=block,
        protect=bool(protection) and agent.protection,
        digest=facts.digest,
        grow=grow,
        start=not facts.running,
        reboot=facts.running and bool(waiting),
        addresses=facts.addresses,
        changes=(*changes, *noted, *protection, *disk, *_fixed(agent, current), *_boot(agent, facts, waiting)),
        notes=(f"the next boot also applies what somebody else left pending: {', '.join(foreign)}",) if foreign else (),
    )


def _notes(agent: Agent, current: Mapping[str, str], put: str) -> tuple[str | None, tuple[Change, ...]]:
    """Our block of the notes if it has to be written, and the change that it is."""
    before = current.get("description", "")
    known = notes.read(before)
    block = notes.render(agent, hermes=known.hermes if known else None)
    if notes.same(before, notes.merge(before, block)):
        return None, ()
    return block, (_change("notes", _block_shown(before), _block_shown(block), f"{put} description"),)


def _block_shown(text: str) -> str | None:
    """The state of our block in notes, for the plan: notes themselves are long."""
    block = notes.read(text)
    if block is None:
        return None
    if block.creating:
        return f"agent {block.vmid}, unfinished"
    return f"agent {block.vmid}, proxhermes {block.version}, specification {block.spec}"


def _protection(agent: Agent, current: Mapping[str, str], put: str) -> tuple[Change, ...]:
    if alike("protection", "1" if agent.protection else "0", current.get("protection")):
        return ()
    before, after = ("0", "1") if agent.protection else ("1", "0")
    return (_change("protection", before, after, f"{put} protection"),)


def _disk(agent: Agent, current: Mapping[str, str]) -> tuple[str | None, tuple[Change, ...]]:
    """The size to grow to, and what there is to say about the root disk."""
    rootfs = properties.parse(current.get("rootfs", ""), "volume")
    changes: list[Change] = []
    storage = rootfs.get("volume", "").partition(":")[0]
    if storage and storage != agent.disk.storage:
        why = "Proxmox moves a root disk only while the container is stopped: pct move-volume"
        changes.append(_change("rootfs: storage", storage, agent.disk.storage, None, blocked=why))
    wanted = agent.disk.size * properties.GIB
    size = properties.size_bytes(rootfs["size"]) if "size" in rootfs else wanted
    grow = None
    if size != wanted:
        before, after = properties.size_text(size), properties.size_text(wanted)
        if size < wanted:
            grow = after
            changes.append(_change("rootfs: size", before, after, f"PUT {api_path(agent.node, agent.vmid)}/resize"))
        else:
            changes.append(_change("rootfs: size", before, after, None, blocked="Proxmox cannot shrink a disk"))
    return grow, tuple(changes)


def _fixed(agent: Agent, current: Mapping[str, str]) -> tuple[Change, ...]:
    """What cannot be changed once a container exists."""
    changes: list[Change] = []
    if not properties.flag(current.get("unprivileged")):
        why = "a privileged container stays privileged: destroy it and create it again"
        changes.append(_change("unprivileged", "0", "1", None, blocked=why))
    family = agent.template.partition(":")[2].removeprefix("vztmpl/") or agent.template
    distribution = family.partition("-")[0]
    ostype = current.get("ostype")
    if ostype and distribution in ("debian", "ubuntu") and ostype != distribution:
        why = "a container keeps its distribution: destroy it and create it again"
        changes.append(_change("template", ostype, distribution, None, blocked=why))
    return tuple(changes)


def _boot(agent: Agent, facts: ContainerFacts, waiting: list[str]) -> tuple[Change, ...]:
    status = f"POST {api_path(agent.node, agent.vmid)}/status"
    if not facts.running:
        return (_change("status", "stopped", "running", f"{status}/start"),)
    return tuple(
        _change(
            f"{key} (waits for a boot)",
            facts.config.get(key),
            facts.pending[key],
            f"{status}/reboot",
            Effect.REBOOT_CONTAINER,
        )
        for key in waiting
    )


def _change(
    subject: str,
    before: str | None,
    after: str | None,
    command: str | None,
    effect: Effect = Effect.NONE,
    blocked: str | None = None,
) -> Change:
    return Change(Layer.CONTAINER, Door.TOKEN, subject, before, after, effect, command, blocked)
