"""The messaging platforms that have a section of their own. Hermes knows more: `hermes.secrets` and `.environment`.

Fields are named after what Hermes 0.19 reads (TELEGRAM_*, DISCORD_*, SLACK_* in its .env, `platforms.*.extra` in its
config.yaml); rendering them is the business of `proxhermes.hermes`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from proxhermes.inventory.fields import ChatId, ChatIds, HttpUrl, Model, mistake
from proxhermes.inventory.secrets import SecretRef


class Platform(Model):
    """What the platforms have in common: who may talk to the agent, and where it reports to."""

    allowed_users: ChatIds = Field(
        default=(), description="Ids of the users that the agent answers; nobody else is heard."
    )
    allow_all_users: bool = Field(
        default=False, description="Answer everybody. The agent runs commands for whoever it answers."
    )
    home_channel: ChatId | None = Field(default=None, description="Chat or channel for what the agent says unasked.")
    require_mention: bool | None = Field(
        default=None, description="In groups, answer only when mentioned; Hermes' default if unset."
    )


class Telegram(Platform):
    """A Telegram bot, polled outbound."""

    token: SecretRef = Field(description="The bot's token from @BotFather.")
    group_allowed_chats: ChatIds = Field(
        default=(), description="Ids of the groups in which the agent answers everybody."
    )
    base_url: HttpUrl | None = Field(
        default=None, description="A Bot API server of one's own, as in http://10.1.10.5:8081/bot."
    )
    base_file_url: HttpUrl | None = Field(
        default=None, description="Where it serves files; …/file/bot beside base_url's …/bot by default."
    )

    @field_validator("base_url")
    @classmethod
    def _ends_with_bot(cls, value: str | None) -> str | None:
        if value is not None and not value.endswith("/bot"):
            # Hermes puts the token right behind it (python-telegram-bot's convention).
            raise mistake(f"{value!r} does not end with `/bot`", "as in `http://10.1.10.5:8081/bot`")
        return value

    @model_validator(mode="before")
    @classmethod
    def _files_beside_messages(cls, data: Any) -> Any:
        base = data.get("base_url") if isinstance(data, dict) else None
        if isinstance(base, str) and base.rstrip("/").endswith("/bot"):
            # Hermes' own default for files is base_url itself, where no Bot API server has them.
            return {"base_file_url": base.rstrip("/").removesuffix("/bot") + "/file/bot", **data}
        return data


class Discord(Platform):
    """A Discord bot, connected outbound."""

    token: SecretRef = Field(description="The bot's token.")
    allowed_roles: ChatIds = Field(default=(), description="Ids of the roles whose members the agent answers.")
    allowed_channels: ChatIds = Field(default=(), description="Ids of the channels in which the agent answers.")


class Slack(Platform):
    """A Slack app in socket mode, connected outbound."""

    bot_token: SecretRef = Field(description="The bot token (xoxb-…).")
    app_token: SecretRef = Field(description="The app-level token (xapp-…) with connections:write.")
    allowed_channels: ChatIds = Field(default=(), description="Ids of the channels in which the agent answers.")


class Messaging(Model):
    """The agent's messaging platforms; one without a section is off."""

    telegram: Telegram | None = Field(default=None, description="A Telegram bot.")
    discord: Discord | None = Field(default=None, description="A Discord bot.")
    slack: Slack | None = Field(default=None, description="A Slack app in socket mode.")
