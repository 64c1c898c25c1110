"""From one message to what each call of the provider sends.

A text that is too long is cut at natural boundaries. The first file takes the text as its caption
where that is short enough; otherwise the text goes first and the files follow. What a message
replies to, and the draft it replaces, go with its first part, buttons with its last.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from clawgw.channels.adapter import Capabilities, SendRefused
from clawgw.channels.messages import Outbound, Part
from clawgw.channels.settings import AccountSettings


def split(
    message: Outbound,
    can: Capabilities,
    settings: AccountSettings,
    key: Callable[[int], str],
) -> tuple[Part, ...]:
    """The parts of a message.

    Args:
        key: the name of the part of this number.

    Raises:
        SendRefused: the provider has no such thing.
    """
    if message.poll is not None:
        if not can.polls:
            raise SendRefused("this channel has no polls")
        return (Part(key=key(0), poll=message.poll, silent=message.silent),)
    if message.media and not can.media:
        raise SendRefused("this channel takes no files")
    parts = _texts(message, can, settings) if message.text.strip() else []
    files = [Part(key="", media=media, silent=message.silent) for media in message.media]
    if files and parts:
        parts = _with_caption(message, can, parts, files)
    else:
        parts += files
    if not parts:
        return ()
    parts[0] = replace(parts[0], reply_to=message.reply_to, edit=_edit(message, parts[0]))
    if settings.reply_to_mode == "all":
        parts = [replace(part, reply_to=message.reply_to) for part in parts]
    if can.buttons:
        parts[-1] = replace(parts[-1], buttons=message.buttons)
    return tuple(replace(part, key=key(number)) for number, part in enumerate(parts))


def _texts(message: Outbound, can: Capabilities, settings: AccountSettings) -> list[Part]:
    from clawgw.channels.chunks import chunks  # not needed before something is sent

    limit = min(can.text_limit, settings.text_chunk_limit or can.text_limit)
    return [
        Part(key="", text=one.text, styles=one.styles, plain=one.plain, silent=message.silent)
        for one in chunks(message.text, can.format, limit, mode=settings.chunk_mode)
    ]


def _with_caption(
    message: Outbound, can: Capabilities, texts: list[Part], files: list[Part]
) -> list[Part]:
    if message.draft or not can.caption_limit:
        return texts + files
    from clawgw.channels.chunks import chunks

    caption = chunks(message.text, can.format, can.caption_limit)
    if len(caption) != 1:
        return texts + files
    one = caption[0]
    first = replace(files[0], text=one.text, styles=one.styles, plain=one.plain)
    return [first, *files[1:]]


def _edit(message: Outbound, first: Part) -> str | None:
    """A file cannot take the place of a text."""
    return message.draft if first.media is None else None
