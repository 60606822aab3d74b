"""What a client of the node gets: an inventory with agent 118, beside the files that it refers to."""

from __future__ import annotations

from proxhermes.lab.node import secrets_made
from proxhermes.lab.node.paths import BRIDGE, BRIDGE_ADDRESS, LITELLM_ADDRESS, NODE_NAME, LabPaths, Slot
from proxhermes.lab.node.process import write_atomically
from proxhermes.lab.node.service_table import API_PORT, TELEGRAM_PORT, UPSTREAM_PORT

TOKEN_ID = "hermes@pve!proxhermes"  # noqa: S105 - a name, not a secret
LITELLM_URL = f"http://{LITELLM_ADDRESS}:4000/v1"
MODEL = "claude-sonnet"
TELEGRAM_USER = 777


def inventory(paths: LabPaths, slot: Slot, fingerprint: str) -> str:
    """The design's example, pointed at this lab. Secrets are references to files beside it."""
    client = paths.client
    return f"""\
# Written by `proxhermes lab up`: one agent on the lab's node.
version: 1
nodes:
  {NODE_NAME}:
    api: https://{slot.node_address}:{API_PORT}
    token: {TOKEN_ID}
    token_secret: {{file: {client / "token"}}}
    tls: {{fingerprint: "{fingerprint}"}}
    ssh:
      host: {slot.node_address}
      user: root
      key_file: {client / "id_ed25519"}
      known_hosts: {client / "known_hosts"}
litellm:
  base_url: {LITELLM_URL}
  api_key: {{file: {client / "litellm.key"}}}
  model: {MODEL}
agents:
  118:
    node: {NODE_NAME}
    hostname: hermes
    network: {{bridge: {BRIDGE}}}
    mounts:
      - {{host: /mnt/pve/hdd/hermes, guest: /data}}
      - {{host: /media/2tb/hermes, guest: /fast}}
    engine:
      registry_mirrors: [http://{BRIDGE_ADDRESS}:5000]
    messaging:
      telegram:
        token: {{file: {client / "telegram.token"}}}
        allowed_users: [{TELEGRAM_USER}]
        home_channel: {TELEGRAM_USER}
        base_url: http://{BRIDGE_ADDRESS}:{TELEGRAM_PORT}/bot
"""


def write(paths: LabPaths, slot: Slot, token_secret: str) -> None:
    """Write all client files; secrets 0600."""
    client = paths.client
    fingerprint = (client / "fingerprint").read_text().strip()
    write_atomically(client / "token", f"{token_secret}\n", 0o600)
    write_atomically(client / "known_hosts", secrets_made.known_hosts(paths, slot.node_address))
    write_atomically(client / "inventory.yaml", inventory(paths, slot, fingerprint))
    write_atomically(client / "env", environment(paths, slot))


def environment(paths: LabPaths, slot: Slot) -> str:
    """Shell variables for `. client/env`: the inventory, and the doors by which a story looks behind the scenes."""
    values = {
        "PROXHERMES_INVENTORY": paths.client / "inventory.yaml",
        "LAB_NODE": slot.node_address,
        "LAB_TELEGRAM_CONTROL": f"http://{slot.node_address}:{TELEGRAM_PORT}/control",
        "LAB_UPSTREAM_REQUESTS": f"http://{slot.node_address}:{UPSTREAM_PORT}/requests",
    }
    return "".join(f"export {name}={value}\n" for name, value in values.items())
