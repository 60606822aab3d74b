"""How apt in the guest gets out: its proxy, and the mirror in the place of the distribution's own hosts. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from proxhermes.facts.guest import GuestFacts
from proxhermes.hermes.files import decoded
from proxhermes.inventory.guest import Guest
from proxhermes.inventory.models import Agent
from proxhermes.plan.engine_model import EnginePlan, change
from proxhermes.plan.model import Effect

CONF: Final = "/etc/apt/apt.conf.d/50proxhermes"
FILES: Final = ("apt.conf", "apt.mirror")
"""In a bundle; an empty one takes away what is there."""
_HEADER: Final = "// Written by proxhermes: changes here are lost. Yours go into a file with a higher number.\n"


def with_apt(agent: Agent, facts: GuestFacts | None, plan: EnginePlan) -> EnginePlan:
    """The plan, with what has to be done about apt before its packages."""
    facts, changes, files = facts or GuestFacts(), [], dict[str, bytes]()
    wanted, there = conf(agent.guest), facts.content("apt_conf")
    before = None if there is None else decoded(there, CONF)
    if (before or "") != wanted:
        shown = agent.guest.http_proxy
        changes.append(change(CONF, "other content" if before else None, shown, Effect.NONE))
        files["apt.conf"] = wanted.encode()
    mirror = base(agent.guest) or ""
    if mirror != facts.apt_mirror or (mirror and facts.apt_distribution):
        changes.append(change("apt's sources", facts.apt_mirror or "the distribution's", mirror or None, Effect.NONE))
        files["apt.mirror"] = f"{mirror}\n".encode() if mirror else b""
    return replace(plan, changes=(*changes, *plan.changes), files={**plan.files, **files})


def conf(guest: Guest) -> str:
    """The text of CONF; none without a proxy. Of `no_proxy`, apt takes the hosts by name or address, and no ranges."""
    if guest.http_proxy is None:
        return ""
    lines = [f'Acquire::{scheme}::Proxy "{guest.http_proxy}";' for scheme in ("http", "https")]
    for host in guest.no_proxy:
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", host):
            lines += [f'Acquire::{scheme}::Proxy::{host} "DIRECT";' for scheme in ("http", "https")]
    return _HEADER + "\n".join(lines) + "\n"


def base(guest: Guest) -> str | None:
    """What goes before `/debian`, `/debian-security` or `/ubuntu`."""
    return None if guest.apt_mirror is None else re.sub(r"/(?:debian|ubuntu)/?$", "", guest.apt_mirror).rstrip("/")
