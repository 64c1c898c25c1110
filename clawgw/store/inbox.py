"""The inbox as rows: each message of a provider once, and what became of it.

`new` waits to be routed; `heard` is kept for the next answer in its chat, and `told` after that;
`routed`, `paired` and `dropped` are over. A row stays for as long as a provider might send the
message again; its content goes when it is no longer needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clawgw.store.database import Connection

KEPT_MS = 30 * 24 * 3600 * 1000
HEARD_KEPT_MS = 2 * 24 * 3600 * 1000


class Received(NamedTuple):
    """A message to store; `body` is JSON."""

    message_id: str
    chat: str
    body: bytes


class InboxRow(NamedTuple):
    """A message that was stored and not routed."""

    seq: int
    channel: str
    account: str
    message_id: str
    chat: str
    received_at: int
    body: bytes


_ROW = "seq, channel, account, message_id, chat, received_at, body"


def store(
    connection: Connection, channel: str, account: str, messages: Iterable[Received], now_ms: int
) -> list[InboxRow]:
    """Store messages; returns those that were not there before."""
    rows = []
    for message in messages:
        cursor = connection.execute(
            "INSERT OR IGNORE INTO inbox"
            " (channel, account, message_id, chat, received_at, state, body)"
            " VALUES (?, ?, ?, ?, ?, 'new', ?)",
            (channel, account, message.message_id, message.chat, now_ms, message.body),
        )
        if cursor.rowcount:
            seq = cursor.lastrowid or 0
            rows.append(InboxRow(seq, channel, account, message[0], message[1], now_ms, message[2]))
    return rows


def waiting(connection: Connection, after: int, limit: int) -> list[InboxRow]:
    """Messages that were stored and not routed, in their order, from behind `after`."""
    rows = connection.execute(
        f"SELECT {_ROW} FROM inbox WHERE state = 'new' AND seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    ).fetchall()
    return [InboxRow(*row) for row in rows]


def settle(
    connection: Connection, seq: int, state: str, why: str = "", run_id: str | None = None
) -> bool:
    """What became of a message; what is only `heard` keeps its content.

    Returns:
        Whether that was open.
    """
    changed = connection.execute(
        "UPDATE inbox SET state = ?, why = ?, run_id = ?,"
        " body = CASE WHEN ? = 'heard' THEN body END WHERE seq = ? AND state = 'new'",
        (state, why or None, run_id, state, seq),
    )
    return changed.rowcount > 0


def take_heard(
    connection: Connection, channel: str, account: str, chat: str, limit: int
) -> Sequence[bytes]:
    """The last messages that were heard in a chat, oldest first; they are told now."""
    where = "channel = ? AND account = ? AND chat = ? AND state = 'heard'"
    rows = connection.execute(
        f"SELECT body FROM inbox WHERE {where} ORDER BY seq DESC LIMIT ?",
        (channel, account, chat, limit),
    ).fetchall()
    if rows:
        connection.execute(
            f"UPDATE inbox SET state = 'told', body = NULL WHERE {where}", (channel, account, chat)
        )
    return [row[0] for row in reversed(rows)]


def prune(connection: Connection, now_ms: int) -> None:
    """Forget what no provider sends again."""
    connection.execute(
        "DELETE FROM inbox WHERE received_at <= ? AND state != 'new'", (now_ms - KEPT_MS,)
    )
    connection.execute(
        "UPDATE inbox SET state = 'told', body = NULL WHERE state = 'heard' AND received_at <= ?",
        (now_ms - HEARD_KEPT_MS,),
    )
