"""Paths in the Proxmox container that an agent may have for itself."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from proxhermes.inventory.fields import mistake
from proxhermes.inventory.mounts import GUEST_SHARED, GUEST_SYSTEM, inside


def _plain(value: str) -> str:
    path = "/" + "/".join(part for part in value.split("/") if part)
    if (
        not re.fullmatch(r"(?:/[A-Za-z0-9._-]+)+", path)
        or {".", ".."} & set(PurePosixPath(path).parts)
        or value[:1] != "/"
    ):
        raise mistake(
            f"{value!r} is not a plain absolute path", "a folder of its own in the container, as in `/opt/hermes`"
        )
    return path


def _of_its_own(value: str) -> str:
    path = _plain(value)
    if path in GUEST_SHARED or any(inside(path, folder) for folder in GUEST_SYSTEM):
        raise mistake(f"{path!r} belongs to the container's own system", "a folder of its own, as in `/opt/hermes`")
    return path


GuestPath = Annotated[str, AfterValidator(_plain)]
"""A plain absolute path."""
GuestFolder = Annotated[str, AfterValidator(_of_its_own)]
"""A folder in the container that belongs to nobody else."""
