"""From our messages to Discord's, and from its refusals to ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clawgw.channels.adapter import SendLater, SendRefused, SendUnknown
from clawgw.channels.discord.api import Refused, Throttled
from clawgw.channels.http import HttpError, HttpUnreachable
from clawgw.channels.messages import Button, Part, Poll

TEXT_LIMIT = 2000
UPLOAD_BYTES = 10 * 1024 * 1024
"""Of one file, where the server has not been boosted."""

REMEMBERED_SECONDS = 120.0
"""Discord says it checks nonces for "the past few minutes"; this many are certainly meant."""

NONCE_LENGTH = 25
SILENT = 1 << 12
ROW, BUTTON = 1, 2
STYLES = {"primary": 1, "": 2, "danger": 4}
MAX_ROWS = MAX_PER_ROW = 5
MAX_LABEL = 80
MAX_QUESTION, MAX_ANSWER, MAX_ANSWERS, MAX_HOURS = 300, 55, 10, 768

TOKEN_SECONDS = 300.0
BUSY_SECONDS = 60.0
OPENING_DMS_TOO_FAST, SENDING_DISABLED, FEATURE_DISABLED = 40003, 40004, 40006
_FOR_NOW = (OPENING_DMS_TOO_FAST, SENDING_DISABLED, FEATURE_DISABLED)

_EXPLAINED = {
    10003: "there is no such channel",
    40005: "the file is too large for Discord",
    50001: "the bot may not see this channel",
    50006: "Discord does not take empty messages",
    50007: "this person takes no messages from the bot",
    50008: "this is no channel for text",
    50013: "the bot may not write in this channel",
    50045: "the file is too large for Discord",
}

_ID = r"\d{1,20}"
_ADDRESSES = (
    (re.compile(rf"(?:discord:)?(?:user:|dm:)({_ID})\Z"), "user:"),
    (re.compile(rf"<@!?({_ID})>\Z"), "user:"),
    (re.compile(rf"(?:discord:)?(?:channel:|thread:)({_ID})\Z"), ""),
    (re.compile(rf"<#({_ID})>\Z"), ""),
)


def address_of(text: str) -> str:
    """The chat an address means: a channel's id, or `user:` and a person's.

    Raises:
        ValueError: it is no address; the message says what was expected.
    """
    for pattern, prefix in _ADDRESSES:
        found = pattern.match(text.strip())
        if found:
            return prefix + found[1]
    raise ValueError("expected user:ID or channel:ID (a number alone could be either)")


def body_of(part: Part) -> dict[str, Any]:
    """The message as Discord takes it.

    Raises:
        SendRefused: Discord has no such poll.
    """
    body: dict[str, Any] = {
        "nonce": part.key[:NONCE_LENGTH],
        "enforce_nonce": True,
        **_words(part),
    }
    if part.reply_to and part.reply_to.isdecimal():
        body["message_reference"] = {"message_id": part.reply_to, "fail_if_not_exists": False}
    if part.silent:
        body["flags"] = SILENT
    if part.media is not None:
        body["attachments"] = [{"id": "0", "filename": part.media.name or "file"}]
    if part.poll is not None:
        body["poll"] = _poll(part.poll)
    return body


def edit_of(part: Part) -> dict[str, Any]:
    """What replaces a message."""
    return {"components": [], **_words(part)}


def _words(part: Part) -> dict[str, Any]:
    words: dict[str, Any] = {"allowed_mentions": {"parse": ["users"], "replied_user": True}}
    if part.text:
        words["content"] = part.text
    if part.buttons:
        words["components"] = _rows(part.buttons)
    return words


def _rows(buttons: tuple[tuple[Button, ...], ...]) -> list[dict[str, Any]]:
    """Buttons in rows of at most five; what does not fit comes in the next row."""
    rows = [
        row[start : start + MAX_PER_ROW]
        for row in buttons
        for start in range(0, len(row), MAX_PER_ROW)
    ]
    return [
        {"type": ROW, "components": [_button(button) for button in row]} for row in rows[:MAX_ROWS]
    ]


def _button(button: Button) -> dict[str, Any]:
    return {
        "type": BUTTON,
        "style": STYLES[button.style],
        "label": button.text[:MAX_LABEL],
        "custom_id": button.data,
    }


def _poll(poll: Poll) -> dict[str, Any]:
    if len(poll.question) > MAX_QUESTION:
        raise SendRefused(f"a poll's question at Discord has at most {MAX_QUESTION} characters")
    if not 1 <= len(poll.options) <= MAX_ANSWERS:
        raise SendRefused(f"a poll at Discord has 1 to {MAX_ANSWERS} answers")
    if any(len(option) > MAX_ANSWER for option in poll.options):
        raise SendRefused(f"a poll's answers at Discord have at most {MAX_ANSWER} characters")
    made: dict[str, Any] = {
        "question": {"text": poll.question},
        "answers": [{"poll_media": {"text": option}} for option in poll.options],
        "allow_multiselect": poll.max_selections > 1,
        "layout_type": 1,
    }
    if poll.hours is not None:
        made["duration"] = min(max(1, poll.hours), MAX_HOURS)
    return made


@contextmanager
def sending() -> Iterator[None]:
    """What a failed call means for what was to be sent."""
    try:
        yield
    except Throttled as problem:
        raise SendLater(
            str(problem), problem.retry_after, account_wide=problem.everywhere
        ) from None
    except Refused as problem:
        raise _refusal(problem) from None
    except HttpUnreachable as problem:
        raise SendLater(str(problem)) from None
    except HttpError as problem:
        raise SendUnknown(str(problem)) from None
    except OSError as problem:
        raise SendRefused(f"the file cannot be read: {problem.strerror}") from None


def _refusal(problem: Refused) -> Exception:
    if problem.foreign and problem.status < 500 and problem.status != 413:
        return SendLater(f"something in between answered with {problem}", account_wide=True)
    if problem.status == 401:
        text = "Discord does not accept the bot's token"
        return SendLater(text, TOKEN_SECONDS, account_wide=True)
    if problem.status >= 500:
        return SendUnknown(f"Discord answered with status {problem.status}")
    if problem.code in _FOR_NOW:
        return SendLater(f"Discord says: {problem}", BUSY_SECONDS)
    why = _EXPLAINED.get(problem.code)
    return SendRefused(why or f"Discord says: {problem} ({problem.status}, {problem.code})")
