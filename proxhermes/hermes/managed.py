"""How the agent learns that proxhermes manages it.

Hermes (0.19: hermes_cli/config.py) then refuses `config set`, `setup`, `gateway install`, `update` and whatever else
saves its configuration or its .env, and names the manager. Of its three ways to be told, this is the one that says who:

- the environment variable HERMES_MANAGED: any text is shown as the manager's name. It reaches whoever runs `hermes` in
  the service's environment: the gateway, `docker exec`, the native runtime's command on the PATH. With the official
  image it stands in .env, which all of these read, too, and which the image's own migration of config.yaml at its start
  does not: it could otherwise not save what it migrates, and would leave a copy of the old file at each start;
- the file `.managed`: 0.19 takes any for NixOS, and sends the user to `nixos-rebuild`;
- the managed scope (`/etc/hermes`): pins single keys, and lets `setup` and `config set` change all others, which the
  next run would then have to merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent

VARIABLE: Final = "HERMES_MANAGED"
FOLDERS: Final = ("cron", "sessions", "logs", "memories")
"""Folders of HERMES_HOME that a managed Hermes does not make, and without which it does not start."""


def manager(agent: Agent) -> str:
    """Who manages the agent, and how it is changed, in Hermes' own sentence: "… is managed by <this>."

    It is the same on every operator's machine, or the service would be made anew with each of them; and it has no `$`,
    `%` or quote, which mean something to compose, systemd or a shell.
    """
    return f"proxhermes (agent {agent.vmid} in its inventory; edit it there, then: proxhermes up {agent.vmid})"


def environment(agent: Agent) -> dict[str, str]:
    """What belongs into the environment of everything that runs `hermes`: nothing if the agent is left free."""
    return {VARIABLE: manager(agent)} if agent.hermes.managed else {}
