"""Idempotency keys: what a key was first used for, and what came of it.

A key is good for 24 hours, across restarts. It is claimed in the same transaction as the change
it protects, so that there is no moment in which one exists without the other.
"""

from __future__ import annotations

from typing import NamedTuple

from clawgw.store.database import Connection

LIFETIME_MS = 24 * 3600 * 1000


class Claim(NamedTuple):
    """What the store knows of a key. `result` is None while the first call runs."""

    method: str
    digest: bytes
    result: bytes | None


def find(connection: Connection, key: str, now_ms: int) -> Claim | None:
    """The claim on a key, if it has one that still counts."""
    row = connection.execute(
        "SELECT method, digest, result FROM idempotency WHERE key = ? AND created_at > ?",
        (key, now_ms - LIFETIME_MS),
    ).fetchone()
    return Claim(*row) if row else None


def claim(
    connection: Connection,
    key: str,
    method: str,
    digest: bytes,
    now_ms: int,
    result: bytes | None = None,
) -> None:
    """Take a key; an outdated claim on it is replaced."""
    connection.execute(
        "INSERT OR REPLACE INTO idempotency (key, method, digest, created_at, result)"
        " VALUES (?, ?, ?, ?, ?)",
        (key, method, digest, now_ms, result),
    )


def settle(connection: Connection, key: str, result: bytes) -> None:
    """Remember the result of the call that claimed `key`."""
    connection.execute("UPDATE idempotency SET result = ? WHERE key = ?", (result, key))


def release(connection: Connection, key: str) -> None:
    """Forget a claim whose call did nothing."""
    connection.execute("DELETE FROM idempotency WHERE key = ?", (key,))


def prune(connection: Connection, now_ms: int) -> None:
    """Forget what no longer counts."""
    connection.execute("DELETE FROM idempotency WHERE created_at <= ?", (now_ms - LIFETIME_MS,))
