"""What passes between a provider's adapter and the rest: messages in, messages out.

These are plain values, kept in the store as JSON: a field may be added with a default, none may
change its meaning. Ids are the provider's, as text. Times are milliseconds since the epoch.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

ChatKind = Literal["direct", "group", "channel"]
MediaKind = Literal["image", "audio", "voice", "video", "file", "sticker"]

UNREADABLE = "[a message that cannot be read here]"
"""Stands for a message of which only chat and sender are known."""


class _Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base: immutable, compact as JSON; unknown fields are ignored."""


class Sender(_Value, frozen=True):
    """Who wrote.

    Attributes:
        id: the provider's stable id of the account, what an operator approves.
        names: other names an allowlist may use for it (`@alice`, a phone number), lower case.
        name: what people call them.
    """

    id: str
    names: tuple[str, ...] = ()
    name: str = ""


class Chat(_Value, frozen=True):
    """Where it was written.

    Attributes:
        id: what a message must be addressed to in order to get there.
        thread: the topic or thread inside it.
        parent: an enclosing thing that rules may name (a Discord server, a thread's channel).
    """

    id: str
    kind: ChatKind = "direct"
    title: str = ""
    thread: str | None = None
    parents: tuple[str, ...] = ()


class Media(_Value, frozen=True):
    """A file that came with a message.

    Attributes:
        ref: whatever the adapter needs to fetch it later, as JSON. No secrets.
        size: bytes as the provider says, 0 where it does not.
        path: where it is, once it was fetched.
        problem: why it could not be.
    """

    kind: MediaKind
    mime_type: str = "application/octet-stream"
    name: str = ""
    size: int = 0
    ref: dict[str, Any] = msgspec.field(default_factory=dict)
    path: str = ""
    problem: str = ""


class Quoted(_Value, frozen=True):
    """The message this one replies to, as far as the provider tells."""

    message_id: str = ""
    text: str = ""
    sender: str = ""


class Inbound(_Value, frozen=True):
    """A message as it came in.

    Attributes:
        message_id: unique within the account, for ever. Where the provider's ids are unique in a
            chat only, the adapter puts the chat's in front. An edit is another message: its id
            tells the version.
        reply_id: what an answer quotes, where that is not `message_id`.
        text: what was said; for what has no text, a note in brackets that says what it was.
        kind: `message` and `edit` are answered; `notice` (a reaction, somebody joined) is only
            told to the agent with the next message.
        mentioned: whether the bot was addressed: by name, by a reply to it, by a command.
        own: the account itself wrote it from another device; never answered.
    """

    message_id: str
    chat: Chat
    sender: Sender
    sent_at: int
    text: str = ""
    kind: Literal["message", "edit", "notice"] = "message"
    media: tuple[Media, ...] = ()
    quoted: Quoted | None = None
    reply_id: str | None = None
    mentioned: bool = False
    own: bool = False


class Press(_Value, frozen=True):
    """Somebody pressed a button under one of our messages."""

    chat: Chat
    sender: Sender
    message_id: str
    data: str


class Button(_Value, frozen=True):
    """A button: what it says, and what its press brings back (at most 64 bytes)."""

    text: str
    data: str
    style: Literal["", "primary", "danger"] = ""


class Poll(_Value, frozen=True):
    """A question with answers to choose from. `hours` None: as long as the provider likes."""

    question: str
    options: tuple[str, ...]
    max_selections: int = 1
    hours: int | None = None
    anonymous: bool | None = None


class OutMedia(_Value, frozen=True):
    """A file to send; it is at `path` until it has been delivered."""

    path: str
    kind: MediaKind
    mime_type: str
    name: str


class Target(_Value, frozen=True):
    """Where a message goes: an account of a channel, a chat of it, perhaps a thread there."""

    channel: str
    account: str
    chat: str
    thread: str | None = None


class Outbound(_Value, frozen=True):
    """A message to send; `text` is Markdown.

    Attributes:
        reply_to: the provider's id of the message it answers.
        draft: the id of one of our messages that it replaces.
        silent: without a sound at the other end, where the provider can do that.
    """

    text: str = ""
    media: tuple[OutMedia, ...] = ()
    reply_to: str | None = None
    draft: str | None = None
    poll: Poll | None = None
    buttons: tuple[tuple[Button, ...], ...] = ()
    silent: bool = False


class Part(_Value, frozen=True):
    """What one call of the provider sends: a whole message, or a piece of a long one.

    Attributes:
        key: names this part for ever, also over restarts: 32 hex digits. Where the provider takes
            an id of the client's choosing, it is made from this.
        text: in the provider's own markup, within its limit.
        styles: Signal's style ranges of `text`.
        plain: the same without markup, for a provider that does not like it.
        edit: the id of the message that this part replaces.
    """

    key: str
    text: str = ""
    styles: tuple[str, ...] = ()
    plain: str = ""
    media: OutMedia | None = None
    reply_to: str | None = None
    edit: str | None = None
    poll: Poll | None = None
    buttons: tuple[tuple[Button, ...], ...] = ()
    silent: bool = False
