"""From Slack's events to messages: which of them matter, and what they say.

`pick` decides, from the event alone, whether there is anything to tell and who has to be looked up
for it; `message_of` writes it down once that is known. Both do no I/O and believe nothing.

The same message arrives as `message` and as `app_mention`, again after a missing acknowledgement,
and once more when the history is read: it is named by its conversation and its `ts`, so the inbox
knows it. An edit is named by the `ts` of the edit as well. Slack also calls it a change when it
adds a preview to a link; that is none.
(https://docs.slack.dev/reference/events/message)
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from clawgw.channels.messages import Chat, ChatKind, Inbound, Media, MediaKind, Sender
from clawgw.channels.slack.api import Json
from clawgw.channels.slack.directory import Conversation, Person
from clawgw.channels.slack.mrkdwn import (
    NameOf,
    mentioned,
    readable,
    unescape,
    without_leading_mention,
)
from clawgw.channels.slack.settings import GROUP_DM

MOST_NAMES = 20
MOST_FILES = 20

_SAID = frozenset({"", "file_share", "me_message", "thread_broadcast", "bot_message"})
_SILENT = frozenset({"message_deleted", "message_replied", "assistant_app_thread", "tombstone"})
_KINDS: dict[str, ChatKind] = {"im": "direct", "mpim": "group"}
_MEDIA: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
_TS = re.compile(r"\d{1,12}\.\d{1,9}")


class Me(NamedTuple):
    """The app in this workspace."""

    user: str
    bot: str
    team: str


class Picked(NamedTuple):
    """What an event has to tell.

    `version` is the `ts` of an edit; `raw` the message object; `addressed`: Slack itself says that
    the bot is meant.
    """

    kind: Literal["message", "edit", "notice"]
    channel: str
    channel_type: object
    ts: str
    version: str
    author: str
    raw: Json
    addressed: bool = False

    @property
    def id(self) -> str:
        """What names it for ever."""
        base = f"{self.channel}:{self.ts}"
        return f"{base}:{self.version}" if self.version else base

    @property
    def thread(self) -> str | None:
        """The thread it is a reply in."""
        thread = self.raw.get("thread_ts")
        return thread if is_ts(thread) and thread != self.ts else None

    @property
    def people(self) -> list[str]:
        """Whose names are needed."""
        found = [self.author, *mentioned(_text(self.raw, "text"))]
        return [user for user in dict.fromkeys(found) if user][:MOST_NAMES]

    @property
    def from_bot(self) -> bool:
        """Whether a program wrote it."""
        return bool(self.raw.get("bot_id")) or self.raw.get("subtype") == "bot_message"


def pick(event: Json, me: Me) -> Picked | None:
    """What an event of the Events API has to tell; None: nothing."""
    match event.get("type"):
        case "message":
            return _message(event, me)
        case "app_mention":
            return _message({**event, "subtype": ""}, me, addressed=True)
        case "reaction_added":
            return _reaction(event, me)
    return None


def from_history(message: Json, channel: str, me: Me) -> Picked | None:
    """The same for a message of `conversations.history` or `conversations.replies`."""
    return _message({**message, "channel": channel, "channel_type": None}, me)


def edit_in_history(picked: Picked) -> Picked | None:
    """The edit that made a message of the history what it is."""
    edited = picked.raw.get("edited")
    version = edited.get("ts") if isinstance(edited, dict) else None
    if picked.kind != "message" or not is_ts(version):
        return None
    return picked._replace(kind="edit", version=f"edit:{version}")


def is_ts(value: Any) -> bool:
    """Whether something is a `ts`."""
    return isinstance(value, str) and _TS.fullmatch(value) is not None


def milliseconds(ts: str) -> int:
    """A `ts` as milliseconds since the epoch."""
    seconds, _, rest = ts.partition(".")
    return int(seconds) * 1000 + int(f"{rest:0<3}"[:3])


def _message(event: Json, me: Me, *, addressed: bool = False) -> Picked | None:
    channel, subtype = event.get("channel"), _text(event, "subtype")
    if not isinstance(channel, str) or not channel:
        return None
    if subtype == "message_changed":
        return _change(event, channel, me)
    ts = event.get("ts")
    if not isinstance(ts, str) or not is_ts(ts) or event.get("hidden") or subtype in _SILENT:
        return None
    if _is_own(event, me):
        return None
    kind: Literal["message", "notice"] = "message" if subtype in _SAID else "notice"
    author = _text(event, "user") or _text(event, "bot_id")
    return Picked(kind, channel, event.get("channel_type"), ts, "", author, event, addressed)


def _change(event: Json, channel: str, me: Me) -> Picked | None:
    new, old = _dict(event, "message"), _dict(event, "previous_message")
    ts, version = new.get("ts"), _dict(new, "edited").get("ts")
    said = _text(new, "subtype") in _SAID
    if not isinstance(ts, str) or not is_ts(ts) or not is_ts(version) or not said:
        return None
    if new.get("text") == old.get("text") or _is_own(new, me):
        return None
    author = _text(new, "user") or _text(new, "bot_id")
    return Picked("edit", channel, event.get("channel_type"), ts, f"edit:{version}", author, new)


def _reaction(event: Json, me: Me) -> Picked | None:
    item, user, name = _dict(event, "item"), _text(event, "user"), _text(event, "reaction")
    channel, ts, when = item.get("channel"), item.get("ts"), event.get("event_ts")
    if item.get("type") != "message" or not isinstance(channel, str) or user == me.user:
        return None
    if not isinstance(ts, str) or not is_ts(ts) or not is_ts(when) or not user or not name:
        return None
    raw = {"reaction": name, "item_user": event.get("item_user"), "when": when}
    return Picked("notice", channel, None, ts, f"reaction:{user}:{name}:{when}", user, raw)


def _is_own(message: Json, me: Me) -> bool:
    return message.get("user") == me.user or (bool(me.bot) and message.get("bot_id") == me.bot)


def message_of(
    picked: Picked, author: Person, conversation: Conversation, me: Me, name_of: NameOf
) -> Inbound:
    """The message, once it is known who wrote it and where."""
    raw_text = _text(picked.raw, "text")
    reaction = picked.raw.get("reaction")
    if reaction:
        text = f"[reacted with :{reaction}: to a message]"
    else:
        text = readable(without_leading_mention(raw_text, me.user), name_of).strip()
        text = "\n".join(filter(None, (text, *_notes(picked.raw, name_of))))
        if picked.kind == "notice":
            text = f"[{text or picked.raw.get('subtype')}]"
    media = tuple(_media(file) for file in _files(picked.raw) if not _is_elsewhere(file))
    return Inbound(
        message_id=picked.id,
        chat=chat_of(conversation, me, picked.thread),
        sender=sender_of(author, _text(picked.raw, "username")),
        sent_at=milliseconds(picked.raw.get("when") or picked.ts),
        text=text or ("" if media else "[a message without text]"),
        kind=picked.kind,
        media=media,
        reply_id=picked.thread or picked.ts,
        mentioned=picked.addressed
        or me.user in mentioned(raw_text)
        or picked.raw.get("parent_user_id") == me.user,
    )


def note_of(picked: Picked, author: Person, conversation: Conversation, me: Me) -> Inbound:
    """What stands for a message that cannot be read."""
    return Inbound(
        message_id=picked.id,
        chat=chat_of(conversation, me),
        sender=sender_of(author),
        sent_at=milliseconds(picked.ts),
        text="[a message of a form that is not known here]",
        kind=picked.kind,
        reply_id=picked.ts,
        mentioned=picked.addressed,
    )


def command_of(payload: Json, chat: Chat, author: Person, name: str, now_ms: int) -> Inbound | None:
    """A slash command as a message.

    Args:
        chat: where it is answered.
        name: the command whose text is the message; others are passed on with their names.
    """
    command, trigger = _text(payload, "command"), _text(payload, "trigger_id")
    if not command or not trigger:
        return None
    text = unescape(_text(payload, "text")).strip()
    if command.lstrip("/").lower() != name.lstrip("/").lower():
        text = f"{command} {text}".strip()
    return Inbound(
        message_id=f"command:{trigger}",
        chat=chat,
        sender=sender_of(author),
        sent_at=now_ms,
        text=text or "/help",
        mentioned=True,
    )


def chat_of(conversation: Conversation, me: Me, thread: str | None = None) -> Chat:
    """Where something was said."""
    name = conversation.name
    is_channel = conversation.kind in ("channel", "group")
    parents: tuple[str, ...] = ()
    if name and is_channel:  # a channel may be called anything, also what group DMs are listed as
        parents = (f"#{name}",) if name == GROUP_DM else (f"#{name}", name)
    return Chat(
        id=conversation.id,
        kind=_KINDS.get(conversation.kind, "channel"),
        title=f"#{name}" if name and is_channel else "",
        thread=thread,
        parents=(*parents, *((GROUP_DM,) if conversation.kind == "mpim" else ()), me.team),
    )


def sender_of(person: Person, shown: str = "") -> Sender:
    """Who said it; `shown` is the name a bot gave itself."""
    handle = (f"@{person.handle.lower()}",) if person.handle else ()
    return Sender(id=person.id or "unknown", names=handle, name=person.name or shown)


def _notes(message: Json, name_of: NameOf) -> list[str]:
    """What else is in a message, in brackets."""
    notes = [_elsewhere(file) for file in _files(message) if _is_elsewhere(file)]
    for attachment in _list(message, "attachments")[:10]:
        said = _text(attachment, "text") or _text(attachment, "fallback")
        if said and (attachment.get("is_share") or not _text(message, "text")):
            whose = _text(attachment, "author_name")
            head = f"shared message of {whose}" if whose else "attached"
            notes.append(f"[{head}: {readable(said, name_of)}]")
    return notes


def _media(file: Json) -> Media:
    mime_type = _text(file, "mimetype") or "application/octet-stream"
    kind = _MEDIA.get(mime_type.partition("/")[0], "file")
    if file.get("subtype") == "slack_audio":
        kind = "voice"
    size = file.get("size")
    url = _text(file, "url_private_download") or _text(file, "url_private")
    return Media(
        kind=kind,
        mime_type=mime_type,
        name=_text(file, "name") or _text(file, "title"),
        size=size if isinstance(size, int) and size > 0 else 0,
        ref={"id": _text(file, "id"), "url": url},
    )


def _is_elsewhere(file: Json) -> bool:
    return file.get("mode") in ("external", "tombstone", "hidden_by_limit")


def _elsewhere(file: Json) -> str:
    """A file that Slack does not have: a link to another service, or one that is gone."""
    name = _text(file, "title") or _text(file, "name")
    if file.get("mode") == "external":
        return f"[file {name}: {_text(file, 'url_private')}]"
    return f"[file {name or _text(file, 'id')}: no longer there]"


def _files(message: Json) -> list[Json]:
    return _list(message, "files")[:MOST_FILES]


def _text(value: Json, key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _dict(value: Json, key: str) -> Json:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _list(value: Json, key: str) -> list[Json]:
    found = value.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
