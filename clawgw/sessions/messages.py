"""Messages as transcripts keep them and clients read them.

A message is `{role, content, timestamp, …}`; content is a list of blocks: `text`, `thinking`,
`toolCall`, `image`. A tool's answer is a message of its own, role `toolResult`. The shapes are
those the stock clients read (`chat.history` in protocol 3 and 4).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

from clawgw.store.messages import NewMessage, StoredMessage

PREVIEW_CHARS = 160
TITLE_CHARS = 60


def new_message(message: dict[str, Any], run_id: str | None = None) -> NewMessage:
    """A message ready for the store, with a new id."""
    return NewMessage(
        id=str(uuid.uuid4()),
        role=message["role"],
        created_at=message["timestamp"],
        body=msgspec.json.encode(message),
        run_id=run_id,
    )


def user_message(text: str, now_ms: int, run_id: str, files: Iterable[str] = ()) -> dict[str, Any]:
    """What a person wrote; attached files are named, not kept."""
    blocks = [text_block(text)] if text else []
    blocks += [{"type": "text", "text": f"[attached: {name}]"} for name in files]
    return {
        "role": "user",
        "content": blocks,
        "timestamp": now_ms,
        "idempotencyKey": f"{run_id}:user",
    }


def assistant_message(text: str, now_ms: int, **more: Any) -> dict[str, Any]:
    """What an agent said; `more` are fields such as `stopReason` and `usage`."""
    content = [text_block(text)] if text else []
    return {"role": "assistant", "content": content, "timestamp": now_ms, **more}


def text_block(text: str) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": text}


def text_of(message: dict[str, Any]) -> str:
    """The readable text of a message."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    parts = [block.get("text", "") for block in blocks if block.get("type") == "text"]
    return "\n\n".join(part for part in parts if part) or str(message.get("errorMessage", ""))


def one_line(text: str, limit: int = PREVIEW_CHARS) -> str:
    """Text as a list shows it: white space folded, cut with an ellipsis."""
    folded = " ".join(text[: limit * 4].split())
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "…"


def with_identity(stored: StoredMessage) -> bytes:
    """A stored message as version 4 clients read it: with its id and number.

    Done on the bytes: a history of 200 messages is not worth 200 decodings.
    """
    identity: dict[str, Any] = {"id": stored.id, "seq": stored.seq}
    if stored.run_id is not None:
        identity["runId"] = stored.run_id
    return stored.body[:-1] + b',"__openclaw":' + msgspec.json.encode(identity) + b"}"


def shortened(body: bytes, max_chars: int) -> bytes:
    """A stored message whose texts are cut to `max_chars` characters each."""
    if len(body) <= max_chars:
        return body
    message = msgspec.json.decode(body)
    for block in message.get("content", []):
        text = block.get("text") if isinstance(block, dict) else None
        if isinstance(text, str) and len(text) > max_chars:
            block["text"] = text[:max_chars] + "\n…(truncated)…"
    return msgspec.json.encode(message)
