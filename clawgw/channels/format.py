"""The markup languages of providers."""

from __future__ import annotations

from enum import Enum


class Format(Enum):
    """How a provider's text is marked up."""

    TELEGRAM = "telegram"
    SLACK = "slack"
    DISCORD = "discord"
    SIGNAL = "signal"
    WHATSAPP = "whatsapp"
    PLAIN = "plain"
