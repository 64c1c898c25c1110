"""A message of the sidecar as an `Inbound`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from clawgw.channels.messages import Chat, Inbound, Media, MediaKind, Quoted, Sender
from clawgw.channels.whatsapp.addresses import chat_of, phone_of
from clawgw.channels.whatsapp.contract import File, Identity, Key, Message

_KINDS: dict[str, MediaKind] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "document": "file",
    "sticker": "sticker",
}
_AT = re.compile(r"@(\d+)[\s,:]*")


def inbound(message: Message, me: Identity, *, title: str = "", self_chat: bool = False) -> Inbound:
    """Translate a message.

    Args:
        me: the account.
        title: what the group is called.
        self_chat: what the account writes to itself is meant for the agent.
    """
    to_itself = not message.group and message.chat in _own_jids(me)
    common = Inbound(
        message_id=_unique(message.key),
        reply_id=reply_id(message.key),
        chat=Chat(
            id=chat_of(message.chat), kind="group" if message.group else "direct", title=title
        ),
        sender=_sender(message),
        sent_at=message.timestamp * 1000,
        own=message.key.from_me and not (self_chat and to_itself),
    )
    if message.kind in ("reaction", "revoke"):
        return replace(common, kind="notice", text=_notice(message))
    quoted = message.quoted
    return replace(
        common,
        kind="edit" if message.kind == "edit" else "message",
        text=_text(message, me),
        media=() if message.media is None else (_media(message.media),),
        mentioned=message.mentions_me or (quoted is not None and quoted.from_me),
        quoted=None
        if quoted is None
        else Quoted(
            message_id=quoted.id, text=quoted.text, sender=chat_of(quoted.sender or "")
        ),
    )  # fmt: skip


def reply_id(key: Key) -> str:
    """What an answer quotes: in a group it takes the sender as well as the id."""
    return f"{key.id}/{key.participant}" if key.participant else key.id


def quote(reply_to: str) -> dict[str, str]:
    """The other way round, as the sidecar takes it."""
    message_id, _, participant = reply_to.rpartition(":")[2].partition("/")
    return {"id": message_id, "participant": participant} if participant else {"id": message_id}


def _unique(key: Key) -> str:
    """Ids are the sender's choice, so the sender is part of it."""
    return ":".join(part for part in (key.chat, key.participant, key.id) if part)


def _sender(message: Message) -> Sender:
    person = message.sender
    phone = person.phone or phone_of(person.jid)
    names = dict.fromkeys(name for name in (phone, person.jid, person.lid) if name)
    return Sender(
        id=phone or person.jid,
        names=tuple(name.lower() for name in names),
        name=person.name or "",
    )


def _text(message: Message, me: Identity) -> str:
    text = message.text
    if message.mentions_me:
        found = _AT.match(text)
        if found and found[1] in {_user(jid) for jid in _own_jids(me)}:
            text = text[found.end() :]
    media = message.media
    if media is not None and media.kind == "sticker" and not text:
        return f"[sticker {media.emoji}]" if media.emoji else "[sticker]"
    return text


def _notice(message: Message) -> str:
    whose = "your" if message.target is not None and message.target.from_me else "a"
    if message.kind == "revoke":
        return "[deleted a message]"
    if not message.text:
        return f"[took back a reaction to {whose} message]"
    return f"[reacted {message.text} to {whose} message]"


def _media(media: File) -> Media:
    return Media(
        kind="voice" if media.voice else _KINDS[media.kind],
        mime_type=media.mimetype.partition(";")[0].strip() or "application/octet-stream",
        name=media.name,
        size=max(media.size, 0),
        ref=media.handle,
    )


def _own_jids(me: Identity) -> Iterator[str]:
    yield me.jid
    if me.lid is not None:
        yield me.lid


def _user(jid: str) -> str:
    return jid.partition("@")[0].partition(":")[0]
