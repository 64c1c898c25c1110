"""Runs as rows: accepted with the message they answer, ended with what came of them."""

from __future__ import annotations

from typing import NamedTuple

from clawgw.store.database import Connection

KEPT_MS = 30 * 24 * 3600 * 1000
_COLUMNS = (
    "run_id, session_key, agent_id, requested_key, state, accepted_at, started_at, ended_at,"
    " prompt, error, result, delivery"
)


class Run(NamedTuple):
    """One run. `prompt`, `result` and `delivery` are JSON; times in milliseconds."""

    run_id: str
    session_key: str
    agent_id: str
    requested_key: str
    state: str
    accepted_at: int
    started_at: int | None = None
    ended_at: int | None = None
    prompt: bytes | None = None
    error: str | None = None
    result: bytes | None = None
    delivery: bytes | None = None


def insert(connection: Connection, run: Run) -> None:
    """Accept a run."""
    connection.execute(f"INSERT INTO runs ({_COLUMNS}) VALUES ({','.join('?' * 12)})", run)


def get(connection: Connection, run_id: str) -> Run | None:
    """The run of this id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    return Run(*row) if row else None


def unfinished(connection: Connection) -> list[Run]:
    """Runs that were accepted and have not ended, in the order they were accepted."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE state IN ('queued', 'running')"
        " ORDER BY accepted_at, rowid"
    ).fetchall()
    return [Run(*row) for row in rows]


def start(connection: Connection, run_id: str, now_ms: int) -> None:
    """The agent has been asked: from here on a run is never begun again."""
    connection.execute(
        "UPDATE runs SET state = 'running', started_at = ? WHERE run_id = ?", (now_ms, run_id)
    )


def end(
    connection: Connection,
    run_id: str,
    state: str,
    now_ms: int,
    error: str | None = None,
    result: bytes | None = None,
) -> None:
    """What became of a run; its prompt is no longer needed."""
    connection.execute(
        "UPDATE runs SET state = ?, ended_at = ?, error = ?, result = ?, prompt = NULL"
        " WHERE run_id = ?",
        (state, now_ms, error, result, run_id),
    )


def prune(connection: Connection, now_ms: int) -> None:
    """Forget runs that ended long ago; their transcripts stay."""
    connection.execute("DELETE FROM runs WHERE ended_at <= ?", (now_ms - KEPT_MS,))
