"""What the Gateway has to know of iMessage before it is used."""

from __future__ import annotations

from typing import Any

from clawgw.channels.adapter import Adapter, Host, Provider
from clawgw.channels.imessage.settings import IMessageSettings


def _make(account: str, settings: Any, host: Host) -> Adapter[Any]:
    # A Gateway without iMessage loads nothing of it.
    from clawgw.channels.imessage.adapter import IMessageAdapter

    return IMessageAdapter(account, settings, host)


PROVIDER = Provider(
    id="imessage",
    label="iMessage",
    detail="Messages on a Mac, through imsg",
    image="message.fill",
    settings=IMessageSettings,
    make=_make,
)
