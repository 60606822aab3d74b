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
    "HERMES_HOME_MODE": "nothing: `verify` checks the modes that come of it",
    "HERMES_MANAGED": "hermes.managed",
    "TERMINAL_CWD": "hermes.working_directory",
    "MESSAGING_CWD": "hermes.working_directory",
}
"""Variables that proxhermes writes, or that would contradict it, and where their value is said."""
PORTS: Final = ("API_SERVER_PORT", "HERMES_DASHBOARD_PORT")
API_SWITCH: Final = "API_SERVER_ENABLED"
API_STAYS: Final = "the gateway's API cannot be switched off"
WHY_API_STAYS: Final = "proxhermes asks it whether the gateway is up; it listens within the agent's own network alone"
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
    # PWD alone is the shell's own folder, and GOOGLE_APPLICATION_CREDENTIALS a path.
    r"(?:^|[_-])(?:token|secret|password|passwd|passphrase|pass|pat|(?<=[_-])pwd|(?<!application_)credentials?"
    r"|(?:api|access|auth|encryption|master|private|secret|server|signing)[_-]?key)$",
    re.IGNORECASE,
)


def runtime_type(agent: Tree) -> str:
    """The type of the agent's runtime, declared or by default."""
    return agent.text("runtime", "type") or "docker"


def said_by(name: str, runtime: str) -> str | None:
    """The option that says this variable, in a runtime of this type."""
    return "runtime.state_dir" if name == "HERMES_HOME" and runtime != "docker" else OUR_VARIABLES.get(name)


def names_a_secret(name: str) -> bool:
    """Whether a value under this name is a secret by the usual conventions (…_TOKEN, api_key, password, …)."""
    return _SECRET_NAME.search(name) is not None


def is_port(text: str) -> bool:
    """Whether it is a port's number as everybody reads it."""
    return re.fullmatch(r"[1-9][0-9]{0,4}", text) is not None and int(text) < 65536


def is_on(text: str) -> bool:
    """Whether Hermes takes it for a yes."""
    return text.lower() in ("true", "1", "yes", "on")


def instead(option: str) -> str:
    """What to write in the place of what proxhermes says itself."""
    return option if option.startswith("nothing") else f"`{option}` in its place"


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """All rules for the lines of .env and the logins of every agent."""
    for agent in agents.values():
        environment, secrets = _entries(agent, "environment"), _entries(agent, "secrets")
        for name, tree in {**environment, **secrets}.items():
            if option := said_by(name, runtime_type(agent)):
                report.add(tree.key, f"{name} is written by proxhermes", instead(option))
            elif section := _said_in_a_section(name, agent):
                report.add(tree.key, f"{name} contradicts `{section}`", "one of the two")
        for name in SEEN_VARIABLES & secrets.keys():
            report.add(secrets[name].key, f"{name} is no secret", "`hermes.environment` in its place")
        for name in environment.keys() & secrets.keys():
            report.warn(environment[name].key, f"{name} stands in `secrets` too, which wins", "one of the two")
        for name, tree in environment.items():
            if names_a_secret(name) and name not in OUR_VARIABLES and tree.value not in (None, ""):
                allowed = f"hermes.secrets: {{{name}: …}} with {HOW_TO_REFERENCE}"
                report.add(tree.spot, f"{name} is a secret by its name, and is written as it is", allowed)
        _gateway(environment, report)
        _logins(agent, report)


def _gateway(environment: Mapping[str, Tree], report: Report) -> None:
    """What proxhermes itself has to know of the gateway."""
    for name in PORTS:
        tree = environment.get(name)
        if tree is not None and tree.kind in ("text", "a number") and not is_port(str(tree.value)):
            report.add(tree.spot, f"{str(tree.value)!r} is not a port", "a number from 1 to 65535")
    switch = environment.get(API_SWITCH)
    if switch is not None and switch.kind in ("text", "a number") and not is_on(str(switch.value)):
        report.add(switch.spot, API_STAYS, f"no {API_SWITCH}: {WHY_API_STAYS}")


def _logins(agent: Tree, report: Report) -> None:
    """A login is for a server that is declared; the agent's own ones, which nobody declares, bring theirs along."""
    force = agent.at("hermes", "auth_file_force_overwrite")
    if force is not None and force.value is True and agent.at("hermes", "auth_file") is None:
        report.warn(force.key, "there is no `auth_file` that could take another one's place", "`auth_file: PATH`")
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
