"""What the Gateway has to know of Telegram before it is used."""

from __future__ import annotations

from typing import Any

from clawgw.channels.adapter import Adapter, Host, Provider
from clawgw.channels.telegram.settings import TelegramSettings


def _make(account: str, settings: Any, host: Host) -> Adapter[Any]:
    # A Gateway without Telegram loads nothing of it.
    from clawgw.channels.telegram.adapter import TelegramAdapter

    return TelegramAdapter(account, settings, host)


PROVIDER = Provider(
    id="telegram",
    label="Telegram",
    detail="Telegram bot",
    image="paperplane",
    settings=TelegramSettings,
    make=_make,
)
