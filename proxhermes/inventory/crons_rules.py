"""Rules for cron jobs: their answers go where somebody hears them, and their scripts are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxhermes.inventory.tree import Report, Tree

_PLATFORMS: Final = ("telegram", "discord", "slack")


def check(agents: Mapping[str, Tree], report: Report) -> None:
    """Warn of what would be found out only when a job has run."""
    for agent in agents.values():
        crons = agent.at("hermes", "crons")
        for cron in crons.children.values() if crons else ():
            target = cron.at("deliver")
            for each in target.items or [target] if target else ():
                _heard(agent, each, report)
            _script_given(agent, cron, report)


def _heard(agent: Tree, target: Tree, report: Report) -> None:
    platform, _, chat = str(target.value).partition(":")
    if platform not in _PLATFORMS:
        return
    section = agent.at("messaging", platform)
    if section is None or section.value is None:
        report.warn(target.spot, f"the agent has no {platform}", f"a section `messaging.{platform}`, or `local`")
    elif not chat and section.at("home_channel") is None:
        report.warn(
            target.spot,
            f"{platform} has no home channel that it could go to",
            f"`home_channel` in `messaging.{platform}`, or `{platform}:CHAT`",
        )


def _script_given(agent: Tree, cron: Tree, report: Report) -> None:
    script, files = cron.at("script"), agent.at("hermes", "home_files")
    if script is not None and f"scripts/{script.value}" not in (files.children if files else {}):
        report.warn(
            script.spot,
            "the inventory does not give the agent this script",
            f"`hermes.home_files: {{scripts/{script.value}: {{file: …}}}}`, unless it is there already",
        )
