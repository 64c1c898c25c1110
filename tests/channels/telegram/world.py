"""One bot's Telegram: its chats, its messages and the updates that wait for it.

Numbers are given out as Telegram gives them: message ids count per supergroup, but run through in
all private chats and basic groups of a bot; groups have negative ids, supergroups begin with -100.
Privacy mode is a property of the bot: while on, a group shows it only commands, mentions and
replies to itself.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.channels.telegram.errors import ApiError, bad, forbidden
from tests.channels.telegram.markup import utf16_length

Json = dict[str, Any]
GENERAL_TOPIC = 1
FIRST_DATE = 1_790_000_000
OFF_BY_DEFAULT = ("chat_member", "message_reaction", "message_reaction_count")
_ENTITIES = re.compile(
    r"(?P<bot_command>(?<!\S)/[A-Za-z0-9_]{1,32}(?:@\w+)?)|(?P<mention>(?<!\w)@\w{3,})"
    r"|(?P<url>https?://\S+)"
)


@dataclass
class Upload:
    """A file in a call, or in a message of a user."""

    name: str
    content_type: str
    data: bytes


@dataclass
class Sent:
    """A message of the bot, as its chat shows it now."""

    method: str
    chat_id: int
    message_id: int
    text: str
    entities: list[Json]
    params: Json
    file: Upload | None = None
    reply_to: int | None = None
    thread: int | None = None
    markup: Json | None = None
    edits: list[str] = field(default_factory=list)
    deleted: bool = False

    @property
    def buttons(self) -> list[Json]:
        """Its inline buttons, row after row."""
        rows = (self.markup or {}).get("inline_keyboard", [])
        return [button for row in rows for button in row]


@dataclass
class Chat:
    """A chat the bot is in."""

    about: Json
    topics: set[int] = field(default_factory=set)
    message_ids: Any = None
    blocked: bool = False
    kicked: bool = False
    moved_to: int | None = None

    @property
    def id(self) -> int:
        return int(self.about["id"])


def entities_of(text: str) -> list[Json]:
    """The entities Telegram finds in a text by itself: commands, mentions, links."""
    return [
        {
            "type": found.lastgroup, "offset": utf16_length(text[: found.start()]),
            "length": utf16_length(found.group()),
        }
        for found in _ENTITIES.finditer(text)
    ]  # fmt: skip


class World:
    """Everything Telegram knows about one bot.

    Args:
        token: `<id>:<secret>`.
        first_update: the first update's id.
    """

    def __init__(
        self, token: str, username: str = "claw_test_bot", *, first_update: int = 700_000_001
    ) -> None:
        self.token = token
        self.me: Json = {
            "id": int(token.partition(":")[0]), "is_bot": True, "first_name": "Claw",
            "username": username, "can_join_groups": True, "can_read_all_group_messages": True,
            "supports_inline_queries": False,
        }  # fmt: skip
        self.chats: dict[int, Chat] = {}
        self.messages: dict[tuple[int, int], Json] = {}
        self.sent: list[Sent] = []
        self.files: dict[str, Upload] = {}
        self.updates: list[Json] = []
        self.confirmed: list[Json] = []
        self.allowed: set[str] | None = None
        self.queries: dict[str, Json] = {}
        self.answered: dict[str, Json] = {}
        self.reactions: dict[tuple[int, int], list[Json]] = {}
        self.actions: list[tuple[int, str, int | None]] = []
        self.drafts: list[Json] = []
        self.commands: list[Json] = []
        self.changed: Any = lambda: None
        self._update_ids = itertools.count(first_update)
        self._message_ids = itertools.count(1)
        self._dates = itertools.count(FIRST_DATE)
        self._numbers = itertools.count(1)
        self._shuffle: random.Random | None = None
        self._repeat = 0

    # who is there

    def user(self, name: str, user_id: int = 1001, **more: Any) -> Json:
        """A person, who has opened a private chat with the bot."""
        person = {
            "id": user_id, "is_bot": False, "first_name": name, "language_code": "en", **more
        }  # fmt: skip
        if user_id not in self.chats:
            about = {key: person[key] for key in ("first_name", "username") if key in person}
            self.chats[user_id] = Chat({"id": user_id, "type": "private", **about})
            self.chats[user_id].message_ids = self._message_ids
        return person

    def group(self, title: str, chat_id: int | None = None, *, forum: bool = False) -> Chat:
        """A group the bot was added to; a supergroup if the id says so (`-100…`) or with topics."""
        chat_id = chat_id if chat_id is not None else -1_000_000_000_000 - next(self._numbers)
        big = str(chat_id).startswith("-100")
        about: Json = {"id": chat_id, "type": "supergroup" if big else "group", "title": title}
        if forum:
            about["is_forum"] = True
        chat = Chat(about, {GENERAL_TOPIC} if forum else set())
        # 1 is the group's creation, and the topic "General"
        chat.message_ids = itertools.count(2) if big else self._message_ids
        self.chats[chat_id] = chat
        return chat

    def topic(self, chat: Chat, name: str) -> int:
        """A new topic of a forum; the service message's id is the topic's."""
        message = self._message(
            chat, None, {"forum_topic_created": {"name": name, "icon_color": 7322096}}
        )
        chat.topics.add(message["message_id"])
        return int(message["message_id"])

    def migrate(self, chat: Chat) -> Chat:
        """Turn a basic group into a supergroup, as Telegram does it."""
        successor = self.group(chat.about["title"])
        chat.moved_to = successor.id
        self._arrive("message", self._message(chat, None, {"migrate_to_chat_id": successor.id}))
        self._arrive("message", self._message(successor, None, {"migrate_from_chat_id": chat.id}))
        return successor

    # what people do

    def say(
        self, person: Json, text: str | None = None, chat: Chat | int | None = None, *,
        reply_to: int | None = None, thread: int | None = None, **content: Any,
    ) -> Json:  # fmt: skip
        """A message of a person, here or in a group; `content` is any other field of Message."""
        place = self._place(person, chat)
        if text is not None:
            found = content.pop("entities", None) or entities_of(text)
            content = {"text": text, **({"entities": found} if found else {}), **content}
        if reply_to is not None:
            content["reply_to_message"] = {
                key: value for key, value in self.messages[place.id, reply_to].items()
                if key != "reply_to_message"
            }  # fmt: skip
        if thread is not None:
            content |= {"message_thread_id": thread, "is_topic_message": True}
        message = self._message(place, person, content)
        if self._sees(message):
            self._arrive("message", message)
        return message

    def upload(
        self, person: Json, kind: str, data: bytes, chat: Chat | int | None = None, *,
        name: str | None = None, content_type: str = "application/octet-stream",
        claims: int | None = None, **content: Any,
    ) -> Json:  # fmt: skip
        """A file of a person: `photo`, `document`, `voice`, `audio`, `video`, `sticker`, …

        Args:
            claims: the `file_size` told, if not the true one.
        """
        about = self.file(data, name or f"file_{kind}", content_type, claims)
        if kind == "photo":
            small = self.file(data[:10], "small", content_type, None)
            sizes = [{**small, "width": 90, "height": 60}, {**about, "width": 1280, "height": 853}]
            return self.say(person, None, chat, photo=sizes, **content)
        if name is not None:
            about["file_name"] = name
        if kind not in ("sticker", "video_note"):
            about["mime_type"] = content_type
        if kind not in ("document", "sticker"):
            about["duration"] = 3
        if kind in ("video", "animation", "sticker"):
            about |= {"width": 512, "height": 512}
        if kind == "sticker":
            about |= {"type": "regular", "is_animated": False, "is_video": False}
            about |= content.pop("sticker", {})
        return self.say(person, None, chat, **{kind: about}, **content)

    def edit(self, message: Json, **content: Any) -> Json:
        """A person changes a message."""
        changed = {**message, **content, "edit_date": next(self._dates)}
        self.messages[message["chat"]["id"], message["message_id"]] = changed
        self._arrive("edited_message", changed)
        return changed

    def touch(self, message: Json) -> None:
        """Something about a message changes that the bot is not shown, such as a reaction to it."""
        self.edit(self.messages[message["chat"]["id"], message["message_id"]])

    def press(self, person: Json, sent: Sent, data: str) -> str:
        """A person presses an inline button of a message; the callback query's id."""
        assert data in [button.get("callback_data") for button in sent.buttons], sent.buttons
        query_id = str(4_000_000_000_000 + next(self._numbers))
        query = {
            "id": query_id, "from": person, "chat_instance": "1", "data": data,
            "message": self.messages[sent.chat_id, sent.message_id],
        }  # fmt: skip
        self.queries[query_id] = query
        self._arrive("callback_query", query)
        return query_id

    def react(self, person: Json, chat_id: int, message_id: int, *emoji: str) -> None:
        """A person sets their reactions on a message."""
        self._arrive("message_reaction", {
            "chat": self.chats[chat_id].about, "message_id": message_id, "user": person,
            "date": next(self._dates), "old_reaction": [],
            "new_reaction": [{"type": "emoji", "emoji": one} for one in emoji],
        })  # fmt: skip

    def push(self, update: Json) -> Json:
        """Any update as it is, with the next id unless it brings one."""
        update = {"update_id": next(self._update_ids), **update}
        self.updates.append(update)
        self.changed()
        return update

    # updates

    def shuffle(self, rng: random.Random) -> None:
        """Give out the next updates in another order."""
        self._shuffle = rng

    def repeat(self, times: int = 1) -> None:
        """Give out updates that were confirmed already once more, the next times."""
        self._repeat = times

    def confirm(self, offset: int) -> None:
        """Forget the updates before this offset."""
        self.confirmed += [one for one in self.updates if one["update_id"] < offset]
        self.updates = [one for one in self.updates if one["update_id"] >= offset]

    def waiting(self, offset: int, limit: int) -> list[Json]:
        """What `getUpdates` answers now."""
        if offset < 0:
            self.confirm(self.updates[offset]["update_id"] if -offset <= len(self.updates) else 0)
        elif offset:
            self.confirm(offset)
        found = self.updates[:limit]
        if self._repeat and self.confirmed:
            self._repeat -= 1
            found = (self.confirmed[-3:] + found)[:limit]
        if self._shuffle is not None and len(found) > 1:
            found = list(found)
            self._shuffle.shuffle(found)
            self._shuffle = None
        return found

    # what the bot did

    def texts(self, chat_id: int | None = None) -> list[str]:
        """What the bot's messages say now, in order."""
        return [
            sent.text for sent in self.sent
            if chat_id in (None, sent.chat_id) and not sent.deleted
        ]  # fmt: skip

    def doubles(self) -> Counter[tuple[int, str]]:
        """Texts a chat shows more than once, with how often too often."""
        counted = Counter((sent.chat_id, sent.text) for sent in self.sent if not sent.deleted)
        return Counter({key: count - 1 for key, count in counted.items() if count > 1})

    def chat_for_writing(self, chat_id: Any) -> Chat:
        """The chat the bot names.

        Raises:
            ApiError: there is none, or it may not write there.
        """
        chat = self._named(chat_id)
        kind = chat.about["type"]
        if chat.blocked:
            raise forbidden("bot was blocked by the user")
        if chat.kicked:
            raise forbidden(f"bot was kicked from the {kind} chat")
        if chat.moved_to is not None:
            raise ApiError(
                400, "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=chat.moved_to,
            )  # fmt: skip
        return chat

    def _named(self, chat_id: Any) -> Chat:
        if chat_id in (None, ""):
            raise bad("chat_id is empty")
        if isinstance(chat_id, str) and chat_id.startswith("@"):
            named = [c for c in self.chats.values() if c.about.get("username") == chat_id[1:]]
            # people cannot be named so, only channels and supergroups
            if named and named[0].about["type"] != "private":
                return named[0]
            raise bad("chat not found")
        if isinstance(chat_id, bool) or not re.fullmatch(r"-?\d+", str(chat_id)):
            raise bad("chat not found")
        if int(chat_id) not in self.chats:
            raise bad("chat not found")
        return self.chats[int(chat_id)]

    def bot_says(self, chat: Chat, content: Json) -> Json:
        """Add a message of the bot."""
        return self._message(chat, self.me, content)

    def file(self, data: bytes, name: str, content_type: str, claims: int | None) -> Json:
        """Keep a file; what a message says about it."""
        number = next(self._numbers)
        file_id = f"AgACAgIAAxkB{number:08d}"
        self.files[file_id] = Upload(name, content_type, data)
        size = len(data) if claims is None else claims
        return {"file_id": file_id, "file_unique_id": f"AQAD{number:06d}", "file_size": size}

    def _place(self, person: Json, chat: Chat | int | None) -> Chat:
        if isinstance(chat, Chat):
            return chat
        return self.chats[person["id"] if chat is None else chat]

    def _message(self, chat: Chat, sender: Json | None, content: Json) -> Json:
        message = {
            "message_id": next(chat.message_ids), **({"from": sender} if sender else {}),
            "chat": chat.about, "date": next(self._dates), **content,
        }  # fmt: skip
        self.messages[chat.id, message["message_id"]] = message
        return message

    def _sees(self, message: Json) -> bool:
        if message["chat"]["type"] == "private" or self.me["can_read_all_group_messages"]:
            return True
        said = message.get("text", "") + message.get("caption", "")
        replied = message.get("reply_to_message", {}).get("from", {}).get("id")
        return said.startswith("/") or f"@{self.me['username']}" in said or replied == self.me["id"]

    def _arrive(self, kind: str, what: Json) -> None:
        wanted = kind in self.allowed if self.allowed is not None else kind not in OFF_BY_DEFAULT
        if wanted:
            self.push({kind: what})
