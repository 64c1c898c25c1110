"""WhatsApp as one of the channels there are: what is known of it before it is used."""

from __future__ import annotations

from clawgw.channels.adapter import Provider
from clawgw.channels.whatsapp.settings import WhatsAppSettings

PROVIDER = Provider(
    id="whatsapp",
    label="WhatsApp",
    detail="WhatsApp Web",
    image="message",
    settings=WhatsAppSettings,
    adapter="clawgw.channels.whatsapp.adapter:WhatsAppAdapter",
)
