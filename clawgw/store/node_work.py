"""Work for nodes that sleep, as rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from clawgw.store.database import Connection


class WorkRow(NamedTuple):
    """One piece of work. `body` is JSON, times in milliseconds."""

    id: str
    node_id: str
    created_at: int
    expires_at: int
    body: bytes
    ended_at: int | None = None

    def __repr__(self) -> str:
        return f"WorkRow(id={self.id!r}, node_id={self.node_id!r})"


_COLUMNS = ", ".join(WorkRow._fields)


def all_work(connection: Connection) -> list[WorkRow]:
    """Everything, the oldest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM node_work ORDER BY created_at, id")
    return [WorkRow(*row) for row in rows]


def add(connection: Connection, row: WorkRow, before_ms: int) -> None:
    """Remember a piece of work, and forget what is older than a moment."""
    connection.execute("DELETE FROM node_work WHERE created_at < ?", (before_ms,))
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO node_work ({_COLUMNS}) VALUES ({marks})", row)


def end(connection: Connection, ids: Iterable[str], now_ms: int) -> None:
    """The node took these."""
    connection.executemany(
        "UPDATE node_work SET ended_at = ? WHERE id = ? AND ended_at IS NULL",
        [(now_ms, name) for name in ids],
    )


def forget(connection: Connection, node_id: str) -> None:
    """A node is none any more."""
    connection.execute("DELETE FROM node_work WHERE node_id = ?", (node_id,))
