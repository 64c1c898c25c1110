"""Messages to people, through a channel."""

from __future__ import annotations

import uuid
from typing import Annotated

from msgspec import Meta

from clawgw.mcp.tool import Arguments, Context, Piece, Tool


class Send(Arguments, frozen=True):
    """Arguments of `message_send`."""

    channel: Annotated[
        str, Meta(min_length=1, max_length=64, description="Such as telegram or signal.")
    ]
    to: Annotated[
        str, Meta(min_length=1, max_length=512, description="The chat, as the channel names it.")
    ]
    message: Annotated[str, Meta(min_length=1, max_length=20_000, description="What to say.")]


async def send(context: Context, asked: Send) -> list[Piece]:
    """Send a message."""
    answer = await context.gateway.request(
        "send",
        {
            "channel": asked.channel,
            "to": asked.to,
            "message": asked.message,
            "sessionKey": context.session,
            "idempotencyKey": str(uuid.uuid4()),
        },
    )
    if answer.get("queued"):
        return [f"Kept for {asked.to}: {asked.channel} gets it as soon as that is possible."]
    return [f"Sent to {asked.to} by {asked.channel}."]


TOOLS = (
    Tool(
        "message_send",
        "Send a message",
        "Send a message to a person or a group through a channel. Not for answering in this "
        "conversation: there just answer.",
        Send,
        send,
    ),
)
