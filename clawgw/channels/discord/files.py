"""Files that came with a message. Discord's links to them work for some hours; then it is asked
for the message again, which has new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from clawgw.channels.adapter import SendLater, SendRefused
from clawgw.channels.discord.api import Api, Refused, Throttled
from clawgw.channels.discord.objects import Message
from clawgw.channels.http import HttpBadAnswer, HttpError, TooLarge
from clawgw.channels.messages import Media

EXPIRED = (403, 404, 410)


async def fetch_file(api: Api, media: Media, path: Path, max_bytes: int) -> Media:
    """Bring a file to `path`.

    Raises:
        SendLater: not now.
        SendRefused: never; the message says why.
    """
    url = str(media.ref.get("url", ""))
    if media.size > max_bytes:
        raise SendRefused(f"it is larger than {max_bytes // 1024 // 1024} MB")
    if not api.is_discords(url):
        raise SendRefused("the file is not at Discord")
    try:
        try:
            info = await api.http.download(url, path, max_bytes=max_bytes)
        except HttpBadAnswer as problem:
            if problem.status not in EXPIRED:
                raise
            info = await api.http.download(
                await _new_link(api, media.ref), path, max_bytes=max_bytes
            )
    except TooLarge:
        raise SendRefused(f"it is larger than {max_bytes // 1024 // 1024} MB") from None
    except Throttled as problem:
        raise SendLater(str(problem), problem.retry_after) from None
    except Refused as problem:
        raise _gone(problem.status) from None
    except HttpBadAnswer as problem:
        raise _gone(problem.status) from None
    except (HttpError, OSError) as problem:
        raise SendLater(str(problem)) from None
    return msgspec.structs.replace(
        media,
        path=str(path),
        size=info.size,
        mime_type=info.mime_type or media.mime_type,
    )


async def _new_link(api: Api, ref: dict[str, Any]) -> str:
    data = await api.message(str(ref.get("channel")), str(ref.get("message")))
    try:
        message = msgspec.convert(data, Message)
    except msgspec.ValidationError:
        raise SendRefused("Discord no longer knows the file") from None
    found = [*message.attachments]
    for entry in message.message_snapshots:
        found += entry.message.attachments
    for attachment in found:
        if attachment.id == ref.get("id") and api.is_discords(attachment.url):
            return attachment.url
    raise SendRefused("Discord no longer has the file")


def _gone(status: int) -> SendLater | SendRefused:
    if status >= 500 or status in (408, 429):
        return SendLater(f"Discord answered with status {status}")
    return SendRefused(f"Discord no longer has the file (status {status})")
