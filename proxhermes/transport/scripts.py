"""The shell that runs on the node and in the guest, as files of `host_scripts/`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from proxhermes.errors import ProxhermesError


def script(name: str) -> bytes:
    """The script `name` (`guest-engine.sh`), from the installed package or, in a checkout, from beside it.

    Raises ProxhermesError if this installation lacks it.
    """
    packaged = files("proxhermes") / "host_scripts" / name
    if packaged.is_file():
        return packaged.read_bytes()
    checkout = Path(__file__).resolve().parents[2] / "host_scripts" / name
    if checkout.is_file():
        return checkout.read_bytes()
    raise ProxhermesError(
        f"this installation lacks the script host_scripts/{name}", hint="install proxhermes again; nothing was changed"
    )
