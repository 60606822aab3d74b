"""The typed messaging sections of the inventory as Hermes' own keys.

Names as Hermes 0.19 reads them: TELEGRAM_*, DISCORD_*, SLACK_* in .env (gateway/config.py and the platforms' adapters),
and `platforms.NAME` in config.yaml, where alone the address of another Bot API server can stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxhermes.inventory.messaging import Messaging, Platform
from proxhermes.inventory.secrets import SecretRef


@dataclass(frozen=True, slots=True)
class Standing:
    """How a platform stands, in the gateway's words; error: the reason that it gave, if any."""

    state: str
    error: str | None = None

    @property
    def connected(self) -> bool:
        return self.state == "connected"


def standings(gateway_state: Mapping[str, Any]) -> dict[str, Standing]:
    """The platforms in a gateway_state.json, parsed. The agent may write that file, so its form is not trusted."""
    told = gateway_state.get("platforms")
    entries = told.items() if isinstance(told, dict) else ()
    return {name: _standing(entry) for name, entry in entries if isinstance(entry, dict)}


def _standing(entry: Mapping[str, Any]) -> Standing:
    error = entry.get("error_message") or entry.get("error_code")
    return Standing(str(entry.get("state") or "unknown"), str(error) if error else None)


def enabled(messaging: Messaging) -> tuple[str, ...]:
    """The platforms that have a section, by Hermes' names."""
    return tuple(name for name in ("telegram", "discord", "slack") if getattr(messaging, name) is not None)


def secrets(messaging: Messaging) -> dict[str, SecretRef]:
    """The lines of .env that are secrets."""
    found: dict[str, SecretRef] = {}
    if messaging.telegram:
        found["TELEGRAM_BOT_TOKEN"] = messaging.telegram.token
    if messaging.discord:
        found["DISCORD_BOT_TOKEN"] = messaging.discord.token
    if messaging.slack:
        found["SLACK_BOT_TOKEN"] = messaging.slack.bot_token
        found["SLACK_APP_TOKEN"] = messaging.slack.app_token
    return found


def environment(messaging: Messaging) -> dict[str, str]:
    """The other lines of .env."""
    lines: dict[str, str] = {}
    if telegram := messaging.telegram:
        lines |= _common("TELEGRAM", telegram)
        lines |= _ids("TELEGRAM_GROUP_ALLOWED_CHATS", telegram.group_allowed_chats)
        if telegram.base_url:  # who has a Bot API server of one's own does not want Telegram's looked up elsewhere
            lines["HERMES_TELEGRAM_DISABLE_FALLBACK_IPS"] = "true"
    if discord := messaging.discord:
        lines |= _common("DISCORD", discord)
        lines |= _ids("DISCORD_ALLOWED_ROLES", discord.allowed_roles)
        lines |= _ids("DISCORD_ALLOWED_CHANNELS", discord.allowed_channels)
    if slack := messaging.slack:
        lines |= _common("SLACK", slack)
        lines |= _ids("SLACK_ALLOWED_CHANNELS", slack.allowed_channels)
    return lines


def settings(messaging: Messaging) -> dict[str, Any]:
    """The keys of config.yaml: every platform with a section is on."""
    platforms: dict[str, Any] = {name: {"enabled": True} for name in enabled(messaging)}
    if telegram := messaging.telegram:
        urls = {"base_url": telegram.base_url, "base_file_url": telegram.base_file_url}
        if extra := {key: url for key, url in urls.items() if url}:
            platforms["telegram"]["extra"] = extra
    return {"platforms": platforms} if platforms else {}


def defaults(messaging: Messaging) -> dict[str, Any]:
    """Keys of config.yaml that are set only where it says nothing.

    What is written to the bot while the gateway is down waits at Telegram's; Hermes' own default is to drop it (0.22:
    plugins/platforms/telegram/adapter.py). Versions without the key, up to 0.21.3, drop it in any case.
    """
    if messaging.telegram is None:
        return {}
    return {"platforms": {"telegram": {"extra": {"drop_pending_on_cold_boot": False}}}}


def _common(prefix: str, platform: Platform) -> dict[str, str]:
    lines = _ids(f"{prefix}_ALLOWED_USERS", platform.allowed_users)
    if platform.allow_all_users:
        lines[f"{prefix}_ALLOW_ALL_USERS"] = "true"
    if platform.home_channel is not None:
        lines[f"{prefix}_HOME_CHANNEL"] = platform.home_channel
    if platform.require_mention is not None:
        lines[f"{prefix}_REQUIRE_MENTION"] = "true" if platform.require_mention else "false"
    return lines


def _ids(name: str, ids: Sequence[str]) -> dict[str, str]:
    return {name: ",".join(ids)} if ids else {}
