"""WhatsApp as one of the channels there are."""

from __future__ import annotations

from typing import Any

from clawgw.channels.adapter import Adapter, Host, Provider
from clawgw.channels.whatsapp.settings import WhatsAppSettings


def make(account: str, settings: Any, host: Host) -> Adapter[Any]:
    """The adapter of an account."""
    from clawgw.channels.whatsapp.adapter import WhatsAppAdapter

    return WhatsAppAdapter(account, settings, host)


PROVIDER = Provider(
    id="whatsapp",
    label="WhatsApp",
    detail="WhatsApp Web",
    image="message",
    settings=WhatsAppSettings,
    make=make,
)
