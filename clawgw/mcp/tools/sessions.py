"""Sessions: the conversations this agent can look into and write to."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta

from clawgw.mcp.gateway import Failure
from clawgw.mcp.tool import MAX_TEXT, Arguments, Context, Piece, Tool, as_text

MAX_MESSAGE_CHARS = 8_000

SessionKey = Annotated[
    str,
    Meta(min_length=1, max_length=512, description="The full key, as sessions_list shows it."),
]


class List(Arguments, frozen=True):
    """Arguments of `sessions_list`."""

    limit: Annotated[int, Meta(ge=1, le=100, description="At most so many.")] = 20
    search: Annotated[
        str, Meta(max_length=200, description="Only sessions whose key or title has this text.")
    ] = ""
    active_minutes: Annotated[
        int, Meta(ge=0, description="Only sessions used in the last so many minutes; 0: all.")
    ] = 0


class History(Arguments, frozen=True):
    """Arguments of `sessions_history`."""

    session_key: SessionKey
    limit: Annotated[int, Meta(ge=1, le=100, description="The last so many messages.")] = 20
    include_tools: Annotated[
        bool, Meta(description="Show what tools were called and what they answered.")
    ] = False


class Send(Arguments, frozen=True):
    """Arguments of `sessions_send`."""

    session_key: SessionKey
    message: Annotated[str, Meta(min_length=1, max_length=100_000, description="What to say.")]
    timeout_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="How long to wait for the answer; 0 does not wait for it at all.",
        ),
    ] = 60


async def list_sessions(context: Context, asked: List) -> list[Piece]:
    """The latest sessions."""
    params: dict[str, Any] = {
        "limit": asked.limit,
        "includeDerivedTitles": True,
        "includeLastMessage": True,
    }
    if asked.search:
        params["search"] = asked.search
    if asked.active_minutes:
        params["activeMinutes"] = asked.active_minutes
    answer = await context.gateway.request("sessions.list", params)
    rows = [_row(row, context.session) for row in answer["sessions"]]
    return [as_text(rows) if rows else "There is no such session."]


def _row(row: dict[str, Any], own: str) -> dict[str, Any]:
    shown = {
        "sessionKey": row["key"],
        "agent": row.get("agentId"),
        "title": row.get("label") or row.get("derivedTitle"),
        "lastMessage": row.get("lastMessagePreview"),
        "updated": _moment(row.get("updatedAt")),
        "status": row.get("status"),
        "thisSession": True if row["key"] == own else None,
    }
    return {name: value for name, value in shown.items() if value is not None}


async def history(context: Context, asked: History) -> list[Piece]:
    """The last messages of a session, oldest first."""
    answer = await context.gateway.request(
        "chat.history",
        {
            "sessionKey": asked.session_key,
            "limit": asked.limit,
            "maxChars": MAX_MESSAGE_CHARS,
        },
    )
    if "sessionId" not in answer:
        raise Failure(f"There is no session {asked.session_key}.")
    told = [_told(message, tools=asked.include_tools) for message in answer["messages"]]
    return [_latest([text for text in told if text]) or "Nothing was said in this session yet."]


def _told(message: dict[str, Any], *, tools: bool) -> str:
    """A message as a line of who and when, and what was said below it."""
    role = message.get("role")
    if role == "toolResult" and not tools:
        return ""
    parts = []
    for block in message.get("content", ()):
        if block.get("type") == "text":
            parts.append(block.get("text", ""))
        elif block.get("type") == "image":
            parts.append("(a picture)")
        elif block.get("type") == "toolCall" and tools:
            parts.append(f"(calls {block.get('name')})")
    parts.append(message.get("errorMessage") or "")
    text = "\n".join(part for part in parts if part)
    who = f"tool {message.get('toolName')}" if role == "toolResult" else role
    return f"--- {who}, {_moment(message.get('timestamp'))}\n{text}" if text else ""


def _latest(texts: list[str]) -> str:
    """As many of the last texts as fit."""
    kept: list[str] = []
    room = MAX_TEXT
    for text in reversed(texts):
        room -= len(text)
        if room < 0 and kept:
            kept.append("(earlier messages are left out)")
            break
        kept.append(text[:MAX_TEXT])
    return "\n\n".join(reversed(kept))


async def send(context: Context, asked: Send) -> list[Piece]:
    """Say something in another session, and wait for what its agent answers."""
    params = {
        "sessionKey": asked.session_key,
        "message": asked.message,
        "idempotencyKey": str(uuid.uuid4()),
    }
    later = "sessions_history shows the answer when it is there"
    async with context.gateway.call("agent", params) as call:
        await call.answer(30)
        if asked.timeout_seconds == 0:
            return [f"The message is delivered; {later}."]
        try:
            final = await call.answer(asked.timeout_seconds)
        except TimeoutError:
            return [
                f"The message is delivered, but there is no answer after "
                f"{asked.timeout_seconds:g} s; {later}."
            ]
    payloads = (final.get("result") or {}).get("payloads", ())
    text = "\n\n".join(payload.get("text", "") for payload in payloads)
    return [text[:MAX_TEXT] or "The session's agent answered without words."]


def _moment(milliseconds: Any) -> str | None:
    if not isinstance(milliseconds, int):
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


TOOLS = (
    Tool(
        "sessions_list",
        "List sessions",
        "List the conversations you may look into, the latest first: key, title, last message.",
        List,
        list_sessions,
        reads=True,
    ),
    Tool(
        "sessions_history",
        "Read a session",
        "Read the last messages of another conversation.",
        History,
        history,
        reads=True,
    ),
    Tool(
        "sessions_send",
        "Send to a session",
        "Say something in another conversation; its agent answers it, and you get that answer. "
        "Not for this conversation, and not for one that waits for your answer: there just "
        "answer.",
        Send,
        send,
    ),
)
