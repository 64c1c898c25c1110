"""Approvals as rows: asked, and decided once."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from clawgw.protocol.approvals import Decision, ExecRequest, Reason
from clawgw.store.database import Connection

KEPT_MS = 30 * 24 * 3600 * 1000
_LATER = 2**62


class Approval(NamedTuple):
    """A question, and the answer once there is one; as a row, `request` is JSON."""

    id: str
    created_at: int
    expires_at: int
    request: ExecRequest
    asked_by: str | None = None
    decision: Decision | None = None
    reason: Reason | None = None
    resolved_at: int | None = None
    resolved_by: str | None = None
    resolver_id: str | None = None
    asker_id: str | None = None
    env_digest: str | None = None
    used_at: int | None = None

    @property
    def allowed(self) -> bool:
        """Whether it may run."""
        return self.decision in ("allow-once", "allow-always")


_COLUMNS = ", ".join(Approval._fields)
_MARKS = ", ".join("?" * len(Approval._fields))


def _read(row: tuple[Any, ...]) -> Approval:
    approval = Approval(*row)
    return approval._replace(request=msgspec.json.decode(row[3], type=ExecRequest))


def insert(connection: Connection, approval: Approval) -> None:
    """Remember a question."""
    row: dict[str, Any] = approval._asdict()
    row["request"] = msgspec.json.encode(approval.request)
    connection.execute(f"INSERT INTO approvals ({_COLUMNS}) VALUES ({_MARKS})", tuple(row.values()))


def get(connection: Connection, approval_id: str) -> Approval | None:
    """The question of this id."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM approvals WHERE id = ?", (approval_id,)
    ).fetchone()
    return _read(found) if found else None


def decided(connection: Connection, before: tuple[int, str] | None, limit: int) -> list[Approval]:
    """The latest that were decided, but not by the policy: see `ApprovalBook.decided`."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM approvals WHERE resolved_at IS NOT NULL"
        " AND reason IS NOT 'policy' AND (resolved_at, id) < (?, ?)"
        " ORDER BY resolved_at DESC, id DESC LIMIT ?",
        (*(before or (_LATER, "")), limit),
    )
    return [_read(row) for row in rows]


def decide(connection: Connection, approval: Approval) -> bool:
    """Write what was decided; False if something was decided already."""
    changed = connection.execute(
        "UPDATE approvals SET decision = ?, reason = ?, resolved_at = ?, resolved_by = ?,"
        " resolver_id = ? WHERE id = ? AND decision IS NULL",
        (
            approval.decision,
            approval.reason,
            approval.resolved_at,
            approval.resolved_by,
            approval.resolver_id,
            approval.id,
        ),
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
