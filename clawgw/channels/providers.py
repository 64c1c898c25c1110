"""The channels there can be, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from clawgw.channels.adapter import Provider
from clawgw.channels.discord.provider import PROVIDER as DISCORD
from clawgw.channels.imessage.provider import PROVIDER as IMESSAGE
from clawgw.channels.settings import AccountSettings
from clawgw.channels.signal.provider import PROVIDER as SIGNAL
from clawgw.channels.slack.provider import PROVIDER as SLACK
from clawgw.channels.telegram.provider import PROVIDER as TELEGRAM
from clawgw.channels.whatsapp.provider import PROVIDER as WHATSAPP

PROVIDERS: tuple[Provider, ...] = (TELEGRAM, DISCORD, SLACK, SIGNAL, IMESSAGE, WHATSAPP)

if TYPE_CHECKING:
    from clawgw.config import Channels


class Configured(NamedTuple):
    """An account that the configuration names."""

    provider: Provider
    name: str
    settings: AccountSettings


def accounts_of(channels: Channels) -> Iterator[Configured]:
    """The accounts of the `channels` section, those that are switched off too."""
    for provider in PROVIDERS:
        section = getattr(channels, provider.id)
        if section is None:
            continue
        if section.accounts:
            for name, settings in section.accounts.items():
                yield Configured(provider, name, settings)
        else:
            yield Configured(provider, "default", section)


def load(providers: Iterable[Provider]) -> None:
    """Load these channels' adapters, and what cuts the messages that they are given to send.

    The first time that takes a moment: not for the reactor. What cannot be loaded is found out, and
    said, when its account is made.
    """
    for provider in providers:
        with suppress(Exception):
            provider.load()
            import_module("clawgw.channels.chunks")
