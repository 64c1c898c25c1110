"""Approvals as rows: asked, and decided once."""

from __future__ import annotations

from typing import NamedTuple

from clawgw.store.database import Connection

KEPT_MS = 30 * 24 * 3600 * 1000
_COLUMNS = (
    "id, created_at, expires_at, request, asked_by, decision, reason, resolved_at, resolved_by,"
    " resolver_id, asker_id, env_digest, used_at"
)


class ApprovalRow(NamedTuple):
    """One question. `request` is the JSON of `protocol.approvals.ExecRequest`."""

    id: str
    created_at: int
    expires_at: int
    request: bytes
    asked_by: str | None = None
    decision: str | None = None
    reason: str | None = None
    resolved_at: int | None = None
    resolved_by: str | None = None
    resolver_id: str | None = None
    asker_id: str | None = None
    env_digest: str | None = None
    used_at: int | None = None

    def __repr__(self) -> str:
        return f"ApprovalRow(id={self.id!r}, decision={self.decision!r})"


def insert(connection: Connection, row: ApprovalRow) -> None:
    """Remember a question."""
    connection.execute(f"INSERT INTO approvals ({_COLUMNS}) VALUES ({','.join('?' * 13)})", row)


def get(connection: Connection, approval_id: str) -> ApprovalRow | None:
    """The question of this id."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM approvals WHERE id = ?", (approval_id,)
    ).fetchone()
    return ApprovalRow(*found) if found else None


def decide(connection: Connection, row: ApprovalRow) -> bool:
    """Write what was decided; False if something was decided already."""
    changed = connection.execute(
        "UPDATE approvals SET decision = ?, reason = ?, resolved_at = ?, resolved_by = ?,"
        " resolver_id = ? WHERE id = ? AND decision IS NULL",
        (row.decision, row.reason, row.resolved_at, row.resolved_by, row.resolver_id, row.id),
    )
    return changed.rowcount == 1


def use(connection: Connection, approval_id: str, now_ms: int) -> bool:
    """Note that what was allowed once has begun; False if it had before."""
    changed = connection.execute(
        "UPDATE approvals SET used_at = ? WHERE id = ? AND used_at IS NULL", (now_ms, approval_id)
    )
    return changed.rowcount == 1


def end_open(connection: Connection, reason: str, before_ms: int, now_ms: int) -> int:
    """Deny every question asked before a moment that still stands; returns how many there were."""
    return connection.execute(
        "UPDATE approvals SET decision = 'deny', reason = ?, resolved_at = ?"
        " WHERE decision IS NULL AND created_at < ?",
        (reason, now_ms, before_ms),
    ).rowcount


def prune(connection: Connection, now_ms: int) -> None:
    """Forget what was decided long ago."""
    connection.execute("DELETE FROM approvals WHERE resolved_at <= ?", (now_ms - KEPT_MS,))
