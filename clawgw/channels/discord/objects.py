"""What Discord sends, as far as the adapter looks at it. Unknown fields are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

EPOCH_MS = 1_420_070_400_000
"""The first millisecond that a snowflake can tell, in milliseconds since 1970."""

DM, GROUP_DM = 1, 3
THREADS = (10, 11, 12)
DEFAULT, REPLY, THREAD_STARTER = 0, 19, 21
FORWARD = 1
VOICE_MESSAGE = 1 << 13


class User(msgspec.Struct, frozen=True):
    """Somebody. `username` is unique at Discord, `global_name` is what they like to be called."""

    id: str
    username: str = ""
    global_name: str | None = None
    bot: bool = False


class Member(msgspec.Struct, frozen=True):
    """Somebody in a server."""

    nick: str | None = None
    user: User | None = None


class Attachment(msgspec.Struct, frozen=True):
    """A file."""

    id: str
    filename: str = ""
    url: str = ""
    size: int = 0
    content_type: str | None = None


class Reference(msgspec.Struct, frozen=True):
    """What a message points to: `type` 0 is a reply, 1 a forwarded message."""

    type: int = 0
    message_id: str | None = None


class Sticker(msgspec.Struct, frozen=True):
    """A sticker."""

    name: str = ""


class PollText(msgspec.Struct, frozen=True):
    """A question or an answer."""

    text: str | None = None


class PollAnswer(msgspec.Struct, frozen=True):
    """An answer to choose."""

    poll_media: PollText = PollText()


class Poll(msgspec.Struct, frozen=True):
    """A poll."""

    question: PollText = PollText()
    answers: tuple[PollAnswer, ...] = ()


class Embed(msgspec.Struct, frozen=True):
    """A preview or a box of text."""

    title: str | None = None
    description: str | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """A forwarded message."""

    content: str = ""
    attachments: tuple[Attachment, ...] = ()


class SnapshotEntry(msgspec.Struct, frozen=True):
    """A forwarded message, wrapped."""

    message: Snapshot = Snapshot()


class Message(msgspec.Struct, frozen=True):
    """A message, as events and the history have it."""

    id: str
    channel_id: str
    author: User
    content: str = ""
    timestamp: str = ""
    edited_timestamp: str | None = None
    type: int = 0
    flags: int = 0
    webhook_id: str | None = None
    guild_id: str | None = None
    channel_type: int | None = None
    member: Member | None = None
    mentions: tuple[User, ...] = ()
    mention_roles: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    embeds: tuple[Embed, ...] = ()
    sticker_items: tuple[Sticker, ...] = ()
    poll: Poll | None = None
    message_reference: Reference | None = None
    referenced_message: Message | None = None
    message_snapshots: tuple[SnapshotEntry, ...] = ()


class Stump(msgspec.Struct, frozen=True):
    """A message of which nothing but this can be read."""

    id: str
    channel_id: str
    author: User
    guild_id: str | None = None


class Emoji(msgspec.Struct, frozen=True):
    """An emoji; `id` is set for one of a server's own."""

    id: str | None = None
    name: str | None = None


class Reaction(msgspec.Struct, frozen=True):
    """Somebody reacted to a message."""

    user_id: str
    channel_id: str
    message_id: str
    emoji: Emoji = Emoji()
    guild_id: str | None = None
    member: Member | None = None
    message_author_id: str | None = None


class Channel(msgspec.Struct, frozen=True):
    """A channel, thread or conversation."""

    id: str
    type: int = 0
    name: str | None = None
    guild_id: str | None = None
    parent_id: str | None = None
    last_message_id: str | None = None


class RoleTags(msgspec.Struct, frozen=True):
    """What a role is for."""

    bot_id: str | None = None


class Role(msgspec.Struct, frozen=True):
    """A role; the one a bot has from its invitation is tagged with its id."""

    id: str
    tags: RoleTags | None = None


class Guild(msgspec.Struct, frozen=True):
    """A server, as it comes when it becomes available."""

    id: str
    name: str = ""
    joined_at: str | None = None
    unavailable: bool = False
    channels: tuple[Channel, ...] = ()
    threads: tuple[Channel, ...] = ()
    roles: tuple[Role, ...] = ()


class Application(msgspec.Struct, frozen=True):
    """The bot's application."""

    id: str = ""


class Ready(msgspec.Struct, frozen=True):
    """A session has begun."""

    user: User
    session_id: str
    resume_gateway_url: str
    application: Application = Application()


class Option(msgspec.Struct, frozen=True):
    """What was typed into a field of a slash command."""

    name: str
    value: Any = None


class InteractionData(msgspec.Struct, frozen=True):
    """A slash command with its fields, or a button's id."""

    name: str = ""
    options: tuple[Option, ...] = ()
    custom_id: str = ""


class Interaction(msgspec.Struct, frozen=True):
    """A slash command was used (`type` 2), or a button pressed (3)."""

    id: str
    application_id: str
    token: str
    type: int = 0
    channel_id: str = ""
    guild_id: str | None = None
    channel: Channel | None = None
    data: InteractionData = InteractionData()
    member: Member | None = None
    user: User | None = None
    message: Stump | None = None

    def __repr__(self) -> str:
        return f"Interaction(id={self.id!r})"  # without its token

    @property
    def who(self) -> User | None:
        """Who did it."""
        return self.user or (self.member.user if self.member else None)


def milliseconds(snowflake: str) -> int:
    """When an id was made, in milliseconds since 1970; 0 for what is no snowflake."""
    return (int(snowflake) >> 22) + EPOCH_MS if snowflake.isdecimal() else 0


def snowflake(ms: float) -> str:
    """The first id of a millisecond."""
    return str(max(0, int(ms) - EPOCH_MS) << 22)


def time_of(iso: str | None) -> int:
    """An ISO 8601 time in milliseconds since 1970; 0 for what is none."""
    try:
        return int(datetime.fromisoformat(iso or "").timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return 0
