"""The bot's menu of commands, as people see it when they type a slash."""

from __future__ import annotations

from clawgw.channels.commands import COMMANDS
from clawgw.channels.telegram.settings import TelegramAccount

MOST = 100
"""Entries a menu may have (core.telegram.org/bots/api, "setMyCommands")."""


def menu(settings: TelegramAccount) -> list[dict[str, str]]:
    """The Gateway's commands, then the operator's, as `setMyCommands` takes them."""
    commands = dict(COMMANDS) if settings.commands.native else {}
    for custom in settings.custom_commands:
        name = custom.command.lstrip("/").lower()
        commands.setdefault(name, custom.description)
    entries = [{"command": name, "description": text} for name, text in commands.items()]
    return entries[:MOST]
