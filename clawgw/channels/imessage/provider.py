"""iMessage as one of the channels there are: what is known of it before it is used."""

from __future__ import annotations

from clawgw.channels.adapter import Provider
from clawgw.channels.imessage.settings import IMessageSettings

PROVIDER = Provider(
    id="imessage",
    label="iMessage",
    detail="Messages on a Mac, through imsg",
    image="message.fill",
    settings=IMessageSettings,
    adapter="clawgw.channels.imessage.adapter:IMessageAdapter",
)
