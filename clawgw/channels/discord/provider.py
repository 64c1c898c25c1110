"""Discord's entry in the list of channels."""

from __future__ import annotations

from typing import Any

from clawgw.channels.adapter import Adapter, Host, Provider
from clawgw.channels.discord.settings import DiscordAccount, DiscordSettings


def make(account: str, settings: DiscordAccount, host: Host) -> Adapter[Any]:
    """An adapter for one account; loads what Discord needs only now."""
    from clawgw.channels.discord.adapter import DiscordAdapter

    return DiscordAdapter(account, settings, host)


PROVIDER = Provider(
    id="discord",
    label="Discord",
    detail="Discord Bot",
    image="bubble.left.and.bubble.right",
    settings=DiscordSettings,
    make=make,
)
