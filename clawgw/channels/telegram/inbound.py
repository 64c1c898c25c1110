"""From updates to what the inbox takes.

Message ids of Telegram are unique in a chat only, so ours are `<chat>:<message>`, an edit's
`<chat>:<message>:edit:<date>`. The pictures of an album are messages of their own at Telegram;
those that come together are one message here.

Skipped are the bot's own messages, those of other bots, and every kind of update we do not know.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from clawgw.channels.messages import (
    Chat,
    ChatKind,
    Inbound,
    Media,
    MediaKind,
    Press,
    Quoted,
    Sender,
)
from clawgw.channels.telegram.edits import EDIT
from clawgw.channels.telegram.notes import happening, reaction_note, sort_note, unknown_note
from clawgw.channels.telegram.updates import (
    CHANNEL_SERVICE_ID,
    ChatAbout,
    Entity,
    File,
    Message,
    Query,
    Reaction,
    Update,
    User,
    message_fields,
)

_KINDS: dict[str, ChatKind] = {
    "private": "direct", "group": "group", "supergroup": "group", "channel": "channel"
}  # fmt: skip
_COMMAND = re.compile(r"(/[A-Za-z0-9_]{1,64})@(\w+)")
_QUOTE_LENGTH = 500
REMEMBERED = 1_000


class Read(NamedTuple):
    """What an update comes to. `album`: what groups it with others."""

    message: Inbound | None = None
    press: tuple[str, Press] | None = None
    reaction: Reaction | None = None
    album: str | None = None
    moved: tuple[str, str] | None = None


def read(update: Update, me: User, raw: bytes | msgspec.Raw) -> Read:
    """What an update comes to; empty if it is of no interest.

    Args:
        me: the bot.
        raw: the update as it came.
    """
    if update.callback_query is not None:
        return Read(press=_press(update.callback_query))
    if update.message_reaction is not None:
        return Read(reaction=update.message_reaction)
    message = update.message or update.channel_post
    if message is not None:
        return _fresh(message, me, raw)
    edited = update.edited_message or update.edited_channel_post
    if edited is not None:
        return Read(_edit(edited, me, raw, update.update_id))
    return Read()


class Albums:
    """Makes one message of those of an album: the first, with all files and whatever text.

    It remembers which messages went into others, so that one that Telegram tells again alone is not
    taken for a new one.
    """

    def __init__(self) -> None:
        self._absorbed: OrderedDict[str, None] = OrderedDict()

    def join(self, reads: Sequence[Read]) -> tuple[list[Inbound], list[str]]:
        """The messages of some updates, and the ids of those that went into others."""
        found: list[Inbound] = []
        absorbed: list[str] = []
        albums: dict[str, int] = {}
        for one in reads:
            message = one.message
            if message is None or message.message_id in self._absorbed:
                continue
            at = None if one.album is None else albums.setdefault(one.album, len(found))
            if at is None or at == len(found):
                found.append(message)
            else:
                found[at] = _joined(found[at], message)
                absorbed.append(message.message_id)
        return found, absorbed

    def stored(self, absorbed: Iterable[str]) -> None:
        """These are safe, as parts of others."""
        for message_id in absorbed:
            self._absorbed[message_id] = None
        while len(self._absorbed) > REMEMBERED:
            self._absorbed.popitem(last=False)


def reaction_notice(reaction: Reaction, update_id: int, text: str) -> Inbound | None:
    """A notice that somebody reacted to a message; None if a bot did."""
    if reaction.user is not None and reaction.user.is_bot:
        return None
    sender = _sender(reaction.user, reaction.actor_chat)
    if sender is None:
        return None
    return Inbound(
        message_id=f"{reaction.chat.id}:{reaction.message_id}:reaction:{update_id}",
        chat=_chat(reaction.chat, None),
        sender=sender,
        sent_at=reaction.date * 1000,
        text=reaction_note(reaction, text),
        kind="notice",
    )


def _fresh(message: Message, me: User, raw: bytes | msgspec.Raw) -> Read:
    moved = None
    if message.migrate_to_chat_id is not None:
        moved = (str(message.chat.id), str(message.migrate_to_chat_id))
    elif message.migrate_from_chat_id is not None:
        moved = (str(message.migrate_from_chat_id), str(message.chat.id))
    inbound = _inbound(message, me, raw)
    album = (
        None if message.media_group_id is None else f"{message.chat.id}:{message.media_group_id}"
    )
    return Read(inbound, album=album, moved=moved)


def _edit(message: Message, me: User, raw: bytes | msgspec.Raw, update_id: int) -> Inbound | None:
    inbound = _inbound(message, me, raw)
    if inbound is None or inbound.kind == "notice":
        return None
    version = message.edit_date or update_id
    # A shared position is edited every few seconds; nobody wants an answer to each.
    kind = "edit" if message.location is None else "notice"
    return replace(inbound, message_id=f"{inbound.message_id}{EDIT}{version}", kind=kind)


def _inbound(message: Message, me: User, raw: bytes | msgspec.Raw) -> Inbound | None:
    if message.sender is not None and _is_bot(message, me):
        return None
    if message.sender is not None and message.sender.id == CHANNEL_SERVICE_ID:
        return None  # a post of the channel that the group belongs to
    sender = _sender(message.sender, message.sender_chat)
    if sender is None:
        if message.chat.type != "channel":
            return None
        sender = Sender(id=str(message.chat.id), name=message.chat.name)
    media = tuple(_media(message))
    text, is_notice = _text(message, me, raw, bool(media))
    return Inbound(
        message_id=f"{message.chat.id}:{message.message_id}",
        reply_id=str(message.message_id),
        chat=_chat(message.chat, message.thread),
        sender=sender,
        sent_at=message.date * 1000,
        text=text,
        kind="notice" if is_notice else "message",
        media=media,
        quoted=_quoted(message),
        mentioned=_mentioned(message, me),
    )


def _is_bot(message: Message, me: User) -> bool:
    sender = message.sender
    if sender is None or message.sender_chat is not None:
        return False  # an anonymous admin writes through a bot of Telegram's
    joined_or_left = bool(message.new_chat_members) or message.left_chat_member is not None
    return (sender.is_bot and not joined_or_left) or sender.id == me.id


def _sender(user: User | None, chat: ChatAbout | None) -> Sender | None:
    who = chat if chat is not None else user
    if who is None:
        return None
    names = (f"@{who.username.lower()}",) if who.username else ()
    return Sender(id=str(who.id), names=names, name=who.name)


def _chat(chat: ChatAbout, thread: int | None) -> Chat:
    return Chat(
        id=str(chat.id),
        kind=_KINDS.get(chat.type, "group"),
        title=chat.title,
        thread=None if thread is None else str(thread),
    )


def _press(query: Query) -> tuple[str, Press] | None:
    message, sender = query.message, _sender(query.sender, None)
    if message is None or sender is None or query.data is None or query.sender.is_bot:
        return None
    return query.id, Press(
        chat=_chat(message.chat, message.thread),
        sender=sender,
        message_id=str(message.message_id),
        data=query.data,
    )


def _text(
    message: Message, me: User, raw: bytes | msgspec.Raw, has_media: bool
) -> tuple[str, bool]:
    """What was said, or a note; and whether it is only a notice."""
    happened = happening(message)
    if happened is not None:
        return happened, True
    note = sort_note(message)
    if message.is_damaged and (message.text or message.caption):
        note = "[a part of this message could not be read]"
    said = message.text or message.caption
    if not said and note is None and not has_media:
        if message.sticker is not None:
            return f"[sticker {message.sticker.emoji}]".replace(" ]", "]"), False
        return unknown_note(message_fields(raw))
    if message.sticker is not None and note is None:
        note = f"[sticker {message.sticker.emoji}]".replace(" ]", "]")
    entities = message.entities if message.text else message.caption_entities
    words = _own_name_removed(_with_links(said or "", entities), me)
    if message.forward_origin is not None:
        words = f"[forwarded from {message.forward_origin.name or 'somebody'}]\n{words}".strip()
    return "\n".join(part for part in (note, words) if part), False


def _with_links(text: str, entities: Iterable[Entity]) -> str:
    """The text, with the addresses behind its words, as Markdown has them."""
    links = [one for one in entities if one.type == "text_link" and one.url and one.length > 0]
    if not links:
        return text
    units = text.encode("utf-16-le", "surrogatepass")
    for link in sorted(links, key=lambda one: one.offset, reverse=True):
        start, end = 2 * link.offset, 2 * (link.offset + link.length)
        shown = units[start:end]
        marked = f"](<{link.url}>)" if set(link.url) & set(" ()") else f"]({link.url})"
        units = b"".join(
            (units[:start], "[".encode("utf-16-le"), shown, marked.encode("utf-16-le"), units[end:])
        )
    return units.decode("utf-16-le", "replace")


def _own_name_removed(text: str, me: User) -> str:
    """Without the bot's name in front, and without it behind a command."""
    if not me.username:
        return text
    stripped = re.sub(rf"^\s*@{re.escape(me.username)}\b[\s,:]*", "", text, flags=re.IGNORECASE)
    command = _COMMAND.match(stripped)
    if command and command[2].lower() == me.username.lower():
        return command[1] + stripped[command.end() :]
    return stripped or text


def _mentioned(message: Message, me: User) -> bool:
    """Whether the bot was addressed: by its name, by a reply to it, by a command."""
    if message.chat.type == "private":
        return True
    replied = message.reply_to_message
    if replied is not None and replied.sender is not None and replied.sender.id == me.id:
        return replied.forum_topic_created is None
    text = message.text or message.caption or ""
    entities = message.entities if message.text else message.caption_entities
    units = text.encode("utf-16-le", "surrogatepass")
    for one in entities:
        shown = units[2 * one.offset : 2 * (one.offset + one.length)].decode("utf-16-le", "replace")
        if one.type == "text_mention" and one.user is not None and one.user.id == me.id:
            return True
        if one.type == "mention" and shown.lower() == f"@{me.username}".lower():
            return True
        if one.type == "bot_command" and one.offset == 0:
            _command, _at, whose = shown.partition("@")
            return not whose or whose.lower() == me.username.lower()
    return False


def _quoted(message: Message) -> Quoted | None:
    replied = message.reply_to_message
    # In a topic, whatever is no reply is one to the message that began the topic.
    if replied is None or replied.forum_topic_created is not None:
        return None
    text = message.quote.text if message.quote is not None else ""
    text = text or replied.text or replied.caption or sort_note(replied) or ""
    who = replied.sender_chat or replied.sender
    return Quoted(
        message_id=f"{message.chat.id}:{replied.message_id}",
        text=text[:_QUOTE_LENGTH],
        sender=who.name if who is not None else "",
    )


def _media(message: Message) -> Iterable[Media]:
    if message.photo:
        largest = max(message.photo, key=lambda size: (size.width, size.file_size))
        yield _file(largest, "image", "image/jpeg")
    files: tuple[tuple[File | None, MediaKind, str], ...] = (
        (message.voice, "voice", "audio/ogg"),
        (message.audio, "audio", "audio/mpeg"),
        (message.video, "video", "video/mp4"),
        (message.video_note, "video", "video/mp4"),
        (message.animation, "video", "video/mp4"),
    )
    for file, kind, usual in files:
        if file is not None:
            yield _file(file, kind, usual)
    # An animation comes as a document as well.
    if message.document is not None and message.animation is None:
        mime_type = message.document.mime_type or "application/octet-stream"
        yield _file(message.document, _kind_of(mime_type), mime_type)
    sticker = message.sticker
    if sticker is not None and not sticker.is_animated and not sticker.is_video:
        yield _file(sticker, "sticker", "image/webp")


def _kind_of(mime_type: str) -> MediaKind:
    main = mime_type.partition("/")[0]
    kinds: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
    return kinds.get(main, "file")


def _file(file: File, kind: MediaKind, usual: str) -> Media:
    return Media(
        kind=kind,
        mime_type=file.mime_type or usual,
        name=file.file_name,
        size=max(0, file.file_size),
        ref={"file_id": file.file_id},
    )


def _joined(first: Inbound, more: Inbound) -> Inbound:
    text = "\n".join(part for part in (first.text, more.text) if part)
    return replace(
        first,
        text=text,
        media=first.media + more.media,
        mentioned=first.mentioned or more.mentioned,
    )
