"""What Discord's events mean for an account.

Messages, edits and reactions are handed on. Servers and channels are remembered. When a session
begins anew, the events between it and the last one are lost; what was written meanwhile is then
read from the history: direct conversations from the last message stored of each, servers' channels
from a little before the last message stored at all (`gap`), nothing older than the account's
`catchUpDays`. Channels in which nothing is newer, and those where nobody is listened to, are not
asked for: each question counts towards Discord's limits. What is read twice is recognised by its
id. Nobody can be asked for direct messages of people who never wrote before; those are lost with
the session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import msgspec
from twisted.logger import Logger

from clawgw.channels.adapter import Host
from clawgw.channels.discord.api import PAGE, Api, Refused
from clawgw.channels.discord.feed import Feed
from clawgw.channels.discord.inbound import Around, edited, reacted, stump, written
from clawgw.channels.discord.objects import (
    DM,
    GROUP_DM,
    THREADS,
    Channel,
    Guild,
    Message,
    Reaction,
    Ready,
    Stump,
    User,
    milliseconds,
    snowflake,
    time_of,
)
from clawgw.channels.discord.places import Place, Places
from clawgw.channels.discord.protocol import Frame, Session
from clawgw.channels.discord.settings import DiscordAccount
from clawgw.channels.messages import Inbound
from clawgw.channels.policy import is_heard

SLACK_MS = 60_000
"""Messages of different channels may have been stored in another order than they were written."""

DAY_MS = 24 * 3600 * 1000
AWAITED = "awaited"
"""In the cursor: the servers whose history is still to be read, as long as there is a gap."""

_WITH_MESSAGES = {0, 2, 5, 13, DM, *THREADS}

_T = TypeVar("_T")


class Me(msgspec.Struct, frozen=True):
    """Who the bot is; stored, because a resumed session does not say it again."""

    id: str
    name: str
    application: str


class Events:
    """Reads the events of one account.

    Args:
        settings, host, api, places: the account's.
        saved: the cursor as it was stored.
        on_session: told when the session has begun or was resumed.
    """

    log = Logger()

    def __init__(
        self,
        settings: DiscordAccount,
        host: Host,
        api: Api,
        places: Places,
        saved: dict[str, str],
        on_session: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._policy = settings.policy()
        self._host = host
        self._api = api
        self._places = places
        self._saved = saved
        self._on_session = on_session
        self._gap = saved.get("gap")
        self._awaited = set(saved.get(AWAITED, "").split())
        self.me = load_me(saved)
        self.feed: Feed

    async def read(self, frame: Frame) -> AsyncIterator[Inbound]:
        """The messages an event brings; what cannot be read is skipped."""
        if frame.t == "READY":
            async for inbound in self._ready(frame):
                yield inbound
        elif frame.t == "GUILD_CREATE":
            async for inbound in self._guild(frame):
                yield inbound
        elif frame.t in ("MESSAGE_CREATE", "MESSAGE_UPDATE"):
            one = await self._message(frame.d, changed=frame.t == "MESSAGE_UPDATE")
            if one is not None:
                yield one
        elif frame.t == "MESSAGE_REACTION_ADD":
            one = await self._reaction(frame.d)
            if one is not None:
                yield one
        else:
            self._remember(frame)

    # Messages

    async def _message(self, data: Any, *, changed: bool = False) -> Inbound | None:
        message = _as(Message, data)
        if message is None:
            return None if changed else await self._unreadable(data)
        if message.author.id == self._me:
            return None
        if message.guild_id is None and message.channel_type == DM:
            self._places.learn(Channel(message.channel_id, DM))
        place = await self._place(message.channel_id, message.guild_id)
        if place is None:
            return None
        around = self._around(message.guild_id)
        if changed:
            return edited(message, place, around, self._now_ms())
        return written(message, place, around)

    async def _unreadable(self, data: Any) -> Inbound | None:
        """A message that breaks its own rules is told of all the same, if it says whose it is."""
        rest = _as(Stump, data)
        if rest is None:
            self.log.warn("Discord sent a message that says neither its id nor whose it is")
            return None
        place = await self._place(rest.channel_id, rest.guild_id)
        return stump(rest, place, self._around(rest.guild_id)) if place else None

    async def _reaction(self, data: Any) -> Inbound | None:
        reaction = _as(Reaction, data)
        if reaction is None or reaction.user_id == self._me:
            return None
        place = await self._place(reaction.channel_id, reaction.guild_id)
        if place is None:
            return None
        wanted = self._settings.reactions(place.guild_keys)
        own = reaction.message_author_id == self._me
        if wanted == "off" or (wanted == "own" and not own):
            return None
        return reacted(reaction, place, self._now_ms())

    async def _place(self, channel: str, guild: str | None) -> Place | None:
        """Where something is; None for group DMs that are not wanted."""
        place = await self._places.find(channel, guild, self._me)
        if place.channel.type == GROUP_DM and not self._settings.dm.group_enabled:
            return None
        return place

    def _around(self, guild: str | None) -> Around:
        return Around(
            bot=self._me,
            role=self._places.role(guild),
            channel_name=self._places.name,
            hears_bots=self._settings.allow_bots,
        )

    @property
    def _me(self) -> str:
        return self.me.id if self.me else ""

    def _now_ms(self) -> int:
        return int(self._host.reactor.seconds() * 1000)

    # A session begins

    async def _ready(self, frame: Frame) -> AsyncIterator[Inbound]:
        ready = _as(Ready, frame.d)
        if ready is None:
            self.log.warn("Discord began a session without saying how it is called")
            return
        user: User = ready.user
        self.me = Me(user.id, user.username, ready.application.id or user.id)
        self._gap = self._gap_until_now()
        self._awaited = _guild_ids(frame.d)
        await self._host.remember(
            {
                "gap": self._gap,
                AWAITED: self._still_awaited(),
                "me": msgspec.json.encode(self.me).decode(),
                "session": None,
            }
        )
        if self._gap is None:
            self.feed.note("last", snowflake(self._now_ms()))  # nothing older counts
        else:
            async for inbound in self._missed_directly():
                yield inbound
        await self.feed.flush()  # what was missed, before the session is said to have begun
        session = Session(ready.session_id, ready.resume_gateway_url, frame.s or 0)
        await self._host.remember({"session": msgspec.json.encode(session).decode()})
        self.feed.began(session)
        self._on_session()
        self._done_with(None)

    def _gap_until_now(self) -> str | None:
        """Where what was missed begins; None where nothing was ever received."""
        last = self._saved.get("last")
        begins = self._gap or (last and snowflake(milliseconds(last) - SLACK_MS))
        if not begins or not self._settings.catch_up_days:
            return None
        oldest = self._now_ms() - self._settings.catch_up_days * DAY_MS
        return snowflake(max(milliseconds(begins), oldest))

    async def _missed_directly(self) -> AsyncIterator[Inbound]:
        cursor = await self._host.cursor()
        for name, after in cursor.items():
            channel = name.removeprefix("dm:")
            if name.startswith("dm:") and after.isdecimal():
                self._places.learn(Channel(channel, DM))
                since = max(int(after), int(self._gap or 0))
                async for inbound in self._history(channel, since, None):
                    yield inbound

    async def _guild(self, frame: Frame) -> AsyncIterator[Inbound]:
        guild = _as(Guild, frame.d)
        if guild is None or guild.unavailable:
            return
        self._places.learn_guild(guild, self._me)
        if self._gap is not None:
            joined = snowflake(time_of(guild.joined_at)) if guild.joined_at else "0"
            since = max(int(self._gap), int(joined))
            for channel in (*guild.channels, *guild.threads):
                if channel.type in _WITH_MESSAGES and _number(channel.last_message_id) > since:
                    async for inbound in self._history(channel.id, since, guild.id):
                        yield inbound
        self._done_with(guild.id)

    async def _history(self, channel: str, after: int, guild: str | None) -> AsyncIterator[Inbound]:
        """What was written in a channel after a message, if anybody is listened to there."""
        place = await self._places.find(channel, guild, self._me)
        if not is_heard(place.chat(), self._policy):
            return
        while True:
            try:
                page = await self._api.messages(channel, str(after))
            except Refused as problem:
                if problem.status in (400, 403, 404):
                    return  # it is gone, or not ours to read
                raise
            for data in page:
                inbound = await self._message({"guild_id": guild, **data})
                if inbound is not None:
                    yield inbound
            last = max((_number(data.get("id")) for data in page), default=0)
            if len(page) < PAGE or last <= after:
                return
            after = last

    def _done_with(self, guild: str | None) -> None:
        """When all servers have come, nothing is missing any more."""
        self._awaited.discard(guild or "")
        if self._gap is None:
            return
        if not self._awaited:
            self._gap = None
            self.feed.note("gap", None)
        self.feed.note(AWAITED, self._still_awaited())

    def _still_awaited(self) -> str | None:
        return " ".join(sorted(self._awaited)) or None if self._gap is not None else None

    # Places

    def _remember(self, frame: Frame) -> None:
        if frame.t == "RESUMED":
            self._on_session()
        elif frame.t in ("CHANNEL_CREATE", "CHANNEL_UPDATE", "THREAD_CREATE", "THREAD_UPDATE"):
            channel = _as(Channel, frame.d)
            if channel is not None:
                self._places.learn(channel)
        elif frame.t == "GUILD_DELETE":
            guild = _as(Guild, frame.d)
            if guild is not None and not guild.unavailable:
                self._done_with(guild.id)  # the bot is no longer in it
        elif frame.t in ("CHANNEL_DELETE", "THREAD_DELETE"):
            channel = _as(Channel, frame.d)
            if channel is not None:
                self._places.forget(channel.id)


def load_me(saved: dict[str, str]) -> Me | None:
    """Who the bot was when a session last began."""
    try:
        return msgspec.json.decode(saved.get("me", ""), type=Me)
    except msgspec.DecodeError:
        return None


def _as(kind: type[_T], data: Any) -> _T | None:
    try:
        return msgspec.convert(data, kind)
    except (msgspec.ValidationError, RecursionError):
        return None


def _guild_ids(ready: Any) -> set[str]:
    guilds = ready.get("guilds") if isinstance(ready, dict) else None
    if not isinstance(guilds, list):
        return set()
    return {str(one["id"]) for one in guilds if isinstance(one, dict) and "id" in one}


def _number(snowflake: Any) -> int:
    """An id as a number; 0 for what is none."""
    is_one = isinstance(snowflake, str) and len(snowflake) <= 20 and snowflake.isdecimal()
    return int(snowflake) if is_one else 0
