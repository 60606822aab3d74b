"""A smallest inventory, and helpers to change it and to read what the loader says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from proxhermes.inventory import Inventory, load
from proxhermes.inventory.problems import InventoryError, Problem

SMALLEST = """\
version: 1
nodes:
  gihyeon:
    api: https://192.168.1.10:8006
    token: hermes@pve!proxhermes
    token_secret: {env: PVE_TOKEN_SECRET}
litellm:
  base_url: http://10.1.10.22:4000/v1
  api_key: {env: LITELLM_API_KEY}
  model: claude-sonnet
agents:
  118:
    node: gihyeon
    hostname: hermes
    network: {bridge: intra01}
    mounts:
      - {host: /mnt/pve/hdd/hermes, guest: /data}
      - {host: /media/2tb/hermes, guest: /fast}
"""

Read = Callable[..., Inventory]
Problems = Callable[..., list[Problem]]


@pytest.fixture
def smallest() -> str:
    return SMALLEST


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reader(text: str = SMALLEST, environ: Mapping[str, str] | None = None) -> Inventory:
        path = tmp_path / "inventory.yaml"
        path.write_text(text)
        return load(path, environ or {})

    return reader


@pytest.fixture
def problems(read: Read) -> Problems:
    def reader(text: str, environ: Mapping[str, str] | None = None) -> list[Problem]:
        with pytest.raises(InventoryError) as caught:
            read(text, environ)
        assert caught.value.exit_code == 2
        return list(caught.value.problems)

    return reader
