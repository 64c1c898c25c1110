"""What the agent is told of a message: who wrote it, where, when, and what went before.

That stands above the message, in brackets, and is not part of the transcript; there a message of a
group begins with the name of who wrote it. Whatever a person wrote stays below: a name or a title
cannot pretend to be another line of ours, because they are made one line without brackets.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from clawgw.channels.messages import Inbound, Media
from clawgw.sessions.messages import one_line

MAX_QUOTE = 500
MAX_HEARD_CHARS = 20_000


def context_of(
    label: str, message: Inbound, heard: Sequence[Inbound] = (), system_prompt: str | None = None
) -> str:
    """The lines above a message.

    Args:
        label: what the channel is called.
        heard: what was said in the group since the last answer, oldest first.
        system_prompt: what the operator says about the group.
    """
    lines = [system_prompt] if system_prompt else []
    if heard:
        lines.append("[Said here since your last answer, for you to know:]")
        lines += _within(MAX_HEARD_CHARS, [_heard_line(one) for one in heard])
        lines.append("[End of that.]")
    lines.append(f"[{' · '.join(_head(label, message))}]")
    if message.quoted is not None:
        lines.append(_quote(message))
    if message.kind == "edit":
        lines.append("[This is an earlier message, as its writer has changed it now.]")
    return "\n".join(lines)


def text_of(message: Inbound) -> str:
    """The message as transcripts have it."""
    notes = [note for media in message.media if (note := _media_note(media))]
    text = "\n".join(part for part in (message.text, *notes) if part)
    if message.chat.kind == "direct":
        return text
    return f"{who(message)}: {text}"


def who(message: Inbound) -> str:
    """What people call the sender."""
    return plain(message.sender.name) or next(iter(message.sender.names), message.sender.id)


def plain(text: str, limit: int = 80) -> str:
    """Text that others chose, as one line that cannot be taken for ours."""
    visible = "".join(char if char.isprintable() else " " for char in text)
    return one_line(visible.replace("[", "(").replace("]", ")"), limit)


def _head(label: str, message: Inbound) -> list[str]:
    chat = message.chat
    names = " ".join((*message.sender.names[:1], f"id {message.sender.id}"))
    head = [label, f"{who(message)} ({plain(names, 160)})"]
    if chat.kind != "direct":
        title = f" {plain(chat.title)}" if chat.title else ""
        head.append(f"in the {chat.kind}{title} (id {plain(chat.id, 160)})")
    return [*head, _when(message.sent_at)]


def _when(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"


def _quote(message: Inbound) -> str:
    quoted = message.quoted
    assert quoted is not None
    whose = f" of {plain(quoted.sender)}" if quoted.sender else ""
    text = plain(quoted.text, MAX_QUOTE)
    return f'[It replies to a message{whose}: "{text}"]' if text else f"[It is a reply{whose}.]"


def _heard_line(message: Inbound) -> str:
    notes = [f"({media.kind} {plain(media.name)})".replace(" )", ")") for media in message.media]
    text = " ".join(part for part in (message.text, *notes) if part)
    return f"{who(message)}: {one_line(text, 2000)}"


def _media_note(media: Media) -> str:
    """What to say of a file that the agent cannot be given."""
    if not media.problem:
        return ""
    name = f" {plain(media.name)}" if media.name else ""
    return f"[{media.kind}{name}: not fetched, {media.problem}]"


def _within(limit: int, lines: list[str]) -> list[str]:
    """The last lines that fit."""
    kept: list[str] = []
    for line in reversed(lines):
        limit -= len(line)
        if limit < 0:
            break
        kept.append(line)
    return kept[::-1]
