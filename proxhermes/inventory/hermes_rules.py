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
SEEN_VARIABLES: Final = frozenset(
    {
        "API_SERVER_HOST",
        "API_SERVER_PORT",
        "HERMES_DASHBOARD",
        "HERMES_DASHBOARD_HOST",
        "HERMES_DASHBOARD_PORT",
        "HERMES_WRITE_SAFE_ROOT",
    }
)
"""Lines that say what is open to whom: proxhermes must know them without a secret or a file, so they are plain ones."""
_PLATFORMS: Final = ("telegram", "discord", "slack")
_SECRET_NAME: Final = re.compile(
    r"(?:^|[_-])(?:token|secret|password|passwd|passphrase|(?:api|access|private|signing|auth|encryption|master)[_-]?key)$",
    re.IGNORECASE,
)


def names_a_secret(name: str) -> bool:
    """Whether a value under this name is a secret by the usual conventions (…_TOKEN, api_key, password, …)."""
    return _SECRET_NAME.search(name) is not None


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All rules for `hermes.environment`, `hermes.secrets` and `hermes.mcp_tokens` of every agent."""
    for agent in agents.values():
        environment, secrets = _entries(agent, "environment"), _entries(agent, "secrets")
        for name, tree in {**environment, **secrets}.items():
            if name in OUR_VARIABLES:
                report.add(tree.key, f"{name} is written by proxhermes", f"`{OUR_VARIABLES[name]}` in its place")
            elif section := _said_in_a_section(name, agent):
                report.add(tree.key, f"{name} contradicts `{section}`", "one of the two")
        for name in SEEN_VARIABLES & secrets.keys():
            report.add(secrets[name].key, f"{name} is no secret", "`hermes.environment` in its place")
        for name in environment.keys() & secrets.keys():
            report.warn(environment[name].key, f"{name} stands in `secrets` too, which wins", "one of the two")
        for name, tree in environment.items():
            if names_a_secret(name) and tree.value not in (None, ""):
                allowed = f"hermes.secrets: {{{name}: …}} with {HOW_TO_REFERENCE}"
                report.add(tree.spot, f"{name} is a secret by its name, and is written as it is", allowed)
        _logins(agent, report)


def _logins(agent: Tree, report: Report) -> None:
    """A login is for a server that is declared; the agent's own ones, which nobody declares, bring theirs along."""
    servers = {**_entries(agent, "mcp_servers"), **_children(agent.at("hermes", "settings", "mcp_servers"))}
    for name, tree in _entries(agent, "mcp_tokens").items():
        if name not in servers:
            report.warn(tree.key, f"a login for {name}, and `mcp_servers` has no such server")


def _said_in_a_section(name: str, agent: Tree) -> str | None:
    """The key of a messaging section that this variable is made of, if it stands there."""
    platform, _, key = name.lower().partition("_")
    if platform in _PLATFORMS and agent.at("messaging", platform, key) is not None:
        return f"messaging.{platform}.{key}"
    return None


def _entries(agent: Tree, block: str) -> dict[str, Tree]:
    return _children(agent.at("hermes", block))


def _children(tree: Tree | None) -> dict[str, Tree]:
    return tree.children if tree else {}
