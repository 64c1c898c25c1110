"""Telegram as one of the channels there are: what is known of it before it is used."""

from __future__ import annotations

from clawgw.channels.adapter import Provider
from clawgw.channels.telegram.settings import TelegramSettings

PROVIDER = Provider(
    id="telegram",
    label="Telegram",
    detail="Telegram bot",
    image="paperplane",
    settings=TelegramSettings,
    adapter="clawgw.channels.telegram.adapter:TelegramAdapter",
)
