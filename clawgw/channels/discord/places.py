"""Where messages are written: servers, channels, threads, and what the bot is called there.

Discord tells all that when a session begins, but not when one is resumed; what is asked for and not
known is fetched once. Rules name servers and channels by id or by name, so a place knows every name
it may be listed under (`Place.keys`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from clawgw.channels.discord.api import Api, Refused
from clawgw.channels.discord.objects import DM, GROUP_DM, THREADS, Channel, Guild
from clawgw.channels.discord.settings import GROUP_DM as GROUP_DM_KEY
from clawgw.channels.discord.settings import channel_keys, guild_keys
from clawgw.channels.messages import Chat

MOST = 20_000
_T = TypeVar("_T")


@dataclass(frozen=True)
class Place:
    """A channel, with what encloses it."""

    channel: Channel
    parent: Channel | None = None
    guild_id: str | None = None
    guild_name: str = ""

    @property
    def is_direct(self) -> bool:
        """Whether nobody but the bot and one person is there."""
        return self.guild_id is None and self.channel.type != GROUP_DM

    @property
    def guild_keys(self) -> tuple[str, ...]:
        """What its server may be listed under."""
        return guild_keys(self.guild_id, self.guild_name) if self.guild_id else ()

    @property
    def keys(self) -> tuple[str, ...]:
        """What it, and what encloses it, may be listed under, the most exact first."""
        if self.guild_id is None:
            return () if self.is_direct else (GROUP_DM_KEY,)
        guild = self.guild_keys
        # Whoever may begin a thread chooses its name, so a thread is listed by its id only.
        is_thread = self.channel.type in THREADS
        name = "" if is_thread else self.channel.name or ""
        own = list(channel_keys(guild, self.channel.id, name))[1:]
        if self.parent is not None:
            own += channel_keys(guild, self.parent.id, self.parent.name or "")
        return (*own, *guild)

    def chat(self) -> Chat:
        """The place as the rest of the Gateway knows it; a thread is a channel of its own."""
        if self.is_direct:
            return Chat(id=self.channel.id)
        name = self.channel.name or ""
        if self.guild_id is None:
            return Chat(id=self.channel.id, kind="group", title=name, parents=self.keys)
        title = f"#{self.parent.name} › {name}" if self.parent and self.parent.name else f"#{name}"
        if self.guild_name:
            title = f"{self.guild_name} {title}"
        return Chat(
            id=self.channel.id, kind="channel", title=title if name else "", parents=self.keys
        )


class Places:
    """All places that are known."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._channels: dict[str, Channel] = {}
        self._guilds: dict[str, str] = {}
        self._roles: dict[str, str] = {}  # of a server, the role that is the bot's own

    def learn_guild(self, guild: Guild, bot: str) -> None:
        """Take in a server."""
        _keep(self._guilds, guild.id, guild.name)
        for role in guild.roles:
            if role.tags is not None and role.tags.bot_id == bot:
                _keep(self._roles, guild.id, role.id)
        for channel in (*guild.channels, *guild.threads):
            self.learn(channel, guild.id)

    def learn(self, channel: Channel, guild: str | None = None) -> None:
        """Take in a channel."""
        if channel.guild_id is None and guild is not None:
            channel = msgspec.structs.replace(channel, guild_id=guild)
        _keep(self._channels, channel.id, channel)

    def forget(self, channel: str) -> None:
        """A channel is gone."""
        self._channels.pop(channel, None)

    def role(self, guild: str | None) -> str | None:
        """The role that is the bot's own in a server; a mention of it is one of the bot."""
        return self._roles.get(guild or "")

    def name(self, channel: str) -> str | None:
        """What a channel is called, if that is known."""
        known = self._channels.get(channel)
        return known.name if known else None

    async def find(self, channel: str, guild: str | None, bot: str) -> Place:
        """A place; what is not known of it is fetched.

        Raises:
            Refused, Throttled, HttpError: not now. What Discord will never tell stays unknown.
        """
        here = await self._channel(channel, guild)
        if guild is None:
            return Place(here)
        inside = here.type in THREADS and here.parent_id
        parent = await self._channel(here.parent_id, guild) if inside and here.parent_id else None
        return Place(here, parent, guild, await self._guild(guild, bot))

    async def _channel(self, channel: str, guild: str | None) -> Channel:
        if channel not in self._channels:
            try:
                found = msgspec.convert(await self._api.channel(channel), Channel)
            except (Refused, msgspec.ValidationError) as problem:
                _unless_for_now(problem)
                found = Channel(channel, DM if guild is None else 0)
            self.learn(found, guild)
        return self._channels[channel]

    async def _guild(self, guild: str, bot: str) -> str:
        if guild not in self._guilds:
            try:
                found = msgspec.convert(await self._api.guild(guild), Guild)
            except (Refused, msgspec.ValidationError) as problem:
                _unless_for_now(problem)
                found = Guild(guild)
            self.learn_guild(found, bot)
        return self._guilds[guild]


def _unless_for_now(problem: Exception) -> None:
    """What is refused for a while only must not be taken for unknown."""
    if isinstance(problem, Refused) and (problem.foreign or problem.status not in (400, 403, 404)):
        raise problem


def _keep(known: dict[str, _T], key: str, value: _T) -> None:
    """Remember, and forget the oldest where there are too many."""
    known.pop(key, None)
    known[key] = value
    if len(known) > MOST:
        del known[next(iter(known))]
