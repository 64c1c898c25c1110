"""What the sidecar says, as types. The contract itself is `sidecar/README.md`."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field


class _Said(Struct, frozen=True, kw_only=True, rename="camel"):
    """Base: unknown fields are ignored."""


class Identity(_Said, frozen=True):
    """The account: its jid by number, the other by which people need not know the number."""

    jid: str
    lid: str | None = None
    phone: str | None = None
    name: str | None = None


class Started(_Said, frozen=True):
    """The answer to `start`."""

    linked: bool
    me: Identity | None = field(default=None, name="self")


class Connection(_Said, frozen=True):
    """Notification `connection`."""

    state: Literal["connecting", "open", "closed", "loggedOut"]
    me: Identity | None = field(default=None, name="self")
    reason: str = ""
    status_code: int | None = None


class Key(_Said, frozen=True):
    """A message as WhatsApp names it."""

    id: str
    chat: str
    participant: str | None = None
    from_me: bool = False


class Person(_Said, frozen=True):
    """Who wrote."""

    jid: str
    lid: str | None = None
    phone: str | None = None
    name: str | None = None


class File(_Said, frozen=True):
    """A file that came with a message."""

    kind: Literal["image", "video", "audio", "document", "sticker"]
    handle: dict[str, Any]
    mimetype: str = "application/octet-stream"
    size: int = 0
    name: str = ""
    voice: bool = False
    emoji: str = ""


class QuotedMessage(_Said, frozen=True):
    """What a message answers."""

    id: str
    sender: str | None = None
    from_me: bool = False
    text: str = ""


class Aim(_Said, frozen=True):
    """The message that an edit, a revoke or a reaction is about."""

    id: str = ""
    participant: str | None = None
    from_me: bool = False


class Place(_Said, frozen=True):
    """As much of a message as has to be right."""

    seq: int
    key: Key
    chat: str
    sender: Person
    group: bool = False


class Message(_Said, frozen=True):
    """Notification `message`."""

    seq: int
    key: Key
    chat: str
    sender: Person
    kind: Literal["message", "edit", "revoke", "reaction"]
    group: bool = False
    timestamp: int = 0
    text: str = ""
    media: File | None = None
    mentions: tuple[str, ...] = ()
    mentions_me: bool = False
    quoted: QuotedMessage | None = None
    target: Aim | None = None
