"""Channels' other rows: cursors, and strangers that wait or were approved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clawgw.store.database import Connection

_COLUMNS = "channel, account, sender, name, chat, code, requested_at, approved_at"


class SenderRow(NamedTuple):
    """Somebody who wrote without being on a list; times in milliseconds."""

    channel: str
    account: str
    sender: str
    name: str
    chat: str
    code: str | None
    requested_at: int
    approved_at: int | None = None


def cursor(connection: Connection, channel: str, account: str) -> dict[str, str]:
    """Where an account's stream was left."""
    return dict(
        connection.execute(
            "SELECT name, value FROM channel_cursors WHERE channel = ? AND account = ?",
            (channel, account),
        ).fetchall()
    )


def set_cursor(
    connection: Connection, channel: str, account: str, values: Mapping[str, str | None]
) -> None:
    """Note where an account's stream was left; None forgets a value."""
    for name, value in values.items():
        if value is None:
            connection.execute(
                "DELETE FROM channel_cursors WHERE channel = ? AND account = ? AND name = ?",
                (channel, account, name),
            )
        else:
            connection.execute(
                "INSERT OR REPLACE INTO channel_cursors VALUES (?, ?, ?, ?)",
                (channel, account, name, value),
            )


def senders(connection: Connection) -> list[SenderRow]:
    """Everybody, those who wrote first first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM channel_senders ORDER BY requested_at"
    ).fetchall()
    return [SenderRow(*row) for row in rows]


def put_sender(connection: Connection, row: SenderRow) -> None:
    """Add or replace a stranger."""
    connection.execute(
        f"INSERT OR REPLACE INTO channel_senders ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row
    )


def remove_sender(connection: Connection, channel: str, account: str, sender: str) -> None:
    """Forget a stranger."""
    connection.execute(
        "DELETE FROM channel_senders WHERE channel = ? AND account = ? AND sender = ?",
        (channel, account, sender),
    )


def set_draft(connection: Connection, run_id: str, message_id: str) -> None:
    """A run's answer is shown in this message already."""
    connection.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?)", (run_id, message_id))


def take_draft(connection: Connection, run_id: str) -> str | None:
    """The message that shows a run's answer; it is forgotten now."""
    row = connection.execute(
        "DELETE FROM drafts WHERE run_id = ? RETURNING message_id", (run_id,)
    ).fetchone()
    return None if row is None else str(row[0])
