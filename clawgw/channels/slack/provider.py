"""Slack's entry in the list of channels."""

from __future__ import annotations

from typing import Any

from clawgw.channels.adapter import Adapter, Host, Provider
from clawgw.channels.slack.settings import SlackAccount, SlackSettings


def make(account: str, settings: SlackAccount, host: Host) -> Adapter[Any]:
    """An adapter for one account; loads what Slack needs only now."""
    from clawgw.channels.slack.adapter import SlackAdapter

    return SlackAdapter(account, settings, host)


PROVIDER = Provider(
    id="slack",
    label="Slack",
    detail="Slack Bot",
    image="number",
    settings=SlackSettings,
    make=make,
)
