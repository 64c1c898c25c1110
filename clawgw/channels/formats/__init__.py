"""How each provider wants formatted text, all from the same blocks (``channels.markdown``)."""

from __future__ import annotations

from clawgw.channels.format import Format
from clawgw.channels.formats.dialect import Dialect
from clawgw.channels.formats.discord import Discord
from clawgw.channels.formats.plain import Plain
from clawgw.channels.formats.signal import Signal
from clawgw.channels.formats.slack import Slack
from clawgw.channels.formats.telegram import Telegram
from clawgw.channels.formats.whatsapp import WhatsApp

__all__ = ["Dialect", "Format", "dialect_of"]


def dialect_of(fmt: Format) -> Dialect:
    """The writer of a format."""
    dialects: dict[Format, type[Dialect]] = {
        Format.TELEGRAM: Telegram,
        Format.SLACK: Slack,
        Format.DISCORD: Discord,
        Format.SIGNAL: Signal,
        Format.WHATSAPP: WhatsApp,
        Format.PLAIN: Plain,
    }
    return dialects[fmt]()
