"""Rules for what `messaging` and config.yaml both say of a platform: who is answered, where, and as which bot.

`messaging` becomes variables of .env, and some keys of config.yaml, in whichever of these places, win over them without
a word (Hermes 0.19: gateway/config.py, and `extra` in plugins/platforms/*/adapter.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from proxhermes.inventory.problems import render_path
from proxhermes.inventory.tree import Report, Tree

_KEYS: Final[Mapping[str, str]] = {
    "allow_from": "allowed_users",
    "group_allowed_chats": "group_allowed_chats",
    "allowed_channels": "allowed_channels",
    "require_mention": "require_mention",
    "base_url": "base_url",
    "base_file_url": "base_file_url",
}
"""Keys of a platform in config.yaml, and what they are called in its section."""
_TOKENS: Final[Mapping[str, str]] = {"telegram": "token", "discord": "token", "slack": "bot_token"}


def check(agent: Tree, config: Tree, report: Report) -> None:
    """No platform's section of `agent` says one thing and its `config` (settings, or a whole file) another."""
    for name in _TOKENS:
        section = agent.at("messaging", name)
        if section is None or section.value is None:
            continue
        for path, expected, said in _said(name, section):
            found = config.at(*path)
            if found is not None and found.value is not None and _values(found.plain()) != _values(expected):
                where = f"`{render_path(said.key.path)}` ({report.place(said.key)})"
                report.add(found.spot, f"{render_path(path)} says something else than {where}", "one of the two")


def _said(name: str, section: Tree) -> Iterator[tuple[tuple[str, ...], object, Tree]]:
    """What the section says: path in config.yaml, value, and where that is written."""
    places = ((name,), ("platforms", name), ("gateway", "platforms", name))
    told: dict[str, tuple[object, Tree]] = {"enabled": (True, section)}
    if (token := section.at(_TOKENS[name])) is not None:
        told["token"] = (f"${{{name.upper()}_BOT_TOKEN}}", token)
    for key, option in _KEYS.items():
        if (tree := section.at(option)) is not None and tree.value is not None:
            told[key] = (tree.plain(), tree)
    everybody = section.at("allow_all_users")
    if everybody is not None and everybody.value is True:
        told["allow_from"] = ("*", everybody)
    for key, (value, tree) in told.items():
        for place in places:
            yield (*place, key), value, tree
            yield (*place, "extra", key), value, tree
    if (home := section.at("home_channel")) is not None and home.value is not None:
        for place in places:
            yield (*place, "home_channel", "chat_id"), home.plain(), home
    if name == "telegram" and "require_mention" in told:
        yield ("require_mention",), *told["require_mention"]  # which Hermes takes for Telegram's, too


def _values(value: object) -> set[str]:
    """Ids as Hermes takes them: a list, or a text with commas; numbers are text, and a URL may end in a slash."""
    items = value if isinstance(value, list) else str(value).split(",")
    return {str(item).strip().rstrip("/").lower() for item in items}
