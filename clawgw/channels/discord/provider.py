"""Discord as one of the channels there are: what is known of it before it is used."""

from __future__ import annotations

from clawgw.channels.adapter import Provider
from clawgw.channels.discord.settings import DiscordSettings

PROVIDER = Provider(
    id="discord",
    label="Discord",
    detail="Discord Bot",
    image="bubble.left.and.bubble.right",
    settings=DiscordSettings,
    adapter="clawgw.channels.discord.adapter:DiscordAdapter",
)
