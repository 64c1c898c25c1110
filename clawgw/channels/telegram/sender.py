"""Sending: each message with one call, and what its failure means.

Telegram takes no id of ours with a message and cannot be asked what it has got, so a call whose
answer is lost leaves a message whose fate nobody knows; the outbox sends such a one again, a few
times at most. Edits can be repeated freely: the second changes nothing.

Telegram bears about a message a second in a chat and twenty a minute in a group, edits included
(core.telegram.org/bots/faq, "My bot is hitting limits"). Drafts that come faster, or while Telegram
has told us to wait, are left out; the next one says more anyway.

A group that becomes a supergroup gets another number; Telegram tells it with the refusal of the
next message, which then goes there. The numbers are remembered.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from clawgw.channels.adapter import Fatal, Host, SendError, SendLater, SendRefused
from clawgw.channels.http import HttpError
from clawgw.channels.messages import Part, Target
from clawgw.channels.telegram.api import BotApi, BotError, as_send_error
from clawgw.channels.telegram.outbound import (
    Sending,
    as_document,
    chat_id,
    editing,
    number,
    sending,
    without_markup,
)
from clawgw.channels.telegram.settings import TelegramAccount

UPLOAD_SECONDS = 120.0
EDIT_SECONDS = 1.5
GROUP_EDIT_SECONDS = 4.0
KNOWN_MESSAGES = 1_000
MOVED = "moved:"
_CHAT = re.compile(r"-?\d{1,20}|@\w{1,64}", re.ASCII)
_FILE_TROUBLE = (
    "image_process_failed", "photo_", "wrong file", "wrong type", "media_", "video_", "voice_",
    "audio_",
)  # fmt: skip

Bot = Callable[[], Awaitable[BotApi]]


class BotSender:
    """Sends for one bot.

    Args:
        bot: the API, once its token is known.
    """

    def __init__(self, host: Host, settings: TelegramAccount, bot: Bot) -> None:
        self._host = host
        self._settings = settings
        self._bot = bot
        self._moved: dict[str, str] = {}
        self._own: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._written: OrderedDict[str, float] = OrderedDict()
        self._quiet_until: OrderedDict[str, float] = OrderedDict()

    def own_text(self, chat: str, message_id: int) -> str | None:
        """How one of the bot's latest messages begins; None if it is not one of them."""
        return self._own.get((chat, message_id))

    def know_moves(self, cursor: Mapping[str, str]) -> None:
        """Groups that have become supergroups, from the stored cursor."""
        for name, to in cursor.items():
            if name.startswith(MOVED):
                self._moved[name.removeprefix(MOVED)] = to

    async def send(self, target: Target, part: Part) -> str:
        """Send a part, or put it in the place of a message; returns the message's id.

        Raises:
            SendError
        """
        target = self._now_at(target)
        draft = number(part.edit)
        if draft is not None and not part.media and not part.poll:
            if await self._replace(target, draft, part):
                return str(draft)
            part = replace(part, edit=None)
        try:
            message_id = await self._post(target, part)
        except BotError as error:
            if error.moved_to is None:
                raise self._explained(target, error) from None
            await self._has_moved(target.chat, str(error.moved_to))
            return await self.send(target, part)
        self._note_written(target, message_id, part)
        return "" if message_id is None else str(message_id)

    async def edit(self, target: Target, message_id: str, part: Part) -> None:
        """Show a draft, unless it comes too soon.

        Raises:
            SendError
        """
        target = self._now_at(target)
        draft = number(message_id)
        if draft is None or self._is_too_soon(target):
            return
        try:
            await self._call(editing(target, draft, part, self._settings), part)
        except BotError as error:
            if error.code == 429:
                self._be_quiet(target, error.retry_after)
                return
            if not error.says("message is not modified"):
                raise as_send_error(error) from None
        self._note_written(target, None, part)

    async def typing(self, target: Target) -> None:
        """Show that an answer is being written.

        Raises:
            SendError
        """
        target = self._now_at(target)
        thread = number(target.thread)  # unlike in messages, "General" may be named here
        where = {} if thread is None else {"message_thread_id": thread}
        params = {"chat_id": chat_id(target.chat), "action": "typing", **where}
        try:
            await self._make(Sending("sendChatAction", params))
        except BotError as error:
            raise as_send_error(error) from None

    # Calls

    async def _replace(self, target: Target, message_id: int, part: Part) -> bool:
        """Put a part in the place of a message; False if that is gone."""
        try:
            await self._call(editing(target, message_id, part, self._settings), part)
        except BotError as error:
            if error.says("message is not modified"):
                return True
            if error.code == 400 and (error.says("message to edit") or error.says("be edited")):
                return False
            if error.moved_to is not None:
                return False
            raise self._explained(target, error) from None
        self._note_written(target, message_id, part)
        return True

    async def _post(self, target: Target, part: Part) -> int | None:
        if part.media is None:
            return await self._call(sending(target, part, self._settings), part)
        try:
            size = await self._host.in_thread(_size, part.media.path)
            call = sending(target, part, self._settings, size)
            try:
                return await self._call(call, part)
            except BotError as error:
                if call.method == "sendDocument" or not _dislikes_the_file(error):
                    raise
                return await self._call(as_document(target, part, self._settings), part)
        except OSError as error:
            raise SendRefused(f"the file cannot be read: {error.strerror}") from None

    async def _call(self, call: Sending, part: Part) -> int | None:
        """Make a call, and again without markup if Telegram does not like that."""
        try:
            return await self._make(call)
        except BotError as error:
            if error.code != 400 or not error.says("can't parse entities"):
                raise
            self._host.log.info("Telegram refused the markup of a message; it goes without")
            return await self._make(without_markup(call, part))

    async def _make(self, call: Sending) -> int | None:
        """Make a call; returns the id of the message it made.

        Raises:
            BotError: Telegram refused.
            SendError: it was not reached, or did not answer.
            OSError: a file cannot be read.
        """
        try:
            api = await self._bot()
            if call.files:
                answer = await api.upload(
                    call.method, call.params, call.files, object, seconds=UPLOAD_SECONDS
                )
            else:
                answer = await api.call(call.method, call.params, object)
        except Fatal as problem:
            raise SendLater(str(problem), account_wide=True) from None
        except HttpError as error:
            raise as_send_error(error) from None
        message_id = answer.get("message_id") if isinstance(answer, dict) else None
        return message_id if isinstance(message_id, int) else None

    def _explained(self, target: Target, error: BotError) -> SendError:
        if error.code == 429:
            self._be_quiet(target, error.retry_after)
        if error.says("message thread not found"):
            return SendRefused("the topic does not exist any more")
        return as_send_error(error)

    # Where a chat is now

    def _now_at(self, target: Target) -> Target:
        if _CHAT.fullmatch(target.chat) is None:
            raise SendRefused("Telegram's chats are numbers or @names")
        if target.thread is not None and number(target.thread) is None:
            raise SendRefused("Telegram's topics are numbers")
        chat, seen = target.chat, set()
        while chat in self._moved and chat not in seen:
            seen.add(chat)
            chat = self._moved[chat]
        return target if chat == target.chat else replace(target, chat=chat)

    async def _has_moved(self, old: str, new: str) -> None:
        if old == new or new in self._moved:
            raise SendRefused("Telegram says that the group has moved, but not where to")
        self._moved[old] = new
        await self._host.remember({f"{MOVED}{old}": new})

    # Pace

    def _note_written(self, target: Target, message_id: int | None, part: Part) -> None:
        _put(self._written, target.chat, self._host.reactor.seconds())
        if message_id is not None:
            _put(self._own, (target.chat, message_id), (part.plain or part.text)[:60])

    def _be_quiet(self, target: Target, seconds: float | None) -> None:
        until = self._host.reactor.seconds() + (EDIT_SECONDS if seconds is None else seconds)
        _put(self._quiet_until, target.chat, until)

    def _is_too_soon(self, target: Target) -> bool:
        now = self._host.reactor.seconds()
        if now < self._quiet_until.get(target.chat, 0.0):
            return True
        pause = GROUP_EDIT_SECONDS if target.chat.startswith(("-", "@")) else 1.0
        written = self._written.get(target.chat)
        return written is not None and now - written < pause


def _put(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Keep a value, and of many the latest."""
    known[key] = value
    known.move_to_end(key)
    if len(known) > KNOWN_MESSAGES:
        known.popitem(last=False)


def _size(path: str) -> int:
    return Path(path).stat().st_size


def _dislikes_the_file(error: BotError) -> bool:
    """Whether Telegram refused a picture, sound or video for what it is."""
    return error.code in (400, 413) and any(error.says(words) for words in _FILE_TROUBLE)
