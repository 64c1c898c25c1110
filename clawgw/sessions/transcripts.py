"""Transcripts read: histories, what came since, previews.

A history is the newest messages that fit: at most `limit`, and at most `MAX_HISTORY_BYTES` in all,
so that no transcript, however long its messages, makes an answer a client cannot take. The text of
a message of more than `MAX_MESSAGE_BYTES` is shown shortened.
"""

from __future__ import annotations

import base64
from typing import NamedTuple

import msgspec

from clawgw.sessions.messages import one_line, shortened, text_of, with_identity
from clawgw.store import messages as table
from clawgw.store import sessions as session_table
from clawgw.store.database import Connection
from clawgw.store.messages import StoredMessage
from clawgw.store.sessions import Session

DEFAULT_LIMIT = 200
MAX_HISTORY_BYTES = 6 * 1024 * 1024
MAX_MESSAGE_BYTES = 1024 * 1024
SHORTENED_CHARS = 100_000
MAX_DELTA = 1000


class Page(NamedTuple):
    """A part of a transcript. `messages` are JSON; `next_offset` counts from the end."""

    messages: list[bytes]
    has_more: bool
    cursor: str
    total: int


class _Cursor(msgspec.Struct, frozen=True):
    """How far a client has read; opaque to it."""

    session_id: str
    seq: int


def encode_cursor(session_id: str, seq: int) -> str:
    """A cursor for what a client has read."""
    raw = msgspec.json.encode(_Cursor(session_id, seq))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_cursor(text: str) -> tuple[str, int] | None:
    """The session id and number in a cursor; None if it is none of ours."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.json.decode(raw, type=_Cursor)
    except (ValueError, msgspec.DecodeError):
        return None
    return cursor.session_id, cursor.seq


def read_page(
    connection: Connection,
    key: str,
    *,
    version: int,
    limit: int = DEFAULT_LIMIT,
    offset: int = 0,
    max_chars: int | None = None,
) -> tuple[Session | None, Page]:
    """The last messages of a session before the last `offset`."""
    session = session_table.get(connection, key)
    if session is None:
        return None, Page([], False, encode_cursor("", 0), 0)
    stored = table.latest(connection, session.session_id, limit, offset)
    shown = _as_sent(stored, version, max_chars)
    kept = _newest_that_fit(shown)
    oldest = stored[len(stored) - len(kept)].seq if kept else session.last_seq + 1
    first = session.last_seq - session.message_count + 1
    return session, Page(
        messages=kept,
        has_more=bool(stored) and oldest > first,
        cursor=encode_cursor(session.session_id, session.last_seq),
        total=session.message_count,
    )


def read_since(
    connection: Connection, key: str, cursor: str, *, max_chars: int | None = None
) -> tuple[Session, list[bytes], str] | None:
    """What came after a cursor; None if the cursor no longer holds, or too much has come."""
    place = decode_cursor(cursor)
    session = session_table.get(connection, key)
    if place is None or session is None or place[0] != session.session_id:
        return None
    if not session.last_seq - session.message_count <= place[1] <= session.last_seq:
        return None
    stored = table.since(connection, session.session_id, place[1], MAX_DELTA + 1)
    shown = _as_sent(stored, 4, max_chars)
    if len(stored) > MAX_DELTA or len(_newest_that_fit(shown)) < len(shown):
        return None
    reached = stored[-1].seq if stored else place[1]
    return session, shown, encode_cursor(session.session_id, reached)


def read_preview(
    connection: Connection, key: str, limit: int, max_chars: int
) -> list[tuple[str, str]] | None:
    """Role and text of the last messages of a session; None if there is no session."""
    session = session_table.get(connection, key)
    if session is None:
        return None
    items = []
    for stored in table.latest(connection, session.session_id, limit):
        text = text_of(msgspec.json.decode(stored.body))
        if text:
            items.append(
                (stored.role, text if len(text) <= max_chars else one_line(text, max_chars))
            )
    return items


def _as_sent(stored: list[StoredMessage], version: int, max_chars: int | None) -> list[bytes]:
    shown = [one._replace(body=_fitting(one.body, max_chars)) for one in stored]
    return [with_identity(one) if version >= 4 else one.body for one in shown]


def _fitting(body: bytes, max_chars: int | None) -> bytes:
    if max_chars is None and len(body) > MAX_MESSAGE_BYTES:
        max_chars = SHORTENED_CHARS
    return body if max_chars is None else shortened(body, max_chars)


def _newest_that_fit(messages: list[bytes]) -> list[bytes]:
    room = MAX_HISTORY_BYTES
    for index in range(len(messages) - 1, -1, -1):
        room -= len(messages[index])
        if room < 0:
            return messages[index + 1 :]
    return messages
