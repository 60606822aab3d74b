"""Which template a new container is made from. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from proxhermes.errors import ProxhermesError
from proxhermes.facts.templates import TemplateFacts
from proxhermes.inventory.models import Agent

_NAME: Final = re.compile(r"(?P<family>.+)_(?P<version>[^_]+)_(?P<arch>[a-z0-9]+)\.tar\.(?:gz|xz|zst|bz2)")


@dataclass(frozen=True, slots=True)
class Template:
    """The volume that a container is made from; download: the file to fetch first, None if it is there."""

    volume: str
    download: str | None = None

    @property
    def storage(self) -> str:
        return self.volume.partition(":")[0]


def storage_of(agent: Agent) -> str:
    """The storage whose templates matter for `agent`."""
    return agent.template.partition(":")[0] if ":" in agent.template else agent.template_storage


def choose(wanted: str, facts: TemplateFacts) -> Template:
    """The template for `wanted`: a volume as it stands, else the newest of the family.

    One that is on the storage wins over a newer one in the index: a download is made only where there is none.
    Raises ProxhermesError, naming what there is, if nothing fits.
    """
    if ":" in wanted:
        if wanted in facts.volumes:
            return Template(wanted)
        if (file := wanted.rpartition("/")[2]) in facts.downloadable:
            return Template(wanted, download=file)
        raise _nothing(f"the template {wanted} is not on the node, nor in its index", facts)
    present = {volume.rpartition("/")[2]: volume for volume in facts.volumes}
    if there := newest(wanted, present):
        return Template(present[there])
    if known := newest(wanted, facts.downloadable):
        return Template(f"{facts.storage}:vztmpl/{known}", download=known)
    raise _nothing(f"no template of the family {wanted} is on storage {facts.storage} or in the node's index", facts)


def newest(family: str, names: Iterable[str]) -> str | None:
    """The newest of the files `names` that belongs to `family` (`debian-13`: debian-13-standard_*); amd64 first."""
    fitting = [
        (match["arch"] == "amd64", version_key(match["version"]), name)
        for name in names
        if (match := _NAME.fullmatch(name)) and match["family"] in (family, f"{family}-standard")
    ]
    return max(fitting)[2] if fitting else None


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts versions by number, part by part: `13.10-1` after `13.6-2`; letters before numbers."""
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def _nothing(message: str, facts: TemplateFacts) -> ProxhermesError:
    there = ", ".join(sorted(volume.rpartition("/")[2] for volume in facts.volumes)) or "none"
    return ProxhermesError(
        message,
        answer=f"templates on {facts.storage}: {there}",
        hint="`pveam update` on the node refreshes its index, `pveam available --section system` shows it; "
        "`template:` in the inventory takes another family or a whole volume",
    )
