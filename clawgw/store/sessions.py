"""Sessions as rows: made on first use, listed by their last change, patched, reset, deleted."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from clawgw.store.database import Connection

_COLUMNS = (
    "key, agent_id, session_id, kind, channel, created_at, updated_at, interacted_at, label,"
    " title, preview, status, last_run_id, aborted, message_count, last_seq, input_tokens,"
    " output_tokens, agent_session, archived, spawned_by, settings"
)


class Session(NamedTuple):
    """One session. Times in milliseconds; `settings` is what `sessions.patch` set."""

    key: str
    agent_id: str
    session_id: str
    kind: str
    channel: str | None
    created_at: int
    updated_at: int
    interacted_at: int | None
    label: str | None
    title: str | None
    preview: str | None
    status: str | None
    last_run_id: str | None
    aborted: bool
    message_count: int
    last_seq: int
    input_tokens: int
    output_tokens: int
    agent_session: str | None
    archived: bool
    spawned_by: str | None
    settings: dict[str, Any]


def _session(row: Any) -> Session:
    session = Session._make(row)
    return session._replace(
        aborted=bool(session.aborted),
        archived=bool(session.archived),
        settings=json.loads(row[-1]),
    )


class Filter(NamedTuple):
    """Which sessions a listing wants; None is "any"."""

    agent_id: str | None = None
    label: str | None = None
    spawned_by: str | None = None
    search: str | None = None
    updated_after: int | None = None
    archived: bool | None = False
    by_interaction: bool = False
    interacted_only: bool = False

    @property
    def scans(self) -> bool:
        """Whether finding them may have to look at every row."""
        return (
            self.search is not None
            or self.spawned_by is not None
            or self.archived is None
            or self.by_interaction
            or self.interacted_only
        )


def get(connection: Connection, key: str) -> Session | None:
    """The session of this key."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM sessions WHERE key = ?", (key,)).fetchone()
    return _session(row) if row else None


def get_by_id(connection: Connection, session_id: str) -> Session | None:
    """The session whose transcript has this id."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE session_id = ?", (session_id,)
    ).fetchone()
    return _session(row) if row else None


def get_by_label(connection: Connection, label: str) -> Session | None:
    """The session of this label; labels are unique."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE label = ?", (label,)
    ).fetchone()
    return _session(row) if row else None


def ensure(
    connection: Connection,
    key: str,
    agent_id: str,
    new_session_id: str,
    now_ms: int,
    kind: str = "direct",
    channel: str | None = None,
) -> Session:
    """The session of this key, made if there is none."""
    connection.execute(
        "INSERT INTO sessions (key, agent_id, session_id, kind, channel, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
        (key, agent_id, new_session_id, kind, channel, now_ms, now_ms),
    )
    session = get(connection, key)
    assert session is not None
    return session


def update(connection: Connection, key: str, /, **columns: Any) -> None:
    """Set columns of a session. Column names come from our code, never from a client."""
    if "settings" in columns:
        columns["settings"] = json.dumps(columns["settings"], separators=(",", ":"))
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE sessions SET {names} WHERE key = ?", (*columns.values(), key))


def add_usage(connection: Connection, key: str, input_tokens: int, output_tokens: int) -> None:
    """Count a run's tokens."""
    connection.execute(
        "UPDATE sessions SET input_tokens = input_tokens + ?, output_tokens = output_tokens + ?"
        " WHERE key = ?",
        (input_tokens, output_tokens, key),
    )


def delete(connection: Connection, key: str) -> str | None:
    """Forget a session; returns the id of its transcript, None if there was no session."""
    row = connection.execute(
        "DELETE FROM sessions WHERE key = ? RETURNING session_id", (key,)
    ).fetchone()
    return row[0] if row else None


def listing(connection: Connection, wanted: Filter, limit: int, offset: int = 0) -> list[Session]:
    """The sessions wanted, the latest first."""
    where, values = _where(wanted)
    order = "interacted_at" if wanted.by_interaction else "updated_at"
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE {where} ORDER BY {order} DESC LIMIT ? OFFSET ?",
        (*values, limit, offset),
    ).fetchall()
    return [_session(row) for row in rows]


def count(connection: Connection, wanted: Filter) -> int:
    """How many sessions are wanted. Looks at every one of them: not for the reactor."""
    where, values = _where(wanted)
    row = connection.execute(f"SELECT count(*) FROM sessions WHERE {where}", values).fetchone()
    return int(row[0])


def counts_by_agent(connection: Connection) -> dict[tuple[str, bool], int]:
    """How many sessions each agent has, by (agent id, archived)."""
    rows = connection.execute(
        "SELECT agent_id, archived, count(*) FROM sessions GROUP BY agent_id, archived"
    )
    return {(agent_id, bool(archived)): number for agent_id, archived, number in rows}


def _where(wanted: Filter) -> tuple[str, list[Any]]:
    parts: list[str] = ["1"]
    values: list[Any] = []

    def add(condition: str, *more: Any) -> None:
        parts.append(condition)
        values.extend(more)

    if wanted.archived is not None:
        add("archived = ?", int(wanted.archived))
    if wanted.agent_id is not None:
        add("agent_id = ?", wanted.agent_id)
    if wanted.label is not None:
        add("label = ?", wanted.label)
    if wanted.spawned_by is not None:
        add("spawned_by = ?", wanted.spawned_by)
    if wanted.updated_after is not None:
        add("updated_at >= ?", wanted.updated_after)
    if wanted.interacted_only:
        add("interacted_at IS NOT NULL")
    if wanted.search:
        pattern = (
            "%" + wanted.search.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
        )
        add(
            r"(key LIKE ? ESCAPE '\' OR label LIKE ? ESCAPE '\' OR title LIKE ? ESCAPE '\')",
            pattern,
            pattern,
            pattern,
        )
    return " AND ".join(parts), values


def route(connection: Connection, key: str) -> bytes | None:
    """Where a session's people last wrote from, as JSON."""
    row = connection.execute("SELECT route FROM sessions WHERE key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def set_route(connection: Connection, key: str, channel: str, route: bytes) -> None:
    """Note where a session's people write from."""
    connection.execute(
        "UPDATE sessions SET channel = ?, route = ? WHERE key = ? AND route IS NOT ?",
        (channel, route, key, route),
    )
