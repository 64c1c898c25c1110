"""The outbox as rows: what is to be sent, how far it has come, what the provider called it.

`queued` waits, or waits again; `trying` means that a part has been handed to the provider, so that
after a crash its outcome is unknown; `delivered` and `failed` are over.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from clawgw.store.database import Connection

KEPT_MS = 7 * 24 * 3600 * 1000
_COLUMNS = (
    "seq, key, channel, account, chat, thread, created_at, state, body, parts, done, doubts,"
    " doubled, tried_at, ids, error"
)


class OutboxRow(NamedTuple):
    """One message on its way; `body`, `parts` and `ids` are JSON."""

    seq: int
    key: str
    channel: str
    account: str
    chat: str
    thread: str | None
    created_at: int
    state: str
    body: bytes | None
    parts: bytes | None
    done: int
    doubts: int
    doubled: int
    tried_at: int | None
    ids: str
    error: str | None


class NewOutboxRow(NamedTuple):
    """A message to queue; `body` is JSON."""

    key: str
    channel: str
    account: str
    chat: str
    thread: str | None
    body: bytes


def put(connection: Connection, row: NewOutboxRow, now_ms: int) -> int:
    """Queue a message, once per key; returns its number."""
    connection.execute(
        "INSERT OR IGNORE INTO outbox"
        " (key, channel, account, chat, thread, body, created_at, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'queued')",
        (*row, now_ms),
    )
    seq = find(connection, row.key)
    assert seq is not None
    return seq


def get(connection: Connection, seq: int) -> OutboxRow | None:
    """One message."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM outbox WHERE seq = ?", (seq,)).fetchone()
    return OutboxRow(*row) if row else None


def find(connection: Connection, key: str) -> int | None:
    """The number of the message with this key."""
    row = connection.execute("SELECT seq FROM outbox WHERE key = ?", (key,)).fetchone()
    return None if row is None else int(row[0])


def retire(connection: Connection, key: str) -> None:
    """Make a key free that stands for something else from now on."""
    connection.execute("UPDATE outbox SET key = key || '#' || seq WHERE key = ?", (key,))


def waiting(connection: Connection, channel: str, account: str) -> list[tuple[int, str]]:
    """What of an account is not over: number and chat, in the order it was queued."""
    return connection.execute(
        "SELECT seq, chat FROM outbox WHERE channel = ? AND account = ?"
        " AND state IN ('queued', 'trying') ORDER BY seq",
        (channel, account),
    ).fetchall()


def update(connection: Connection, /, seq: int, **columns: Any) -> None:
    """Change columns of a message."""
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE outbox SET {names} WHERE seq = ?", (*columns.values(), seq))


def prune(connection: Connection, now_ms: int) -> int:
    """Forget what has been over for long, and give up what has waited as long; returns how many."""
    given_up = connection.execute(
        "UPDATE outbox SET state = 'failed', ended_at = ?, body = NULL, parts = NULL,"
        " error = 'it could not be sent for a week'"
        " WHERE state IN ('queued', 'trying') AND created_at <= ?",
        (now_ms, now_ms - KEPT_MS),
    )
    connection.execute("DELETE FROM outbox WHERE ended_at <= ?", (now_ms - KEPT_MS,))
    return given_up.rowcount
