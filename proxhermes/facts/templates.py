"""Which container templates the node has, and which it could download. Read only when a container is to be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxhermes.transport.pve import Pve


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """Templates of one storage as volumes (`local:vztmpl/NAME`), and the file names in the node's appliance index."""

    storage: str
    volumes: tuple[str, ...] = ()
    downloadable: tuple[str, ...] = ()


def read_templates(pve: Pve, node: str, storage: str) -> TemplateFacts:
    """Both lists: two API reads. Raises what `pve` raises, as for a storage that does not exist."""
    content = pve.get(f"/nodes/{node}/storage/{storage}/content", content="vztmpl") or ()
    index = pve.get(f"/nodes/{node}/aplinfo") or ()
    return TemplateFacts(
        storage=storage,
        volumes=tuple(str(each["volid"]) for each in content),
        downloadable=tuple(str(each["template"]) for each in index if each.get("template")),
    )
