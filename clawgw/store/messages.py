"""Transcripts: the messages of a session, numbered from one.

A message is kept as the JSON that clients read, so that a history goes out without being decoded.
"""

from __future__ import annotations

from typing import NamedTuple

from clawgw.store.database import Connection


class NewMessage(NamedTuple):
    """A message on its way into a transcript; `body` is JSON."""

    id: str
    role: str
    created_at: int
    body: bytes
    run_id: str | None = None


class StoredMessage(NamedTuple):
    """A message as a transcript has it."""

    seq: int
    id: str
    role: str
    run_id: str | None
    body: bytes


def append(connection: Connection, session_key: str, message: NewMessage, preview: str) -> int:
    """Add a message to a session's transcript; returns its number.

    Raises:
        LookupError: there is no such session.
    """
    row = connection.execute(
        "UPDATE sessions SET last_seq = last_seq + 1, message_count = message_count + 1,"
        " updated_at = max(updated_at, ?), preview = ? WHERE key = ?"
        " RETURNING session_id, last_seq",
        (message.created_at, preview, session_key),
    ).fetchone()
    if row is None:
        raise LookupError(session_key)
    session_id, seq = row
    connection.execute(
        "INSERT INTO messages (session_id, seq, id, role, created_at, run_id, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            session_id,
            seq,
            message.id,
            message.role,
            message.created_at,
            message.run_id,
            message.body,
        ),
    )
    return int(seq)


_COLUMNS = "seq, id, role, run_id, body"


def latest(
    connection: Connection, session_id: str, limit: int, offset: int = 0
) -> list[StoredMessage]:
    """The last `limit` messages before the last `offset`, oldest first: an index read.

    Numbers have no holes at the end of a transcript, so the offset is arithmetic, not a scan.
    """
    newest = last_seq(connection, session_id) - offset
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM messages WHERE session_id = ? AND seq <= ?"
        " ORDER BY seq DESC LIMIT ?",
        (session_id, newest, limit),
    ).fetchall()
    return [StoredMessage(*row) for row in reversed(rows)]


def since(connection: Connection, session_id: str, seq: int, limit: int) -> list[StoredMessage]:
    """The messages after number `seq`, oldest first, at most `limit`."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM messages WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (session_id, seq, limit),
    ).fetchall()
    return [StoredMessage(*row) for row in rows]


def last_seq(connection: Connection, session_id: str) -> int:
    """The number of the last message, 0 for none."""
    row = connection.execute(
        "SELECT max(seq) FROM messages WHERE session_id = ?", (session_id,)
    ).fetchone()
    return int(row[0] or 0)


def keep_last(connection: Connection, session_key: str, count: int) -> int:
    """Forget all but the last `count` messages of a session; returns how many went."""
    session_id, newest = connection.execute(
        "SELECT session_id, last_seq FROM sessions WHERE key = ?", (session_key,)
    ).fetchone()
    gone = connection.execute(
        "DELETE FROM messages WHERE session_id = ? AND seq <= ?", (session_id, newest - count)
    ).rowcount
    connection.execute(
        "UPDATE sessions SET message_count = message_count - ? WHERE key = ?", (gone, session_key)
    )
    return gone


def delete_transcript(connection: Connection, session_id: str) -> None:
    """Forget all messages of a session id."""
    connection.execute("DELETE FROM messages WHERE session_id = ?", (session_id,))
