"""Signal as one of the channels there are: what is known of it before it is used."""

from __future__ import annotations

from clawgw.channels.adapter import Provider
from clawgw.channels.signal.settings import SignalSettings

PROVIDER = Provider(
    id="signal",
    label="Signal",
    detail="signal-cli linked device",
    image="antenna.radiowaves.left.and.right",
    settings=SignalSettings,
    adapter="clawgw.channels.signal.adapter:SignalAdapter",
)
