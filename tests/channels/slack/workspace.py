"""What is in the fake's workspace: people, conversations, messages and files; nothing of HTTP."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

TEAM = "T0FAKE"
APP = "A0FAKE"
BOT_USER = "U0BOT"
BOT_ID = "B0BOT"
BOT_TOKEN = "xoxb-fake-bot-token"
APP_TOKEN = "xapp-1-fake-app-token"

Json = dict[str, Any]


@dataclass
class Conversation:
    """A channel (``channel``, ``group``), a DM (``im``) or a group DM (``mpim``)."""

    id: str
    kind: str
    name: str = ""
    members: set[str] = field(default_factory=set)
    archived: bool = False
    messages: dict[str, Json] = field(default_factory=dict)
    """By ``ts``, in the order they were written; thread replies among them."""

    def thread(self, ts: str) -> list[Json]:
        """A thread: its parent first, then the replies in their order."""
        return [m for m in self.messages.values() if m["ts"] == ts or m.get("thread_ts") == ts]

    def top_level(self) -> list[Json]:
        """What ``conversations.history`` shows: no replies, but those also sent to the channel."""
        return [
            message
            for message in self.messages.values()
            if message.get("thread_ts", message["ts"]) == message["ts"]
            or message.get("subtype") == "thread_broadcast"
        ]


@dataclass
class File:
    """An uploaded file: announced (``length``), then filled (``content``), then shared."""

    id: str
    name: str
    length: int
    content: bytes | None = None
    mimetype: str = "application/octet-stream"
    title: str = ""


class Workspace:
    """Slack's side of the world.

    ``people`` maps user ids to their ``users.info`` objects. The bot is ``BOT_USER``; it must be a
    member of a channel to read or write there, as at Slack.
    """

    def __init__(self) -> None:
        self.people: dict[str, Json] = {}
        self.conversations: dict[str, Conversation] = {}
        self.files: dict[str, File] = {}
        self._last_ts = 0
        self._made = 0
        self.person(BOT_USER, "clawgw", is_bot=True)

    def person(self, user: str, name: str, **more: Any) -> str:
        """Adds a person and gives back the id."""
        self.people[user] = {
            "id": user,
            "team_id": TEAM,
            "name": name,
            "real_name": name.title(),
            "deleted": False,
            "is_bot": False,
            "profile": {"display_name": name, "real_name": name.title()},
            **more,
        }
        return user

    def channel(self, name: str, *members: str, kind: str = "channel") -> str:
        """Adds a channel with the bot in it, and gives back its id."""
        prefix = "C" if kind == "channel" else "G"
        return self._add(Conversation(self._id(prefix), kind, name, {BOT_USER, *members}))

    def direct(self, *users: str) -> str:
        """The DM (or group DM) of the bot with these people; made when it is not there."""
        members = {BOT_USER, *users}
        kind = "im" if len(users) == 1 else "mpim"
        for conversation in self.conversations.values():
            if conversation.kind == kind and conversation.members == members:
                return conversation.id
        return self._add(Conversation(self._id("D" if kind == "im" else "G"), kind, "", members))

    def write(self, channel: str, message: Json) -> Json:
        """Puts a message into a conversation under a new ``ts``; gives back the stored message."""
        stored = {"type": "message", "ts": self.ts(), **message}
        conversation = self.conversations[channel]
        parent = conversation.messages.get(stored.get("thread_ts", ""))
        if parent is not None:
            parent["thread_ts"] = parent["ts"]
            parent["reply_count"] = parent.get("reply_count", 0) + 1
            parent["latest_reply"] = stored["ts"]
            stored["parent_user_id"] = parent.get("user")
        conversation.messages[stored["ts"]] = stored
        return stored

    def file(self, name: str, content: bytes, mimetype: str = "text/plain") -> File:
        """A file somebody shares: there, with its content."""
        made = File(self._id("F"), name, len(content), content, mimetype, name)
        self.files[made.id] = made
        return made

    def announce(self, name: str, length: int) -> File:
        """A file that is about to be uploaded."""
        made = File(self._id("F"), name, length, title=name)
        self.files[made.id] = made
        return made

    def places(self, file: File) -> list[str]:
        """The conversations a file is shared in."""
        return [
            channel.id
            for channel in self.conversations.values()
            for message in channel.messages.values()
            if any(shared["id"] == file.id for shared in message.get("files", ()))
        ]

    def ts(self) -> str:
        """A new message id: seconds with six digits, unique and rising."""
        self._last_ts = max(int(time.time() * 1_000_000), self._last_ts + 1)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06}"

    def _add(self, conversation: Conversation) -> str:
        self.conversations[conversation.id] = conversation
        return conversation.id

    def _id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}0FAKE{self._made:03}"


def between(messages: Iterable[Json], given: Json) -> list[Json]:
    """The messages from ``oldest`` to ``latest``; the ends count only if ``inclusive``."""
    oldest = float(given.get("oldest") or 0)
    latest = float(given.get("latest") or "inf")
    inclusive = str(given.get("inclusive", "")).lower() in ("1", "true")
    return [
        message
        for message in messages
        if oldest < float(message["ts"]) < latest
        or (inclusive and float(message["ts"]) in (oldest, latest))
    ]
