"""The Bot API's types, as far as we look at them.

Everything unknown is skipped, and what is there may be missing: Telegram adds fields every month.
The source is core.telegram.org/bots/api, "Available types" and "Getting updates".
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

CHANNEL_SERVICE_ID = 777000
"""Who forwards a channel's posts into its discussion group."""


class _Type(msgspec.Struct, frozen=True, kw_only=True):
    """Base: immutable; unknown fields are ignored."""


class User(_Type, frozen=True):
    """A person or a bot."""

    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    can_read_all_group_messages: bool = True

    @property
    def name(self) -> str:
        """What people call them."""
        return f"{self.first_name} {self.last_name}".strip() or self.username


class ChatAbout(_Type, frozen=True):
    """A chat."""

    id: int
    type: str = "private"
    title: str = ""
    username: str = ""
    first_name: str = ""
    last_name: str = ""
    is_forum: bool = False

    @property
    def name(self) -> str:
        """What it is called."""
        return self.title or f"{self.first_name} {self.last_name}".strip() or self.username


class Entity(_Type, frozen=True):
    """A part of a text that means something; offset and length in UTF-16 code units."""

    type: str
    offset: int
    length: int
    url: str = ""
    user: User | None = None


class File(_Type, frozen=True):
    """Any file: a size of a photo, a document, a sound, a video, a sticker."""

    file_id: str
    file_size: int = 0
    file_name: str = ""
    mime_type: str = ""
    width: int = 0
    emoji: str = ""
    is_animated: bool = False
    is_video: bool = False
    file_path: str = ""


class Location(_Type, frozen=True):
    """A place on earth."""

    latitude: float
    longitude: float


class Venue(_Type, frozen=True):
    """A place with a name."""

    location: Location
    title: str = ""
    address: str = ""


class Contact(_Type, frozen=True):
    """An address card."""

    phone_number: str = ""
    first_name: str = ""
    last_name: str = ""


class Dice(_Type, frozen=True):
    """A throw."""

    emoji: str = "🎲"
    value: int = 0


class Option(_Type, frozen=True):
    """One answer of a poll, one task of a checklist."""

    text: str = ""


class PollAbout(_Type, frozen=True):
    """A poll."""

    question: str = ""
    options: tuple[Option, ...] = ()


class Checklist(_Type, frozen=True):
    """A list of tasks."""

    title: str = ""
    tasks: tuple[Option, ...] = ()


class Titled(_Type, frozen=True):
    """Whatever is known by a title or a name: a game, an invoice, a topic."""

    title: str = ""
    name: str = ""


class Origin(_Type, frozen=True):
    """Where a forwarded message comes from."""

    sender_user: User | None = None
    sender_user_name: str = ""
    sender_chat: ChatAbout | None = None
    chat: ChatAbout | None = None

    @property
    def name(self) -> str:
        """Who wrote it."""
        who = self.sender_user or self.sender_chat or self.chat
        return (who.name if who is not None else "") or self.sender_user_name


class TextQuote(_Type, frozen=True):
    """The part of a message that a reply is about."""

    text: str = ""


class Message(_Type, frozen=True):
    """A message, of a person or of Telegram itself.

    `is_damaged`, which is ours: a part of it broke the rules, and only the rest is here.
    """

    message_id: int
    chat: ChatAbout
    date: int = 0
    edit_date: int | None = None
    sender: User | None = msgspec.field(name="from", default=None)
    sender_chat: ChatAbout | None = None
    message_thread_id: int | None = None
    is_topic_message: bool = False
    is_automatic_forward: bool = False
    media_group_id: str | None = None
    forward_origin: Origin | None = None
    reply_to_message: Message | None = None
    quote: TextQuote | None = None
    text: str | None = None
    entities: tuple[Entity, ...] = ()
    caption: str | None = None
    caption_entities: tuple[Entity, ...] = ()
    photo: tuple[File, ...] = ()
    document: File | None = None
    voice: File | None = None
    audio: File | None = None
    video: File | None = None
    video_note: File | None = None
    animation: File | None = None
    sticker: File | None = None
    location: Location | None = None
    venue: Venue | None = None
    contact: Contact | None = None
    dice: Dice | None = None
    poll: PollAbout | None = None
    checklist: Checklist | None = None
    game: Titled | None = None
    invoice: Titled | None = None
    new_chat_members: tuple[User, ...] = ()
    left_chat_member: User | None = None
    new_chat_title: str | None = None
    forum_topic_created: Titled | None = None
    migrate_to_chat_id: int | None = None
    migrate_from_chat_id: int | None = None
    is_damaged: bool = msgspec.field(name="", default=False)

    @property
    def thread(self) -> int | None:
        """The topic it is in; in a forum every message is in one, if only in "General"."""
        if self.is_topic_message and self.message_thread_id:
            return self.message_thread_id
        is_forum = self.chat.is_forum and self.chat.type != "private"
        return GENERAL_TOPIC if is_forum else None


class Query(_Type, frozen=True):
    """A press of a button."""

    id: str
    sender: User = msgspec.field(name="from")
    message: Message | None = None
    data: str | None = None


class ReactionType(_Type, frozen=True):
    """A reaction: an emoji, or one of a set of one's own."""

    type: str
    emoji: str = ""


class Reaction(_Type, frozen=True):
    """Somebody changed their reactions to a message."""

    chat: ChatAbout
    message_id: int
    user: User | None = None
    actor_chat: ChatAbout | None = None
    date: int = 0
    old_reaction: tuple[ReactionType, ...] = ()
    new_reaction: tuple[ReactionType, ...] = ()


class Update(_Type, frozen=True):
    """One thing that happened."""

    update_id: int
    message: Message | None = None
    edited_message: Message | None = None
    channel_post: Message | None = None
    edited_channel_post: Message | None = None
    callback_query: Query | None = None
    message_reaction: Reaction | None = None


_NOTHING = msgspec.Raw(b"null")
_PartT = TypeVar("_PartT")


class _BareMessage(_Type, frozen=True):
    """What every message has; of what it says, nothing is taken for granted."""

    message_id: int
    chat: ChatAbout
    sender: User | None = msgspec.field(name="from", default=None)
    sender_chat: ChatAbout | None = None
    date: msgspec.Raw = _NOTHING
    edit_date: msgspec.Raw = _NOTHING
    message_thread_id: msgspec.Raw = _NOTHING
    is_topic_message: msgspec.Raw = _NOTHING
    text: msgspec.Raw = _NOTHING
    caption: msgspec.Raw = _NOTHING

    def whole(self) -> Message:
        """As much of the message as can be read."""
        return Message(
            message_id=self.message_id,
            chat=self.chat,
            sender=self.sender,
            sender_chat=self.sender_chat,
            date=_part(self.date, int) or 0,
            edit_date=_part(self.edit_date, int),
            message_thread_id=_part(self.message_thread_id, int),
            is_topic_message=_part(self.is_topic_message, bool) or False,
            text=_part(self.text, str),
            caption=_part(self.caption, str),
            is_damaged=True,
        )


class _BareUpdate(_Type, frozen=True):
    update_id: int
    message: _BareMessage | None = None
    edited_message: _BareMessage | None = None
    channel_post: _BareMessage | None = None
    edited_channel_post: _BareMessage | None = None


class _Numbered(_Type, frozen=True):
    update_id: int


GENERAL_TOPIC = 1
"""The topic every forum has; messages to it must not name it."""

_update = msgspec.json.Decoder(Update).decode
_bare = msgspec.json.Decoder(_BareUpdate).decode
_number = msgspec.json.Decoder(_Numbered).decode
_any = msgspec.json.Decoder(dict[str, Any]).decode
_BROKEN = (msgspec.DecodeError, RecursionError)
_MESSAGES = ("message", "edited_message", "channel_post", "edited_channel_post")


def read_update(raw: bytes | msgspec.Raw) -> Update | None:
    """An update, with as much of it as can be read; None, if not even its number can."""
    try:
        return _update(raw)
    except _BROKEN:
        pass
    try:
        bare = _bare(raw)
    except _BROKEN:
        return _numbered(raw)
    found = {name: getattr(bare, name) for name in _MESSAGES}
    return Update(
        update_id=bare.update_id,
        **{name: one.whole() for name, one in found.items() if one is not None},
    )


def mended(body: bytes | msgspec.Raw) -> bytes | None:
    """JSON with what is no Unicode in it replaced; None, if it is no JSON at all."""
    try:
        found = json.loads(bytes(body).decode("utf-8", "replace"))
        return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None


def message_fields(raw: bytes | msgspec.Raw) -> list[str]:
    """The names of the fields that the message of an update has."""
    try:
        update = _any(raw)
    except _BROKEN:
        return []
    return [
        name
        for kind in _MESSAGES
        if isinstance(message := update.get(kind), dict)
        for name in message
    ]


def _part(raw: msgspec.Raw, kind: type[_PartT]) -> _PartT | None:
    try:
        return msgspec.json.decode(raw, type=kind)
    except _BROKEN:
        return None


def _numbered(raw: bytes | msgspec.Raw) -> Update | None:
    try:
        return Update(update_id=_number(raw).update_id)
    except _BROKEN:
        return None
