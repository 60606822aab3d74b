"""Rules for the lines of .env: no secret as it is, and nothing that proxhermes writes itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from proxhermes.inventory.secrets import HOW_TO_REFERENCE
from proxhermes.inventory.tree import Report, Tree

OUR_VARIABLES: Final = {
    "LITELLM_API_KEY": "litellm.api_key",
    "HERMES_UID": "hermes.uid",
    "HERMES_GID": "hermes.gid",
    "PUID": "hermes.uid",
    "PGID": "hermes.gid",
    "HERMES_HOME": "hermes.data_dir",
    "TELEGRAM_BOT_TOKEN": "messaging.telegram.token",
    "DISCORD_BOT_TOKEN": "messaging.discord.token",
    "SLACK_BOT_TOKEN": "messaging.slack.bot_token",
    "SLACK_APP_TOKEN": "messaging.slack.app_token",
    "HERMES_MANAGED": "hermes.managed",
    "TERMINAL_CWD": "hermes.working_directory",
    "MESSAGING_CWD": "hermes.working_directory",
}
"""Lines of .env that proxhermes writes, or would contradict, and where their value is said."""
_PLATFORMS: Final = ("telegram", "discord", "slack")
_SECRET_NAME: Final = re.compile(
    r"(?:^|[_-])(?:token|secret|password|passwd|passphrase|(?:api|access|private|signing|auth|encryption|master)[_-]?key)$",
    re.IGNORECASE,
)


def names_a_secret(name: str) -> bool:
    """Whether a value under this name is a secret by the usual conventions (…_TOKEN, api_key, password, …)."""
    return _SECRET_NAME.search(name) is not None


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All rules for `hermes.environment` and `hermes.secrets` of every agent."""
    for agent in agents.values():
        environment, secrets = _entries(agent, "environment"), _entries(agent, "secrets")
        for name, tree in {**environment, **secrets}.items():
            if name in OUR_VARIABLES:
                report.add(tree.key, f"{name} is written by proxhermes", f"`{OUR_VARIABLES[name]}` in its place")
            elif section := _said_in_a_section(name, agent):
                report.add(tree.key, f"{name} contradicts `{section}`", "one of the two")
        for name in environment.keys() & secrets.keys():
            report.warn(environment[name].key, f"{name} stands in `secrets` too, which wins", "one of the two")
        for name, tree in environment.items():
            if names_a_secret(name) and tree.value not in (None, ""):
                allowed = f"hermes.secrets: {{{name}: …}} with {HOW_TO_REFERENCE}"
                report.add(tree.spot, f"{name} is a secret by its name, and is written as it is", allowed)


def _said_in_a_section(name: str, agent: Tree) -> str | None:
    """The key of a messaging section that this variable is made of, if it stands there."""
    platform, _, key = name.lower().partition("_")
    if platform in _PLATFORMS and agent.at("messaging", platform, key) is not None:
        return f"messaging.{platform}.{key}"
    return None


def _entries(agent: Tree, block: str) -> dict[str, Tree]:
    tree = agent.at("hermes", block)
    return tree.children if tree else {}
