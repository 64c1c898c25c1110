"""From the rows of Messages, as `imsg` tells them, to messages.

The fields are those of `docs/json.md` of imsg; newer versions say `original_path` and `total_bytes`
where older ones say `path` and `byte_size`. A row is known by its number in one database, and by
its GUID everywhere.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from clawgw.channels.messages import (
    UNREADABLE,
    Chat,
    Inbound,
    Media,
    MediaKind,
    Quoted,
    Sender,
)

PLACEHOLDER = "\ufffc"
_NOTES = {"love": "loved", "like": "liked", "dislike": "disliked", "laugh": "laughed at"}
_NOTES |= {"emphasis": "emphasized", "question": "questioned"}


class File(Struct, frozen=True):
    """An attachment of a row."""

    transfer_name: str = ""
    mime_type: str = ""
    total_bytes: int | None = None
    byte_size: int | None = None
    original_path: str = ""
    path: str = ""
    is_sticker: bool = False
    missing: bool = False

    @property
    def where(self) -> str:
        """Where it is, on the machine where `imsg` runs."""
        return self.original_path or self.path

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.total_bytes or self.byte_size or 0


class Row(Struct, frozen=True):
    """A message, a reaction, or whatever else Messages writes down."""

    id: int
    chat_id: int
    guid: str = ""
    sender: str = ""
    sender_name: str | None = None
    is_from_me: bool = False
    text: str = ""
    created_at: str = ""
    is_group: bool = False
    chat_name: str = ""
    chat_guid: str = ""
    chat_identifier: str = ""
    attachments: tuple[File, ...] = ()
    reply_to_guid: str | None = None
    thread_originator_guid: str | None = None
    reply_to_text: str | None = None
    reply_to_sender: str | None = None
    is_reaction: bool | None = None
    reaction_type: str | None = None
    reaction_emoji: str | None = None
    is_reaction_add: bool | None = None
    reacted_to_guid: str | None = None

    @property
    def said(self) -> str:
        """The text without placeholders for files."""
        return said(self.text)

    @property
    def key(self) -> str:
        """What names it for ever."""
        return self.guid or f"row:{self.id}"


class _Place(Struct, frozen=True):
    """As much of a row as has to be right."""

    id: int
    chat_id: int
    guid: Any = ""
    sender: Any = ""
    is_from_me: Any = False
    is_group: Any = False


def said(text: str) -> str:
    """A text as it is compared: without placeholders for files."""
    return text.replace(PLACEHOLDER, "").strip()


def row_of(value: Any) -> Row:
    """A row out of an answer or a notification.

    Raises:
        ValueError: it is none.
    """
    try:
        return msgspec.convert(value, Row)
    except msgspec.ValidationError as problem:
        raise ValueError(f"a message of imsg cannot be read: {problem}") from None


def unreadable(value: Any, groups: Collection[str]) -> Inbound | None:
    """A note for a row that `row_of` cannot read; None if it is ours, or nobody knows whose.

    Args:
        groups: as for `inbound`.
    """
    try:
        place = msgspec.convert(value, _Place)
    except msgspec.ValidationError:
        return None
    if place.is_from_me is True:
        return None
    sender = place.sender if isinstance(place.sender, str) else ""
    row = Row(
        id=place.id, chat_id=place.chat_id, sender=sender, is_group=place.is_group is not False,
        guid=place.guid if isinstance(place.guid, str) else "",
    )  # fmt: skip
    return Inbound(
        message_id=row.key, chat=_chat(row, groups), sender=_sender(row), sent_at=0,
        text=UNREADABLE, kind="notice",
    )  # fmt: skip


def inbound(
    row: Row,
    *,
    our_guids: Collection[str],
    groups: Collection[str],
    reactions: Literal["off", "own", "all"],
    attachments: bool,
) -> Inbound | None:
    """The message a row is; None if there is nothing to tell, as for what we wrote ourselves.

    Args:
        our_guids: messages of ours, to recognise replies and reactions to them.
        groups: chats that the operator wants to be taken as groups, by their number.
        reactions: which of them are told.
    """
    if row.is_from_me:
        return None
    made = Inbound(
        message_id=row.key,
        chat=_chat(row, groups),
        sender=_sender(row),
        sent_at=_milliseconds(row.created_at),
    )
    if row.is_reaction:
        to_us = row.reacted_to_guid in our_guids
        if reactions == "off" or (reactions == "own" and not to_us):
            return None
        return replace(made, text=_reaction(row, to_us), kind="notice")
    media = tuple(_media(one) for one in row.attachments) if attachments else ()
    if not row.said and not media:
        return _without_content(made, len(row.attachments))
    quoted = _quoted(row)
    to_us = quoted is not None and quoted.message_id in our_guids
    return replace(made, text=row.said, media=media, quoted=quoted, mentioned=to_us)


def _without_content(made: Inbound, files: int) -> Inbound:
    if files:
        return replace(made, text=f"[{files} file(s), not taken in]")
    note = "[something that is no text: a change of the group, or an app's message]"
    return replace(made, text=note, kind="notice")


def _chat(row: Row, groups: Collection[str]) -> Chat:
    number = str(row.chat_id)
    is_group = row.is_group or number in groups
    title = row.chat_name or ("" if is_group else row.sender_name or "")
    return Chat(id=number, kind="group" if is_group else "direct", title=title)


def _sender(row: Row) -> Sender:
    handle = row.sender or row.chat_identifier or f"chat_id:{row.chat_id}"
    return Sender(id=handle.lower(), names=(f"chat_id:{row.chat_id}",), name=row.sender_name or "")


def _quoted(row: Row) -> Quoted | None:
    guid = row.reply_to_guid or row.thread_originator_guid
    if not guid:
        return None
    return Quoted(message_id=guid, text=row.reply_to_text or "", sender=row.reply_to_sender or "")


def _reaction(row: Row, to_us: bool) -> str:
    whose = "your message" if to_us else "a message"
    kind = row.reaction_type or ""
    if row.is_reaction_add is False:
        return f"[took back the reaction to {whose}]"
    if kind in _NOTES:
        return f"[{_NOTES[kind]} {whose}]"
    return f"[reacted {row.reaction_emoji or kind or 'somehow'} to {whose}]"


def _media(file: File) -> Media:
    gone = file.missing or not file.where
    return Media(
        kind=_kind(file),
        mime_type=file.mime_type or "application/octet-stream",
        name=file.transfer_name,
        size=file.size,
        ref={} if gone else {"path": file.where},
        problem="Messages no longer has it" if gone else "",
    )


def _kind(file: File) -> MediaKind:
    if file.is_sticker:
        return "sticker"
    major = file.mime_type.partition("/")[0]
    if major == "image" or major == "video" or major == "audio":
        return major  # type: ignore[return-value]
    return "file"


def _milliseconds(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)
