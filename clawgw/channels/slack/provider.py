"""Slack as one of the channels there are: what is known of it before it is used."""

from __future__ import annotations

from clawgw.channels.adapter import Provider
from clawgw.channels.slack.settings import SlackSettings

PROVIDER = Provider(
    id="slack",
    label="Slack",
    detail="Slack Bot",
    image="number",
    settings=SlackSettings,
    adapter="clawgw.channels.slack.adapter:SlackAdapter",
)
