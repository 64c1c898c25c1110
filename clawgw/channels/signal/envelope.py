"""From what `signal-cli` says was received to messages.

The records are those of its `receive` notifications (signal-cli-jsonrpc(5); field by field in its
`src/main/java/org/asamk/signal/json`). A message at Signal is named by its author and the
millisecond it was sent. An author is a UUID, and has a phone number only for those who may see it.

What is no text becomes a note in brackets. Typing, receipts and a device's own housekeeping are
nobody's messages and become nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

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
_NOTED = 120


class _Record(Struct, frozen=True, rename="camel"):
    """Base: unknown fields are ignored, absent ones are empty."""


class _Person(_Record, frozen=True):
    number: str | None = None
    uuid: str | None = None
    name: str | None = None


class _Mention(_Person, frozen=True):
    start: int = 0
    length: int = 0


class _Group(_Record, frozen=True):
    group_id: str
    group_name: str | None = None
    type: str | None = None


class _Attachment(_Record, frozen=True):
    content_type: str | None = None
    filename: str | None = None
    id: str | None = None
    size: int | None = None


class _Quote(_Record, frozen=True):
    id: int = 0
    author_number: str | None = None
    author_uuid: str | None = None
    text: str | None = None


class _Reaction(_Record, frozen=True):
    emoji: str = ""
    target_author_number: str | None = None
    target_author_uuid: str | None = None
    target_sent_timestamp: int = 0
    is_remove: bool = False


class _Poll(_Record, frozen=True):
    question: str = ""
    options: tuple[str, ...] = ()


class _ContactName(_Record, frozen=True):
    display: str | None = None
    given: str | None = None
    family: str | None = None


class _ContactPhone(_Record, frozen=True):
    value: str | None = None


class _Contact(_Record, frozen=True):
    name: _ContactName | None = None
    phone: tuple[_ContactPhone, ...] | None = None


class _Payment(_Record, frozen=True):
    note: str | None = None


class _Target(_Record, frozen=True):
    timestamp: int = 0


class _Data(_Record, frozen=True):
    timestamp: int = 0
    message: str | None = None
    is_expiration_update: bool | None = None
    view_once: bool | None = None
    reaction: _Reaction | None = None
    quote: _Quote | None = None
    payment: _Payment | None = None
    mentions: tuple[_Mention, ...] | None = None
    attachments: tuple[_Attachment, ...] | None = None
    sticker: dict[str, Any] | None = None
    remote_delete: _Target | None = None
    contacts: tuple[_Contact, ...] | None = None
    poll_create: _Poll | None = None
    group_info: _Group | None = None


_SILENT = frozenset(
    {"timestamp", "expiresInSeconds", "previews", "textStyles", "storyContext", "groupInfo"}
)
"""Fields that are no content, or come with a text that says it all."""
_KNOWN = frozenset(field.encode_name for field in msgspec.structs.fields(_Data))


class _Edit(_Record, frozen=True):
    target_sent_timestamp: int
    data_message: dict[str, Any]


class _Sync(_Record, frozen=True):
    sent_message: dict[str, Any] | None = None


class _Destination(_Record, frozen=True):
    destination_number: str | None = None
    destination_uuid: str | None = None
    edit_message: _Edit | None = None


class _Story(_Record, frozen=True):
    group_id: str | None = None


class _Call(_Record, frozen=True):
    offer_message: dict[str, Any] | None = None


class _Envelope(_Record, frozen=True):
    source: str | None = None
    source_number: str | None = None
    source_uuid: str | None = None
    source_name: str | None = None
    timestamp: int = 0
    data_message: dict[str, Any] | None = None
    edit_message: _Edit | None = None
    sync_message: _Sync | None = None
    story_message: _Story | None = None
    call_message: _Call | None = None


class _Problem(_Record, frozen=True):
    type: str = ""


_HARMLESS = ("Duplicate", "SelfSend", "NoSession")
"""Parts of the names of problems that mean no message was lost."""


@dataclass(frozen=True)
class Own:
    """Who we are at Signal; the UUID is not always known."""

    number: str
    uuid: str | None = None

    def is_meant(self, number: str | None, uuid: str | None) -> bool:
        """Whether these are ours."""
        return number == self.number or (uuid is not None and uuid == self.uuid)


@dataclass(frozen=True)
class Wanted:
    """What of all this is passed on.

    Attributes:
        reactions: see `reactionNotifications`.
        reaction_senders: whose, for `allowlist`.
    """

    attachments: bool = True
    stories: bool = False
    reactions: Literal["off", "own", "all", "allowlist"] = "own"
    reaction_senders: frozenset[str] = frozenset()


RecordT = TypeVar("RecordT", bound=_Record)


def _read(record: type[RecordT], value: Any) -> RecordT:
    return msgspec.convert(value, record)


def inbound(params: Mapping[str, Any], own: Own, wanted: Wanted) -> Inbound | None:
    """The message in a `receive` notification's `envelope`; None if there is none.

    Raises:
        ValueError: it is no such thing.
    """
    try:
        envelope = _read(_Envelope, params.get("envelope"))
        if "exception" in params:
            return _undecipherable(envelope, _read(_Problem, params["exception"]))
        return _content(envelope, own, wanted)
    except msgspec.ValidationError as problem:
        raise ValueError(f"a notification of signal-cli cannot be read: {problem}") from None


def unreadable(params: Mapping[str, Any]) -> Inbound | None:
    """A note that stands for a message that `inbound` cannot read; None if nobody knows whose."""
    envelope = params.get("envelope")
    if not isinstance(envelope, dict):
        return None
    content = envelope.get("dataMessage") or envelope.get("editMessage")
    names = ("source", "sourceNumber", "sourceUuid", "sourceName")
    known = {name: envelope[name] for name in names if isinstance(envelope.get(name), str)}
    sender, timestamp = _sender(_read(_Envelope, known)), envelope.get("timestamp")
    if not content or sender is None or type(timestamp) is not int:
        return None
    note = _notice(sender, timestamp, UNREADABLE)
    group = content.get("groupInfo") if isinstance(content, dict) else None
    if not group:
        return note
    where = group.get("groupId") if isinstance(group, dict) else None
    return replace(note, chat=Chat(id=where, kind="group")) if isinstance(where, str) else None


def _content(envelope: _Envelope, own: Own, wanted: Wanted) -> Inbound | None:
    sender = _sender(envelope)
    if sender is None:
        return None
    if envelope.edit_message is not None:
        return _edited(envelope.edit_message, sender, own, wanted)
    if envelope.data_message is not None:
        return _message(envelope.data_message, sender, own, wanted)
    if envelope.sync_message is not None and envelope.sync_message.sent_message is not None:
        return _sent_elsewhere(envelope.sync_message.sent_message, sender, own, wanted)
    note = None
    if envelope.story_message is not None and wanted.stories:
        note = "[a story]"
    elif envelope.call_message is not None and envelope.call_message.offer_message is not None:
        note = "[a call, which cannot be answered here]"
    return None if note is None else _notice(sender, envelope.timestamp, note)


def _sender(envelope: _Envelope) -> Sender | None:
    number, uuid = envelope.source_number, envelope.source_uuid
    made = uuid or number or envelope.source
    if not made:
        return None
    names = [name.lower() for name in (number, uuid and f"uuid:{uuid}") if name]
    return Sender(id=made, names=tuple(names), name=envelope.source_name or "")


def _notice(sender: Sender, timestamp: int, note: str) -> Inbound:
    return Inbound(
        message_id=f"{sender.id}:{timestamp}",
        chat=Chat(id=sender.id, title=sender.name),
        sender=sender,
        sent_at=timestamp,
        text=note,
        kind="notice",
    )


def _undecipherable(envelope: _Envelope, problem: _Problem) -> Inbound | None:
    sender = _sender(envelope)
    if sender is None or any(part in problem.type for part in _HARMLESS):
        return None
    note = f"[a message that could not be deciphered: {problem.type or 'unknown problem'}]"
    return _notice(sender, envelope.timestamp, note)


def _edited(edit: _Edit, sender: Sender, own: Own, wanted: Wanted) -> Inbound | None:
    message = _message(edit.data_message, sender, own, wanted)
    if message is None or message.kind != "message":
        return message
    original = f"{sender.id}:{edit.target_sent_timestamp}"
    return replace(
        message,
        message_id=f"{original}:edit:{message.sent_at}",
        reply_id=original,
        kind="edit",
    )


def _sent_elsewhere(
    raw: dict[str, Any], sender: Sender, own: Own, wanted: Wanted
) -> Inbound | None:
    """What another device of the account's owner sent."""
    to = _read(_Destination, raw)
    if to.edit_message is not None:
        message = _edited(to.edit_message, sender, own, wanted)
    else:
        message = _message(raw, sender, own, wanted)
    if message is None:
        return None
    there = to.destination_uuid or to.destination_number
    if message.chat.kind == "direct" and there:
        message = replace(message, chat=Chat(id=there))
    return replace(message, own=True)


def _message(raw: dict[str, Any], sender: Sender, own: Own, wanted: Wanted) -> Inbound | None:
    data = _read(_Data, raw)
    made = Inbound(
        message_id=f"{sender.id}:{data.timestamp}",
        chat=_chat(data.group_info, sender),
        sender=sender,
        sent_at=data.timestamp,
    )
    if data.reaction is not None:
        return _reacted(made, data.reaction, own, wanted)
    text, mentioned = _text(data, own)
    media = _media(data, made.chat, sender) if wanted.attachments else ()
    note = _note(data, raw, wanted)
    if note is None and not text and not media:
        return None
    if not text and not media and note is not None and note.silent:
        return replace(made, text=note.text, kind="notice")
    if note is not None:
        text = f"{text}\n{note.text}".strip()
    quoted = None if data.quote is None else _quoted(data.quote)
    if data.quote is not None:
        mentioned |= own.is_meant(data.quote.author_number, data.quote.author_uuid)
    return replace(made, text=text, media=media, quoted=quoted, mentioned=mentioned)


def _chat(group: _Group | None, sender: Sender) -> Chat:
    if group is None:
        return Chat(id=sender.id, title=sender.name)
    return Chat(id=group.group_id, kind="group", title=group.group_name or "")


def _text(data: _Data, own: Own) -> tuple[str, bool]:
    """The text with the names of those it mentions, and whether that is us, too.

    Signal counts in UTF-16 and puts a placeholder where a name belongs.
    """
    units = (data.message or "").encode("utf-16-le")
    mentioned = False
    for mention in sorted(data.mentions or (), key=lambda one: -one.start):
        start, end = 2 * mention.start, 2 * (mention.start + mention.length)
        if not 0 <= start <= end <= len(units):
            continue
        is_us = own.is_meant(mention.number, mention.uuid)
        mentioned |= is_us
        before = units[:start].decode("utf-16-le", "replace")
        name = mention.name or mention.number or "somebody"
        leads = is_us and not before.strip()
        units = units[:start] + ("" if leads else f"@{name}").encode("utf-16-le") + units[end:]
    return units.decode("utf-16-le", "replace").strip(), mentioned


def _media(data: _Data, chat: Chat, sender: Sender) -> tuple[Media, ...]:
    where = {"groupId": chat.id} if chat.kind == "group" else {"recipient": sender.id}
    return tuple(
        Media(
            kind=_kind(one),
            mime_type=one.content_type or "application/octet-stream",
            name=one.filename or "",
            size=one.size or 0,
            ref={"id": one.id, **where} if one.id else {},
            problem="" if one.id else "Signal's server no longer had it",
        )
        for one in data.attachments or ()
    )


def _kind(attachment: _Attachment) -> MediaKind:
    major = (attachment.content_type or "").partition("/")[0]
    if major == "image" or major == "video":
        return major  # type: ignore[return-value]
    if major == "audio":
        return "audio" if attachment.filename else "voice"
    return "file"


def _quoted(quote: _Quote) -> Quoted:
    author = quote.author_uuid or quote.author_number or ""
    return Quoted(message_id=f"{author}:{quote.id}", text=quote.text or "", sender=author)


def _reacted(made: Inbound, reaction: _Reaction, own: Own, wanted: Wanted) -> Inbound | None:
    to_us = own.is_meant(reaction.target_author_number, reaction.target_author_uuid)
    heard = {
        "off": False,
        "own": to_us,
        "all": True,
        "allowlist": bool({made.sender.id.lower(), *made.sender.names} & wanted.reaction_senders),
    }[wanted.reactions]
    if not heard:
        return None
    whose = "your message" if to_us else "a message"
    did = "took back the reaction" if reaction.is_remove else "reacted"
    return replace(made, text=f"[{did} {reaction.emoji} to {whose}]", kind="notice")


@dataclass(frozen=True)
class _Note:
    """What stands for something that is no text; `silent`: nobody expects an answer to it."""

    text: str
    silent: bool = False


def _note(data: _Data, raw: Mapping[str, Any], wanted: Wanted) -> _Note | None:
    if data.sticker is not None:
        return _Note("[sticker]")
    if data.poll_create is not None:
        options = ", ".join(data.poll_create.options)
        return _Note(f"[poll: {data.poll_create.question} ({options})]")
    if data.contacts:
        return _Note("\n".join(_contact(one) for one in data.contacts))
    if data.payment is not None:
        return _Note(f"[payment: {data.payment.note or 'no note'}]")
    if data.attachments and not wanted.attachments:
        return _Note(f"[{len(data.attachments)} file(s), not taken in]")
    if data.view_once and not data.attachments:
        return _Note("[a picture to be seen once, which is not shown to linked devices]")
    if data.remote_delete is not None:
        return _Note("[deleted one of their messages]", silent=True)
    if data.is_expiration_update:
        return _Note("[changed how long messages are kept]", silent=True)
    unknown = sorted(key for key in raw if key not in _KNOWN | _SILENT and _says(raw[key]))
    if unknown and not data.message and not data.attachments:
        return _Note(
            f"[a message of a kind that is not known here: {unknown[0][:40]}]", silent=True
        )
    if data.group_info is not None and data.group_info.type == "UPDATE" and not data.message:
        return _Note("[changed the group]", silent=True)
    return None


def _says(value: Any) -> bool:
    """Whether a field holds a record; a mere flag or number is no message."""
    return isinstance(value, dict | list) and bool(value)


def _contact(contact: _Contact) -> str:
    name = contact.name or _ContactName()
    said = name.display or " ".join(part for part in (name.given, name.family) if part)
    numbers = [phone.value for phone in contact.phone or () if phone.value]
    return f"[contact: {', '.join([said, *numbers])[:_NOTED]}]"
