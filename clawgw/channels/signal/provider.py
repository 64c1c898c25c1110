"""What the Gateway has to know of Signal before it is used."""

from __future__ import annotations

from typing import Any

from clawgw.channels.adapter import Adapter, Host, Provider
from clawgw.channels.signal.settings import SignalSettings


def _make(account: str, settings: Any, host: Host) -> Adapter[Any]:
    # A Gateway without Signal loads nothing of it.
    from clawgw.channels.signal.adapter import SignalAdapter

    return SignalAdapter(account, settings, host)


PROVIDER = Provider(
    id="signal",
    label="Signal",
    detail="signal-cli linked device",
    image="antenna.radiowaves.left.and.right",
    settings=SignalSettings,
    make=_make,
)
