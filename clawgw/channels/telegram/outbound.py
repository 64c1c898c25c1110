"""From a part to the one call of the Bot API that sends it.

What a file is sent as depends on what Telegram shows of its type: pictures, sound and video have
methods of their own, each for some types and sizes; whatever does not fit goes as a document, which
takes everything (core.telegram.org/bots/api, "Sending files" and the methods named here).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clawgw.channels.http import Part as FilePart
from clawgw.channels.messages import Button, OutMedia, Part, Poll, Target
from clawgw.channels.telegram.settings import TelegramAccount
from clawgw.channels.telegram.updates import GENERAL_TOPIC

PHOTO_BYTES = 10 * 1024 * 1024
QUESTION_CHARS = 300
OPTION_CHARS = 100
_POLL_SECONDS = (5, 2_628_000)
_NUMBER = re.compile(r"[0-9]{1,18}")

_METHODS: Mapping[str, tuple[str, frozenset[str]]] = {
    "photo": ("sendPhoto", frozenset(("image/jpeg", "image/png", "image/webp"))),
    "animation": ("sendAnimation", frozenset(("image/gif",))),
    "voice": (
        "sendVoice",
        frozenset(("audio/ogg", "audio/opus", "audio/mpeg", "audio/mp4", "audio/x-m4a")),
    ),
    "audio": ("sendAudio", frozenset(("audio/mpeg", "audio/mp4", "audio/x-m4a"))),
    "video": ("sendVideo", frozenset(("video/mp4",))),
}
_FIELDS = {
    "image": ("photo", "animation"), "sticker": ("photo",), "voice": ("voice", "audio"),
    "audio": ("audio",), "video": ("video",),
}  # fmt: skip


@dataclass(frozen=True)
class Sending:
    """A call; `files` make it an upload. What it says appears in no repr."""

    method: str
    params: dict[str, Any] = field(repr=False)
    files: tuple[FilePart, ...] = field(default=(), repr=False)


def sending(target: Target, part: Part, settings: TelegramAccount, size: int = 0) -> Sending:
    """The call that sends a part.

    Args:
        size: of its file, in bytes.
    """
    params = _place(target) | _manner(target, part, settings)
    if part.poll is not None:
        return Sending("sendPoll", params | _poll(part.poll))
    if part.media is not None:
        method, name = media_method(part.media, size)
        return _file_sending(method, name, params, part, part.media)
    return Sending("sendMessage", params | _text(part, settings))


def as_document(target: Target, part: Part, settings: TelegramAccount) -> Sending:
    """The call that sends a part's file as what takes every file."""
    assert part.media is not None
    params = _place(target) | _manner(target, part, settings)
    return _file_sending("sendDocument", "document", params, part, part.media)


def editing(target: Target, message_id: int, part: Part, settings: TelegramAccount) -> Sending:
    """The call that puts a part in the place of a message."""
    params = {"chat_id": chat_id(target.chat), "message_id": message_id}
    return Sending(
        "editMessageText", params | _text(part, settings) | _keyboard(target, part, settings)
    )


def without_markup(call: Sending, part: Part) -> Sending:
    """The same call with the text as it is, for a markup that Telegram does not take."""
    params = {name: value for name, value in call.params.items() if name != "parse_mode"}
    name = "caption" if "caption" in params else "text"
    return Sending(call.method, {**params, name: part.plain or part.text}, call.files)


def media_method(media: OutMedia, size: int) -> tuple[str, str]:
    """The method for a file, and the name of its parameter."""
    for name in _FIELDS.get(media.kind, ()):
        method, types = _METHODS[name]
        if media.mime_type in types and not (name == "photo" and size > PHOTO_BYTES):
            return method, name
    return "sendDocument", "document"


def chat_id(chat: str) -> int | str:
    """A chat as the Bot API has it: a number, or `@name`."""
    return chat if chat.startswith("@") else int(chat)


def number(text: str | None) -> int | None:
    """A message's or a topic's number; None: it is none."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def _place(target: Target) -> dict[str, Any]:
    thread = number(target.thread)
    # "General" must not be named.
    where = {} if thread in (None, GENERAL_TOPIC) else {"message_thread_id": thread}
    return {"chat_id": chat_id(target.chat), **where}


def _manner(target: Target, part: Part, settings: TelegramAccount) -> dict[str, Any]:
    params = _keyboard(target, part, settings)
    if part.silent:
        params["disable_notification"] = True
    quoted = number(part.reply_to)
    if quoted is not None:
        # A message that is gone by now is answered all the same.
        params["reply_parameters"] = {"message_id": quoted, "allow_sending_without_reply": True}
    return params


def _text(part: Part, settings: TelegramAccount) -> dict[str, Any]:
    params: dict[str, Any] = {"text": part.text, "parse_mode": "HTML"}
    if not settings.link_preview:
        params["link_preview_options"] = {"is_disabled": True}
    return params


def _keyboard(target: Target, part: Part, settings: TelegramAccount) -> dict[str, Any]:
    if not part.buttons or not _may_have_buttons(target, settings):
        return {}
    rows = [[_button(button) for button in row] for row in part.buttons]
    return {"reply_markup": {"inline_keyboard": rows}}


def _button(button: Button) -> dict[str, str]:
    style = {"primary": {"style": "primary"}, "danger": {"style": "danger"}}
    return {"text": button.text, "callback_data": button.data, **style.get(button.style, {})}


def _may_have_buttons(target: Target, settings: TelegramAccount) -> bool:
    allowed = settings.capabilities.inline_buttons
    is_group = target.chat.startswith(("-", "@"))
    return allowed in ("all", "allowlist") or allowed == ("group" if is_group else "dm")


def _poll(poll: Poll) -> dict[str, Any]:
    params: dict[str, Any] = {
        "question": poll.question[:QUESTION_CHARS],
        "options": [{"text": option[:OPTION_CHARS]} for option in poll.options],
        "allows_multiple_answers": poll.max_selections > 1,
    }
    if poll.anonymous is not None:
        params["is_anonymous"] = poll.anonymous
    if poll.hours is not None:
        shortest, longest = _POLL_SECONDS
        params["open_period"] = max(shortest, min(poll.hours * 3600, longest))
    return params


def _file_sending(
    method: str, name: str, params: dict[str, Any], part: Part, media: OutMedia
) -> Sending:
    if part.text:
        params = {**params, "caption": part.text, "parse_mode": "HTML"}
    file = FilePart(name, media.name or "file", media.mime_type, Path(media.path))
    return Sending(method, params, (file,))
