"""What exists at the fake Discord: people, servers, channels, messages, sessions of the Gateway.

Pure state, no sockets: `rest` and `gateway` change it and read it, tests look at it. Ids are
snowflakes (milliseconds since 2015 shifted by 22 bits, then a counter), so they grow in the order
of creation. A session keeps everything that was ever dispatched to it, connected or not; RESUME
replays what came after the sequence number the client names.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

EPOCH_MS = 1_420_070_400_000

# Channel types.
GUILD_TEXT, DM, PUBLIC_THREAD = 0, 1, 11
# Message types.
DEFAULT, THREAD_STARTER, REPLY, CHAT_INPUT_COMMAND = 0, 21, 19, 20

# Intents.
GUILDS, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 9, 1 << 10
DIRECT_MESSAGES, DIRECT_REACTIONS, MESSAGE_CONTENT = 1 << 12, 1 << 13, 1 << 15
GUILD_MEMBERS, GUILD_PRESENCES = 1 << 1, 1 << 8
PRIVILEGED = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT
KNOWN_INTENTS = sum(1 << bit for bit in (*range(17), 20, 21, 24, 25))

JSON = dict[str, Any]
_ROLE = {
    "permissions": "8",
    "position": 0,
    "color": 0,
    "hoist": False,
    "managed": False,
    "mentionable": False,
}


@dataclass
class User:
    """Somebody. `blocked`: does not take direct messages from the bot."""

    id: str
    username: str
    global_name: str | None = None
    bot: bool = False
    blocked: bool = False

    def json(self) -> JSON:
        return {
            "id": self.id,
            "username": self.username,
            "discriminator": "0",
            "global_name": self.global_name,
            "avatar": None,
            "bot": self.bot,
            "public_flags": 0,
        }


@dataclass
class Channel:
    """A server's channel, a thread in one (`parent` set), or a conversation (`recipient` set)."""

    id: str
    type: int
    name: str = ""
    guild: str | None = None
    parent: str | None = None
    recipient: User | None = None
    readable: bool = True
    writable: bool = True
    locked: bool = False
    messages: list[JSON] = field(default_factory=list)

    def json(self) -> JSON:
        last = self.messages[-1]["id"] if self.messages else None
        out: JSON = {"id": self.id, "type": self.type, "last_message_id": last, "flags": 0}
        if self.recipient:
            return {**out, "recipients": [self.recipient.json()]}
        out |= {"guild_id": self.guild, "name": self.name, "parent_id": self.parent}
        out |= {"rate_limit_per_user": 0, "topic": None, "nsfw": False}
        out |= {"position": 0, "permission_overwrites": []}
        if self.parent:
            ago = "2026-01-01T00:00:00+00:00"
            out |= {"owner_id": "1", "message_count": 0, "member_count": 1}
            out["thread_metadata"] = {
                "archived": False,
                "locked": self.locked,
                "auto_archive_duration": 1440,
                "archive_timestamp": ago,
            }
        return out


@dataclass
class Guild:
    id: str
    name: str
    bot_role: JSON
    joined_at: str
    channels: list[Channel] = field(default_factory=list)

    def json(self) -> JSON:
        return {
            "id": self.id,
            "name": self.name,
            "unavailable": False,
            "member_count": 2,
            "members": [],
            "owner_id": "1",
            "roles": [{**_ROLE, "id": self.id, "name": "@everyone"}, self.bot_role],
            "emojis": [],
            "features": [],
            "large": False,
            "presences": [],
            "voice_states": [],
            "joined_at": self.joined_at,
            "channels": [c.json() for c in self.channels if not c.parent and c.readable],
            "threads": [c.json() for c in self.channels if c.parent and c.readable],
        }


def member_of(user: User | None) -> JSON:
    """A person in a server; with a message the user stands beside it."""
    member = {
        "nick": None,
        "roles": [],
        "joined_at": "2026-01-01T00:00:00+00:00",
        "deaf": False,
        "mute": False,
        "flags": 0,
        "permissions": "8",
    }
    return {**member, "user": user.json()} if user else member


@dataclass
class Interaction:
    """A slash command or a pressed button, and how it was answered."""

    id: str
    token: str
    at: float
    channel: Channel
    user: User
    data: JSON
    source: JSON | None = None
    answered: int | None = None
    original: JSON | None = None
    ephemeral: list[str] = field(default_factory=list)


@dataclass
class Session:
    """A session of the Gateway: `log` is all it was ever sent, by sequence number."""

    id: str
    intents: int
    log: list[JSON] = field(default_factory=list)
    deliver: Callable[[JSON], None] | None = None

    def dispatch(self, event: str, data: Any) -> None:
        frame = {"op": 0, "t": event, "s": len(self.log) + 1, "d": data}
        self.log.append(frame)
        if self.deliver:
            self.deliver(frame)


class World:
    """Everything there is.

    Args:
        clock: `IReactorTime`, for the age of nonces and interaction tokens.
        seed: for ids and tokens.
    """

    token = "MTAx.fake.discord-bot-token-that-nobody-may-see"
    nonce_seconds = 300.0
    content_enabled = True  # the MESSAGE_CONTENT switch on the application's page

    def __init__(self, clock: Any, seed: int = 1) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._last_snowflake = 0
        self.users: dict[str, User] = {}
        self.guilds: dict[str, Guild] = {}
        self.channels: dict[str, Channel] = {}
        self.sessions: dict[str, Session] = {}
        self.interactions: dict[str, Interaction] = {}
        self.commands: list[JSON] = []
        self.files: dict[str, tuple[str, bytes]] = {}
        self.reactions: list[tuple[str, str]] = []
        self.typing: list[str] = []
        self.nonces: dict[str, tuple[float, JSON]] = {}
        self.deduplicated: list[str] = []
        self.file_root = ""
        self.bot = self.user("clawbot", bot=True)
        self.application_id = self.bot.id

    # Making things

    def snowflake(self) -> str:
        now = (int(datetime.now(UTC).timestamp() * 1000) - EPOCH_MS) << 22
        self._last_snowflake = max(now, self._last_snowflake + 1)
        return str(self._last_snowflake)

    def secret(self) -> str:
        return f"{self._random.getrandbits(160):040x}"

    def user(self, username: str, *, bot: bool = False) -> User:
        user = User(self.snowflake(), username, username.title(), bot)
        self.users[user.id] = user
        return user

    def guild(self, name: str) -> Guild:
        role = {**_ROLE, "id": self.snowflake(), "name": "Claw", "tags": {"bot_id": self.bot.id}}
        guild = Guild(self.snowflake(), name, role, datetime.now(UTC).isoformat())
        self.guilds[guild.id] = guild
        self.dispatch("GUILD_CREATE", guild.json(), GUILDS)
        return guild

    def channel(self, guild: Guild, name: str, parent: Channel | None = None) -> Channel:
        """A text channel, or, below a parent, a thread."""
        kind = PUBLIC_THREAD if parent else GUILD_TEXT
        channel = Channel(self.snowflake(), kind, name, guild.id, parent.id if parent else None)
        self.channels[channel.id] = channel
        guild.channels.append(channel)
        self.dispatch("THREAD_CREATE" if parent else "CHANNEL_CREATE", channel.json(), GUILDS)
        return channel

    def dm(self, user: User) -> Channel:
        """The conversation with a user; there is one for ever."""
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        channel = Channel(self.snowflake(), DM, recipient=user)
        self.channels[channel.id] = channel
        return channel

    # Messages

    def message(self, channel: Channel, author: User, body: JSON, **more: Any) -> JSON:
        """A message object as the API shows it; not yet anywhere."""
        reference = body.get("message_reference")
        found = self.find(channel, reference["message_id"]) if reference else None
        message: JSON = {
            "id": self.snowflake(),
            "channel_id": channel.id,
            "author": author.json(),
            "content": (body.get("content") or "").strip(),
            "timestamp": datetime.now(UTC).isoformat(),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": self._mentions(body),
            "mention_roles": re.findall(r"<@&(\d+)>", body.get("content") or ""),
            "attachments": body.get("attachments") or [],
            "embeds": body.get("embeds") or [],
            "components": body.get("components") or [],
            "pinned": False,
            "flags": body.get("flags") or 0,
            "type": REPLY if reference else DEFAULT,
            **more,
        }
        if reference:
            message["message_reference"] = {**reference, "channel_id": channel.id}
            message["referenced_message"] = found
        if body.get("poll"):
            message["poll"] = body["poll"]
        return message

    def _mentions(self, body: JSON) -> list[JSON]:
        content = body.get("content") or ""
        return [
            user.json()
            for user in self.users.values()
            if f"<@{user.id}>" in content or f"<@!{user.id}>" in content
        ]

    def find(self, channel: Channel, message_id: str) -> JSON | None:
        return next((m for m in channel.messages if m["id"] == message_id), None)

    def post(self, channel: Channel, message: JSON, *, quiet: bool = False) -> JSON:
        """Put a message into its channel and tell every session, unless `quiet`."""
        channel.messages.append(message)
        if not quiet:
            self.announce("MESSAGE_CREATE", channel, message)
        return message

    def announce(self, event: str, channel: Channel, message: JSON) -> None:
        """Dispatch a message's event; a session without MESSAGE_CONTENT sees no content of it."""
        more = {}
        if channel.guild:
            more = {"guild_id": channel.guild, "member": member_of(None)}
        for session in list(self.sessions.values()):
            if session.intents & (GUILD_MESSAGES if channel.guild else DIRECT_MESSAGES):
                session.dispatch(event, {**self.visible(session.intents, channel, message), **more})

    def visible(self, intents: int, channel: Channel, message: JSON) -> JSON:
        """What an application may see of a message."""
        mentioned = any(user["id"] == self.bot.id for user in message["mentions"])
        own = message["author"]["id"] == self.bot.id
        if intents & MESSAGE_CONTENT or not channel.guild or mentioned or own:
            return message
        empty = {"content": "", "embeds": [], "attachments": [], "components": []}
        return {k: v for k, v in message.items() if k != "poll"} | empty

    def dispatch(self, event: str, data: Any, intent: int = 0) -> None:
        """Tell every session that asked for it."""
        for session in list(self.sessions.values()):
            if not intent or session.intents & intent:
                session.dispatch(event, data)

    def attach(self, channel: Channel, name: str, mime_type: str, data: bytes) -> JSON:
        """Keep a file for the CDN; returns the attachment object."""
        file_id = self.snowflake()
        path = f"/attachments/{channel.id}/{file_id}/{name}"
        self.files[path] = (mime_type, data)
        return {
            "id": file_id,
            "filename": name,
            "size": len(data),
            "url": f"{self.file_root}{path}?ex=66&is=66&hm=66",
            "proxy_url": f"{self.file_root}{path}",
            "content_type": mime_type,
        }

    def expire_links(self) -> None:
        """The links to all files stop working; whoever asks for the message gets new ones."""
        self.files = {f"{path}/expired": file for path, file in self.files.items()}

    def renewed(self, message: JSON) -> JSON:
        """A message with links that work."""
        self.files = {path.removesuffix("/expired"): one for path, one in self.files.items()}
        return message

    # The nonces of messages the bot sent

    def known_nonce(self, nonce: Any) -> JSON | None:
        """The message sent with this nonce in the past few minutes."""
        at, message = self.nonces.get(str(nonce), (None, None))
        if at is None or self._clock.seconds() - at > self.nonce_seconds:
            return None
        self.deduplicated.append(str(nonce))
        return message

    def keep_nonce(self, nonce: Any, message: JSON) -> None:
        self.nonces[str(nonce)] = (self._clock.seconds(), message)
