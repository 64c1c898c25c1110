"""From Discord's messages to ours: pure functions.

The text is what a person sees: mentions by name, emoji by their short name, a leading mention of
the bot taken away. What has no text becomes a note in brackets that says what it was. Not handed
on are the bot's own messages, those of other bots and webhooks unless they are to be heard, and
copies that Discord makes at the head of a thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from clawgw.channels.discord.objects import (
    DEFAULT,
    FORWARD,
    REPLY,
    THREAD_STARTER,
    VOICE_MESSAGE,
    Attachment,
    Interaction,
    Member,
    Message,
    Reaction,
    Stump,
    User,
    milliseconds,
    time_of,
)
from clawgw.channels.discord.places import Place
from clawgw.channels.messages import Inbound, Media, MediaKind, Quoted, Sender

MAX_TEXT = 100_000
EDIT_MS = 15 * 60_000
"""An edit is news for so long; a message is sent again for other reasons too."""

CHAT_INPUT, CONTEXT_MENU, POLL_RESULT = 20, 23, 46
_SPOKEN = {DEFAULT, REPLY, CHAT_INPUT, CONTEXT_MENU}
_SYSTEM = {
    1: "somebody was added",
    2: "somebody was removed",
    3: "a call",
    4: "the name of the channel was changed",
    5: "the picture of the channel was changed",
    6: "a message was pinned",
    7: "somebody joined the server",
    8: "somebody boosted the server",
    12: "a channel is being followed",
    18: "a thread was begun",
    24: "a message was stopped by automatic moderation",
    27: "a stage began",
    28: "a stage ended",
    POLL_RESULT: "a poll ended",
}


@dataclass(frozen=True)
class Around:
    """What has to be known to read a message.

    Attributes:
        bot: the bot's id.
        role: the role that is the bot's own where the message was written.
        channel_name: what a channel is called.
        hears_bots: whether other bots' messages count.
    """

    bot: str
    role: str | None = None
    channel_name: Callable[[str], str | None] = lambda _: None
    hears_bots: bool = False


def written(message: Message, place: Place, around: Around) -> Inbound | None:
    """A message that was written; None for one that is not handed on."""
    if not _heard(message, around):
        return None
    kind: Literal["message", "notice"] = "message" if message.type in _SPOKEN else "notice"
    return Inbound(
        message_id=message.id,
        chat=place.chat(),
        sender=sender(_author(message), message.member),
        sent_at=milliseconds(message.id),
        text=_text(message, around)[:MAX_TEXT],
        kind=kind,
        media=_media(message),
        quoted=_quoted(message, around),
        mentioned=place.is_direct or _mentions(message, around),
    )


def edited(message: Message, place: Place, around: Around, now_ms: int) -> Inbound | None:
    """A message whose writer has changed it; None where that is not why it came again."""
    at = time_of(message.edited_timestamp)
    if not at or now_ms - at > EDIT_MS or message.type not in _SPOKEN:
        return None
    inbound = written(message, place, around)
    if inbound is None:
        return None
    return msgspec.structs.replace(
        inbound,
        message_id=f"{message.id}:edit:{at}",
        reply_id=message.id,
        sent_at=at,
        kind="edit",
        media=(),
    )


def stump(message: Stump, place: Place, around: Around) -> Inbound | None:
    """A message that cannot be read."""
    if message.author.id == around.bot or (message.author.bot and not around.hears_bots):
        return None
    return Inbound(
        message_id=message.id,
        chat=place.chat(),
        sender=sender(message.author, None),
        sent_at=milliseconds(message.id),
        text="[a message of a form that is not known here]",
        mentioned=place.is_direct,
    )


def reacted(reaction: Reaction, place: Place, now_ms: int) -> Inbound:
    """A reaction to a message."""
    emoji = reaction.emoji.name or "an emoji"
    shown = f":{emoji}:" if reaction.emoji.id else emoji
    user = (reaction.member.user if reaction.member else None) or User(reaction.user_id)
    return Inbound(
        message_id=f"{reaction.message_id}:reaction:{reaction.user_id}:{emoji}",
        chat=place.chat(),
        sender=sender(user, reaction.member),
        sent_at=now_ms,
        text=f"[reaction {shown} to message {reaction.message_id}]",
        kind="notice",
        reply_id=reaction.message_id,
        mentioned=place.is_direct,
    )


def asked(interaction: Interaction, place: Place) -> Inbound | None:
    """What somebody asked with `/ask`; None for anything else."""
    who = interaction.who
    options = {one.name: one.value for one in interaction.data.options}
    question = options.get("question")
    if interaction.data.name != "ask" or who is None or not isinstance(question, str):
        return None
    return Inbound(
        message_id=f"interaction:{interaction.id}",
        chat=place.chat(),
        sender=sender(who, interaction.member),
        sent_at=milliseconds(interaction.id),
        text=question.strip()[:MAX_TEXT],
        mentioned=True,
    )


def sender(user: User, member: Member | None) -> Sender:
    """Who wrote. Only what cannot be chosen at will is a name an allowlist may use.

    Names of people are unique; those of bots and webhooks are not. One of digits alone would be
    taken for somebody's id.
    """
    username = "" if user.bot else user.username.lower()
    bare = () if username.isdecimal() else (username,)
    return Sender(
        id=user.id,
        names=(*bare, f"@{username}") if username else (),
        name=(member.nick if member else None) or user.global_name or user.username,
    )


def _author(message: Message) -> User:
    is_webhook = message.webhook_id is not None
    return msgspec.structs.replace(message.author, bot=True) if is_webhook else message.author


def _heard(message: Message, around: Around) -> bool:
    if message.author.id == around.bot or message.type == THREAD_STARTER:
        return False
    foreign = message.author.bot or message.webhook_id is not None
    return around.hears_bots or not foreign


def _mentions(message: Message, around: Around) -> bool:
    if any(user.id == around.bot for user in message.mentions):
        return True
    if around.role is not None and around.role in message.mention_roles:
        return True
    answered = message.referenced_message
    return answered is not None and answered.author.id == around.bot


def _text(message: Message, around: Around) -> str:
    parts = [readable(message.content, message.mentions, around)]
    if message.type not in _SPOKEN:
        what = _SYSTEM.get(message.type, f"a message of Discord's own, type {message.type}")
        parts.insert(0, f"[{what}]")
    if message.message_reference and message.message_reference.type == FORWARD:
        parts += [
            f"[forwarded: {readable(one.message.content, (), around)}]"
            for one in message.message_snapshots
        ]
    parts += [f"[sticker: {sticker.name}]" for sticker in message.sticker_items]
    if message.poll is not None:
        answers = ", ".join(one.poll_media.text or "?" for one in message.poll.answers)
        parts.append(f"[poll: {message.poll.question.text or '?'} ({answers})]")
    if not any(parts) and not message.attachments:
        parts += [f"[{_embed(one.title, one.description)}]" for one in message.embeds]
        if not any(parts) and not any(one.message.attachments for one in message.message_snapshots):
            parts.append("[a message without text]")
    return "\n".join(part for part in parts if part)


def _embed(title: str | None, description: str | None) -> str:
    return " – ".join(part for part in (title, description) if part) or "an embed"


def readable(content: str, mentions: tuple[User, ...], around: Around) -> str:
    """A text as people see it."""
    text = content.strip()
    address = rf"^<@!?{re.escape(around.bot)}>"
    if around.role is not None:
        address += rf"|^<@&{re.escape(around.role)}>"
    text = re.sub(address, "", text, count=1).strip()
    names = {user.id: user.username for user in mentions}
    text = re.sub(
        r"<@!?(\d+)>", lambda hit: f"@{names[hit[1]]}" if hit[1] in names else hit[0], text
    )
    text = re.sub(r"<a?(:\w+:)\d+>", r"\1", text)
    text = re.sub(r"<(/[^:>]+):\d+>", r"\1", text)
    return re.sub(r"<#(\d+)>", lambda hit: _channel(hit, around), text)


def _channel(hit: re.Match[str], around: Around) -> str:
    name = around.channel_name(hit[1])
    return f"#{name}" if name else hit[0]


def _quoted(message: Message, around: Around) -> Quoted | None:
    reference = message.message_reference
    if message.type != REPLY or reference is None or reference.message_id is None:
        return None
    original = message.referenced_message
    if original is None:
        return Quoted(message_id=reference.message_id)
    return Quoted(
        message_id=original.id,
        text=readable(original.content, original.mentions, around),
        sender=original.author.global_name or original.author.username,
    )


def _media(message: Message) -> tuple[Media, ...]:
    found = [_file(one, message) for one in message.attachments]
    for entry in message.message_snapshots:
        found += [_file(one, message) for one in entry.message.attachments]
    return tuple(found)


def _file(attachment: Attachment, message: Message) -> Media:
    mime_type = (attachment.content_type or "application/octet-stream").partition(";")[0].strip()
    return Media(
        kind="voice" if message.flags & VOICE_MESSAGE else _kind(mime_type),
        mime_type=mime_type,
        name=attachment.filename,
        size=max(0, attachment.size),
        ref={
            "url": attachment.url,
            "id": attachment.id,
            "channel": message.channel_id,
            "message": message.id,
        },
    )


def _kind(mime_type: str) -> MediaKind:
    kinds: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
    return kinds.get(mime_type.partition("/")[0], "file")
